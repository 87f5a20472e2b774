"""Whether the student serves every critical slice about equally well.

Belongs here: the gap between its best and its worst critical slice, with bounds and a verdict.
Does not: each slice against the teacher (slices.py), slices that nobody declared (discovery.py).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import permutations

from pydantic import BaseModel, ConfigDict, Field

from stillhouse.evaluation.score_test import sum_of_quantiles
from stillhouse.evaluation.slices import SliceResult
from stillhouse.evaluation.statistics import POWER, Verdict, check_alpha


class MeasuredGap(BaseModel):
    """The student's accuracies on its best and its worst critical slice, and how far apart they may be in truth."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    best: str
    best_accuracy: float
    worst: str
    worst_accuracy: float
    gap: float = Field(description="Accuracy on the best minus that on the worst.")
    upper_bound: float = Field(description="One-sided 1 - alpha upper bound of the gap; up to the limit is a PASS.")
    lower_bound: float = Field(description="One-sided 1 - alpha lower bound; above the limit is a FAIL.")
    least_certain: tuple[str, str] = Field(description="The two slices whose difference has the upper bound.")
    rows_needed: int | None = Field(
        description="When inconclusive: about how many rows each of the least certain two would need to settle it."
    )


class SliceGap(BaseModel):
    """Whether the gap between critical slices is proven to be within its limit."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    limit: float = Field(description="Largest acceptable gap, as a fraction.")
    alpha: float = Field(description="One-sided error rate.")
    verdict: Verdict
    measured: MeasuredGap | None = Field(description="Null with fewer than two critical slices that have rows.")
    empty: tuple[str, ...] = Field(description="Critical slices without a golden row, of which nothing is known.")


def slice_gap(slices: Sequence[SliceResult], *, limit: float, alpha: float = 0.05) -> SliceGap:
    """Test that the student's accuracies on any two critical slices are at most `limit` apart.

    Each difference has a hybrid interval made of the limits of its two proportions (Newcombe 1998, Statistics in
    Medicine 17:873, method 10), with exact limits in place of Newcombe's Wilson limits. Computed over 1,176 cases of 20
    to 1,000 rows at alpha 5 %, a gap of exactly `limit` passes in at most 5.4 % (above 5 % in 18 of them, all of high
    accuracies and unequal sizes); with Wilson limits it would be up to 8.2 %.

    The upper bound is the largest over all pairs, each at `alpha`: if the true gap is above the limit, some pair is,
    and to PASS that very pair has to be misjudged (intersection-union, Berger 1982, Technometrics 24:295). The lower
    bound is the largest, too, but with Bonferroni over the pairs, since any one of them closes the gate.

    Slices may overlap. The interval takes two accuracies as independent; rows in both move both the same way, so the
    true interval is narrower and this one is conservative.

    How to read the verdict:

    * PASS: the upper bound is at most the limit.
    * FAIL: the lower bound is above the limit, or the measured gap is, on two slices with rows enough to have passed
      equal ones with 80 % power.
    * INCONCLUSIVE: anything else, an empty critical slice, or fewer than two critical slices.

    Args:
        slices: the slices as judged; only critical ones count, the others are reported only.
        limit: largest acceptable gap, as a fraction in (0, 1).
        alpha: one-sided error rate.

    Returns:
        The gap, its bounds and the verdict.

    Raises:
        ValueError: if limit or alpha is out of range.
    """
    if not 0.0 < limit < 1.0:
        raise ValueError(f"limit must be a fraction in (0, 1), not {limit}")
    check_alpha(alpha)
    critical = [result for result in slices if result.critical]
    empty = tuple(result.name for result in critical if result.student_accuracy is None)
    parts = [_Part(r.name, r.rows, r.student_accuracy) for r in critical if r.student_accuracy is not None]
    if len(parts) < 2:
        return SliceGap(limit=limit, alpha=alpha, verdict=Verdict.INCONCLUSIVE, measured=None, empty=empty)
    ordered = list(permutations(parts, 2))
    best, worst = max(ordered, key=lambda pair: _gap(*pair))
    high, low = max(ordered, key=lambda pair: _upper(pair[0], pair[1], alpha))
    upper = _upper(high, low, alpha)
    lower = max(0.0, *(_lower(*pair, alpha / len(ordered)) for pair in ordered))
    verdict = _decide(_gap(best, worst), upper, lower, limit, _has_rows_enough(best, worst, limit, alpha))
    if empty and verdict is Verdict.PASS:
        verdict = Verdict.INCONCLUSIVE
    unsettled = verdict is Verdict.INCONCLUSIVE and upper > limit
    measured = MeasuredGap(
        best=best.name,
        best_accuracy=best.accuracy,
        worst=worst.name,
        worst_accuracy=worst.accuracy,
        gap=_gap(best, worst),
        upper_bound=upper,
        lower_bound=lower,
        least_certain=(high.name, low.name),
        rows_needed=_rows_needed(high, low, limit, alpha) if unsettled else None,
    )
    return SliceGap(limit=limit, alpha=alpha, verdict=verdict, measured=measured, empty=empty)


@dataclass(frozen=True)
class _Part:
    name: str
    rows: int
    accuracy: float

    def lower(self, alpha: float) -> float:
        """Exact (Clopper-Pearson) one-sided lower limit of the accuracy."""
        from scipy.special import betaincinv

        right = round(self.accuracy * self.rows)
        return float(betaincinv(right, self.rows - right + 1, alpha)) if right else 0.0

    def upper(self, alpha: float) -> float:
        """Exact one-sided upper limit of the accuracy."""
        from scipy.special import betaincinv

        right = round(self.accuracy * self.rows)
        return float(betaincinv(right + 1, self.rows - right, 1 - alpha)) if right < self.rows else 1.0


def _gap(better: _Part, worse: _Part) -> float:
    return better.accuracy - worse.accuracy


def _upper(better: _Part, worse: _Part, alpha: float) -> float:
    far = math.hypot(better.upper(alpha) - better.accuracy, worse.accuracy - worse.lower(alpha))
    return _gap(better, worse) + far


def _lower(better: _Part, worse: _Part, alpha: float) -> float:
    far = math.hypot(better.accuracy - better.lower(alpha), worse.upper(alpha) - worse.accuracy)
    return _gap(better, worse) - far


def _decide(gap: float, upper: float, lower: float, limit: float, fair_chance: bool) -> Verdict:
    if upper <= limit:
        return Verdict.PASS
    return Verdict.FAIL if lower > limit or (gap > limit and fair_chance) else Verdict.INCONCLUSIVE


def _has_rows_enough(one: _Part, other: _Part, limit: float, alpha: float) -> bool:
    """Whether two slices of so many rows would have passed, had they been equal, with 80 % power."""
    spread = 2 * _variance(one, other, limit)
    harmonic = 2 / (1 / one.rows + 1 / other.rows)
    return harmonic >= sum_of_quantiles(alpha, POWER) ** 2 * spread / limit**2


def _rows_needed(one: _Part, other: _Part, limit: float, alpha: float) -> int | None:
    """Rows in each of two slices of equal size; null if they are not measured to be within the limit at all."""
    distance = limit if not _has_rows_enough(one, other, limit, alpha) else limit - abs(_gap(one, other))
    if distance <= 0:
        return None
    spread = 2 * _variance(one, other, limit)
    return math.ceil(sum_of_quantiles(alpha, POWER) ** 2 * spread / distance**2)


def _variance(one: _Part, other: _Part, limit: float) -> float:
    """Variance of one answer at the accuracy of both slices together."""
    pooled = (one.accuracy * one.rows + other.accuracy * other.rows) / (one.rows + other.rows)
    # A true gap of `limit` leaves no pooled accuracy above 1 - limit / 2, so a luckier sample is not planned with.
    pooled = min(max(pooled, limit / 2), 1 - limit / 2)
    return pooled * (1 - pooled)
