"""Whether the student serves every critical slice about equally well.

Belongs here: which slices are held against each other.
Does not: the test (statistics/gap.py), each slice against the teacher (declared.py), slices that nobody declared
(discovery.py).
"""

from collections.abc import Sequence

from stillhouse.arrays import BoolArray, IntArray
from stillhouse.evaluation.slices.declared import SliceResult
from stillhouse.statistics.gap import GapTest, Part, PartInGroups, gap_test


def slice_gap(
    slices: Sequence[SliceResult],
    masks: BoolArray,
    correct: BoolArray,
    *,
    limit: float,
    alpha: float = 0.05,
    groups: IntArray | None = None,
) -> GapTest:
    """Test that the student's accuracies on any two critical slices are at most `limit` apart.

    Slices may overlap. The interval takes two accuracies as independent; rows in both move both the same way, so the
    true interval is narrower and this one is conservative.

    Args:
        slices: the slices as judged; only critical ones count, the others are reported only, and fields are no slices
            of rows.
        masks: shape (slices without fields, rows), membership, in their order.
        correct: shape (rows,), True where the student was right.
        limit: largest acceptable gap, as a fraction in (0, 1).
        alpha: one-sided error rate.
        groups: shape (rows,), equal where rows belong together; whole groups are then the evidence. None where every
            row stands alone.

    Returns:
        The gap, its bounds and the verdict; inconclusive where a critical slice is empty or in too few groups.

    Raises:
        ValueError: if limit or alpha is out of range.
    """
    declared = [each for each in slices if not each.is_field]
    critical = [(each.name, correct[mask], mask) for each, mask in zip(declared, masks, strict=True) if each.critical]
    parts = [
        Part(name, int(right.sum()), len(right)) if groups is None else PartInGroups.of(name, right, groups[mask])
        for name, right, mask in critical
    ]
    return gap_test(parts, limit=limit, alpha=alpha)
