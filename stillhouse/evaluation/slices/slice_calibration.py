"""Whether a model's confidence means what it says on each declared slice.

Belongs here: calibration error and Brier score of teacher and student on each slice.
Does not: the measures (statistics/calibration.py), a verdict: what is measured here is reported only.
"""

from collections.abc import Sequence

import numpy as np
from pydantic import Field

from stillhouse.arrays import BoolArray, FloatArray, IntArray
from stillhouse.base import Record
from stillhouse.recipe.bar import SliceSpec
from stillhouse.statistics.calibration import brier_score, expected_calibration_error, reliability
from stillhouse.tasks.task import Task

FEWEST_ROWS = 200
"""Fewer rows of a slice measure mostly noise. With the confidences of the demo's student, one that is perfectly
calibrated shows a calibration error of 3.4 points on 200 rows, 4.2 on 100 and 6.0 on 30 (means of 1,000 draws)."""


class ConfidenceMeasured(Record):
    """How much one model's confidence on a slice is worth."""

    expected_calibration_error: float = Field(
        description="Mean gap between confidence and accuracy, over bins of about equally many rows."
    )
    brier: float = Field(description="Mean squared distance of the probabilities from the truth, 0 to 2.")


class SliceCalibration(Record):
    """Calibration of teacher and student on one slice."""

    name: str
    rows: int
    teacher: ConfidenceMeasured | None = Field(description="Null with fewer than 200 rows.")
    student: ConfidenceMeasured | None = Field(description="Null with fewer than 200 rows.")


def slice_calibration(
    specs: Sequence[SliceSpec], masks: BoolArray, teacher: FloatArray, student: FloatArray, labels: IntArray, task: Task
) -> tuple[SliceCalibration, ...]:
    """Measure the calibration of both models on every slice.

    Args:
        specs: the declared slices.
        masks: shape (slices, rows), membership.
        teacher: shape (rows, classes), the teacher's probabilities, as served.
        student: shape (rows, classes), the student's.
        labels: shape (rows,), class indices.
        task: which answers are right.

    Returns:
        One result for each slice, in the order declared.
    """
    return tuple(
        SliceCalibration(
            name=spec.name,
            rows=int(np.count_nonzero(mask)),
            teacher=_measure(teacher[mask], labels[mask], task),
            student=_measure(student[mask], labels[mask], task),
        )
        for spec, mask in zip(specs, masks, strict=True)
    )


def _measure(probabilities: FloatArray, labels: IntArray, task: Task) -> ConfidenceMeasured | None:
    if len(labels) < FEWEST_ROWS:
        return None
    return ConfidenceMeasured(
        expected_calibration_error=expected_calibration_error(
            reliability(probabilities.max(axis=1), task.right(probabilities, labels))
        ),
        brier=brier_score(probabilities, labels),
    )
