"""How well one model does on the golden rows, by itself.

Belongs here: its accuracy, macro F1 and calibration, and what it weighs.
Does not: each metric (metrics.py, statistics/), two models held against each other (fidelity.py).
"""

import numpy as np
from pydantic import Field

from stillhouse.arrays import FloatArray
from stillhouse.base import Record
from stillhouse.evaluation.measures import metrics
from stillhouse.evaluation.models import EvaluatedModel, ModelKind
from stillhouse.statistics.calibration import Calibration, calibration
from stillhouse.statistics.proportions import wilson_interval
from stillhouse.tasks.task import Targets, Task


class Score(Record):
    """How well one model does on the golden set, by itself."""

    name: str
    kind: ModelKind
    digest: str | None = Field(description="Content digest of the artifact measured.")
    accuracy: float
    accuracy_interval: tuple[float, float] = Field(description="95 % Wilson interval.")
    macro_f1: float | None = Field(description="Over classes, or labels of sets; null where answers are neither.")
    calibration: Calibration | None = Field(description="Null where answers have no probability.")
    size_bytes: int | None = Field(
        description="Null of a teacher that does not run here, and of a model behind a server."
    )
    note: str


def score_of(model: EvaluatedModel, logits: FloatArray, targets: Targets, task: Task) -> Score:
    """Measure one model.

    Args:
        model: the model.
        logits: shape (golden rows, outputs), its outputs.
        targets: shape (golden rows,), the truth.
        task: what an answer is.
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
        calibration=calibration(logits, targets, correct, temperature=model.temperature) if by_class else None,
        size_bytes=model.size_bytes,
        note=model.note,
    )
