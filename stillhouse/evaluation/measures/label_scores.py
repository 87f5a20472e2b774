"""How well answers that are sets of labels are right label by label, where accuracy asks for the whole set.

Belongs here: of model and teacher, what all labels together and each by itself say.
Does not: the metrics (metrics.py), accuracy of whole sets, which is the bar's (score.py).
"""

from pydantic import Field

from stillhouse.arrays import FloatArray
from stillhouse.base import Record
from stillhouse.evaluation.measures import metrics
from stillhouse.tasks import answers_with_sets
from stillhouse.tasks.task import Targets, Task


class LabelScores(Record):
    """A model beside its teacher, each label counted by itself; their macro F1 is in their scores."""

    micro_f1: float = Field(description="Of the model, over all labels of all rows.")
    teacher_micro_f1: float
    teacher: tuple[metrics.ClassMetrics, ...] = Field(description="The teacher's; the model's own are per_class.")


def label_scores(task: Task, targets: Targets, teacher: FloatArray, model: FloatArray) -> LabelScores | None:
    """Count label by label; None where answers are no sets of labels.

    Args:
        task: what an answer is.
        targets: shape (n,), the truth.
        teacher: shape (n, labels), its logits.
        model: shape (n, labels), the model's.
    """
    if not answers_with_sets(task):
        return None
    return LabelScores(
        micro_f1=metrics.micro_f1(task, model, targets),
        teacher_micro_f1=metrics.micro_f1(task, teacher, targets),
        teacher=metrics.per_label(task, teacher, targets),
    )
