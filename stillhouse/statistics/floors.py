"""Whether an accuracy is proven to hold a floor.

Belongs here: the exact test of one proportion against a fixed lowest acceptable value.
Does not: comparing with the teacher (accuracy_test.py).
"""

import math

import numpy as np
from pydantic import Field

from stillhouse.arrays import BoolArray, IntArray
from stillhouse.base import Record
from stillhouse.statistics.metric_test import accuracy_test_by_groups
from stillhouse.statistics.score_test import sum_of_quantiles
from stillhouse.statistics.verdicts import Verdict, check_alpha


class FloorTest(Record):
    """Whether an accuracy is proven to be at least a floor."""

    floor: float
    lower_bound: float = Field(
        description="One-sided lower bound of the accuracy: exact (Clopper-Pearson), or by resampling whole groups."
    )
    upper_bound: float = Field(description="One-sided upper bound of the accuracy, likewise.")
    verdict: Verdict
    rows_needed: int | None = Field(description="When inconclusive: about how many examples, in all, would settle it.")
    groups: int | None = Field(default=None, description="Groups resampled whole; null when rows are independent.")


def floor_test(successes: int, rows: int, floor: float, *, resolution: float, alpha: float = 0.05) -> FloorTest:
    """Test that an accuracy is at least `floor`.

    PASS when the exact lower bound reaches the floor. FAIL when the upper bound is below it, or when the
    measured accuracy is, on a set large enough to have passed a student `resolution` above the floor with 80
    % power. Else INCONCLUSIVE.

    Args:
        successes: examples answered right.
        rows: all examples; 0 is INCONCLUSIVE.
        floor: lowest acceptable accuracy, in (0, 1).
        resolution: how far above the floor a student must be for us to promise to see it, in (0, 1); the
            bar's margin.
        alpha: one-sided error rate.

    Returns:
        The bounds, the verdict and, when inconclusive, how many examples would settle it.

    Raises:
        ValueError: if the counts are impossible or an argument is out of range.
    """
    if not 0 <= successes <= rows or not 0.0 < floor < 1.0 or not 0.0 < resolution < 1.0:
        raise ValueError(f"impossible: {successes} of {rows} right, floor {floor}, resolution {resolution}")
    check_alpha(alpha)
    from scipy.special import betaincinv

    lower = float(betaincinv(successes, rows - successes + 1, alpha)) if successes else 0.0
    upper = float(betaincinv(successes + 1, rows - successes, 1 - alpha)) if successes < rows else 1.0
    by_formula = sum_of_quantiles(alpha) ** 2 * floor * (1 - floor) / resolution**2
    # However good the student, this many right answers in a row are the fewest that can prove the floor.
    needed = math.ceil(max(by_formula, math.log(alpha) / math.log(floor)))
    if rows and lower >= floor:
        return FloorTest(floor=floor, lower_bound=lower, upper_bound=upper, verdict=Verdict.PASS, rows_needed=None)
    if rows and (upper < floor or (successes < floor * rows and rows >= needed)):
        return FloorTest(floor=floor, lower_bound=lower, upper_bound=upper, verdict=Verdict.FAIL, rows_needed=None)
    if rows >= needed:
        gap = max(successes / rows - floor, 1.0 / rows)
        needed = math.ceil(sum_of_quantiles(alpha) ** 2 * floor * (1 - floor) / gap**2)
    return FloorTest(
        floor=floor,
        lower_bound=lower,
        upper_bound=upper,
        verdict=Verdict.INCONCLUSIVE,
        rows_needed=max(needed, rows + 1),
    )


def floor_test_by_groups(correct: BoolArray, groups: IntArray, floor: float, *, alpha: float = 0.05) -> FloorTest:
    """Test that an accuracy is at least `floor`, where rows stand or fall together.

    That is not to be further below a model that is always right than `1 - floor`, so the test of a paired difference by
    whole groups answers it (metric_test.py): with fewer than 20 groups it is INCONCLUSIVE.

    Args:
        correct: shape (n,), True where the model was right; at least one row.
        groups: shape (n,), equal where rows belong together.
        floor: lowest acceptable accuracy, in (0, 1).
        alpha: one-sided error rate.

    Returns:
        The bounds, the verdict and, when inconclusive, how many examples would settle it.

    Raises:
        ValueError: if the shapes differ, there are no rows, or an argument is out of range.
    """
    found = accuracy_test_by_groups(np.ones_like(correct), correct, groups, margin=1 - floor, alpha=alpha)
    return FloorTest(
        floor=floor,
        lower_bound=1 - found.drop_upper_bound,
        upper_bound=1 - found.drop_lower_bound,
        verdict=found.verdict,
        rows_needed=found.rows_needed,
        groups=found.groups,
    )
