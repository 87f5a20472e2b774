"""Whether a model treats the groups of people named by a sensitive column about alike.

Belongs here: groups of golden rows by a sensitive column, what each gets, and how far apart groups are.
Does not: the test of a gap against its limit (statistics/gap.py), slices, which are parts of the task and not of the
people (declared.py).
"""

from collections.abc import Iterator, Sequence
from functools import partial

import numpy as np
import polars as pl
from pydantic import Field

from stillhouse.arrays import BoolArray, FloatArray, IntArray
from stillhouse.base import Record
from stillhouse.errors import StillhouseError
from stillhouse.evaluation.measures import metrics
from stillhouse.recipe.bar import SensitiveSpec
from stillhouse.statistics.gap import GapTest, Part, PartInGroups, gap_test
from stillhouse.statistics.proportions import wilson_interval

FEWEST_ROWS = 20
"""Rows of a group, or of a class in a group, below which it is not compared: the error rate of the interval of a gap
was computed down to this number (gap.py), and with fewer rows each one is over 5 points."""

UNKNOWN = "unknown"
"""The group of the rows without a value, and of those whose value is this very word.

It counts like any other. Else a group could be kept out of the test by leaving its values out, and people who do not
say who they are have a claim to be served, too.
"""


class GroupResult(Record):
    """How teacher and student do on the rows of one group."""

    group: str = Field(description="Value of the column; `unknown` where there is none.")
    rows: int
    compared: bool = Field(description="Whether it has the rows that a comparison takes.")
    teacher_accuracy: float
    teacher_interval: tuple[float, float] = Field(description="95 % Wilson interval.")
    student_accuracy: float
    student_interval: tuple[float, float] = Field(description="95 % Wilson interval.")


class WidestGap(Record):
    """The two groups between which one measure of one model differs most."""

    of_class: str | None = Field(description="The class with the widest gap; null for accuracy, which is of all.")
    high_group: str
    high: float
    low_group: str
    low: float
    gap: float = Field(description="How far apart the two are, as a fraction.")


class ModelGaps(Record):
    """How differently one model treats the groups, as measured; null where fewer than two can be compared."""

    accuracy: WidestGap | None = Field(description="Share answered right.")
    recall: WidestGap | None = Field(
        description="Share found of the rows of a class, of the class where groups differ most: equal opportunity "
        "(Hardt, Price and Srebro 2016). Groups with fewer than 20 rows of the class are left out."
    )
    selection_rate: WidestGap | None = Field(
        description="Share of all rows answered with a class, of the class where groups differ most: demographic "
        "parity. Groups that ask for different things differ here with a perfect model, too."
    )


class FairnessResult(Record):
    """What one sensitive column shows of one model."""

    column: str
    groups: tuple[GroupResult, ...] = Field(description="Largest first.")
    teacher: ModelGaps
    student: ModelGaps
    test: GapTest | None = Field(
        description="Whether the student's gap in accuracy is proven to be within its limit; null when none is set."
    )


def fairness(
    golden: pl.DataFrame,
    specs: Sequence[SensitiveSpec],
    labels: IntArray,
    teacher: IntArray,
    student: IntArray,
    *,
    classes: Sequence[str],
    alpha: float = 0.05,
    together: IntArray | None = None,
) -> tuple[FairnessResult, ...]:
    """Compare what the groups of each sensitive column get from a model, beside what they get from its teacher.

    Confusion tables by group are those of fairlearn's `MetricFrame` (Weerts et al. 2023, JMLR 24:257). The limit is
    tested on accuracies, since that is what groups are served with; the other gaps are reported.

    Args:
        golden: the golden rows, with the columns.
        specs: the sensitive columns.
        labels: shape (rows,), class indices.
        teacher: shape (rows,), the teacher's answers.
        student: shape (rows,), the student's answers to the same rows in the same order.
        classes: names, in the order of the indices.
        alpha: one-sided error rate of the test.
        together: shape (rows,), equal where rows stand or fall together; the test then takes these whole. None where
            every row stands alone.

    Returns:
        One result per column, in the order declared.

    Raises:
        StillhouseError: if there is no such column.
    """
    return tuple(
        _of_column(spec, _groups(golden, spec.column), labels, teacher, student, tuple(classes), alpha, together)
        for spec in specs
    )


