"""Whether a mean is within its limit, by a test that may be looked at after every row.

Belongs here: e-values of a bounded mean from counts of its values, their verdict, how many rows are missing.
Does not: the alarm of a stream that has no end (detector.py), tests on a number of rows that was fixed beforehand
(accuracy_test.py), which means are asked about.
"""

import math

import numpy as np
from pydantic import Field

from stillhouse.arrays import FloatArray
from stillhouse.base import Record
from stillhouse.statistics.verdicts import Verdict, check_alpha

BETS = 24
SHARES = np.geomspace(0.004, 0.98, BETS)
"""What is staked, as shares of the largest bet that cannot ruin: fixed, so that there is nothing to tune.

The best share is about (mean - limit) / variance, thus small for a small excess and near 1 for rare events.
"""

LARGEST = 1e300
"""An e-value is shown as at most this: less than it is remains an e-value, and every JSON reader takes the number."""


class AnytimeTest(Record):
    """Whether a mean is below its limit, with the evidence so far; the smaller the mean the better."""

    rows: int
    mean: float | None = Field(description="As measured; null without rows.")
    limit: float = Field(description="The mean that a PASS is below.")
    harmless: float = Field(description="The mean that a FAIL is above: the limit, unless less than that is harm.")
    alpha: float = Field(
        description="Chance that it ever passes if the mean is the limit or more, however often looked."
    )
    fail_alpha: float = Field(description="Chance that it ever fails if the mean is at most `harmless`.")
    e_within: float = Field(description="E-value against a mean of the limit or more; from 1 / alpha on it passes.")
    e_beyond: float = Field(
        description="E-value against a mean of at most `harmless`; from 1 / fail_alpha on it fails."
    )
    verdict: Verdict
    rows_needed: int | None = Field(
        description="When inconclusive: about how many rows, in all, would settle it if they go on like these; null if "
        "none would."
    )


def anytime_non_inferiority(
    lost: int,
    won: int,
    rows: int,
    *,
    margin: float,
    harmless: float | None = None,
    alpha: float = 0.05,
    slices: int = 1,
) -> AnytimeTest:
    """Do what `non_inferiority_from_counts` does, for somebody who looks again and again and stops when it suits.

    The mean is the drop of one row: 1 where it was lost, -1 where it was won.

    Args:
        lost: rows that only the reference (the teacher, the champion) got right.
        won: rows that only the candidate got right.
        rows: all rows that both answered; 0 is INCONCLUSIVE.
        margin: largest acceptable drop, as a fraction in (0, 1).
        harmless: the drop that a FAIL is above, up to the margin; 0 fails on any loss, and much earlier.
        alpha: error rate of either verdict.
        slices: how many are looked at side by side. Any may stop a rollout, so each fails at alpha / slices; all must
            pass, so each passes at alpha (intersection-union).

    Returns:
        The verdict with its e-values.

    Raises:
        ValueError: if the counts are impossible or an argument is out of range.
    """
    if min(lost, won) < 0 or lost + won > rows:
        raise ValueError(f"impossible counts: {lost} + {won} discordant of {rows} rows")
    harmless = margin if harmless is None else harmless
    if not 0.0 < margin < 1.0 or not -1.0 < harmless <= margin or slices < 1:
        raise ValueError(f"out of range: margin {margin}, harmless {harmless}, {slices} slices")
    check_alpha(alpha)
    fail_alpha = alpha / slices
    values, counts = np.array([1.0, -1.0, 0.0]), np.array([lost, won, rows - lost - won], dtype=np.float64)
    # No product exceeds exp(l (sum of values - rows * margin)): of both e-values at the margin only one is above 1.
    # A mean of at least the margin is one of the mirrored values that is at most the mirrored margin.
    within = float(log_e_value(-values, counts, mean_at_most=-margin, lowest=-1.0))
    beyond = float(log_e_value(values, counts, mean_at_most=harmless, lowest=-1.0))
    verdict, needed = Verdict.INCONCLUSIVE, None
    if within >= -math.log(alpha):
        verdict = Verdict.PASS
    elif beyond >= -math.log(fail_alpha):
        verdict = Verdict.FAIL
    elif rows:
        ways = (
            rows_to_disprove(-values, counts / rows, mean_at_most=-margin, lowest=-1.0, alpha=alpha),
            rows_to_disprove(values, counts / rows, mean_at_most=harmless, lowest=-1.0, alpha=fail_alpha),
        )
        needed = min((way for way in ways if way is not None), default=None)
    return AnytimeTest(
        rows=rows,
        mean=float(counts @ values) / rows if rows else None,
        limit=margin,
        harmless=harmless,
        alpha=alpha,
        fail_alpha=fail_alpha,
        e_within=_shown(within),
        e_beyond=_shown(beyond),
        verdict=verdict,
        rows_needed=needed,
    )


