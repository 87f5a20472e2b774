"""The numerical machinery under the non-inferiority test."""

import math

import numpy as np
import pytest
from scipy.optimize import brentq, minimize_scalar
from scipy.stats import beta, multinomial, norm

from stillhouse.statistics.score_test import (
    NUISANCE_ERROR,
    Pairs,
    _discordance_range,
    _exact_tail,
    _likely_counts,
    _most_lost_and_still_as_extreme,
    _observed,
    lower_bound,
    normal_quantile,
    p_value,
    restricted_variance,
    statistic,
    sum_of_quantiles,
    upper_bound,
    uses_exact,
)


@pytest.mark.parametrize(
    ("b", "c", "n", "drop"), [(7, 1, 21, 0.1), (28, 25, 618, 0.03), (3, 0, 40, 0.02), (5, 9, 60, -0.05)]
)
def test_the_restricted_estimate_maximises_the_likelihood(b: int, c: int, n: int, drop: float) -> None:
    """The statistic is rebuilt from a numerical maximum of the restricted likelihood."""

    def minus_log_likelihood(student_only: float) -> float:
        cells = (student_only + drop, student_only, 1 - 2 * student_only - drop)
        return -sum(k * np.log(p) for k, p in zip((b, c, n - b - c), cells, strict=True) if k)

    low = max(0.0, -drop)
    found = minimize_scalar(
        minus_log_likelihood, bounds=(low + 1e-12, (1 - drop) / 2 - 1e-12), method="bounded", options={"xatol": 1e-12}
    ).x
    variance = n * (2 * found + drop - drop**2)
    assert float(statistic(np.float64(b), np.float64(c), n, drop)) == pytest.approx(
        (n * drop - (b - c)) / np.sqrt(variance), abs=2e-4
    )


@pytest.mark.long
def test_the_exact_tail_matches_summing_over_every_table() -> None:
    """Oracle: all tables of 30 pairs, over a fine grid of discordance rates."""
    n, drop, pairs = 30, 0.1, Pairs(1, 1, 30)
    observed = _observed(pairs, drop)
    tables = [(b, c) for b in range(n + 1) for c in range(n + 1 - b)]
    extreme = np.array([_observed(Pairs(b, c, n), drop) >= observed - 1e-9 for b, c in tables])
    counts = np.array([(b, c, n - b - c) for b, c in tables])
    tails = [
        multinomial.pmf(counts, n, [(rate + drop) / 2, (rate - drop) / 2, 1 - rate])[extreme].sum()
        for rate in np.linspace(drop, 0.45, 400)
    ]
    assert _exact_tail(pairs, drop, observed) == pytest.approx(max(tails), abs=5e-4)


def test_no_discordance_and_no_drop_is_right_on_the_hypothesis() -> None:
    assert float(statistic(np.float64(0), np.float64(0), 10, 0.0)) == 0.0
    assert float(statistic(np.float64(0), np.float64(0), 10, 0.02)) == pytest.approx(
        0.2 / math.sqrt(10 * 0.02 * 0.98)
    ), "with a drop asked for, the variance is that of the drop, however small"


def test_a_student_that_never_wins_has_a_p_value_one_can_find_by_hand() -> None:
    """One row lost of 44 and none won: Tango's contact lenses, margin of 10 points.

    The restricted rate of rows won is 0, so the variance is 44 * 0.1 * 0.9 and z = (4.4 - 1) / sqrt(3.96) = 1.7086.
    Of all students at the margin the one that never wins a row is the likeliest to look as good: it loses at most one
    with probability 0.9^44 + 44 * 0.1 * 0.9^43 = 0.0571. So at 5 % the normal approximation passes what it should not.
    """
    pairs = Pairs(1, 0, 44)
    assert _observed(pairs, 0.1) == pytest.approx(3.4 / np.sqrt(3.96))
    assert p_value(pairs, 0.1, exact=False) == pytest.approx(0.0438, abs=5e-5)
    assert p_value(pairs, 0.1, exact=True) == pytest.approx(0.9**44 + 4.4 * 0.9**43 + NUISANCE_ERROR, abs=1e-6)


def test_counts_are_said_as_drop_and_discordance() -> None:
    pairs = Pairs(7, 2, 50)
    assert (pairs.drop, pairs.discordance) == (0.1, 0.18)
    assert pairs.swapped() == Pairs(2, 7, 50) and pairs.swapped().drop == -0.1


def test_quantiles_are_those_of_the_normal_distribution() -> None:
    assert normal_quantile(0.95) == pytest.approx(norm.ppf(0.95))
    assert sum_of_quantiles(0.05) == pytest.approx(norm.ppf(0.95) + norm.ppf(0.8))


def test_the_exact_distribution_is_used_below_thirty_lost_rows() -> None:
    assert uses_exact(299, 0.1) and not uses_exact(300, 0.1)


def test_the_statistic_turns_over_with_the_two_models() -> None:
    forward = float(statistic(np.float64(9), np.float64(4), 80, 0.05))
    assert float(statistic(np.float64(4), np.float64(9), 80, -0.05)) == pytest.approx(-forward)
    assert forward == pytest.approx((80 * 0.05 - 5) / math.sqrt(80 * float(restricted_variance(9 / 80, 4 / 80, 0.05))))


