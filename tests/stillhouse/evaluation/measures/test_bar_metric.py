"""The bar's metric is taken from what each metric asks of answers, also where they are no classes."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from stillhouse.evaluation.measures.bar_metric import bar_metric_test
from stillhouse.recipe.bar import BarSpec
from stillhouse.tasks.single_label import SingleLabel

TASK = SingleLabel(("a", "b", "c"))
NUMBERS: Any = SimpleNamespace(
    names=("number",), classes=None, right=lambda logits, targets: np.abs(logits[:, 0] - targets) <= 0.5
)
ROWS, A_GROUP = 240, 4
GROUPS = np.arange(ROWS) // A_GROUP


def right_on(share: float) -> np.ndarray[Any, Any]:
    return np.random.default_rng(int(100 * share)).random(ROWS) < share


def test_numbers_are_right_or_wrong_by_groups_as_classes_are() -> None:
    targets = np.arange(ROWS) % 3
    first, second = right_on(0.9), right_on(0.8)

    def classes(right: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        return np.eye(3)[np.where(right, targets, (targets + 1) % 3)]

    def numbers(right: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        return np.where(right, targets * 7.0, targets * 7.0 + 3)[:, None]

    bar = BarSpec(margin=0.05)
    how: dict[str, Any] = {"groups": GROUPS, "margin": 0.05}
    of_classes = bar_metric_test(bar, TASK, targets, classes(first), classes(second), **how)
    of_numbers = bar_metric_test(bar, NUMBERS, targets * 7.0, numbers(first), numbers(second), **how)
    assert of_numbers.drop == of_classes.drop == pytest.approx(np.mean(first) - np.mean(second))
    assert of_numbers == of_classes


def test_a_model_that_ranks_the_right_class_second_loses_of_ndcg_what_its_definition_says() -> None:
    targets = np.zeros(ROWS, dtype=np.int64)
    first, second = np.tile([3.0, 2.0, 1.0], (ROWS, 1)), np.tile([2.0, 3.0, 1.0], (ROWS, 1))
    found = bar_metric_test(BarSpec(margin=0.05, metric="ndcg"), TASK, targets, first, second, groups=None, margin=0.05)
    assert found.drop == pytest.approx(1 - 1 / np.log2(3))


def test_the_margin_is_the_one_that_is_asked_for_and_not_the_bars() -> None:
    targets = np.arange(ROWS) % 3
    first = np.eye(3)[targets]
    second = np.eye(3)[np.where(np.arange(ROWS) % 10 == 0, (targets + 1) % 3, targets)]
    bar = BarSpec(margin=0.3, metric="macro_f1")
    lenient, strict = (
        bar_metric_test(bar, TASK, targets, first, second, groups=None, margin=margin) for margin in (0.3, 0.02)
    )
    assert (str(lenient.verdict), str(strict.verdict)) == ("pass", "fail")
