"""Whether a student's metric is within the margin of its teacher's, where no test made for accuracy answers that.

Belongs here: non-inferiority in macro F1, the recall of a class or nDCG, and in any metric where rows come in groups;
how such a test is read. Does not: the resampling (bootstrap.py), accuracy on independent rows (accuracy_test.py), nDCG
of queries (ranking_test.py), F1 over fields (field_test.py).
"""

import math

import numpy as np
from pydantic import Field

from stillhouse.arrays import BoolArray, IntArray
from stillhouse.base import Record
from stillhouse.recipe.bar import MetricName, name_of_metric
from stillhouse.statistics import bootstrap
from stillhouse.statistics.bootstrap import Bootstrap, Metric
from stillhouse.statistics.score_test import sum_of_quantiles
from stillhouse.statistics.verdicts import Verdict, check_alpha, check_margin

FEWEST_GROUPS = 20
"""With fewer groups the spread between them is itself hardly known, and bootstrap bounds come out too narrow."""

TAIL_DRAWS = 10
"""Resamples that must lie beyond a bound for it to be more than the outermost of them."""

SEED = 0


class MetricTest(Record):
    """Whether the student's metric is less than `margin` below the teacher's, with the evidence."""

    metric: MetricName
    metric_class: str | None = Field(description="The class whose recall it is.")
    rows: int = Field(description="Examples both models answered.")
    rows_that_count: int = Field(
        description="Of them, those that the metric looks at: for a recall, those of its class."
    )
    groups: int | None = Field(
        description="Groups that the rows that count are in, resampled whole; null when rows are independent."
    )
    draws: int = Field(description="Resamples made: those asked for, or 10 / alpha if that is more.")
    margin: float = Field(description="Largest acceptable drop, as a fraction.")
    alpha: float = Field(description="One-sided error rate.")
    teacher: float = Field(description="The teacher's metric.")
    student: float = Field(description="The student's metric.")
    drop: float = Field(description="Teacher minus student; negative when the student is better.")
    drop_upper_bound: float = Field(
        description="One-sided 1 - alpha BCa upper bound of the drop, no less than what unseen losses could add; below "
        "the margin is a PASS."
    )
    drop_lower_bound: float = Field(
        description="One-sided 1 - alpha BCa lower bound; at or above the margin is a FAIL."
    )
    standard_error: float = Field(description="Of the drop, over the resamples.")
    unseen: float = Field(
        description="What the drop would grow by if log(1 / alpha) more rows were lost where that hurts most: so many "
        "losses stay unseen in one of 1 / alpha samples."
    )
    verdict: Verdict
    rows_needed: int | None = Field(description="When inconclusive: about how many examples, in all, would settle it.")

    @property
    def metric_in_words(self) -> str:
        """What was compared, as sentences name it."""
        return name_of_metric(self.metric, self.metric_class)

    @property
    def has_too_few_groups(self) -> bool:
        """Whether nothing can be concluded, however many rows there are."""
        return self.groups is not None and self.groups < FEWEST_GROUPS


