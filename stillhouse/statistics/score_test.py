"""The score test for the difference of two paired proportions, asymptotic and exact.

Belongs here: the statistic with its restricted maximum-likelihood estimate, its tail probability, and its
inversion. Does not: what a bound means (accuracy_test.py).

Notation: `b` examples only the teacher got right, `c` only the student, `n` all; the drop is (b - c) / n.
"""

import math
from dataclasses import dataclass
from functools import cache, lru_cache
from statistics import NormalDist

import numpy as np

from stillhouse.arrays import FloatArray, IntArray
from stillhouse.statistics.verdicts import POWER

EXACT_BELOW = 30
"""Expected examples lost at the margin (rows x margin) below which the exact distribution is used.

Worst-case type I error of the normal approximation at alpha 5 %, computed: 6.9 % at 2.6 lost examples, 5.4 %
at 30.
"""

NUISANCE_GRID = 48
"""Discordance rates at which the exact tail is evaluated; the curve between them is smooth."""

NUISANCE_ERROR = 1e-4
"""Chance that the true discordance is outside the range searched, added to the p-value.

Berger and Boos 1994, JASA 89:1012.
"""

BOUND_TOLERANCE = 1e-4
"""Precision of an exact bound: a hundredth of a point."""

_KEPT = 100_000
"""Results that are kept: each takes a millisecond or more, and a plan or a simulation asks of the same few counts."""


@dataclass(frozen=True)
class Pairs:
    """Counts of one paired comparison."""

    teacher_only: int
    student_only: int
    rows: int

    @property
    def drop(self) -> float:
        """Teacher accuracy minus student accuracy."""
        return (self.teacher_only - self.student_only) / self.rows

    @property
    def discordance(self) -> float:
        """Share of examples that exactly one of the two got right."""
        return (self.teacher_only + self.student_only) / self.rows

    def swapped(self) -> "Pairs":
        """The same comparison seen from the other model."""
        return Pairs(self.student_only, self.teacher_only, self.rows)


@cache
def normal_quantile(probability: float) -> float:
    """Quantile of the standard normal distribution."""
    return NormalDist().inv_cdf(probability)


def sum_of_quantiles(alpha: float) -> float:
    """What a sample size is the square of: normal quantiles of 1 - alpha and of the usual power."""
    return normal_quantile(1 - alpha) + normal_quantile(POWER)


def uses_exact(rows: int, margin: float) -> bool:
    """Whether so few examples would be lost at the margin that the normal approximation is too rough."""
    return rows * margin < EXACT_BELOW


def statistic(b: FloatArray, c: FloatArray, n: int, drop: float) -> FloatArray:
    """The score statistic; large values speak for a true drop smaller than `drop`.

    Args:
        b: counts of examples only the teacher got right.
        c: counts of examples only the student got right, same shape.
        n: all examples.
        drop: the hypothesised drop, in (-1, 1).

    Returns:
        Approximately standard normal when the true drop is `drop`, same shape.
    """
    if drop < 0:
        return -statistic(c, b, n, -drop)
    variance = n * restricted_variance(b / n, c / n, drop)
    distance = n * drop - (b - c)
    # Zero variance happens only with no discordant pair and no drop: the data then sit exactly on the
    # hypothesis.
    safe = np.where(variance > 0, variance, 1.0)
    return np.where(variance > 0, distance / np.sqrt(safe), 0.0)


def restricted_variance(teacher_only: FloatArray, student_only: FloatArray, drop: float) -> FloatArray:
    """Variance of one row's difference when the true drop is `drop`, by restricted maximum likelihood (Tango 1998).

    Args:
        teacher_only: share of rows that only the teacher got right, of any shape.
        student_only: share of rows that only the student got right, same shape.
        drop: the hypothesised drop, in [0, 1).
    """
    linear = (teacher_only + student_only) - drop * (2 - teacher_only + student_only)
    rate: FloatArray = (linear + np.sqrt(linear**2 + 8 * student_only * drop * (1 - drop))) / 4
    return 2 * rate + drop * (1 - drop)


@lru_cache(maxsize=_KEPT)
def p_value(pairs: Pairs, drop: float, *, exact: bool) -> float:
    """P-value of the hypothesis that the true drop is `drop` or more."""
    observed = _observed(pairs, drop)
    return _exact_tail(pairs, drop, observed) if exact else NormalDist().cdf(-observed)


