"""How well records are right field by field, where accuracy asks for the whole record.

Belongs here: of model and teacher, what all fields together and each by itself say.
Does not: accuracy of whole records, which is the bar's (score.py).
"""

import numpy as np
from pydantic import Field

from stillhouse.arrays import BoolArray, FloatArray, IntArray
from stillhouse.base import Record
from stillhouse.statistics.proportions import wilson_interval
from stillhouse.tasks.extraction import Extraction
from stillhouse.tasks.task import Targets, Task


class FieldScore(Record):
    """A field of a model beside its teacher's."""

    name: str
    accuracy: float = Field(description="Of the model: share of rows with the right value, or rightly without one.")
    accuracy_interval: tuple[float, float] = Field(description="95 %, by Wilson.")
    teacher_accuracy: float
    given: int = Field(description="Rows in which the model gives a value.")
    missed: int = Field(description="Rows that have a value, of which the model gives none, or another one.")


class FieldScores(Record):
    """A model beside its teacher, each field counted by itself."""

    micro_f1: float = Field(description="Of the model: over the values of all fields of all rows.")
    teacher_micro_f1: float
    fields: tuple[FieldScore, ...]


def field_scores(task: Task, targets: Targets, teacher: FloatArray, model: FloatArray) -> FieldScores | None:
    """Count field by field; None where answers are no records.

    Args:
        task: what an answer is.
        targets: shape (n,), the truth.
        teacher: shape (n, outputs), its outputs.
        model: shape (n, outputs), the model's.
    """
    if not isinstance(task, Extraction):
        return None
    truth, taught, said = (
        task.in_fields(each) for each in (targets, task.answers(teacher), task.answers(model))
    )  # fmt: skip
    there = _values(task, truth)
    given = _values(task, said)
    right, teacher_right = truth == said, truth == taught
    return FieldScores(
        micro_f1=micro_f1(there, given, right),
        teacher_micro_f1=micro_f1(there, _values(task, taught), teacher_right),
        fields=tuple(
            FieldScore(
                name=field.name,
                accuracy=float(right[:, number].mean()),
                accuracy_interval=wilson_interval(int(right[:, number].sum()), len(right)),
                teacher_accuracy=float(teacher_right[:, number].mean()),
                given=int(given[:, number].sum()),
                missed=int((there[:, number] & ~right[:, number]).sum()),
            )
            for number, field in enumerate(task.fields)
        ),
    )


def micro_f1(there: BoolArray, given: BoolArray, right: BoolArray) -> float:
    """Twice the values that are right, as a share of those that there are and those that are given; 1 where none is.

    Args:
        there: shape (n, fields), whether a field has a value in truth.
        given: likewise, whether the model gives one.
        right: whether both are the same, no value included.
    """
    both = int(there.sum() + given.sum())
    return 2 * int((right & there).sum()) / both if both else 1.0


def _values(task: Extraction, numbers: IntArray) -> BoolArray:
    """Which of the answers to fields are values; the first of an optional one is that there is none."""
    may_lack = np.array([field.spec.optional for field in task.fields])
    return np.asarray(~may_lack | (numbers > 0))
