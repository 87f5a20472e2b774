"""Whether a model's confidence is proven to mean what it says, within a limit.

Belongs here: bounds of the expected calibration error and the verdict on a limit; arrays in, numbers out.
Does not: measuring it (calibration.py), which model is asked (evaluation/harness.py).
"""

import math
from collections.abc import Iterator

import numpy as np
from pydantic import Field

from stillhouse.arrays import BoolArray, FloatArray, IntArray
from stillhouse.base import Record
from stillhouse.statistics.bootstrap import CHUNK_ELEMENTS
from stillhouse.statistics.calibration import bin_of
from stillhouse.statistics.metric_test import FEWEST_GROUPS, TAIL_DRAWS
from stillhouse.statistics.verdicts import Verdict, check_alpha

SEED = 0


class CalibrationTest(Record):
    """Whether the expected calibration error is proven to be within its limit."""

    limit: float = Field(description="Largest acceptable expected calibration error, as a fraction.")
    alpha: float = Field(description="One-sided error rate.")
    rows: int
    groups: int | None = Field(description="Groups of rows, resampled whole; null when rows are independent.")
    draws: int = Field(description="Resamples made: those asked for, or 10 / alpha if that is more.")
    error: float = Field(description="The expected calibration error as measured; too high on few rows.")
    upper_bound: float = Field(description="One-sided 1 - alpha upper bound; up to the limit is a PASS.")
    lower_bound: float = Field(description="One-sided 1 - alpha lower bound; above the limit is a FAIL.")
    verdict: Verdict
    rows_needed: int | None = Field(
        description="When inconclusive: about how many rows would bring the nearer bound to the limit; null if the "
        "measured error is the limit or there are too few groups."
    )

    @property
    def has_too_few_groups(self) -> bool:
        """Whether nothing can be concluded, however many rows there are."""
        return self.groups is not None and self.groups < FEWEST_GROUPS


def calibration_test(
    confidence: FloatArray,
    correct: BoolArray,
    *,
    limit: float,
    groups: IntArray | None = None,
    alpha: float = 0.05,
    draws: int = 2000,
) -> CalibrationTest:
    """Test that the expected calibration error, in the bins of `bin_of`, is at most `limit`.

    The bins follow from the confidences alone, so given these they are fixed, and whether an answer is right is chance
    of its own on each row. Where rows of a bin are not right alike often, the sum of what is wrong scatters less than
    one of rows that are (Hoeffding 1956, Annals of Mathematical Statistics 27:713), so a bound for the latter holds.

    The measured error is the largest, over all ways to give each bin a sign, of the mean of sign times (confidence -
    correct): that of a bin's own sign. So if the true error is above the limit, so is one such mean, and to PASS that
    very mean has to be misjudged (intersection-union, Berger 1982, Technometrics 24:295). Its upper bound is the 1 -
    alpha quantile of its mean under random weights on the rows, exponential and normalised, where one further row, as
    badly calibrated as a row can be, has a weight too (Gaffke 2005, Mathematical Methods of Statistics 14:79). Where
    all rows have one confidence that is Clopper and Pearson's bound, and without an error it is the rule of three. No
    correction for the upward bias of the measured error is needed: it makes a PASS harder.

    For a lower bound that bias counts. The true error is at least the measured one less what all bins together are off,
    and of that the 1 - alpha quantile under the same weights is taken away. It is also at least the distance between
    mean confidence and accuracy, of which the same is taken away: that has no bias, and shows most where a model is too
    sure everywhere. The larger of the two bounds is the lower one.

    How to read the verdict:

    * PASS: the upper bound is at most the limit.
    * FAIL: the lower bound is above the limit.
    * INCONCLUSIVE: anything else, and whatever the bounds say with fewer than 20 groups.

    Args:
        confidence: shape (n,), the probability of the model's own answer, as it is served.
        correct: shape (n,), True where that answer is right.
        limit: largest acceptable expected calibration error, as a fraction in (0, 1).
        groups: shape (n,), equal where rows belong together; None where every row stands alone.
        alpha: one-sided error rate.
        draws: resamples; never fewer than 10 / alpha are made.

    Returns:
        The error, its bounds, the verdict and, when inconclusive, how many rows would settle it. The order of the rows
        does not matter.

    Raises:
        ValueError: if the shapes differ, there are no rows, a confidence is no probability, or limit or alpha is out
            of range.
    """
    if not confidence.shape == correct.shape == (confidence.size,) or confidence.size == 0:
        raise ValueError(f"need two vectors of one length, not {confidence.shape}, {correct.shape}")
    if groups is not None and groups.shape != confidence.shape:
        raise ValueError(f"need a group for each of {confidence.size} rows, not shape {groups.shape}")
    if not (np.isfinite(confidence).all() and confidence.min() >= 0 and confidence.max() <= 1):
        raise ValueError("a confidence is not a probability")
    if not 0.0 < limit < 1.0:
        raise ValueError(f"limit must be a fraction in (0, 1), not {limit}")
    check_alpha(alpha)
    draws = max(draws, math.ceil(TAIL_DRAWS / alpha))
    rows, gaps = _units(confidence, correct, groups)
    total = gaps.sum(axis=0) / rows.sum()
    sign = np.where(total < 0, -1.0, 1.0)
    means, misses, misses_of_mean = [], [], []
    for weights, unseen in _weights(rows, draws):
        gap = weights @ gaps
        means.append(gap @ sign + unseen)
        misses.append(np.abs(gap - total).sum(axis=1) + unseen)
        misses_of_mean.append(np.abs((gap - total).sum(axis=1)) + unseen)
    error, of_mean = float(np.abs(total).sum()), float(abs(total.sum()))
    upper, miss, miss_of_mean = (
        float(np.quantile(np.concatenate(drawn), 1 - alpha)) for drawn in (means, misses, misses_of_mean)
    )
    lower = max(0.0, error - miss, of_mean - miss_of_mean)
    too_few = groups is not None and len(rows) < FEWEST_GROUPS
    verdict = Verdict.INCONCLUSIVE
    if not too_few:
        verdict = Verdict.PASS if upper <= limit else Verdict.FAIL if lower > limit else Verdict.INCONCLUSIVE
    return CalibrationTest(
        limit=limit,
        alpha=alpha,
        rows=confidence.size,
        groups=None if groups is None else len(rows),
        draws=draws,
        error=error,
        upper_bound=upper,
        lower_bound=lower,
        verdict=verdict,
        rows_needed=_rows_needed(error, lower, upper, limit, confidence.size)
        if verdict is Verdict.INCONCLUSIVE and not too_few
        else None,
    )


