"""How well records are right field by field, where accuracy asks for the whole record.

Belongs here: of model and teacher, what all fields together and each by itself say.
Does not: accuracy of whole records (score.py), F1 and the bar's test of it (stillhouse/statistics/field_test.py).
"""

from pydantic import Field

from stillhouse.arrays import FloatArray
from stillhouse.base import Record
from stillhouse.statistics.field_test import Values
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
    there, given = task.has_values(targets), task.has_values(task.answers(model))
    right, teacher_right = task.right_fields(model, targets), task.right_fields(teacher, targets)
    return FieldScores(
        micro_f1=values_of(task, targets, model).f1,
        teacher_micro_f1=values_of(task, targets, teacher).f1,
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


def values_of(task: Extraction, targets: Targets, logits: FloatArray) -> Values:
    """The values that a model gives to each row, and those that are there.

    Args:
        task: the records.
        targets: shape (n,), the truth.
        logits: shape (n, outputs), the model's.
    """
    there, given = task.has_values(targets), task.has_values(task.answers(logits))
    return Values.of(there, given, task.right_fields(logits, targets))
