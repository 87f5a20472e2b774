"""What a student is punished for, per example.

Belongs here: losses and their combined_loss, as functions of tensors.
Does not: the loop that lowers them (training.py), which one a recipe wants (TrainingConfig).

Every loss returns one number per example; `combined_loss` sums them and the caller divides by the number of examples,
so that splitting a batch into micro-batches cannot change the gradient.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from stillhouse.recipe.training import EmbeddingLossName, LossName

if TYPE_CHECKING:
    from torch import Tensor


UNKNOWN_LABEL = -1


@dataclass(frozen=True, slots=True)
class Targets:
    """What one batch should have answered.

    Attributes:
        label_ids: shape (n,), `UNKNOWN_LABEL` where nobody knows.
        teacher_logits: shape (n, classes), or None when no teacher was asked.
        teacher_embeddings: shape (n, width), or None.
    """

    label_ids: "Tensor"
    teacher_logits: "Tensor | None" = None
    teacher_embeddings: "Tensor | None" = None


def temperature_kl(student_logits: "Tensor", teacher_logits: "Tensor", temperature: float) -> "Tensor":
    """KL(teacher || student) of the softened distributions, times T^2 (Hinton et al. 2015, arXiv:1503.02531).

    The factor keeps the size of the gradient while T changes.

    Args:
        student_logits: shape (n, classes).
        teacher_logits: shape (n, classes).
        temperature: T > 0, dividing both.

    Returns:
        Shape (n,).
    """
    from torch.nn import functional

    student = functional.log_softmax(student_logits / temperature, dim=-1)
    teacher = functional.log_softmax(teacher_logits / temperature, dim=-1)
    return (teacher.exp() * (teacher - student)).sum(-1) * temperature**2


def logit_mse(student_logits: "Tensor", teacher_logits: "Tensor") -> "Tensor":
    """Mean squared difference of the logits (Kim et al., IJCAI 2021, arXiv:2105.08919).

    Returns:
        Shape (n,).
    """
    return (student_logits - teacher_logits).square().mean(-1)


def label_cross_entropy(student_logits: "Tensor", label_ids: "Tensor") -> "Tensor":
    """Cross entropy with the label, exactly 0 where the label is unknown.

    Returns:
        Shape (n,).
    """
    from torch.nn import functional

    return functional.cross_entropy(student_logits, label_ids, ignore_index=UNKNOWN_LABEL, reduction="none")


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


def _kl(logits: "Tensor", targets: Targets, temperature: float) -> "Tensor":
    assert targets.teacher_logits is not None
    return temperature_kl(logits, targets.teacher_logits, temperature)


def _logit_mse(logits: "Tensor", targets: Targets, temperature: float) -> "Tensor":
    assert targets.teacher_logits is not None
    return logit_mse(logits, targets.teacher_logits)


def _cross_entropy(logits: "Tensor", targets: Targets, temperature: float) -> "Tensor":
    return label_cross_entropy(logits, targets.label_ids)


LOSSES: dict[LossName, Callable[["Tensor", Targets, float], "Tensor"]] = {
    "kl": _kl,
    "logit_mse": _logit_mse,
    "cross_entropy": _cross_entropy,
}


def combined_loss(
    logits: "Tensor",
    embeddings: "Tensor",
    targets: Targets,
    *,
    loss: LossName,
    temperature: float = 1.0,
    label_weight: float = 0.0,
    embedding_weight: float = 0.0,
    embedding_loss: EmbeddingLossName = "mse",
) -> "Tensor":
    """Sum over the batch of what each example costs.

    An example costs `(1 - w) * loss + w * cross entropy + embedding_weight * embedding loss`, where w is `label_weight`
    if its label is known and 0 if not, so an unlabelled example leans on the teacher alone.

    Args:
        logits: shape (n, classes), the student's.
        embeddings: shape (n, width), the student's pooled hidden state.
        targets: what the teacher and the labels say.
        loss: key of `LOSSES`.
        temperature: for `kl`.
        label_weight: in [0, 1].
        embedding_weight: 0 leaves embeddings out.
        embedding_loss: how embeddings are compared.

    Returns:
        A scalar; divide by the number of examples for a mean.
    """
    cost = LOSSES[loss](logits, targets, temperature)
    if label_weight > 0 and loss != "cross_entropy":
        weight = label_weight * (targets.label_ids != UNKNOWN_LABEL).to(cost.dtype)
        cost = (1 - weight) * cost + weight * label_cross_entropy(logits, targets.label_ids)
    if embedding_weight > 0:
        assert targets.teacher_embeddings is not None
        cost = cost + embedding_weight * embedding_match(embeddings, targets.teacher_embeddings, embedding_loss)
    return cost.sum()