def metric_test(
    labels: IntArray,
    teacher: IntArray,
    student: IntArray,
    metric: MetricName,
    *,
    classes: tuple[str, ...],
    metric_class: str | None = None,
    groups: IntArray | None = None,
    margin: float,
    alpha: float = 0.05,
    draws: int = 2000,
) -> MetricTest:
    """Test that a metric of the student is not lower than the teacher's by `margin` or more.

    By the paired BCa bootstrap (bootstrap.py). How to read the verdict:

    * PASS: the upper bound of the drop is below the margin. Proven good enough.
    * FAIL: the lower bound is at or above the margin. Proven too bad.
    * INCONCLUSIVE: anything else, and whatever the bounds say where the rows that count are in fewer than 20 groups,
      or there are none. `rows_needed` is the number of examples that would pass an equal student with 80 %
      power; if the set already has those, the number that would settle the measured drop.

    Resampling shows only the losses that are in the rows, so where hardly any row was lost its bound is too good: with
    none it would be the drop itself, even on three rows. No bound is therefore taken to be less than the drop with
    log(1 / alpha) more rows lost, the rule of three (Hanley and Lippman-Hand 1983, JAMA 249:1743), in the classes where
    they would hurt most, and where rows come in groups, as many rows at a time as a group loses (rows_lost_at_a_time).

    Args:
        labels: shape (n,), indices of `classes`.
        teacher: shape (n,), the teacher's answers; for nDCG the ranks of the right classes (metrics.ranks).
        student: shape (n,), the student's answers to the same rows in the same order; for nDCG likewise.
        metric: what is compared.
        classes: names, in the order of the indices.
        metric_class: whose recall it is; one of the classes, for recall alone.
        groups: shape (n,), equal where rows belong together; None where every row stands alone.
        margin: largest acceptable drop, as a fraction in (0, 1).
        alpha: one-sided error rate.
        draws: resamples; never fewer than 10 / alpha are made.

    Returns:
        Both metrics, the drop, its bounds, the verdict and, when inconclusive, how many examples would settle it.

    Raises:
        ValueError: if the shapes differ, there are no examples, margin or alpha is out of range, or the class is not
            one of the classes.
    """
    check_margin(margin)
    check_alpha(alpha)
    if (metric == "recall") != (metric_class is not None) or metric_class not in (None, *classes):
        raise ValueError(f"no class {metric_class!r} goes with {metric}; the classes are {', '.join(classes)}")
    index = None if metric_class is None else classes.index(metric_class)
    if metric == "ndcg":
        labels = np.zeros_like(labels)  # where the right class belongs: in the first place
    draws = max(draws, math.ceil(TAIL_DRAWS / alpha))
    found = bootstrap.paired_bootstrap(
        labels,
        teacher,
        student,
        _measure(metric, index),
        classes=len(classes),
        groups=groups,
        draws=draws,
        alpha=alpha,
        seed=SEED,
    )
    lost = math.log(1 / alpha) * rows_lost_at_a_time((teacher == labels) != (student == labels), groups)
    unseen = _unseen(labels, student, metric, index, lost, len(classes))
    counting = np.ones(len(labels), dtype=np.bool_) if index is None else labels == index
    return judged(
        found, unseen, len(labels), metric=metric, metric_class=metric_class, rows=len(labels),
        rows_that_count=int(np.count_nonzero(counting)),
        groups=None if groups is None else len(np.unique(groups[counting])),
        draws=draws, margin=margin, alpha=alpha,
    )  # fmt: skip


def accuracy_test_by_groups(
    first_correct: BoolArray, second_correct: BoolArray, groups: IntArray, *, margin: float, alpha: float = 0.05
) -> MetricTest:
    """Test as `metric_test` does that an accuracy is not lower than another one on the same rows by `margin` or more.

    Args:
        first_correct: shape (n,), True where the answer was right that is not to be fallen behind; at least one row.
        second_correct: shape (n,), True where the other one was, on the same rows in the same order.
        groups: shape (n,), equal where rows belong together.
        margin: largest acceptable drop, as a fraction in (0, 1).
        alpha: one-sided error rate.
    """
    return metric_test(
        np.ones(len(first_correct), dtype=np.int64),
        first_correct.astype(np.int64),
        second_correct.astype(np.int64),
        "accuracy",
        classes=("wrong", "right"),
        groups=groups,
        margin=margin,
        alpha=alpha,
    )


def _measure(metric: MetricName, index: int | None) -> Metric:
    if index is not None:
        return bootstrap.recall_of(index)
    return {"accuracy": bootstrap.accuracy, "macro_f1": bootstrap.macro_f1, "ndcg": bootstrap.ndcg}[metric]


