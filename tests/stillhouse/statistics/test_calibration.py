"""Calibration, against hand calculations and scikit-learn."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.calibration import calibration_curve
from sklearn.metrics import brier_score_loss

from stillhouse.statistics.calibration import (
    bin_of,
    brier_score,
    calibration,
    expected_calibration_error,
    number_of_bins,
    reliability,
)

CONFIDENCES = st.lists(st.sampled_from([0.2, 1 / 3, 0.6, 0.75, 0.9, 0.99, 1.0]) | st.floats(0, 1), min_size=1)


def calibration_error(probabilities: np.ndarray, labels: np.ndarray) -> float:
    return expected_calibration_error(reliability(probabilities.max(axis=1), probabilities.argmax(axis=1) == labels))


def test_calibration_error_of_a_hand_example() -> None:
    # Two rows at 0.95 (one right): gap |0.5 - 0.95|; two rows at 0.6 (both right): gap |1 - 0.6|. Each half the rows.
    probabilities = np.array([[0.95, 0.05], [0.95, 0.05], [0.6, 0.4], [0.6, 0.4]])
    assert calibration_error(probabilities, np.array([0, 1, 0, 0])) == pytest.approx(0.5 * 0.45 + 0.5 * 0.4)


def test_rows_of_one_confidence_bin_are_averaged_before_the_gap() -> None:
    # Three rows have two bins, and the middle one is in the upper. Below: |1 - 0.55|. Above: |0.5 - 0.92|, two rows.
    probabilities = np.array([[0.93, 0.07], [0.55, 0.45], [0.91, 0.09]])
    assert calibration_error(probabilities, np.array([1, 0, 0])) == pytest.approx((0.45 + 2 * 0.42) / 3)


def test_full_confidence_falls_in_the_last_bin() -> None:
    assert calibration_error(np.array([[1.0, 0.0]]), np.array([0])) == 0.0


def test_calibration_error_is_that_of_scikit_learns_reliability_curve() -> None:
    """scikit-learn has no calibration error, but the mean confidence and accuracy of bins that hold as many rows."""
    generator = np.random.default_rng(0)
    probabilities = generator.dirichlet([0.6, 0.4, 0.8, 0.3], size=1500)
    labels = generator.integers(4, size=1500)
    confidence, correct = probabilities.max(axis=1), probabilities.argmax(axis=1) == labels
    accuracy, mean_confidence = calibration_curve(correct, confidence, n_bins=15, strategy="quantile")
    assert calibration_error(probabilities, labels) == pytest.approx(np.abs(accuracy - mean_confidence).mean())


def test_brier_matches_scikit_learn() -> None:
    generator = np.random.default_rng(0)
    probabilities = generator.dirichlet([1, 1, 1], size=50)
    labels = generator.integers(3, size=50)
    expected = brier_score_loss(labels, probabilities, labels=[0, 1, 2], scale_by_half=False)
    assert brier_score(probabilities, labels) == pytest.approx(expected)


def test_a_higher_temperature_makes_a_model_less_sure_and_no_less_right() -> None:
    logits = np.random.default_rng(0).normal(size=(200, 4)) * 3
    labels = logits.argmax(axis=1)
    right = logits.argmax(axis=1) == labels
    hot, cold = calibration(logits, labels, right, temperature=4.0), calibration(logits, labels, right)
    assert hot.mean_confidence < cold.mean_confidence
    assert hot.expected_calibration_error > cold.expected_calibration_error


def test_which_bin_a_confidence_is_in() -> None:
    """By hand: eight rows have three bins, since 15 * (8 / 1500) ** (1 / 3) = 2.6."""
    rising = np.array([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8])
    assert bin_of(rising).tolist() == [0, 0, 0, 1, 1, 2, 2, 2]
    # Five share one, from the third rank to the seventh: they have the second bin for themselves.
    assert bin_of(np.array([0.9, 0.1, 0.9, 0.2, 0.9, 0.99, 0.9, 0.9])).tolist() == [1, 0, 1, 0, 1, 2, 1, 1]
    # With one confidence nearly everywhere there is no third bin to be filled.
    assert bin_of(np.array([1.0, 1.0, 1.0, 0.9, 1.0, 1.0, 1.0, 1.0])).tolist() == [1, 1, 1, 0, 1, 1, 1, 1]


def test_bins_grow_with_the_cube_root_of_the_rows() -> None:
    assert [number_of_bins(rows) for rows in (1, 2, 30, 300, 700, 1500, 12_000)] == [1, 2, 4, 9, 12, 15, 30]


def test_confidences_that_crowd_are_taken_apart() -> None:
    """Nine of ten rows are above 14/15, where bins of equal width have one: these have as many rows in each."""
    confidence = np.concatenate([np.linspace(0.3, 0.93, 150), np.linspace(0.94, 0.9999, 1350)])
    assert np.bincount(bin_of(confidence)).tolist() == [100] * 15


def test_confidences_that_differ_by_rounding_are_equal() -> None:
    """Two votes of three, summed in another order."""
    two_thirds = np.array([2 / 3, np.nextafter(2 / 3, 1), np.nextafter(2 / 3, 0)])
    assert set(bin_of(np.concatenate([np.tile(two_thirds, 50), np.full(150, 1 / 3)])).tolist()) == {0, 1}


@given(CONFIDENCES, st.randoms(use_true_random=False))
def test_which_bin_it_is_in_does_not_depend_on_the_order_of_rows(confidence: list[float], random) -> None:
    places = random.sample(range(len(confidence)), len(confidence))
    shuffled = bin_of(np.array(confidence)[places])
    assert shuffled.tolist() == bin_of(np.array(confidence))[places].tolist()


@given(CONFIDENCES)
def test_equal_confidences_are_in_one_bin_and_higher_ones_in_no_lower(confidence: list[float]) -> None:
    values = np.round(confidence, 9)
    order = np.argsort(values)
    bins, steps = bin_of(np.array(confidence))[order], np.diff(values[order])
    assert (np.diff(bins)[steps == 0] == 0).all() and (np.diff(bins) >= 0).all()
    assert sorted(set(bins.tolist())) == list(range(bins.max() + 1)), "no bin is empty"
    assert bins.max() < min(number_of_bins(len(confidence)), len(set(values.tolist())))


@given(st.lists(st.integers(0, 1000), min_size=1, unique=True))
def test_distinct_confidences_are_spread_evenly_and_only_their_order_counts(ranks: list[int]) -> None:
    confidence = np.array(ranks) / 1000
    bins = bin_of(confidence)
    counts = np.bincount(bins)
    assert np.ptp(counts) <= 1 and len(counts) == number_of_bins(len(ranks))
    assert bin_of(confidence**2).tolist() == bin_of(confidence / 3 + 0.5).tolist() == bins.tolist()


@given(CONFIDENCES, st.data())
def test_bins_show_no_more_than_the_rows_one_by_one_and_no_less_than_all_together(confidence, data) -> None:
    sure = np.array(confidence)
    correct = np.array(data.draw(st.lists(st.booleans(), min_size=len(sure), max_size=len(sure))))
    error = expected_calibration_error(reliability(sure, correct))
    assert abs(sure.mean() - correct.mean()) - 1e-9 <= error <= np.abs(sure - correct).mean() + 1e-9
    points = reliability(sure, correct)
    assert sum(point.rows for point in points) == len(sure)
    assert math.isclose(sum(point.rows * point.accuracy for point in points), correct.sum(), abs_tol=1e-9)


def test_a_diagram_has_a_point_for_each_bin() -> None:
    """By hand: five rows have two bins, and of two rows of 0.9 the middle rank is in the upper one."""
    probabilities = np.array([[0.9, 0.1], [0.94, 0.06], [0.55, 0.45], [0.38, 0.62], [0.9, 0.1]])
    points = reliability(probabilities.max(axis=1), np.array([True, False, True, False, True]))
    assert [(point.rows, point.confidence, point.accuracy) for point in points] == [
        (2, pytest.approx(0.585), 0.5),
        (3, pytest.approx(2.74 / 3), pytest.approx(2 / 3)),
    ]


def test_what_is_measured_of_a_model_is_of_its_served_confidence() -> None:
    """By hand: logits log 9 apart are 90 % sure; divided by 2, log 3 apart, 75 %."""
    logits, labels = np.array([[np.log(9), 0.0], [0.0, np.log(9)]]), np.array([0, 0])
    right = np.array([True, False])
    plain = calibration(logits, labels, right)
    assert (plain.temperature, plain.mean_confidence) == (1.0, pytest.approx(0.9))
    assert plain.expected_calibration_error == pytest.approx(0.4)
    assert plain.brier == pytest.approx((2 * 0.1**2 + 2 * 0.9**2) / 2)
    warm = calibration(logits, labels, right, temperature=2.0)
    assert (warm.temperature, warm.mean_confidence) == (2.0, pytest.approx(0.75))
    assert warm.expected_calibration_error == pytest.approx(0.25) and len(warm.reliability) == 1