def test_the_restricted_rate_solves_its_quadratic() -> None:
    """Tango 1998: 2 q^2 - (b + c - d (2 - b + c)) q - c d (1 - d) = 0 for the rate q of rows that only one wins."""
    b, c, drop = 0.12, 0.05, 0.04
    rate = brentq(lambda q: 2 * q**2 - (b + c - drop * (2 - b + c)) * q - c * drop * (1 - drop), 0, 1)
    assert float(restricted_variance(np.asarray(b), np.asarray(c), drop)) == pytest.approx(2 * rate + drop - drop**2)


@pytest.mark.parametrize("pairs", [Pairs(5, 3, 60), Pairs(0, 0, 40), Pairs(2, 9, 60)])
def test_without_the_exact_distribution_a_bound_is_where_the_statistic_is_the_quantile(pairs: Pairs) -> None:
    low = lower_bound(pairs, 0.05)
    high = upper_bound(pairs, 0.05, margin=0.9, p_at_margin=0.0, exact=False)
    assert low < pairs.drop < high
    assert _observed(pairs, high) == pytest.approx(norm.ppf(0.95), abs=1e-6)
    assert _observed(pairs, low) == pytest.approx(-norm.ppf(0.95), abs=1e-6)


def test_the_test_at_the_margin_decides_on_which_side_a_bound_is() -> None:
    """Whatever rounding says: below the margin if and only if the p-value there is below alpha."""
    pairs = Pairs(5, 3, 60)
    bound = upper_bound(pairs, 0.05, margin=0.9, p_at_margin=0.0, exact=False)
    for margin in (bound - 1e-3, bound, bound + 1e-3):
        assert upper_bound(pairs, 0.05, margin=margin, p_at_margin=0.049, exact=False) < margin
        assert upper_bound(pairs, 0.05, margin=margin, p_at_margin=0.05, exact=False) >= margin
    assert upper_bound(pairs, 0.05, margin=0.05, p_at_margin=0.05, exact=False) == pytest.approx(bound)


@pytest.mark.long
@pytest.mark.parametrize("pairs", [Pairs(1, 0, 44), Pairs(3, 1, 30), Pairs(0, 0, 50), Pairs(0, 6, 40)])
@pytest.mark.parametrize("margin", [0.02, 0.1, 0.3])
def test_an_exact_bound_is_where_the_exact_p_value_falls_to_alpha(pairs: Pairs, margin: float) -> None:
    at_margin = p_value(pairs, margin, exact=True)
    bound = upper_bound(pairs, 0.05, margin=margin, p_at_margin=at_margin, exact=True)
    assert (bound < margin) == (at_margin < 0.05)
    assert pairs.drop < bound < 1.0
    if abs(bound - margin) > 1e-6:
        assert p_value(pairs, bound, exact=True) < 0.05 <= p_value(pairs, bound - 1.01e-4, exact=True), (
            "to a hundredth of a point"
        )


def test_a_bound_of_hardly_any_rows_reaches_up_to_everything() -> None:
    at_margin = p_value(Pairs(1, 0, 1), 0.5, exact=True)
    assert upper_bound(Pairs(1, 0, 1), 0.05, margin=0.5, p_at_margin=at_margin, exact=True) == 1.0


def test_the_discordance_is_searched_where_clopper_and_pearson_leave_it() -> None:
    half = NUISANCE_ERROR / 2
    assert _discordance_range(7, 50) == pytest.approx((beta.ppf(half, 7, 44), beta.ppf(1 - half, 8, 43)))
    assert _discordance_range(0, 50) == (0.0, pytest.approx(1 - half ** (1 / 50)))
    assert _discordance_range(50, 50) == (pytest.approx(half ** (1 / 50)), 1.0)


def test_every_count_of_discordant_pairs_that_is_likely_is_looked_at() -> None:
    assert _likely_counts(30, np.array([0.1, 0.4])).tolist() == list(range(31))
    far = _likely_counts(100_000, np.array([0.1, 0.2]))
    spread = 10 * math.sqrt(100_000 * 0.1 * 0.9), 10 * math.sqrt(100_000 * 0.2 * 0.8)
    assert far[0] == math.floor(10_000 - spread[0] - 10) and far[-1] == math.ceil(20_000 + spread[1] + 10)
    assert (np.diff(far) == 1).all()


def test_the_most_that_may_be_lost_is_found_as_by_trying_each_count() -> None:
    n, drop, observed = 40, 0.1, _observed(Pairs(3, 2, 40), 0.1)
    discordant = np.arange(41)
    found = _most_lost_and_still_as_extreme(discordant, n, drop, observed)
    for count, most in zip(discordant, found, strict=True):
        tried = [
            lost for lost in range(count + 1) if _observed(Pairs(lost, int(count) - lost, n), drop) >= observed - 1e-9
        ]
        assert most == max(tried, default=-1)
    assert found[5] == 3, "the observed table counts itself"
    assert (_most_lost_and_still_as_extreme(discordant, n, drop, 99.0) == -1).all()


def test_an_exact_p_value_is_no_more_than_one() -> None:
    assert p_value(Pairs(30, 0, 40), 0.01, exact=True) == 1.0
    assert 0.9 < p_value(Pairs(9, 1, 40), 0.05, exact=True) <= 1.0
