"""Whether a model is about equally accurate on every one of several parts of the golden set.

Belongs here: the gap between the best and the worst of named parts, with bounds and a verdict.
Does not: which parts are compared (slices/), and a part against the teacher (slices/declared.py).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import permutations

import numpy as np
from pydantic import Field

from stillhouse.arrays import BoolArray, IntArray
from stillhouse.base import Record
from stillhouse.statistics.floors import FloorTest, floor_test_by_groups
from stillhouse.statistics.metric_test import FEWEST_GROUPS
from stillhouse.statistics.score_test import sum_of_quantiles
from stillhouse.statistics.verdicts import Verdict, check_alpha

LEAST_LEVEL = 0.001
"""Of a limit by whole groups: below it more resamples are needed than a report can wait for. It is reached from eight
parts on, and only by the lower bound of a gap."""


class MeasuredGap(Record):
    """The accuracies on the best and the worst part, and how far apart they may be in truth."""

    best: str
    best_accuracy: float
    worst: str
    worst_accuracy: float
    gap: float = Field(description="Accuracy on the best minus that on the worst.")
    upper_bound: float = Field(description="One-sided 1 - alpha upper bound of the gap; up to the limit is a PASS.")
    lower_bound: float = Field(description="One-sided 1 - alpha lower bound; above the limit is a FAIL.")
    least_certain: tuple[str, str] = Field(description="The two parts whose difference has the upper bound.")
    rows_needed: int | None = Field(
        description="When inconclusive: about how many rows each of the least certain two would need to settle it."
    )


class GapTest(Record):
    """Whether the gap between parts is proven to be within its limit."""

    limit: float = Field(description="Largest acceptable gap, as a fraction.")
    alpha: float = Field(description="One-sided error rate.")
    verdict: Verdict
    measured: MeasuredGap | None = Field(description="Null with fewer than two parts that have rows enough.")
    too_few_rows: tuple[str, ...] = Field(
        description="Parts with fewer rows than a comparison takes, of which nothing is known."
    )
    too_few_groups: tuple[str, ...] = Field(
        default=(),
        exclude_if=lambda names: not names,  # so that a test of rows that stand alone is written as it was
        description="Parts with rows enough, but in fewer than 20 groups of rows that stand or fall together.",
    )


@dataclass(frozen=True)
class Part:
    """One part of the golden set and how the model did on it.

    Args:
        name: what reports call it.
        right: rows answered right.
        rows: all its rows.
    """

    name: str
    right: int
    rows: int

    @property
    def accuracy(self) -> float:
        """Share answered right; of a part that has rows."""
        return self.right / self.rows

    def lower(self, alpha: float) -> float:
        """Exact (Clopper-Pearson) one-sided lower limit of the accuracy."""
        from scipy.special import betaincinv

        return float(betaincinv(self.right, self.rows - self.right + 1, alpha)) if self.right else 0.0

    def upper(self, alpha: float) -> float:
        """Exact one-sided upper limit of the accuracy."""
        from scipy.special import betaincinv

        wrong = self.rows - self.right
        return float(betaincinv(self.right + 1, wrong, 1 - alpha)) if wrong else 1.0

    @property
    def has_too_few_groups(self) -> bool:
        """Whether nothing can be concluded, however many rows there are."""
        return False


@dataclass(frozen=True)
class PartInGroups(Part):
    """One whose rows stand or fall together: its limits are those of whole groups (floors.py).

    Args:
        correct: shape (rows,), whether the model was right.
        groups: shape (rows,), equal where rows belong together.
    """

    correct: BoolArray = field(repr=False, compare=False)
    groups: IntArray = field(repr=False, compare=False)
    _known: dict[float, FloorTest] = field(default_factory=dict, init=False, repr=False, compare=False)

    @classmethod
    def of(cls, name: str, correct: BoolArray, groups: IntArray) -> "PartInGroups":
        """Count the rows of a part."""
        return cls(name, int(np.count_nonzero(correct)), len(correct), correct, groups)

    def lower(self, alpha: float) -> float:
        """One-sided lower limit of the accuracy."""
        return self._limits(alpha).lower_bound

    def upper(self, alpha: float) -> float:
        """One-sided upper limit of the accuracy."""
        return self._limits(alpha).upper_bound

    @property
    def has_too_few_groups(self) -> bool:
        """Whether nothing can be concluded, however many rows there are."""
        return len(np.unique(self.groups)) < FEWEST_GROUPS

    def _limits(self, alpha: float) -> FloorTest:
        level = max(alpha, LEAST_LEVEL)
        if level not in self._known:
            # Its bounds are the same for every floor.
            self._known[level] = floor_test_by_groups(self.correct, self.groups, 0.5, alpha=level)
        return self._known[level]


def gap_test(parts: Sequence[Part], *, limit: float, alpha: float = 0.05, fewest_rows: int = 1) -> GapTest:
    """Test that the accuracies on any two parts are at most `limit` apart.

    Each difference has a hybrid interval made of the limits of its two proportions (Newcombe 1998, Statistics in
    Medicine 17:873, method 10), with exact limits in place of Newcombe's Wilson limits. Computed over 1,176 cases of 20
    to 1,000 rows at alpha 5 %, a gap of exactly `limit` passes in at most 5.4 % (above 5 % in 18 of them, all of high
    accuracies and unequal sizes); with Wilson limits it would be up to 8.2 %. Where rows come in groups the two limits
    are those of whole groups resampled, and a gap of exactly `limit` passes in at most 9 % (simulated: 20 to 100 groups
    of 10 rows in each part, intraclass correlations of 0 to 0.8), where rows counted one by one pass it in 30 %.

    The upper bound is the largest over all pairs, each at `alpha`: if the true gap is above the limit, some pair is,
    and to PASS that very pair has to be misjudged (intersection-union, Berger 1982, Technometrics 24:295). The lower
    bound is the largest, too, but with Bonferroni over the pairs, since any one of them closes the gate.

    How to read the verdict:

    * PASS: the upper bound is at most the limit.
    * FAIL: the lower bound is above the limit, or the measured gap is, on two parts with rows enough to have passed
      equal ones with 80 % power. Where rows come in groups by the lower bound alone.
    * INCONCLUSIVE: anything else, a part with too few rows or groups, or fewer than two that have enough.

    Args:
        parts: with distinct names.
        limit: largest acceptable gap, as a fraction in (0, 1).
        alpha: one-sided error rate.
        fewest_rows: a part with fewer is not compared, and withholds a PASS.

    Returns:
        The gap, its bounds and the verdict.

    Raises:
        ValueError: if limit or alpha is out of range.
    """
    if not 0.0 < limit < 1.0:
        raise ValueError(f"limit must be a fraction in (0, 1), not {limit}")
    check_alpha(alpha)
    too_few = tuple(part.name for part in parts if part.rows < fewest_rows)
    with_rows = [part for part in parts if part.rows >= fewest_rows]
    few_groups = tuple(part.name for part in with_rows if part.has_too_few_groups)
    compared = [part for part in with_rows if not part.has_too_few_groups]
    if len(compared) < 2:
        return GapTest(
            limit=limit,
            alpha=alpha,
            verdict=Verdict.INCONCLUSIVE,
            measured=None,
            too_few_rows=too_few,
            too_few_groups=few_groups,
        )
    ordered = list(permutations(compared, 2))
    best, worst = max(ordered, key=lambda pair: _gap(*pair))
    high, low = max(ordered, key=lambda pair: _upper(pair[0], pair[1], alpha))
    upper = _upper(high, low, alpha)
    lower = max(0.0, *(least_difference(*pair, alpha / len(ordered)) for pair in ordered))
    verdict = _decide(_gap(best, worst), upper, lower, limit, _has_rows_enough(best, worst, limit, alpha))
    if (too_few or few_groups) and verdict is Verdict.PASS:
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
    return GapTest(
        limit=limit,
        alpha=alpha,
        verdict=verdict,
        measured=measured,
        too_few_rows=too_few,
        too_few_groups=few_groups,
    )


def _gap(better: Part, worse: Part) -> float:
    return better.accuracy - worse.accuracy


def _upper(better: Part, worse: Part, alpha: float) -> float:
    far = math.hypot(better.upper(alpha) - better.accuracy, worse.accuracy - worse.lower(alpha))
    return _gap(better, worse) + far


def least_difference(better: Part, worse: Part, alpha: float) -> float:
    """One-sided lower bound of how much more accurate the first part is than the second; see `gap_test`."""
    far = math.hypot(better.accuracy - better.lower(alpha), worse.upper(alpha) - worse.accuracy)
    return _gap(better, worse) - far


def _decide(gap: float, upper: float, lower: float, limit: float, fair_chance: bool) -> Verdict:
    if upper <= limit:
        return Verdict.PASS
    return Verdict.FAIL if lower > limit or (gap > limit and fair_chance) else Verdict.INCONCLUSIVE


def _has_rows_enough(one: Part, other: Part, limit: float, alpha: float) -> bool:
    """Whether two parts of so many rows would have passed, had they been equal, with 80 % power.

    Of rows in groups that is not known: how much they are worth is what the groups show.
    """
    if isinstance(one, PartInGroups):
        return False
    spread = 2 * _variance(one, other, limit)
    harmonic = 2 / (1 / one.rows + 1 / other.rows)
    return harmonic >= sum_of_quantiles(alpha) ** 2 * spread / limit**2


def _rows_needed(one: Part, other: Part, limit: float, alpha: float) -> int | None:
    """Rows in each of two parts of equal size; null if they are not measured to be within the limit at all."""
    if isinstance(one, PartInGroups):
        distance, far = limit - _gap(one, other), _upper(one, other, alpha) - _gap(one, other)
        return math.ceil((one.rows + other.rows) / 2 * (far / distance) ** 2) if distance > 0 else None
    distance = limit if not _has_rows_enough(one, other, limit, alpha) else limit - abs(_gap(one, other))
    if distance <= 0:
        return None
    spread = 2 * _variance(one, other, limit)
    return math.ceil(sum_of_quantiles(alpha) ** 2 * spread / distance**2)


def _variance(one: Part, other: Part, limit: float) -> float:
    """Variance of one answer at the accuracy of both parts together."""
    pooled = (one.right + other.right) / (one.rows + other.rows)
    # A true gap of `limit` leaves no pooled accuracy above 1 - limit / 2, so a luckier sample is not planned with.
    pooled = min(max(pooled, limit / 2), 1 - limit / 2)
    return pooled * (1 - pooled)
