"""Many tests at once: Holm's procedure keeps the chance of even one wrong verdict at alpha.

Belongs here: adjusting p-values and levels for a family of tests.
Does not: which tests are one (evaluation/slices/declared.py).
"""

from collections.abc import Sequence

from stillhouse.statistics.verdicts import check_alpha


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjust p-values so that comparing each with alpha keeps the family-wise error at alpha (Holm 1979).

    Args:
        p_values: one per test of the family; may be empty.

    Returns:
        Adjusted p-values in the order given.

    Raises:
        ValueError: if one is not in [0, 1].
    """
    order = _ascending(p_values)
    adjusted, running = [0.0] * len(order), 0.0
    for rank, index in enumerate(order):
        running = max(running, min(1.0, (len(order) - rank) * p_values[index]))
        adjusted[index] = running
    return adjusted


def holm_levels(p_values: Sequence[float], alpha: float) -> list[float]:
    """The error rate at which Holm's procedure judges each test; p below its level is the same as rejected by
    Holm.

    Args:
        p_values: one per test of the family; may be empty.
        alpha: family-wise error rate.

    Returns:
        alpha / (tests left) at each step; after the first test not rejected, all remaining keep that step's
        level.

    Raises:
        ValueError: if a p-value is not in [0, 1] or alpha is out of range.
    """
    check_alpha(alpha)
    order = _ascending(p_values)
    levels, level, stopped = [alpha] * len(order), alpha, False
    for rank, index in enumerate(order):
        if not stopped:
            level = alpha / (len(order) - rank)
            stopped = p_values[index] >= level
        levels[index] = level
    return levels


def _ascending(p_values: Sequence[float]) -> list[int]:
    if not all(0.0 <= p <= 1.0 for p in p_values):
        raise ValueError("p-values must be in [0, 1]")
    return sorted(range(len(p_values)), key=lambda index: p_values[index])