def _units(confidence: FloatArray, correct: BoolArray, groups: IntArray | None) -> tuple[FloatArray, FloatArray]:
    """What is weighted, rows or groups of rows, in an order of its own: rows (units,) and gaps by bin (units, bins)."""
    gap, bins = confidence - correct, bin_of(confidence)
    if groups is None:
        order = np.lexsort((gap, bins))
        unit, units = np.arange(len(order)), len(order)
        gap, bins = gap[order], bins[order]
    else:
        _, unit = np.unique(groups, return_inverse=True)
        units = int(unit.max()) + 1
    gaps = np.zeros((units, int(bins.max()) + 1))
    np.add.at(gaps, (unit, bins), gap)
    rows = np.bincount(unit, minlength=units).astype(np.float64)
    if groups is not None:
        order = np.lexsort((*gaps.T, rows))
        rows, gaps = rows[order], gaps[order]
    return rows, gaps


def _weights(rows: FloatArray, draws: int) -> Iterator[tuple[FloatArray, FloatArray]]:
    """Random weights of the units, shape (some draws, units), and of the row nobody saw, shape (some draws,).

    The unseen unit is of mean size. A draw's weights, times the rows they stand for, sum to 1.
    """
    generator = np.random.default_rng(SEED)
    size = len(rows)
    standing_for = np.append(rows, rows.mean())
    at_once = max(1, CHUNK_ELEMENTS // (size + 1))
    for start in range(0, draws, at_once):
        weights = generator.standard_exponential((min(at_once, draws - start), size + 1))
        weights /= (weights @ standing_for)[:, None]
        yield weights[:, :size], weights[:, size] * standing_for[-1]


def _rows_needed(error: float, lower: float, upper: float, limit: float, rows: int) -> int | None:
    """By the bound on the limit's side of the error, whose distance from it shrinks with the root of the rows."""
    distance, width = abs(limit - error), upper - error if error < limit else error - lower
    return max(math.ceil(rows * (width / distance) ** 2), rows + 1) if distance else None
