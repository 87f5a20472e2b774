"""A class that a recipe names is one that the rows have, and otherwise the closest is told."""

from pathlib import Path

import pytest

from stillhouse.data.declared_labels import named_classes, require_named_classes, unknown_classes
from stillhouse.errors import StillhouseError
from tests.small import small_recipe

FRAUD = {"margin": 0.07, "metric": "recall", "metric_class": "fraud"}


@pytest.mark.long
def test_a_bar_on_accuracy_names_no_class(tmp_path: Path) -> None:
    file = small_recipe(tmp_path, rows=20)
    assert named_classes(file.recipe) == {}
    require_named_classes(file, [])


@pytest.mark.long
def test_a_class_of_the_rows_is_known_and_one_of_other_case_is_not(tmp_path: Path) -> None:
    recipe = small_recipe(tmp_path, rows=20, bar=FRAUD).recipe
    assert named_classes(recipe) == {("bar", "metric_class"): "fraud"}
    assert unknown_classes(recipe, ["bug", "fraud"]) == []
    (unknown,) = unknown_classes(recipe, ["bug", "Fraud"])
    assert (unknown.field, unknown.hint) == (("bar", "metric_class"), "Did you mean 'Fraud'?")


def test_the_labels_of_behavioural_cases_are_named_and_cases_without_one_are_not(tmp_path: Path) -> None:
    cases = [{"text": "Where is it ?", "label": "LOC"}]
    same = [{"text": "Where is Rome ?", "variants": ["Where is Oslo ?"]}]
    tests = [
        {"name": "places", "kind": "minimum", "critical": True, "cases": cases},
        {"name": "names", "kind": "invariance", "critical": True, "cases": same},
    ]
    recipe = small_recipe(tmp_path, rows=20, behaviour=tests).recipe
    assert named_classes(recipe) == {("behaviour", 0, "cases", 0, "label"): "LOC"}


def test_of_many_classes_some_are_said_and_the_others_are_counted(tmp_path: Path) -> None:
    file = small_recipe(tmp_path, rows=20, bar=FRAUD)
    with pytest.raises(StillhouseError, match=r"one of c000, .*c019 and 130 more\. Name one of these") as refused:
        require_named_classes(file, [f"c{number:03d}" for number in range(150)])
    assert "bar.metric_class: no labelled row is of class 'fraud'" in str(refused.value)
