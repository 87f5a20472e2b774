"""How far numbers are from the right ones: by hand, and as scipy has it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import spearmanr

from stillhouse.evaluation.against_champion import in_the_numbers_of
from stillhouse.evaluation.measures.number_scores import number_scores, rank_correlation
from stillhouse.recipe.data import ScoreSpec
from stillhouse.tasks.score import NumericScore
from stillhouse.tasks.single_label import SingleLabel

TASK = NumericScore(1, 5, 0.5)
VALUES = st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=2, max_size=30)


def units(*numbers: float) -> np.ndarray:
    return (np.array(numbers) - 3) / 2


def test_errors_are_in_the_numbers_of_the_rows() -> None:
    """By hand: the model is off by 0, 1 and 2, the teacher by 1, 0 and 0, and they differ by 1, 1 and 2."""
    truth, taught, said = units(1, 3, 5), units(2, 3, 5)[:, None], units(1, 2, 3)[:, None]
    found = number_scores(TASK, truth, taught, said)
    assert found is not None
    assert (found.mean_error, found.teacher_mean_error) == pytest.approx((1, 1 / 3))
    assert found.mean_difference == pytest.approx(4 / 3)
    assert (found.spearman, found.teacher_spearman) == pytest.approx((1, 1))
    assert (found.lowest, found.highest, found.tolerance) == (1, 5, 0.5)


@given(VALUES)
def test_the_rank_correlation_is_that_of_scipy(pairs: list[tuple[int, int]]) -> None:
    first, second = (np.array(each, float) for each in zip(*pairs, strict=True))
    found = rank_correlation(first, second)
    if min(np.ptp(first), np.ptp(second)) == 0:
        assert found is None
    else:
        assert found == pytest.approx(float(spearmanr(first, second).statistic), abs=1e-12)


@given(VALUES)
def test_only_the_order_counts(pairs: list[tuple[int, int]]) -> None:
    first, second = (np.array(each, float) for each in zip(*pairs, strict=True))
    found = rank_correlation(first, second)
    assert rank_correlation(np.exp(first), second * 3 - 7) == (None if found is None else pytest.approx(found))


def test_labels_have_none() -> None:
    assert number_scores(SingleLabel(("a", "b")), np.zeros(2), np.zeros((2, 2)), np.zeros((2, 2))) is None


def test_a_champion_of_other_ends_is_held_to_what_its_numbers_mean() -> None:
    """It gave 3 stars as 0 between 1 and 5; from 0 to 10 that is -0.4."""
    ours = NumericScore(0, 10, 1)
    stars = ScoreSpec(lowest=1, highest=5, tolerance=0.5)
    outputs = np.array([[0.0], [1.0]])
    assert in_the_numbers_of(ours, outputs, stars)[:, 0] == pytest.approx([-0.4, 0.0])
    assert ours.written(ours.answers(in_the_numbers_of(ours, outputs, stars))) == ["3", "5"]
    assert in_the_numbers_of(ours, outputs, None) is outputs
