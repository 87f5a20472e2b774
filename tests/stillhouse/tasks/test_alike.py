"""When two written answers count as one: for numbers by the very rule by which a golden answer is right."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stillhouse.tasks.alike import alike, which_alike
from stillhouse.tasks.numbers import written_number
from stillhouse.tasks.score import NumericScore

TASK = NumericScore(1, 5, 0.5)
HUNDREDTHS = st.lists(st.tuples(st.integers(0, 700), st.integers(100, 500)), min_size=1, max_size=20)
"""Answers, which may lie beyond the ends, and labels."""


@given(HUNDREDTHS)
def test_a_live_answer_is_right_where_the_same_golden_answer_is(pairs: list[tuple[int, int]]) -> None:
    answers, labels = ([written_number(each / 100) for each in side] for side in zip(*pairs, strict=True))
    outputs = TASK.outputs(np.array([float(each) for each in answers]))
    golden = TASK.right(outputs[:, None], TASK.targets(pl.Series(labels)))
    assert which_alike(answers, labels, TASK.tolerance) == golden.tolist()
    both = TASK.agree(outputs[:, None], TASK.targets(pl.Series(labels))[:, None])
    assert which_alike(labels, answers, TASK.tolerance) == both.tolist(), "who is compared with whom does not matter"


@pytest.mark.parametrize(
    ("answer", "truth", "is_alike"),
    [
        ("4", "4.5", True), ("4.5", "4", True), ("3.99999", "4.5", False), ("4", "4", True),
        ("-0.25", "0.25", True), ("1000000000", "999999999.5", True), ("1000000000", "999999999.4", False),
    ],
)  # fmt: skip
def test_numbers_are_alike_up_to_the_tolerance_and_at_it(answer: str, truth: str, is_alike: bool) -> None:
    assert which_alike([answer], [truth], 0.5) == [is_alike]


@pytest.mark.parametrize("odd", ["nan", "inf", "1e400", "٣", "billing", '["a"]', "", None])
def test_what_is_no_number_is_like_none_and_not_even_like_itself(odd: str | None) -> None:
    """A challenger that gives no number, a truth from before the recipe had numbers."""
    assert which_alike([odd, "3", odd], ["3", odd, odd], 0.5) == [False, False, False]


def test_labels_are_alike_where_their_texts_are() -> None:
    labels = ["4", "4.5", '["a","b"]', None, "4"]
    assert which_alike(labels, ["4", "4", '["a","b"]', "4", None], None) == [True, False, True, False, False]
    rows = pl.DataFrame({"one": labels, "other": labels})
    expression = alike(pl.col("one"), pl.col("other"), None)
    assert rows.select(expression).to_series().to_list() == [True, True, True, None, True]
