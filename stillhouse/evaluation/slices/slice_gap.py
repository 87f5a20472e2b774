"""Whether the student serves every critical slice about equally well.

Belongs here: which slices are held against each other.
Does not: the test (statistics/gap.py), each slice against the teacher (declared.py), slices that nobody declared
(discovery.py).
"""

from collections.abc import Sequence

from stillhouse.evaluation.slices.declared import SliceResult
from stillhouse.statistics.gap import GapTest, Part, gap_test


def slice_gap(slices: Sequence[SliceResult], *, limit: float, alpha: float = 0.05) -> GapTest:
    """Test that the student's accuracies on any two critical slices are at most `limit` apart.

    Slices may overlap. The interval takes two accuracies as independent; rows in both move both the same way, so the
    true interval is narrower and this one is conservative.

    Args:
        slices: the slices as judged; only critical ones count, the others are reported only, and fields are no slices
            of rows.
        limit: largest acceptable gap, as a fraction in (0, 1).
        alpha: one-sided error rate.

    Returns:
        The gap, its bounds and the verdict; inconclusive where a critical slice is empty.

    Raises:
        ValueError: if limit or alpha is out of range.
    """
    parts = [
        Part(each.name, round((each.student_accuracy or 0) * each.rows), each.rows)
        for each in slices
        if each.critical and not each.is_field
    ]
    return gap_test(parts, limit=limit, alpha=alpha)