def _groups(golden: pl.DataFrame, column: str) -> pl.Series:
    if column not in golden.columns:
        raise StillhouseError(
            f"the golden set has no column '{column}'",
            where="sensitive columns",
            expected=f"one of {', '.join(sorted(golden.columns))}",
            do="Correct the sensitive columns in the recipe, or add the column to the source.",
        )
    return golden[column].cast(pl.String).fill_null(UNKNOWN)


def _of_column(
    spec: SensitiveSpec,
    groups: pl.Series,
    labels: IntArray,
    teacher: IntArray,
    student: IntArray,
    classes: tuple[str, ...],
    alpha: float,
    together: IntArray | None,
) -> FairnessResult:
    of_teacher, of_student = (_confusions(groups, labels, answers, len(classes)) for answers in (teacher, student))
    results = sorted(
        (_result(group, of_teacher[group], of_student[group]) for group in of_student),
        key=lambda result: (-result.rows, result.group),
    )
    parts = [
        _part(result.group, (groups == result.group).to_numpy(), labels == student, together) for result in results
    ]
    return FairnessResult(
        column=spec.column,
        groups=tuple(results),
        teacher=_gaps(of_teacher, classes),
        student=_gaps(of_student, classes),
        test=None
        if spec.gap_at_most is None
        else gap_test(parts, limit=spec.gap_at_most, alpha=alpha, fewest_rows=FEWEST_ROWS),
    )


def _part(group: str, members: BoolArray, correct: BoolArray, together: IntArray | None) -> Part:
    right = correct[members]
    if together is None:
        return Part(group, int(np.count_nonzero(right)), len(right))
    return PartInGroups.of(group, right, together[members])


def _confusions(groups: pl.Series, labels: IntArray, answers: IntArray, classes: int) -> dict[str, IntArray]:
    """The confusion table of each group."""
    from fairlearn.metrics import MetricFrame

    frame = MetricFrame(
        metrics={"confusion": partial(metrics.confusion_matrix, classes=classes)},
        y_true=labels,
        y_pred=answers,
        sensitive_features=groups.to_list(),
    )
    return dict(frame.by_group["confusion"].items())


def _result(group: str, of_teacher: IntArray, of_student: IntArray) -> GroupResult:
    rows, taught, right = int(of_student.sum()), int(np.trace(of_teacher)), int(np.trace(of_student))
    return GroupResult(
        group=group,
        rows=rows,
        compared=rows >= FEWEST_ROWS,
        teacher_accuracy=taught / rows,
        teacher_interval=wilson_interval(taught, rows),
        student_accuracy=right / rows,
        student_interval=wilson_interval(right, rows),
    )


def _gaps(confusions: dict[str, IntArray], classes: tuple[str, ...]) -> ModelGaps:
    """The widest gaps of one model between groups that can be compared."""
    names = [group for group, confusion in confusions.items() if confusion.sum() >= FEWEST_ROWS]
    if not names:
        return ModelGaps(accuracy=None, recall=None, selection_rate=None)
    tables = np.stack([confusions[name] for name in names]).astype(np.float64)
    rows, labelled = tables.sum(axis=(1, 2)), tables.sum(axis=2)
    right = np.diagonal(tables, axis1=1, axis2=2)
    recall = np.divide(right, labelled, out=np.full_like(labelled, np.nan), where=labelled >= FEWEST_ROWS)
    return ModelGaps(
        accuracy=_widest((right.sum(axis=1) / rows)[:, None], names, (None,)),
        recall=_widest(recall, names, classes),
        selection_rate=_widest(tables.sum(axis=1) / rows[:, None], names, classes),
    )


def _widest(values: FloatArray, groups: Sequence[str], classes: Sequence[str | None]) -> WidestGap | None:
    """Of values of shape (groups, classes), NaN where not known: the class in which two groups differ most."""
    return max(_gaps_by_class(values, groups, classes), key=lambda found: found.gap, default=None)


def _gaps_by_class(values: FloatArray, groups: Sequence[str], classes: Sequence[str | None]) -> Iterator[WidestGap]:
    for name, column in zip(classes, values.T, strict=True):
        if np.count_nonzero(~np.isnan(column)) < 2:
            continue
        high, low = int(np.nanargmax(column)), int(np.nanargmin(column))
        yield WidestGap(
            of_class=name,
            high_group=groups[high],
            high=float(column[high]),
            low_group=groups[low],
            low=float(column[low]),
            gap=float(column[high] - column[low]),
        )