def judged(
    found: Bootstrap,
    unseen: float,
    units: int,
    *,
    rows_of_a_unit: float = 1.0,
    metric: MetricName,
    metric_class: str | None = None,
    rows: int,
    rows_that_count: int,
    groups: int | None,
    draws: int,
    margin: float,
    alpha: float,
) -> MetricTest:
    """Read a test off a drop and its bounds.

    The evidence are `units` rows or groups, of `rows_of_a_unit` rows each on average, and losses that are not in them
    could add `unseen` to the drop; all else is as in a `MetricTest`.
    """
    upper = max(found.upper, found.drop + unseen)
    verdict, needed = Verdict.INCONCLUSIVE, None
    if rows_that_count and (groups is None or groups >= FEWEST_GROUPS):
        verdict, needed = _decide(found, upper, unseen, units, margin, alpha)
    return MetricTest(
        metric=metric,
        metric_class=metric_class,
        rows=rows,
        rows_that_count=rows_that_count,
        groups=groups,
        draws=draws,
        margin=margin,
        alpha=alpha,
        teacher=found.teacher,
        student=found.student,
        drop=found.drop,
        drop_upper_bound=upper,
        drop_lower_bound=found.lower,
        standard_error=found.standard_error,
        unseen=unseen,
        verdict=verdict,
        rows_needed=None if needed is None else math.ceil(needed * rows_of_a_unit),
    )


def _decide(
    found: Bootstrap, upper: float, unseen: float, units: int, margin: float, alpha: float
) -> tuple[Verdict, int | None]:
    """The verdict, and how many rows or groups would settle it where that is open; see `judged`."""
    if upper < margin:
        return Verdict.PASS, None
    if found.lower >= margin:
        return Verdict.FAIL, None

    def needed(distance: float) -> int:
        # A standard error shrinks with the root of the rows, what so many unseen losses could do with the rows.
        by_spread = (sum_of_quantiles(alpha) * found.standard_error / distance) ** 2
        return math.ceil(units * max(by_spread, unseen / distance))

    for_an_equal_student = needed(margin)
    if units < for_an_equal_student:
        return Verdict.INCONCLUSIVE, for_an_equal_student
    gap = abs(margin - max(found.drop, 0.0))
    return Verdict.INCONCLUSIVE, max(needed(gap), units + 1) if gap else None


def rows_lost_at_a_time(differ: BoolArray, groups: IntArray | None) -> float:
    """How many rows a group loses on average: of the groups that differ, and of one more that is lost whole.

    The one more is what was not seen. Without it a sample in which no group differs would say that rows are lost one by
    one, of which it shows nothing.

    Args:
        differ: shape (n,), on which rows two models differ in what they have right.
        groups: shape (n,), equal where rows belong together; None where every row stands alone.
    """
    if groups is None:
        return 1.0
    differing = groups[differ]
    whole = len(groups) / len(np.unique(groups))
    return float((len(differing) + whole) / (len(np.unique(differing)) + 1))


def _unseen(
    labels: IntArray, student: IntArray, metric: MetricName, index: int | None, lost: float, classes: int
) -> float:
    """By how much the student's metric would fall with `lost` more rows answered wrong, where that hurts most."""
    labelled = np.bincount(labels, minlength=classes).astype(np.float64)
    answered = np.bincount(student, minlength=classes).astype(np.float64)
    right = np.bincount(labels[student == labels], minlength=classes).astype(np.float64)
    if metric in ("accuracy", "ndcg"):
        # A row lost costs all of its gain, or in a ranking what its last place leaves of it.
        costs = 1.0 if metric == "accuracy" else 1 - 1 / math.log2(1 + classes)
        return min(lost, float(right.sum())) * costs / len(labels)
    moved = np.minimum(lost, right)
    if index is not None:
        return float(moved[index] / labelled[index]) if labelled[index] else 1.0
    both = labelled + answered
    f1 = np.divide(2 * right, both, out=np.zeros(classes), where=both > 0)
    without = np.divide(2 * (right - moved), both - moved, out=np.zeros(classes), where=both > moved)
    # Rows of class i that are answered j: F1 of i falls because they are not found, that of j because they are no j.
    diluted = np.divide(2 * right, both + moved[:, None], out=np.zeros((classes, classes)), where=both > 0)
    falls = (f1 - without)[:, None] + (f1 - diluted)
    np.fill_diagonal(falls, 0.0)
    # A class with fewer right rows than may be lost loses these, and another one like it the rest.
    a_row = np.divide(falls, moved[:, None], out=np.zeros_like(falls), where=moved[:, None] > 0)
    return float(min(lost * a_row.max() / np.count_nonzero(both), 1.0))
