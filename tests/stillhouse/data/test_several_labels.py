"""Rows with several labels are recognised, and names with a comma in them are not taken for such."""

import polars as pl
import pytest

from stillhouse.data.several_labels import answers_yes_or_no, columns_like, several_in_a_cell


@pytest.mark.parametrize(
    "labels",
    [
        {"['billing', 'urgent']": 20, "['repair']": 30, "['billing']": 30, "['repair', 'urgent']": 10},
        {"billing|urgent": 20, "repair": 30, "billing": 30, "urgent|repair": 10},
        {"billing; urgent": 20, "repair": 30, "billing": 30, "urgent; repair": 10},
        {"billing, urgent": 20, "repair": 30, "billing": 30, "urgent, repair": 10},
        {'["billing", "urgent"]': 20, "repair": 30, "billing": 30, '["repair","urgent"]': 10},
        {"billing\u3001urgent": 20, "repair": 30, "billing": 30, "urgent\u3001repair": 10},
        {"billing\uff0curgent": 20, "repair": 30, "billing": 30, "urgent\uff0crepair": 10},
        *(
            {f"billing{mark}urgent": 20, "repair": 30, "billing": 30, f"urgent{mark}repair": 10, "urgent": 40}
            for mark in ("/", " + ", " & ", "#", " ", "\\n")
        ),
        {"[billing urgent]": 20, "[repair]": 30, "[billing]": 30, "[repair urgent]": 10, "[urgent]": 5},
    ],
)
def test_lists_of_labels_in_a_cell_are_found(labels: dict[str, int]) -> None:
    found = several_in_a_cell(labels)
    assert found is not None
    assert (found.rows, found.names) == (30, ("billing", "repair", "urgent"))
    assert found.example in labels and labels[found.example] == 20
    assert found.sentence.startswith("labels of 30 rows hold several classes, such as ")


@pytest.mark.parametrize(
    "labels",
    [{"1,2": 20, "2": 9, "1": 9, "1,2,3": 9, "3": 1}, {"1, 2": 20, "1": 9, "2": 9}, {"[1,2]": 9, "[1]": 9, "2": 9}],
)
def test_numbers_of_classes_in_a_list_are_found(labels: dict[str, int]) -> None:
    assert several_in_a_cell(labels) is not None


@pytest.mark.parametrize(
    "labels",
    [
        {"New York, NY": 50, "Albany, NY": 50},  # one part is in both, the others are names
        {"Health, safety": 50, "Refund": 50},
        {"a": 50, "b": 50, "[c]": 50},
        {"a": 500, "b": 500, "a, b": 20},  # two in a hundred
        {"card lost": 50, "card arrival": 50, "pin lost": 50},  # no word is a label
        {"sci/tech": 50, "sci/med": 50, "tech": 50},
        {"1,0": 50, "0,0": 50, "0,5": 50, "0": 9, "1": 9, "5": 9},  # numbers as half the world writes them
        {},
    ],
)
def test_labels_that_have_a_comma_in_their_name_are_single(labels: dict[str, int]) -> None:
    assert several_in_a_cell(labels) is None


def test_columns_that_say_yes_or_no_as_the_label_does_are_found() -> None:
    frame = pl.DataFrame(
        {
            "label": ["s\u00ed", "no", "no"],
            "urgent": ["0", "1", None],
            "repair": ["No", "yes", "YES"],
            "vip": ["NO", "S\u00cd", "no"],
            "queue": ["a", "b", "a"],
            "once": ["1", "1", "1"],
        }
    )
    assert columns_like(frame, ["urgent", "repair", "vip", "queue", "once"]) == ["urgent", "repair", "vip"]
    assert answers_yes_or_no(["True", "false"]) and not answers_yes_or_no(["spam", "ham"])
