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


@pytest.mark.parametrize(("successes", "rows"), [(-1, 10), (11, 10), (1, 0)])
def test_more_right_than_there_are_is_impossible(successes: int, rows: int) -> None:
    with pytest.raises(ValueError, match="impossible counts"):
        wilson_interval(successes, rows)
    with pytest.raises(ValueError, match="alpha"):
        wilson_interval(1, 2, alpha=0.5)


def test_limits_without_a_miss_or_a_hit_are_exact_and_another_alpha_is_another_interval() -> None:
    from scipy.stats import binomtest

    assert wilson_interval(10, 10)[1] == 1.0 and wilson_interval(0, 10)[0] == 0.0
    expected = binomtest(7, 9).proportion_ci(0.8, method="wilson")
    assert wilson_interval(7, 9, alpha=0.2) == pytest.approx((expected.low, expected.high))


def test_mcnemar_counts_who_alone_was_right() -> None:
    """By hand: of 3 rows on which they differ the first is right on 2, so P(at most 1 of 3 heads) = 4 / 8."""
    found = paired_mcnemar(*only_right(2, 1, rows=9))
    assert (found.rows, found.first_only, found.second_only) == (9, 2, 1)
    assert (found.p_first_better, found.p_second_better, found.p_value) == pytest.approx((4 / 8, 7 / 8, 1.0))
    five = paired_mcnemar(*only_right(5, 0, rows=9))
    assert (five.p_first_better, five.p_value) == pytest.approx((1 / 32, 2 / 32))


def test_the_drop_is_of_the_first_and_its_interval_is_two_sided() -> None:
    """The interval of 10 to 0 discordant of 100, by the score statistic: (drop - d)^2 n = z^2 variance at each end."""
    from scipy.stats import norm

    from stillhouse.statistics.score_test import statistic

    low, high = paired_drop_interval(*only_right(12, 2, rows=100))
    assert low < 0.1 < high
    for limit, z in ((low, -norm.ppf(0.975)), (high, norm.ppf(0.975))):
        assert float(statistic(np.float64(12), np.float64(2), 100, limit)) == pytest.approx(z, abs=1e-6)
    narrow = paired_drop_interval(*only_right(12, 2, rows=100), alpha=0.2)
    assert low < narrow[0] < narrow[1] < high
    with pytest.raises(ValueError, match="alpha"):
        paired_drop_interval(*only_right(1, 1, rows=9), alpha=0.5)


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        (np.array([1, 0]), np.array([True, False]), "must be boolean"),
        (np.array([True, False]), np.array([1, 0]), "must be boolean"),
        (np.array([[True]]), np.array([[True]]), "two vectors of one length"),
        (np.array([True]), np.array([True, False]), "two vectors of one length"),
        (np.array([], dtype=bool), np.array([], dtype=bool), "no examples"),
    ],
)
def test_outcomes_that_do_not_go_together_are_refused(first: np.ndarray, second: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        paired_mcnemar(first, second)
