"""How well one model does on the golden rows, by itself.

Belongs here: its accuracy, macro F1, mean error, the bar's metric and calibration, and what it weighs.
Does not: each metric (metrics.py, statistics/), two models held against each other (fidelity.py).
"""

import numpy as np
from pydantic import Field

from stillhouse.arrays import FloatArray, IntArray
from stillhouse.base import Record
from stillhouse.evaluation.measures import metrics
from stillhouse.evaluation.measures.bar_metric import bar_metric_of
from stillhouse.evaluation.measures.number_scores import mean_error
from stillhouse.evaluation.models import EvaluatedModel, ModelKind
from stillhouse.recipe.bar import BarSpec
from stillhouse.statistics.calibration import Calibration, calibration
from stillhouse.statistics.proportions import wilson_interval
from stillhouse.tasks.score import NumericScore
from stillhouse.tasks.task import Targets, Task


class Score(Record):
    """How well one model does on the golden set, by itself."""

    name: str
    kind: ModelKind
    digest: str | None = Field(description="Content digest of the artifact measured.")
    accuracy: float
    accuracy_interval: tuple[float, float] = Field(description="95 % Wilson interval.")
    macro_f1: float | None = Field(description="Over classes, or labels of sets; null where answers are neither.")
    mean_error: float | None = Field(
        default=None,
        exclude_if=lambda found: found is None,  # so that a record of classes is what it was
        description="Left out where answers are no numbers; mean absolute difference from the label.",
    )
    of_bar: float | None = Field(
        default=None,
        exclude_if=lambda found: found is None,  # so that a record of accuracy is what it was
        description="In the bar's metric; left out where that is accuracy.",
    )
    calibration: Calibration | None = Field(description="Null where answers have no probability.")
    size_bytes: int | None = Field(
        description="Null of a teacher that does not run here, and of a model behind a server."
    )
    note: str

    @property
    def quality(self) -> float:
        """What the bar compares of it: accuracy, or its own metric."""
        return self.accuracy if self.of_bar is None else self.of_bar


def score_of(
    model: EvaluatedModel,
    logits: FloatArray,
    targets: Targets,
    task: Task,
    bar: BarSpec,
    *,
    groups: IntArray | None = None,
) -> Score:
    """Measure one model.

    Args:
        model: the model.
        logits: shape (golden rows, outputs), its outputs.
        targets: shape (golden rows,), the truth.
        task: what an answer is.
        bar: names the metric that is measured beside accuracy.
        groups: shape (golden rows,), equal where rows belong together; None where every row stands alone.
    """
    correct = task.right(logits, targets)
    right, by_class = int(np.count_nonzero(correct)), task.classes is not None
    by_name = metrics.by_name(task, logits, targets)
    return Score(
        name=model.name,
        kind=model.kind,
        digest=model.digest,
        accuracy=right / len(correct),
        accuracy_interval=wilson_interval(right, len(correct)),
        macro_f1=metrics.macro_f1(by_name) if by_name else None,
        mean_error=mean_error(task, task.answers(logits), targets) if isinstance(task, NumericScore) else None,
        of_bar=None if bar.metric == "accuracy" else bar_metric_of(bar, task, targets, logits, groups=groups),
        calibration=calibration(logits, targets, correct, temperature=model.temperature) if by_class else None,
        size_bytes=model.size_bytes,
        note=model.note,
    )
