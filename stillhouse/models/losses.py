"""What a student is punished for, per example.

Belongs here: matching hidden states, and the combination of what teacher, labels and hidden states cost.
Does not: what an answer costs, which is the task's affair (stillhouse/tasks/), the loop that lowers it (training.py),
which loss a recipe wants (TrainingConfig).

Every loss returns one number per example; `combined_loss` sums them and the caller divides by the number of examples,
so that splitting a batch into micro-batches cannot change the gradient.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from stillhouse.recipe.training import EmbeddingLossName, LossName
from stillhouse.tasks.task import Task

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, slots=True)
class TargetTensors:
    """What one batch should have answered.

    Attributes:
        labels: shape (n,), in the task's coding.
        known: shape (n,), 1.0 where the label is known, else 0.0.
        teacher_logits: shape (n, outputs), or None when no teacher was asked.
        teacher_embeddings: shape (n, width), or None.
    """

    labels: "Tensor"
    known: "Tensor"
    teacher_logits: "Tensor | None" = None
    teacher_embeddings: "Tensor | None" = None

    def of(self, rows: "Tensor | slice") -> "TargetTensors":
        """Those of some rows."""
        return TargetTensors(
            self.labels[rows],
            self.known[rows],
            None if self.teacher_logits is None else self.teacher_logits[rows],
            None if self.teacher_embeddings is None else self.teacher_embeddings[rows],
        )


def embedding_match(student: "Tensor", teacher: "Tensor", kind: EmbeddingLossName) -> "Tensor":
    """How far the pooled hidden states lie apart: mean squared difference, or one minus the cosine.

    Args:
        student: shape (n, width).
        teacher: shape (n, width), the same width.
        kind: which of the two.

    Returns:
        Shape (n,).
    """
    from torch.nn import functional

    if kind == "cosine":
        return 1.0 - functional.cosine_similarity(student, teacher, dim=-1)
    return (student - teacher).square().mean(-1)


def combined_loss(
    logits: "Tensor",
    embeddings: "Tensor",
    targets: TargetTensors,
    *,
    task: Task,
    loss: LossName,
    temperature: float = 1.0,
    label_weight: float = 0.0,
    embedding_weight: float = 0.0,
    embedding_loss: EmbeddingLossName = "mse",
) -> "Tensor":
    """Sum over the batch of what each example costs.

    An example costs `(1 - w) * loss + w * label loss + embedding_weight * embedding loss`, where w is `label_weight`
    if its label is known and 0 if not, so an unlabelled example leans on the teacher alone.

    Args:
        logits: shape (n, outputs), the student's.
        embeddings: shape (n, width), the student's pooled hidden state.
        targets: what the teacher and the labels say.
        task: what answers and labels cost.
        loss: `labels`, or one of the task's `teacher_losses`.
        temperature: for losses that soften both sides.
        label_weight: in [0, 1].
        embedding_weight: 0 leaves embeddings out.
        embedding_loss: how embeddings are compared.

    Returns:
        A scalar; divide by the number of examples for a mean.
    """
    if loss == "labels":
        cost = task.label_loss(logits, targets.labels)
    else:
        assert targets.teacher_logits is not None
        cost = task.teacher_losses[loss](logits, targets.teacher_logits, temperature)
        if label_weight > 0:
            weight = label_weight * targets.known.to(cost.dtype)
            cost = (1 - weight) * cost + weight * task.label_loss(logits, targets.labels)
    if embedding_weight > 0:
        assert targets.teacher_embeddings is not None
        cost = cost + embedding_weight * embedding_match(embeddings, targets.teacher_embeddings, embedding_loss)
    return cost.sum()
