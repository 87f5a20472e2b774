"""Classes that a model does not find though its teacher does, which no average has to show.

Belongs here: telling them from a class of which a few more rows were missed.
Does not: what a bar asks (claims.py), the measures by class (measures/metrics.py).
"""

from collections.abc import Sequence

from pydantic import Field

from stillhouse.base import Record
from stillhouse.evaluation.harness import Evaluation
from stillhouse.statistics.proportions import wilson_interval
from stillhouse.statistics.verdicts import Verdict

LOST = 0.5
"""Of the teacher's recall: a class of which a model is shown to find less than half as much is lost."""


class LostClass(Record):
    """A class that is lost."""

    label: str
    rows: int = Field(description="Golden rows of the class.")
    found: int = Field(description="Those that the model finds.")
    teacher_found: int = Field(description="Those that the teacher finds.")

    def __str__(self) -> str:
        """For a sentence."""
        return f"{self.found} of {self.rows:,} rows of '{self.label}', the teacher {self.teacher_found}"


def lost_classes(evaluation: Evaluation) -> tuple[LostClass, ...]:
    """Classes of which the upper limit of the recall (95 %) is under half of the teacher's; of a few rows none is.

    Args:
        evaluation: of any model; labels of sets count as classes do; without the teacher's answers by class, or
            without classes, there is none.
    """
    teachers = {cell.label: cell.rows for cell in evaluation.teacher_confusion or () if cell.label == cell.predicted}
    if evaluation.of_labels is not None:
        teachers = {each.label: round(each.recall * each.rows) for each in evaluation.of_labels.teacher}
    counted = [
        LostClass(
            label=each.label,
            rows=each.rows,
            found=round(each.recall * each.rows),
            teacher_found=teachers.get(each.label, 0),
        )
        for each in evaluation.per_class
        if each.rows
    ]
    return tuple(
        each for each in counted if wilson_interval(each.found, each.rows)[1] < LOST * each.teacher_found / each.rows
    )


def clearing_options(evaluations: Sequence[Evaluation]) -> tuple[list[Evaluation], list[Evaluation]]:
    """The models that clear the bar: those that find every class, and those that lose one."""
    clearing = [each for each in evaluations if each.verdict is Verdict.PASS]
    losing = [each for each in clearing if lost_classes(each)]
    return [each for each in clearing if each not in losing], losing
