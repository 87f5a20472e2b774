"""The temperature, against models whose true one is known."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import log_softmax

from stillhouse.models.temperature_scaling import calibrate_temperature, is_at_an_end


@pytest.mark.long
@settings(max_examples=30)
@given(truth=st.floats(0.3, 5), seed=st.integers(0, 100))
def test_a_model_made_overconfident_by_a_factor_gets_the_factor_back(truth: float, seed: int) -> None:
    random = np.random.default_rng(seed)
    calibrated = random.normal(0, 2, (20_000, 4))
    # labels drawn from the model's own probabilities: it is calibrated at T = 1 by construction
    labels = (calibrated + random.gumbel(size=calibrated.shape)).argmax(1)
    assert calibrate_temperature(calibrated * truth, labels) == pytest.approx(truth, rel=0.06)


def test_no_temperature_of_a_grid_beats_the_one_found() -> None:
    random = np.random.default_rng(0)
    logits, labels = random.normal(0, 5, (300, 6)), random.integers(0, 6, 300)
    logits[np.arange(300), labels] += 4

    def loss(temperature: float) -> float:
        return float(-log_softmax(logits / temperature, axis=1)[np.arange(300), labels].mean())

    found = loss(calibrate_temperature(logits, labels))
    assert all(found <= loss(temperature) + 1e-9 for temperature in np.geomspace(0.05, 20, 500))


def test_calibration_refuses_nothing_and_mismatch() -> None:
    with pytest.raises(ValueError, match="empty"):
        calibrate_temperature(np.empty((0, 3)), np.empty(0))
    with pytest.raises(ValueError, match="match"):
        calibrate_temperature(np.zeros((2, 3)), np.zeros(3))
    with pytest.raises(ValueError, match="classes"):
        calibrate_temperature(np.zeros((2, 3)), np.array([0, -1]))


@pytest.mark.parametrize(("rows", "size"), [(1, 5.0), (40, 0.5), (40, 30.0), (500, 5.0)])
def test_a_model_that_is_never_wrong_is_as_sure_as_so_many_rows_can_show(rows: int, size: float) -> None:
    """Regression: it was sure beyond what a number can hold, however few rows there were, and of a few logits the
    search ended where rounding let it, so that no gate saw it."""
    logits = np.random.default_rng(0).uniform(1, 2, (rows, 1)) * [[size, 0.0, 0.0]]
    found = calibrate_temperature(logits, np.zeros(rows, int))
    sure = np.exp(log_softmax(logits / found, axis=1)).max(axis=1).mean()
    assert sure == pytest.approx((rows + 1) / (rows + 2), abs=1e-4) and not is_at_an_end(found)
    same = np.zeros((4, 3))
    assert is_at_an_end(calibrate_temperature(same, np.zeros(4, int))), "of classes that are all alike"


def test_labels_that_have_nothing_to_do_with_the_answers_end_at_the_end_of_the_range() -> None:
    random = np.random.default_rng(0)
    logits = random.normal(0, 5, (2000, 4))
    assert is_at_an_end(calibrate_temperature(logits, random.integers(0, 4, 2000)))
    assert not is_at_an_end(calibrate_temperature(logits, (logits / 2 + random.gumbel(size=logits.shape)).argmax(1)))
