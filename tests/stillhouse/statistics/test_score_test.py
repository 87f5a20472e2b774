"""The numerical machinery under the non-inferiority test."""

import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from scipy.stats import multinomial

from stillhouse.statistics.score_test import (
    NUISANCE_ERROR,
    Pairs,
    _exact_tail,
    _observed,
    p_value,
    statistic,
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
