"""Calibration, against hand calculations and scikit-learn."""

import numpy as np
import pytest
from sklearn.calibration import calibration_curve
from sklearn.metrics import brier_score_loss

from stillhouse.statistics.calibration import (
    apply_temperature,
    bin_of,
    brier_score,
    calibration,
    expected_calibration_error,
    log_softmax,
    reliability,
)


def calibration_error(probabilities: np.ndarray, labels: np.ndarray, **bins: int) -> float:
    return expected_calibration_error(
        reliability(probabilities.max(axis=1), probabilities.argmax(axis=1) == labels, **bins)
    )


def test_calibration_error_of_a_hand_example() -> None:
    # Two rows at 0.95 (one right): gap |0.5 - 0.95|; two rows at 0.6 (both right): gap |1 - 0.6|. Each half the rows.
    probabilities = np.array([[0.95, 0.05], [0.95, 0.05], [0.6, 0.4], [0.6, 0.4]])
    assert calibration_error(probabilities, np.array([0, 1, 0, 0])) == pytest.approx(0.5 * 0.45 + 0.5 * 0.4)


def test_rows_of_one_confidence_bin_are_averaged_before_the_gap() -> None:
    # 0.51 and 0.53 share a bin of 15 (0.467 to 0.533): mean confidence 0.52, accuracy 0.5.
    probabilities = np.array([[0.51, 0.49], [0.53, 0.47]])
    assert calibration_error(probabilities, np.array([0, 1])) == pytest.approx(0.02)


def test_a_confidence_on_an_edge_belongs_to_the_bin_below() -> None:
    # Two bins: 0.5 (right) is alone in the lower one, 0.75 (wrong) alone in the upper one, so the gaps do not cancel.
    probabilities = np.array([[0.5, 0.5], [0.75, 0.25]])
    error = calibration_error(probabilities, np.array([0, 1]), bins=2)
    assert error == pytest.approx((0.5 + 0.75) / 2)


def test_full_confidence_falls_in_the_last_bin() -> None:
    assert calibration_error(np.array([[1.0, 0.0]]), np.array([0])) == 0.0


def test_calibration_error_is_that_of_scikit_learns_reliability_curve() -> None:
    """scikit-learn has no calibration error, but the mean confidence and accuracy of each bin that holds rows."""
    generator = np.random.default_rng(0)
    probabilities = generator.dirichlet([0.6, 0.4, 0.8, 0.3], size=3000)
    labels = generator.integers(4, size=3000)
    confidence, correct = probabilities.max(axis=1), probabilities.argmax(axis=1) == labels
    accuracy, mean_confidence = calibration_curve(correct, confidence, n_bins=15)
    rows, _ = np.histogram(confidence, bins=15, range=(0, 1))
    expected = np.average(np.abs(accuracy - mean_confidence), weights=rows[rows > 0])
    assert calibration_error(probabilities, labels) == pytest.approx(expected)


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


def test_huge_logits_do_not_overflow() -> None:
    assert np.exp(log_softmax(np.array([[1e4, 0.0], [-1e4, 0.0]]))) == pytest.approx(np.array([[1, 0], [0, 1]]))


@pytest.mark.parametrize("temperature", [0.0, -1.0, float("nan"), float("inf")])
def test_a_temperature_that_is_no_temperature_is_refused(temperature: float) -> None:
    with pytest.raises(ValueError, match="temperature"):
        apply_temperature(np.zeros((1, 2)), temperature)


def test_which_bin_a_confidence_is_in() -> None:
    """Fifteen bins, each without its lower edge; nothing is below the first or above the last."""
    assert bin_of(np.array([0.0, 1e-9, 1 / 15, 1 / 15 + 1e-9, 0.5, 1.0])).tolist() == [0, 0, 0, 1, 7, 14]
    assert bin_of(np.array([0.5, 0.51, 1.0, 1.5]), bins=2).tolist() == [0, 1, 1, 1]


def test_a_diagram_has_a_point_for_each_bin_with_rows() -> None:
    probabilities = np.array([[0.9, 0.1], [0.92, 0.08], [0.55, 0.45], [0.38, 0.62]])
    points = reliability(probabilities.max(axis=1), np.array([True, False, True, False]))
    assert [(point.rows, point.confidence, point.accuracy) for point in points] == [
        (1, pytest.approx(0.55), 1.0),
        (1, pytest.approx(0.62), 0.0),
        (2, pytest.approx(0.91), 0.5),
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
