"""What differs between two recipes is said field by field, and nothing else is."""

from stillhouse.recipe.differences import Difference, differences, fields_of
from tests.checks.hand_made import DEMO, recipe


def test_each_changed_field_is_named_with_both_values() -> None:
    before, after = (
        each.model_dump(mode="json") for each in (DEMO, recipe(bar__margin=0.05, stakes="high", author="a"))
    )
    assert differences(before, before) == []
    assert differences(before, after) == [
        Difference(field="author", was="not set", is_="a"),
        Difference(field="stakes", was="low", is_="high"),
        Difference(field="bar.margin", was="0.04", is_="0.05"),
    ]
    assert differences(before, after)[2].sentence == "bar.margin was 0.04 and is 0.05"


def test_parts_of_a_list_go_by_their_name_so_that_a_new_one_moves_no_other() -> None:
    before = {"slices": [{"name": "people", "margin": 0.1}, {"name": "places", "margin": 0.2}]}
    after = {"slices": [{"name": "dates", "margin": 0.3}, {"name": "people", "margin": 0.1}]}
    assert [each.sentence for each in differences(before, after)] == [
        "slices.dates.name was not set and is dates",
        "slices.dates.margin was not set and is 0.3",
        "slices.places.name was places and is not set",
        "slices.places.margin was 0.2 and is not set",
    ]


def test_every_field_is_there_with_its_default() -> None:
    found = dict(fields_of(DEMO.model_dump(mode="json")))
    assert found["pain"] == "latency" and found["waiver_days_at_most"] == "30" and found["economics"] == "not set"
    assert found["slices.people.floor"] == "0.85" and found["sensitive"] == "none"
    assert found["students.two_layers.layers"] == "0, 5" and found["behaviour.plain questions.cases.0.label"] == "HUM"
