"""Temperature and softmax, where a naive one would overflow or divide by nothing."""

import numpy as np
import pytest

from stillhouse.statistics.softmax import apply_temperature, log_softmax


def test_huge_logits_do_not_overflow() -> None:
    assert np.exp(log_softmax(np.array([[1e4, 0.0], [-1e4, 0.0]]))) == pytest.approx(np.array([[1, 0], [0, 1]]))


@pytest.mark.parametrize("temperature", [0.0, -1.0, float("nan"), float("inf")])
def test_a_temperature_that_is_no_temperature_is_refused(temperature: float) -> None:
    with pytest.raises(ValueError, match="temperature"):
        apply_temperature(np.zeros((1, 2)), temperature)
