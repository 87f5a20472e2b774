"""The threshold of a cascade: it is lowered while the margin is proven, and no further."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stillhouse.statistics.accuracy_test import non_inferiority_p_value
from stillhouse.statistics.fixed_sequence import THRESHOLDS, CascadeThreshold, cascade_threshold


def rows(*parts: tuple[int, float, bool, bool]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Confidence, teacher right, student right, from how many rows of each kind."""
    kinds = np.repeat(np.arange(len(parts)), [count for count, *_ in parts])
    return tuple(np.array([part[place] for part in parts])[kinds] for place in (1, 2, 3))  # type: ignore[return-value]


def test_a_student_that_loses_nothing_answers_everything() -> None:
    found = cascade_threshold(*rows((300, 0.6, True, True)), margin=0.02)
    assert (found.threshold, found.handed_on) == (pytest.approx(THRESHOLDS[-1]), 0.0)
    assert found.p_value == non_inferiority_p_value(0, 0, 300, margin=0.02) and found.next_p_value is None
    assert found.p_value >= 0.98**300, "the chance of no loss where only losses are possible"


def test_too_few_rows_prove_nothing_and_the_teacher_answers() -> None:
    """A student at a margin of 2 points loses none of 100 rows in 0.98^100 = 13 % where it never wins one."""
    found = cascade_threshold(*rows((100, 0.9, True, True)), margin=0.02)
    assert (found.threshold, found.handed_on, found.p_value) == (None, 1.0, None)
    assert found.next_p_value == non_inferiority_p_value(0, 0, 100, margin=0.02) >= 0.98**100
    assert cascade_threshold(*rows((100, 0.9, True, True)), margin=0.02, delta=0.2).threshold is not None


def test_the_search_ends_above_the_rows_that_would_be_lost() -> None:
    """600 sure rows without a loss, 200 less sure ones of which a third is lost."""
    found = cascade_threshold(
        *rows((600, 0.95, True, True), (67, 0.7, True, False), (133, 0.7, True, True)), margin=0.02
    )
    assert found.threshold is not None and 0.7 < found.threshold <= 0.95
    assert found.handed_on == 0.25 and (found.lost, found.won) == (0, 0)
    assert found.next_p_value is not None and found.next_p_value > 0.9


def test_it_does_not_look_past_the_first_threshold_that_is_not_proven() -> None:
    """60 rows lost with great confidence, made up for by 300 won with little: on all rows the student is better."""
    found = cascade_threshold(
        *rows((700, 0.9, True, True), (60, 0.99, True, False), (300, 0.4, False, True)), margin=0.02
    )
    assert found.threshold is None or found.threshold > 0.99
    assert non_inferiority_p_value(60, 300, 1060, margin=0.02) < 0.001, "though all of it would be"


def test_what_is_not_kept_cannot_be_lost_and_counts_as_a_row() -> None:
    found = cascade_threshold(
        *rows((400, 0.9, True, True), (3, 0.9, True, False), (597, 0.1, True, False)), margin=0.02
    )
    assert (found.lost, found.won, found.rows, found.handed_on) == (3, 0, 1000, pytest.approx(0.597))
    assert found.p_value == non_inferiority_p_value(3, 0, 1000, margin=0.02)


@pytest.mark.long
@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_the_threshold_is_the_one_of_a_plain_loop_whatever_the_order_of_the_rows(seed: int) -> None:
    random = np.random.default_rng(seed)
    confidence = random.beta(3, 0.53, 200)
    student, teacher = random.random(200) < confidence, random.random(200) < 0.9
    found = cascade_threshold(confidence, teacher, student, margin=0.05)
    expected = None
    for threshold in THRESHOLDS:
        kept = confidence >= threshold
        lost, won = int((kept & teacher & ~student).sum()), int((kept & student & ~teacher).sum())
        if non_inferiority_p_value(lost, won, 200, margin=0.05) >= 0.1:
            break
        expected = float(threshold)
    assert found.threshold == expected
    order = random.permutation(200)
    assert cascade_threshold(confidence[order], teacher[order], student[order], margin=0.05) == found
    assert CascadeThreshold.model_validate_json(found.model_dump_json()) == found
    lenient = cascade_threshold(confidence, teacher, student, margin=0.08, delta=0.2)
    assert lenient.handed_on <= found.handed_on


def test_thresholds_fall_and_are_fixed() -> None:
    assert (np.diff(THRESHOLDS) < 0).all() and len(THRESHOLDS) == 131
    assert (THRESHOLDS[0], THRESHOLDS[80]) == (pytest.approx(0.99966, abs=1e-5), 0.5)


@pytest.mark.parametrize(
    ("confidence", "change", "message"),
    [
        (np.array([0.5]), {}, "a confidence in"),
        (np.array([0.5, 1.5]), {}, "a confidence in"),
        (np.array([0.5, np.nan]), {}, "a confidence in"),
        (np.array([0.5, 0.5]), {"margin": 0.0}, "margin"),
        (np.array([0.5, 0.5]), {"delta": 0.5}, "alpha"),
    ],
)
def test_what_makes_no_sense_is_refused(confidence: np.ndarray, change: dict[str, float], message: str) -> None:
    yes = np.array([True, True])
    with pytest.raises(ValueError, match=message):
        cascade_threshold(confidence, yes, yes, **{"margin": 0.02, **change})
