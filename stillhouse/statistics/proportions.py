"""Intervals and comparisons of accuracies that decide no claim of the bar: what is shown beside a number.

Belongs here: an interval of one accuracy, and of the difference of two on the same rows; McNemar's test.
Does not: non-inferiority (accuracy_test.py).
"""

import math

import numpy as np
from pydantic import Field

from stillhouse.arrays import BoolArray
from stillhouse.base import Record
from stillhouse.statistics import score_test
from stillhouse.statistics.verdicts import check_alpha


def wilson_interval(successes: float, n: float, alpha: float = 0.05) -> tuple[float, float]:
    """Two-sided 1 - alpha interval of a proportion (Wilson 1927, JASA 22:209).

    Args:
        successes: how many of the examples were right.
        n: how many examples there were, or as many as weighted ones are worth; 0 gives (0, 1), since nothing is known.
        alpha: two-sided error rate.

    Returns:
        Lower and upper limit, inside [0, 1].

    Raises:
        ValueError: if the counts are impossible or alpha is out of range.
    """
    if not 0 <= successes <= n:
        raise ValueError(f"impossible counts: {successes} of {n}")
    check_alpha(alpha)
    if n == 0:
        return 0.0, 1.0
    z = score_test.normal_quantile(1 - alpha / 2)
    share, z2n = successes / n, z * z / n
    centre = (share + z2n / 2) / (1 + z2n)
    half = z * math.sqrt(share * (1 - share) / n + z2n / (4 * n)) / (1 + z2n)
    # At 0 and n the limit is exactly 0 and 1; the formula misses that by rounding.
    low = 0.0 if successes == 0 else max(0.0, centre - half)
    high = 1.0 if successes == n else min(1.0, centre + half)
    return low, high


def paired_drop_interval(
    first_correct: BoolArray, second_correct: BoolArray, alpha: float = 0.05
) -> tuple[float, float]:
    """Two-sided 1 - alpha score interval of the first accuracy minus the second (Tango 1998, Stat. in Medicine 17:891).

    Args:
        first_correct: shape (n,), True where the first answer was right.
        second_correct: shape (n,), the same examples in the same order.
        alpha: two-sided error rate.

    Returns:
        Lower and upper limit of the drop from first to second.

    Raises:
        ValueError: if the shapes differ, there are no examples, or alpha is out of range.
    """
    first, second = paired_outcomes(first_correct, second_correct)
    check_alpha(alpha)
    first_only, second_only = int(np.count_nonzero(first & ~second)), int(np.count_nonzero(second & ~first))
    pairs = score_test.Pairs(first_only, second_only, len(first))
    # By symmetry the upper limit of a drop is the lower one of its opposite.
    return score_test.lower_bound(pairs, alpha / 2), -score_test.lower_bound(pairs.swapped(), alpha / 2)


class McNemar(Record):
    """The exact McNemar test of two models on the same examples."""

    rows: int
    first_only: int = Field(description="Examples only the first model got right.")
    second_only: int = Field(description="Examples only the second model got right.")
    p_value: float = Field(description="Of the hypothesis that both are equally often right, two-sided.")
    p_first_better: float = Field(description="One-sided: small when the first model is right more often.")
    p_second_better: float = Field(description="One-sided: small when the second model is right more often.")


def paired_mcnemar(first_correct: BoolArray, second_correct: BoolArray) -> McNemar:
    """Test which of two models is right more often, exactly, from the examples on which they differ.

    Args:
        first_correct: shape (n,), True where the first model was right.
        second_correct: shape (n,), the same examples in the same order.

    Returns:
        Binomial p-values of the discordant pairs (McNemar 1947, Psychometrika 12:153).

    Raises:
        ValueError: if the shapes differ or there are no examples.
    """
    first, second = paired_outcomes(first_correct, second_correct)
    from scipy.special import bdtr

    first_only = int(np.count_nonzero(first & ~second))
    second_only = int(np.count_nonzero(second & ~first))
    differing = first_only + second_only
    first_better = float(bdtr(second_only, differing, 0.5))
    second_better = float(bdtr(first_only, differing, 0.5))
    return McNemar(
        rows=len(first),
        first_only=first_only,
        second_only=second_only,
        p_value=min(1.0, 2 * min(first_better, second_better)),
        p_first_better=first_better,
        p_second_better=second_better,
    )


def paired_outcomes(first: BoolArray, second: BoolArray) -> tuple[BoolArray, BoolArray]:
    """The outcomes of two models as they are compared; a ValueError unless they are booleans of the same rows."""
    first, second = np.asarray(first), np.asarray(second)
    if first.dtype != np.bool_ or second.dtype != np.bool_:
        raise ValueError("outcomes must be boolean: True where the model was right")
    if first.ndim != 1 or first.shape != second.shape:
        raise ValueError(f"outcomes must be two vectors of one length, not shapes {first.shape} and {second.shape}")
    if len(first) == 0:
        raise ValueError("there are no examples to compare")
    return first, second
