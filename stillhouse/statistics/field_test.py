"""Whether a student's F1 over the values of fields is within the margin of its teacher's, with rows as the evidence.

Belongs here: F1 of counted values, and non-inferiority in it.
Does not: counting the values of records (stillhouse/evaluation/measures/field_scores.py), the resampling
(bootstrap.py), how a test is read (metric_test.py).
"""

import math
from dataclasses import dataclass

import numpy as np

from stillhouse.arrays import BoolArray, FloatArray, IntArray
from stillhouse.statistics import bootstrap
from stillhouse.statistics.metric_test import SEED, TAIL_DRAWS, MetricTest, judged, rows_lost_at_a_time
from stillhouse.statistics.verdicts import check_alpha, check_margin


@dataclass(frozen=True)
class Values:
    """The values in the records of one model beside those in truth, row by row.

    Args:
        there: shape (n,), how many fields have a value in truth.
        given: shape (n,), in how many the model gives one.
        right: shape (n,), in how many both are the same value.
    """

    there: IntArray
    given: IntArray
    right: IntArray

    @classmethod
    def of(cls, there: BoolArray, given: BoolArray, right: BoolArray) -> "Values":
        """Count fields.

        Args:
            there: shape (n, fields), whether a field has a value in truth.
            given: likewise, whether the model gives one.
            right: whether both are the same, no value included.
        """
        return cls(there.sum(axis=1), given.sum(axis=1), (right & there).sum(axis=1))

    @property
    def counts(self) -> IntArray:
        """What F1 is made of, shape (n, 2): values that are right, and those that there are and that are given."""
        return np.stack([self.right, self.there + self.given], axis=1)

    @property
    def f1(self) -> float:
        """Over all rows."""
        return float(f1_of(self.counts.sum(axis=0)))


def f1_of(sums: FloatArray) -> FloatArray:
    """Twice the values that are right, as a share of those that there are and those that are given; 1 where none is.

    Args:
        sums: shape (..., 2), of `Values.counts`.
    """
    right, both = np.asarray(sums[..., 0], np.float64), np.asarray(sums[..., 1], np.float64)
    return np.divide(2 * right, both, out=np.ones_like(both), where=both > 0)


def field_f1_test(
    teacher: Values,
    student: Values,
    *,
    fields: int,
    groups: IntArray | None = None,
    margin: float,
    alpha: float = 0.05,
    draws: int = 2000,
) -> MetricTest:
    """Test that the student's F1 over values is not lower than the teacher's by `margin` or more.

    By the paired BCa bootstrap over rows, or over whole groups, read as `metric_test` is: the values of one record
    stand or fall together. Rows without any value in truth are no evidence of values, so that a verdict takes one that
    has some, and where rows come in groups 20 of them.

    No bound is taken to be less than the drop with log(1 / alpha) more rows lost (see `metric_test`), those where that
    costs most: all of a row's values are gone, and another one is given in each of its fields.

    Args:
        teacher: of n rows.
        student: of the same rows in the same order.
        fields: that a record has.
        groups: shape (n,), equal where rows belong together; None where every row stands alone.
        margin: largest acceptable drop, as a fraction in (0, 1).
        alpha: one-sided error rate.
        draws: resamples; never fewer than 10 / alpha are made.

    Raises:
        ValueError: if the models are asked different rows, there are none, or margin or alpha is out of range.
    """
    check_margin(margin)
    check_alpha(alpha)
    if not np.array_equal(teacher.there, student.there) or teacher.there.size == 0:
        raise ValueError(f"need two models of the same rows, not of {teacher.there.size} and {student.there.size}")
    draws = max(draws, math.ceil(TAIL_DRAWS / alpha))
    taught, said = teacher.counts, student.counts
    found = bootstrap.paired_sums(
        _by_group(taught, groups), _by_group(said, groups), f1_of, draws=draws, alpha=alpha, seed=SEED
    )
    differ, has_values = (taught != said).any(axis=1), student.there > 0
    lost = math.log(1 / alpha) * rows_lost_at_a_time(differ, groups)
    return judged(
        found, _unseen(student, fields, lost), len(said), metric="field_f1", rows=len(said),
        rows_that_count=int(np.count_nonzero(has_values)),
        groups=None if groups is None else len(np.unique(groups[has_values])),
        draws=draws, margin=margin, alpha=alpha,
    )  # fmt: skip


def _by_group(counts: IntArray, groups: IntArray | None) -> IntArray:
    if groups is None:
        return counts
    names, of = np.unique(groups, return_inverse=True)
    summed = np.zeros((len(names), counts.shape[1]), dtype=np.int64)
    np.add.at(summed, of, counts)
    return summed


def _unseen(student: Values, fields: int, lost: float) -> float:
    """By how much the student's F1 would fall with `lost` more rows that are wrong in every field, where that hurts
    most."""
    sums, more = student.counts.sum(axis=0), fields - student.given
    falls = f1_of(sums) - f1_of(sums + np.stack([-student.right, more], axis=1))
    weights = np.clip(lost - np.arange(len(falls)), 0.0, 1.0)
    worst = np.argsort(-falls, kind="stable")
    gone = np.stack([-student.right, more], axis=1)[worst]
    return float(f1_of(sums) - f1_of(sums + weights @ gone))