def upper_bound(pairs: Pairs, alpha: float, *, margin: float, p_at_margin: float, exact: bool) -> float:
    """One-sided 1 - alpha upper bound of the drop: the smallest drop the test rejects at alpha.

    The exact p-value is a step function of the drop, so the search starts from the side of the margin on
    which the test itself came out: the bound is below the margin if and only if the p-value at the margin is
    below alpha.
    """
    asymptotic = _score_bound(pairs, alpha)
    if not exact:
        # The same inversion, but two roundings: the test at the margin is what decides.
        return min(asymptotic, math.nextafter(margin, 0)) if p_at_margin < alpha else max(asymptotic, margin)
    accepted, rejected = (pairs.drop, margin) if p_at_margin < alpha else (margin, 1.0)
    if accepted == margin:
        # Step out from where the asymptotic bound expects it, since a bisection from 1.0 wastes evaluations.
        step, candidate = 0.005, max(asymptotic, margin + 0.001)
        while candidate < 1.0 and p_value(pairs, candidate, exact=True) >= alpha:
            accepted, candidate, step = candidate, candidate + step, 2 * step
        rejected = min(candidate, 1.0)
    while rejected - accepted > BOUND_TOLERANCE:
        middle = (accepted + rejected) / 2
        if p_value(pairs, middle, exact=True) < alpha:
            rejected = middle
        else:
            accepted = middle
    return rejected if p_at_margin >= alpha else min(rejected, math.nextafter(margin, 0))


def lower_bound(pairs: Pairs, alpha: float) -> float:
    """One-sided 1 - alpha lower bound of the drop; asymptotic, since it can only close a gate."""
    return -_score_bound(pairs.swapped(), alpha)


def _observed(pairs: Pairs, drop: float) -> float:
    b, c = np.float64(pairs.teacher_only), np.float64(pairs.student_only)
    return float(statistic(np.asarray(b), np.asarray(c), pairs.rows, drop))


@lru_cache(maxsize=_KEPT)
def _score_bound(pairs: Pairs, alpha: float) -> float:
    target = normal_quantile(1 - alpha)
    low, high = pairs.drop, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (low, middle) if _observed(pairs, middle) >= target else (middle, high)
    return high


def _exact_tail(pairs: Pairs, drop: float, observed: float) -> float:
    """Largest probability, over discordance rates the data allow, of a statistic at least as large as
    `observed`.

    Given the number of discordant pairs v ~ Binomial(n, rate), those lost are Binomial(v, (1 + drop / rate) /
    2); the statistic falls as the lost pairs grow, so each v has a largest lost count that is still as
    extreme as observed.
    """
    n = pairs.rows
    low, high = _discordance_range(pairs.teacher_only + pairs.student_only, n)
    rates = np.linspace(max(low, abs(drop)), max(high, abs(drop)), NUISANCE_GRID)
    discordant = _likely_counts(n, rates)
    lost = _most_lost_and_still_as_extreme(discordant, n, drop, observed)
    from scipy.special import betainc, gammaln, xlog1py, xlogy

    v, r = discordant[:, None].astype(np.float64), rates[None, :]
    log_mass = gammaln(n + 1) - gammaln(v + 1) - gammaln(n - v + 1) + xlogy(v, r) + xlog1py(n - v, -np.minimum(r, 1.0))
    lost_rate = np.clip((1 + drop / r) / 2, 0.0, 1.0)
    k = lost[:, None].astype(np.float64)
    inside = (k >= 0) & (k < v)
    tail = betainc(np.where(inside, v - k, 1.0), np.where(inside, k + 1, 1.0), 1 - lost_rate)
    tail = np.where(inside, tail, np.where(k < 0, 0.0, 1.0))
    return min(1.0, float((np.exp(log_mass) * tail).sum(axis=0).max()) + NUISANCE_ERROR)


def _discordance_range(discordant: int, n: int) -> tuple[float, float]:
    from scipy.special import betaincinv

    half = NUISANCE_ERROR / 2
    low = float(betaincinv(discordant, n - discordant + 1, half)) if discordant else 0.0
    high = float(betaincinv(discordant + 1, n - discordant, 1 - half)) if discordant < n else 1.0
    return low, high


def _likely_counts(n: int, rates: FloatArray) -> IntArray:
    """Discordant counts within ten standard deviations for some rate: what is left out is below 1e-15."""
    low, high = float(rates[0]), float(rates[-1])
    spread_low, spread_high = (10 * math.sqrt(n * rate * (1 - rate)) + 10 for rate in (low, high))
    return np.arange(max(0, math.floor(n * low - spread_low)), min(n, math.ceil(n * high + spread_high)) + 1)


def _most_lost_and_still_as_extreme(discordant: IntArray, n: int, drop: float, observed: float) -> IntArray:
    """For each count of discordant pairs, the largest lost count that reaches `observed`; -1 if none."""
    low, high = np.full(len(discordant), -1), discordant.copy()
    while np.any(low < high):
        middle = (low + high + 1) // 2
        lost = np.maximum(middle, 0).astype(np.float64)
        # The observed table must count itself, whatever the rounding.
        extreme = statistic(lost, discordant - lost, n, drop) >= observed - 1e-9
        low, high = np.where(extreme, middle, low), np.where(extreme, high, middle - 1)
    return low