def log_e_value(values: FloatArray, counts: FloatArray, *, mean_at_most: float, lowest: float) -> FloatArray:
    """The logarithm of the e-value against "the mean is at most `mean_at_most`".

    Somebody bets on each row that it will be above the mean, and can only get rich if the mean is higher: E is the
    average over the bets l of the product of 1 + l (value - mean_at_most) (Waudby-Smith and Ramdas 2024, JRSS B 86:1).
    If E[value | past] <= mean_at_most, the chance that E is ever 1 / alpha or more is at most alpha (Ville 1939), so
    anybody may look whenever they like and stop. The product knows no order, so counts are enough.

    Args:
        values: shape (k,), the values that occur, each at least `lowest`; they need no upper bound.
        counts: shape (..., k), how often each did; fractions are planned with.
        mean_at_most: the hypothesis to be disproved, above `lowest`.
        lowest: a bound of the values that was known before they were seen.

    Returns:
        Shape (...); E itself would overflow.

    Raises:
        ValueError: if a value is below `lowest`, or the mean is not above it.
    """
    capital: FloatArray = counts @ log_growth(values, mean_at_most=mean_at_most, lowest=lowest)
    return log_total(capital) - math.log(BETS)


def log_growth(values: FloatArray, *, mean_at_most: float, lowest: float) -> FloatArray:
    """By what factor one row of each value makes each bet grow, as a logarithm: shape (k, 24); see `log_e_value`."""
    if not lowest < mean_at_most:
        raise ValueError(f"the mean must be above the lowest value, not {mean_at_most} against {lowest}")
    if not (values >= lowest).all():
        raise ValueError(f"a value is below {lowest} or no number")
    return np.log1p(SHARES * ((values - mean_at_most) / (mean_at_most - lowest))[:, None])


def log_total(log_capital: FloatArray) -> FloatArray:
    """The logarithm of the sum over bets: from shape (..., 24) to shape (...)."""
    largest = log_capital.max(axis=-1)
    total: FloatArray = largest + np.log(np.exp(log_capital - largest[..., None]).sum(axis=-1))
    return total


def rows_to_disprove(
    values: FloatArray, shares: FloatArray, *, mean_at_most: float, lowest: float, alpha: float
) -> int | None:
    """How many rows disprove that the mean is at most `mean_at_most`, if each value keeps its share.

    Each bet then grows by the same factor with every row. More than half of all samples need fewer rows.

    Args:
        values: as in `log_e_value`.
        shares: shape (k,), the share of rows that have each value.
        mean_at_most: the hypothesis to be disproved.
        lowest: a bound of the values.
        alpha: error rate.

    Returns:
        The rows in all; None if no bet grows, so that no number would do.

    Raises:
        ValueError: as `log_e_value`.
    """
    growth = shares @ log_growth(values, mean_at_most=mean_at_most, lowest=lowest)
    best, target = float(growth.max()), -math.log(alpha)
    if best <= 0:
        return None
    # The best bet alone is nearly all of the average: without the others it needs log(24) more, with them no less.
    few, enough = math.floor(target / best), math.ceil((target + math.log(BETS)) / best)
    while enough - few > 1:
        middle = (few + enough) // 2
        reached = log_total(middle * growth) - math.log(BETS) >= target
        few, enough = (few, middle) if reached else (middle, enough)
    return enough


def _shown(log_e: float) -> float:
    return math.exp(min(log_e, math.log(LARGEST)))
