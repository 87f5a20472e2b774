"""The verdict on each declared part of the golden set.

Belongs here: membership, the per-slice table, non-inferiority with family-wise control, floors.
Does not: discovering slices nobody declared (discovery.py), deciding what a failed slice blocks (checks/).

A field of records is such a part, too: of the rows in which there is a value of it, each right where the field is.
"""

from collections.abc import Sequence

import numpy as np
import polars as pl
from pydantic import Field

from stillhouse.arrays import BoolArray, IntArray
from stillhouse.base import Record
from stillhouse.errors import StillhouseError
from stillhouse.recipe.bar import FieldSlice, SliceSpec
from stillhouse.statistics.accuracy_test import (
    NonInferiority,
    non_inferiority_from_counts,
    non_inferiority_p_value,
)
from stillhouse.statistics.floors import FloorTest, floor_test, floor_test_by_groups
from stillhouse.statistics.metric_test import MetricTest, accuracy_test_by_groups
from stillhouse.statistics.multiplicity import holm_levels
from stillhouse.statistics.proportions import wilson_interval
from stillhouse.statistics.verdicts import Verdict
from stillhouse.tasks.extraction import Extraction
from stillhouse.tasks.label_sets import carries_any
from stillhouse.tasks.task import Logits, Targets, Task


class SliceResult(Record):
    """What was measured on one slice, and what it proves."""

    name: str
    is_field: bool = Field(
        default=False,
        exclude_if=lambda given: not given,  # so that a record of slices is what it was
        description="Whether it is a field of records, of the golden rows in which truth or a model has a value of it.",
    )
    critical: bool = Field(description="Whether the slice binds the overall verdict.")
    rows: int
    teacher_accuracy: float | None = Field(description="Null on an empty slice.")
    teacher_interval: tuple[float, float] = Field(description="95 % Wilson interval; (0, 1) on an empty slice.")
    student_accuracy: float | None = Field(description="Null on an empty slice.")
    student_interval: tuple[float, float] = Field(description="95 % Wilson interval; (0, 1) on an empty slice.")
    non_inferiority: NonInferiority | MetricTest | None = Field(
        description="Null on an empty slice. Critical slices: at Holm's level. By resampling whole groups where rows "
        "come in such."
    )
    non_inferiority_verdict: Verdict = Field(description="An empty slice is inconclusive.")
    floor: FloorTest | None = Field(description="Null when no floor is declared.")
    verdict: Verdict = Field(description="The worse of non-inferiority and floor.")


def slice_masks(golden: pl.DataFrame, specs: Sequence[SliceSpec], *, are_sets: bool = False) -> BoolArray:
    """Which golden rows belong to which slice; slices may overlap.

    Args:
        golden: the golden rows.
        specs: the declared slices, with distinct names.

    Returns:
        Shape (slices, rows). A null in the column belongs to no slice.

    Raises:
        StillhouseError: if a column is missing or a name is used twice.
    """
    names = [spec.name for spec in specs]
    for name in names:
        if names.count(name) > 1:
            raise StillhouseError(
                "two slices have one name",
                where=f"slice '{name}'",
                expected="distinct names",
                do="Rename one of them in the recipe.",
            )
    masks = np.zeros((len(specs), golden.height), dtype=np.bool_)
    for index, spec in enumerate(specs):
        if spec.column not in golden.columns:
            raise StillhouseError(
                f"the golden set has no column '{spec.column}'",
                where=f"slice '{spec.name}'",
                expected=f"one of {', '.join(sorted(golden.columns))}",
                do="Correct the slice's column in the recipe, or add the column to the source.",
            )
        masks[index] = golden.select(is_member(spec, are_sets=are_sets).fill_null(False)).to_series().to_numpy()
    return masks


def is_member(spec: SliceSpec, *, are_sets: bool) -> pl.Expr:
    """Whether a row is in a slice, null where it says nothing.

    Args:
        spec: the slice.
        are_sets: whether labels are sets, of which any label may decide.
    """
    column = pl.col(spec.column).cast(pl.String)
    return (
        carries_any(column, spec.values, are_sets=are_sets)
        if spec.column == "label"
        else column.is_in(list(spec.values))
    )


