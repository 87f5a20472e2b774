"""What a student is punished for, per example.

Belongs here: matching hidden states, and the combination of what teacher, labels and hidden states cost.
Does not: what an answer costs, which is the task's affair (stillhouse/tasks/), the loop that lowers it (training.py),
which loss a recipe wants (TrainingConfig), trying all of this before a training (preflight.py).

Every loss returns one number per example; `combined_loss` sums them and the caller divides by the number of examples,
so that splitting a batch into micro-batches cannot change the gradient. That does not hold for relations between the
states of a batch, which a smaller batch has fewer of, and a contrast is one.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING

from stillhouse.recipe.losses import EmbeddingLossName, LossTerm
from stillhouse.recipe.training import TrainingConfig
from stillhouse.tasks.task import Task

if TYPE_CHECKING:
    from torch import Tensor

CONTRAST_TEMPERATURE = 0.1
"""By which cosines are divided in a contrast: as Khosla et al. chose it."""
_NOTHING = 1e-30
"""In the place of a sum over no text, whose logarithm is read by nobody."""


@dataclass(frozen=True, slots=True)
class TargetTensors:
    """What one batch should have answered.

    Attributes:
        labels: shape (n,), in the task's coding.
        known: shape (n,), 1.0 where the label is known, else 0.0.
        teacher_logits: shape (n, outputs), or None when no teacher was asked.
        teacher_embeddings: shape (n, width), or None.
        row_weights: shape (n,), what each example counts, or None when each counts 1.
        teacher_layers: shape (n, width) for each layer of the teacher that a layer learns, by its number.
    """

    labels: "Tensor"
    known: "Tensor"
    teacher_logits: "Tensor | None" = None
    teacher_embeddings: "Tensor | None" = None
    row_weights: "Tensor | None" = None
    teacher_layers: Mapping[int, "Tensor"] = field(default_factory=dict)

    def of(self, rows: "Tensor | slice") -> "TargetTensors":
        """Those of some rows."""
        return TargetTensors(
            self.labels[rows],
            self.known[rows],
            None if self.teacher_logits is None else self.teacher_logits[rows],
            None if self.teacher_embeddings is None else self.teacher_embeddings[rows],
            None if self.row_weights is None else self.row_weights[rows],
            {number: states[rows] for number, states in self.teacher_layers.items()},
        )


@dataclass(frozen=True)
class EmbeddingLoss:
    """How pooled hidden states of a batch are compared.

    Args:
        cost: from a student's states, shape (n, width), and a teacher's, shape (n, other width), to a cost of each row,
            shape (n,).
        relational: the cost of a row depends on the other rows of its batch, so that a batch in parts costs something
            else; the width of the two may differ then.
    """

    cost: Callable[["Tensor", "Tensor"], "Tensor"]
    relational: bool = False


def state_mse(student: "Tensor", teacher: "Tensor") -> "Tensor":
    """Mean squared difference of each state, both of one width; shape (n,)."""
    return (student - teacher).square().mean(-1)


def state_cosine(student: "Tensor", teacher: "Tensor") -> "Tensor":
    """One minus the cosine of each pair of states, both of one width; shape (n,)."""
    from torch.nn import functional

    return 1.0 - functional.cosine_similarity(student, teacher, dim=-1)


def contrast(states: "Tensor", labels: "Tensor", known: "Tensor") -> "Tensor":
    """How much nearer each state is to those of other labels than to those of its own (the supervised contrastive loss;
    Khosla et al., NeurIPS 2020, arXiv:2004.11362, the second form of equation 2).

    Args:
        states: shape (n, width); only their directions count.
        labels: shape (n,), alike where two texts have the same one.
        known: shape (n,), 0 where the label is unknown: it is compared with no other.

    Returns:
        Shape (n,): 0 of a text whose label is unknown or that no other one in the batch has.
    """
    import torch
    from torch.nn import functional

    direction = functional.normalize(states, dim=-1)
    others = known.unsqueeze(0) * (1 - torch.eye(len(states), dtype=known.dtype, device=known.device))
    alike = others * known.unsqueeze(1) * (labels.unsqueeze(0) == labels.unsqueeze(1))
    near = direction @ direction.T / CONTRAST_TEMPERATURE
    chance = near - (near.exp() * others).sum(-1, keepdim=True).clamp_min(_NOTHING).log()
    return -(chance * alike).sum(-1) / alike.sum(-1).clamp_min(1)


def relative_distances(student: "Tensor", teacher: "Tensor") -> "Tensor":
    """Huber loss of the distances between states, each in units of the batch's mean distance (RKD-D; Park et al., CVPR
    2019, arXiv:1904.05068, equation 7).

    Returns:
        Shape (n,): of each row the mean over all rows, itself included, as in the authors' code.
    """
    from torch.nn import functional

    return functional.smooth_l1_loss(_distances(student), _distances(teacher), reduction="none").mean(-1)


def angles(student: "Tensor", teacher: "Tensor") -> "Tensor":
    """Huber loss of the cosines of the angles between three states (RKD-A; as above, equation 9).

    Memory and time grow with the third power of the batch: 64 MB for each tensor of 256 rows.

    Returns:
        Shape (n,): of each row the mean over all pairs of rows that are seen from it.
    """
    from torch.nn import functional

    return functional.smooth_l1_loss(_cosines(student), _cosines(teacher), reduction="none").mean((-2, -1))


# Shapes are those of the batch and nothing is read back, so that a step with these can be recorded (steps.py). Two
# equal states have a distance of 0 and no direction, and give no gradient.


def _distances(states: "Tensor") -> "Tensor":
    from torch.linalg import vector_norm

    apart: Tensor = vector_norm(states.unsqueeze(0) - states.unsqueeze(1), dim=-1)
    mean = apart.sum() / max(len(states) * (len(states) - 1), 1)
    return apart / (mean + (mean == 0))


def _cosines(states: "Tensor") -> "Tensor":
    from torch.linalg import vector_norm

    apart = states.unsqueeze(0) - states.unsqueeze(1)
    length = vector_norm(apart, dim=-1, keepdim=True)
    direction: Tensor = apart / (length + (length == 0))
    return direction @ direction.transpose(1, 2)


EMBEDDING_LOSSES: dict[EmbeddingLossName, EmbeddingLoss] = {
    "mse": EmbeddingLoss(state_mse),
    "cosine": EmbeddingLoss(state_cosine),
    "distances": EmbeddingLoss(relative_distances, relational=True),
    "angles": EmbeddingLoss(angles, relational=True),
}
"""By the names of `stillhouse/recipe/losses.py`."""


def term_costs(
    term: LossTerm,
    logits: "Tensor",
    embeddings: "Tensor",
    targets: TargetTensors,
    task: Task,
    layers: Mapping[int, "Tensor"] = MappingProxyType({}),
) -> "Tensor":
    """What each example costs by one term, before its weight: shape (n,); see `combined_loss` for the rest.

    Of several layers that learn another it is the mean over them.
    """
    if term.embedding_loss is not None and term.layers is not None:
        import torch

        compared = EMBEDDING_LOSSES[term.embedding_loss].cost
        each = [compared(layers[own], targets.teacher_layers[other]) for own, other in term.pairs]
        return torch.stack(each).mean(0)
    if term.embedding_loss is not None:
        assert targets.teacher_embeddings is not None
        return EMBEDDING_LOSSES[term.embedding_loss].cost(embeddings, targets.teacher_embeddings)
    if term.loss == "labels":
        return task.label_loss(logits, targets.labels)
    assert targets.teacher_logits is not None and term.loss is not None
    return task.teacher_losses[term.loss].cost(logits, targets.teacher_logits, term)


def combined_loss(
    logits: "Tensor",
    embeddings: "Tensor",
    targets: TargetTensors,
    *,
    task: Task,
    config: TrainingConfig,
    weights: Sequence["Tensor"] = (),
    layers: Mapping[int, "Tensor"] = MappingProxyType({}),
) -> "Tensor":
    """Sum over the batch of what each example costs.

    An example costs `(1 - w) * loss + w * label loss + embedding_weight * embedding loss + contrast_weight * contrast +
    the mixture`, where w is `label_weight` if its label is known and 0 if not, so an unlabelled example leans on the
    teacher alone; all of it times what the example counts.

    Args:
        logits: shape (n, outputs), the student's.
        embeddings: shape (n, width), the student's pooled hidden state.
        targets: what the teacher and the labels say.
        task: what answers and labels cost.
        config: which losses there are, and their weights.
        weights: what each term of `config.mixture` weighs in this step, a scalar each.
        layers: shape (n, width) for each of the student's layers that learns another, by its number: the mean of the
            tokens' states after it.

    Returns:
        A scalar; divide by the number of examples for a mean.
    """
    cost = term_costs(config.own_term, logits, embeddings, targets, task)
    if config.label_weight > 0:
        weight = config.label_weight * targets.known.to(cost.dtype)
        cost = (1 - weight) * cost + weight * task.label_loss(logits, targets.labels)
    if config.embedding_weight > 0:
        states = LossTerm(embedding_loss=config.embedding_loss)
        cost = cost + config.embedding_weight * term_costs(states, logits, embeddings, targets, task)
    if config.contrast_weight > 0:
        cost = cost + config.contrast_weight * contrast(embeddings, targets.labels, targets.known.to(cost.dtype))
    for weight, term in zip(weights, config.mixture, strict=True):
        cost = cost + weight * term_costs(term, logits, embeddings, targets, task, layers)
    return cost.sum() if targets.row_weights is None else (targets.row_weights * cost).sum()
