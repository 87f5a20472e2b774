"""Intervals and comparisons against scipy and a published example."""

import numpy as np
import pytest

from stillhouse.statistics.proportions import paired_drop_interval, paired_mcnemar, wilson_interval


def only_right(first: int, second: int, *, rows: int) -> tuple[np.ndarray, np.ndarray]:
    """Outcomes of two models: so many rows that only the first got right, and only the second; on the rest both did."""
    row = np.arange(rows)
    return (row < first) | (row >= first + second), row >= first


def test_wilson_matches_scipy() -> None:
    from scipy.stats import binomtest

    for successes, rows in ((0, 10), (10, 10), (7, 9), (953, 1000), (1, 100_000)):
        expected = binomtest(successes, rows).proportion_ci(0.95, method="wilson")
        assert wilson_interval(successes, rows) == pytest.approx((expected.low, expected.high), abs=1e-12)
    assert wilson_interval(0, 0) == (0.0, 1.0)


def test_mcnemar_matches_the_published_example() -> None:
    # Cavo et al. 2012 in Fagerland et al., ch. 8: exact conditional test, P = 0.052479.
    result = paired_mcnemar(*only_right(6, 16, rows=161))
    assert result.p_value == pytest.approx(0.052479, abs=5e-7)
    assert result.p_second_better == pytest.approx(0.052479 / 2, abs=5e-7)
    assert result.p_first_better > 0.97


def test_mcnemar_without_discordant_pairs_says_nothing() -> None:
    assert paired_mcnemar(*only_right(0, 0, rows=13)).p_value == 1.0


def test_the_interval_without_any_change_has_its_closed_form() -> None:
    """With no discordant pair the score interval is z^2 / (n + z^2) to either side (Tango 1998)."""
    right = np.ones(40, dtype=np.bool_)
    z2 = 1.959964**2
    assert paired_drop_interval(right, right) == pytest.approx((-z2 / (40 + z2), z2 / (40 + z2)), abs=1e-6)


def test_the_interval_turns_over_when_the_two_are_exchanged() -> None:
    first, second = np.arange(40) < 38, np.arange(40) >= 9
    low, high = paired_drop_interval(first, second)
    assert low < 7 / 40 < high
    assert paired_drop_interval(second, first) == pytest.approx((-high, -low))