def with_fields(
    masks: BoolArray, fields: Sequence[FieldSlice], task: Task, targets: Targets, *said: Logits
) -> BoolArray:
    """The rows of slices, and below them those of fields: where the truth or one of the models has a value.

    A row of which all say that there is none shows nothing of values. Else a field that one row in twenty has would
    hold a floor of 90 % without ever being found, and one that no row has would hold any.

    Args:
        masks: shape (slices, rows), membership.
        fields: that are judged by themselves; none where answers are no records.
        task: what an answer is.
        targets: shape (rows,), the truth.
        said: of each model, shape (rows, outputs).

    Returns:
        Shape (slices and fields, rows).
    """
    if not fields:
        return masks
    records = [targets, *map(task.answers, said)]
    given = np.any([_of_records(task).has_values(each) for each in records], axis=0)
    return np.concatenate([masks, given[:, _places(task, fields)].T])


def right_by_part(
    correct: BoolArray, slices: int, fields: Sequence[FieldSlice], task: Task, logits: Logits, targets: Targets
) -> BoolArray:
    """Which rows a model has right in the eyes of each part: of a slice the whole answer, of a field that field.

    Args:
        correct: shape (rows,), where the whole answer is right.
        slices: how many there are.
        fields: that are judged by themselves; none where answers are no records.
        task: what an answer is.
        logits: shape (rows, outputs), the model's.
        targets: shape (rows,), the truth.

    Returns:
        Shape (slices and fields, rows).
    """
    whole = np.broadcast_to(correct, (slices, len(correct)))
    if not fields:
        return whole
    right = _of_records(task).right_fields(logits, targets)
    return np.concatenate([whole, right[:, _places(task, fields)].T])


def _of_records(task: Task) -> Extraction:
    assert isinstance(task, Extraction), "fields of answers that are no records, which the harness refuses"
    return task


def _places(task: Task, fields: Sequence[FieldSlice]) -> list[int]:
    """Where the fields that are judged are among all of a record."""
    names = [each.name for each in _of_records(task).fields]
    return [names.index(each.name) for each in fields]


