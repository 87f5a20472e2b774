"""What a recipe may want a student to be punished for, and what its teacher has to give for it.

Belongs here: the names of losses, what each needs, a term of a mixture and how its weight moves.
Does not: what they cost (stillhouse/tasks/ for answers, models/losses.py for states), the rest of a training
(training.py).
"""

from enum import IntEnum
from typing import Annotated, Literal

from pydantic import Field, model_validator

from stillhouse.base import Record

AS_CUT = "as_cut"
LossName = Literal["kl", "standardised_kl", "dkd", "bce", "logit_mse", "answers", "labels"]
EmbeddingLossName = Literal["mse", "cosine", "distances", "angles"]


class Gives(IntEnum):
    """How much a teacher says of each answer; what is greater holds what is less."""

    ANSWERS = 0
    VOTES = 1
    PROBABILITIES = 2
    LOGITS = 3

    @property
    def in_words(self) -> str:
        """What there is then."""
        return ("answers alone", "votes alone", "probabilities", "logits and hidden states")[self]


NEEDS: dict[LossName, Gives] = {
    "logit_mse": Gives.LOGITS,
    # Between the labels that were not answered an answer or a few votes say nothing, and these are about just that.
    "standardised_kl": Gives.PROBABILITIES,
    "dkd": Gives.PROBABILITIES,
}
"""What a loss needs of a teacher, where that is more than its answers."""

OF_SETS: frozenset[LossName] = frozenset({"bce", "logit_mse", "answers", "labels"})
"""Losses that there are where an answer is a set of labels, each there or not."""

ONLY_OF_SETS: frozenset[LossName] = frozenset({"bce"})
"""Of these, those that there are nowhere else."""

OF_NUMBERS: frozenset[LossName] = frozenset({"logit_mse", "labels"})
"""Losses that there are where an answer is a number: its squared difference from the teacher's, or from the label."""

OF_RECORDS: frozenset[LossName] = frozenset({"kl", "answers", "labels"})
"""Losses that there are where an answer is a record, each field of which is one answer of several."""

SAME_WIDTH: frozenset[EmbeddingLossName] = frozenset({"mse", "cosine"})
"""Comparisons of a state with a state; the others compare relations between states, which have no width."""

Temperature = Annotated[float, Field(gt=0, description="Softens both sides of kl, standardised_kl, dkd and bce.")]
Smoothing = Annotated[
    float, Field(ge=0, lt=1, description="Share of an answer that is spread over all labels, where loss is answers.")
]
NonTargetWeight = Annotated[
    float, Field(ge=0, description="Of the labels that the teacher did not answer, where loss is dkd (its beta).")
]
TEMPERATURE, SMOOTHING, NON_TARGET_WEIGHT = 1.0, 0.1, 8.0


class LossTerm(Record):
    """One of the things that an example costs."""

    loss: LossName | None = Field(None, description="What is compared with the teacher's answer, or with the label.")
    embedding_loss: EmbeddingLossName | None = Field(
        None, description="Or how pooled hidden states are compared, see training.embedding_loss."
    )
    layers: Literal["as_cut"] | tuple[Annotated[int, Field(ge=0)] | None, ...] | None = Field(
        None,
        exclude_if=lambda named: named is None,  # so that a recipe without the field keeps its digest
        description="Of embedding_loss: which layer of the teacher, or of the parent that it learns from, each of its "
        "own learns, in order and counted from 0; null of one that learns none; as_cut of each the one that it was cut "
        "from. What is compared is the mean of the tokens' states after them; the pooled state at the end if left out.",
    )
    weight: float = Field(1.0, ge=0, description="Of this beside 1 for training.loss.")
    first_weight: float | None = Field(
        None, ge=0, description="Weight at the first step, which then moves in a line; weight all the time if left out."
    )
    ramp_share: float = Field(1.0, gt=0, le=1, description="Share of the steps after which weight is reached.")
    temperature: Temperature = TEMPERATURE
    smoothing: Smoothing = SMOOTHING
    non_target_weight: NonTargetWeight = NON_TARGET_WEIGHT

    @model_validator(mode="after")
    def _it_is_one_thing(self) -> "LossTerm":
        if (self.loss is None) == (self.embedding_loss is None):
            raise ValueError("loss, embedding_loss: one of them must be given, and not both")
        if self.first_weight is None and (self.weight == 0 or self.ramp_share != 1):
            raise ValueError("first_weight: must be given where weight is 0 or ramp_share is said")
        require_use(self.smoothing, self.non_target_weight, {self.loss})
        if self.layers is not None and self.embedding_loss is None:
            raise ValueError("layers: belongs to embedding_loss")
        if self.layers is not None and self.layers != AS_CUT and not self.pairs:
            raise ValueError("layers: at least one has to learn another")
        return self

    @property
    def pairs(self) -> tuple[tuple[int, int], ...]:
        """Each own layer that learns another, with that one; none where the pooled states are compared."""
        assert self.layers != AS_CUT, "see TrainingConfig.with_layers_named"
        return tuple((own, other) for own, other in enumerate(self.layers or ()) if isinstance(other, int))

    @property
    def name(self) -> str:
        """What it is called in a message."""
        states = f"embedding_loss {self.embedding_loss}" + ("" if self.layers is None else " of layers")
        return self.loss or states

    @property
    def needs(self) -> Gives:
        """What a teacher has to give for it."""
        return Gives.LOGITS if self.loss is None else NEEDS.get(self.loss, Gives.ANSWERS)

    def weight_at(self, share: float) -> float:
        """Its weight after a share of the steps, in [0, 1]."""
        if self.first_weight is None:
            return self.weight
        return self.first_weight + (self.weight - self.first_weight) * min(share / self.ramp_share, 1.0)


def require_use(smoothing: float, non_target_weight: float, losses: set[LossName | None]) -> None:
    """Refuse a setting of a loss that is not there.

    Raises:
        ValueError: if one is another than when it is left out, and nothing would read it.
    """
    if smoothing != SMOOTHING and "answers" not in losses:
        raise ValueError("smoothing: belongs to loss answers")
    if non_target_weight != NON_TARGET_WEIGHT and "dkd" not in losses:
        raise ValueError("non_target_weight: belongs to loss dkd")