def slice_table(
    specs: Sequence[SliceSpec | FieldSlice],
    masks: BoolArray,
    teacher_correct: BoolArray,
    student_correct: BoolArray,
    *,
    margin: float,
    alpha: float = 0.05,
    groups: IntArray | None = None,
) -> tuple[SliceResult, ...]:
    """Judge every slice.

    Critical slices share one family-wise error rate (Holm): a slice is judged at the level Holm's procedure
    gives it, so its bound, its verdict and its `rows_needed` all answer for the family. The others are judged
    alone, at `alpha`, and reported. Floors are tested at `alpha` each: all of them must hold, so testing many
    makes passing harder, not easier.

    Args:
        specs: the declared slices, and fields behind them.
        masks: shape (slices, rows), membership.
        teacher_correct: shape (rows,), True where the teacher was right; or (slices, rows), where each slice has a
            right of its own, as fields have.
        student_correct: the same of the student, on the same rows in the same order.
        margin: largest acceptable drop on a slice that declares none of its own, as a fraction.
        alpha: one-sided error rate, family-wise over the critical slices.
        groups: shape (rows,), equal where rows belong together; a slice then takes whole groups for its evidence, and
            with fewer than 20 of them it is inconclusive. None where every row stands alone.

    Returns:
        One result per slice, in the order declared.
    """
    teacher_correct, student_correct = (
        np.broadcast_to(each, masks.shape) for each in (teacher_correct, student_correct)
    )
    rows = _members(masks, np.ones(masks.shape[1], dtype=np.bool_))
    teacher_right, student_right = _members(masks, teacher_correct), _members(masks, student_correct)
    teacher_only = _members(masks, teacher_correct & ~student_correct)
    student_only = _members(masks, student_correct & ~teacher_correct)
    margins = [margin if spec.margin is None else spec.margin for spec in specs]
    tests: Sequence[NonInferiority | MetricTest | None]
    if groups is None:
        levels = _levels(specs, teacher_only, student_only, rows, margins, alpha)
        counts = zip(teacher_only.tolist(), student_only.tolist(), rows.tolist(), margins, levels, strict=True)
        tests = [
            non_inferiority_from_counts(lost, won, n, margin=own, alpha=level) if n else None
            for lost, won, n, own, level in counts
        ]
    else:
        tests = _tests_by_groups(specs, masks, teacher_correct, student_correct, groups, margins, alpha)
    results = []
    for index, spec in enumerate(specs):
        n, right, teacher = int(rows[index]), int(student_right[index]), int(teacher_right[index])
        result = tests[index]
        verdict = result.verdict if result else Verdict.INCONCLUSIVE
        if spec.floor is None:
            floor = None
        elif groups is None or n == 0:
            floor = floor_test(right, n, spec.floor, resolution=margins[index], alpha=alpha)
        else:
            inside = masks[index]
            floor = floor_test_by_groups(student_correct[index, inside], groups[inside], spec.floor, alpha=alpha)
        results.append(
            SliceResult(
                name=spec.name,
                is_field=isinstance(spec, FieldSlice),
                critical=spec.critical,
                rows=n,
                teacher_accuracy=teacher / n if n else None,
                teacher_interval=wilson_interval(teacher, n),
                student_accuracy=right / n if n else None,
                student_interval=wilson_interval(right, n),
                non_inferiority=result,
                non_inferiority_verdict=verdict,
                floor=floor,
                verdict=verdict if floor is None else Verdict.worst([verdict, floor.verdict]),
            )
        )
    return tuple(results)


def _members(masks: BoolArray, rows: BoolArray) -> IntArray:
    """How many of the rows marked True are in each slice."""
    counts: IntArray = np.count_nonzero(masks & rows, axis=1)
    return counts


def _tests_by_groups(
    specs: Sequence[SliceSpec | FieldSlice],
    masks: BoolArray,
    teacher_correct: BoolArray,
    student_correct: BoolArray,
    groups: IntArray,
    margins: Sequence[float],
    alpha: float,
) -> list[MetricTest | None]:
    """Non-inferiority of each slice by whole groups; the critical ones by Holm's procedure without p-values.

    A bootstrap has bounds and no p-value. Holm's steps need none: of k tests that are left, those that pass at
    alpha / k are through, until none of the rest does.
    """

    def judge(index: int, level: float) -> MetricTest | None:
        inside = masks[index]
        if not inside.any():
            return None
        return accuracy_test_by_groups(
            teacher_correct[index, inside],
            student_correct[index, inside],
            groups[inside],
            margin=margins[index],
            alpha=level,
        )

    tests = [None if spec.critical else judge(index, alpha) for index, spec in enumerate(specs)]
    left = [index for index, spec in enumerate(specs) if spec.critical]
    passed = left
    while left and passed:
        for index in left:
            tests[index] = judge(index, alpha / len(left))
        passed = [index for index in left if (test := tests[index]) is not None and test.verdict is Verdict.PASS]
        left = [index for index in left if index not in passed]
    return tests


def _levels(
    specs: Sequence[SliceSpec | FieldSlice],
    teacher_only: IntArray,
    student_only: IntArray,
    rows: IntArray,
    margins: Sequence[float],
    alpha: float,
) -> list[float]:
    critical = [index for index, spec in enumerate(specs) if spec.critical]
    p_values = [
        non_inferiority_p_value(
            int(teacher_only[index]), int(student_only[index]), int(rows[index]), margin=margins[index]
        )
        for index in critical
    ]
    levels = [alpha] * len(specs)
    for index, level in zip(critical, holm_levels(p_values, alpha), strict=True):
        levels[index] = level
    return levels
