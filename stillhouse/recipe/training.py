"""What a recipe says of one training.

Belongs here: the settings of the loop, each with its default.
Does not: the loop (models/training.py), which losses there are and what they need (losses.py).
"""

from collections.abc import Sequence

from pydantic import Field, field_validator, model_validator

from stillhouse.base import Record
from stillhouse.recipe.losses import (
    AS_CUT,
    NON_TARGET_WEIGHT,
    SAME_WIDTH,
    SMOOTHING,
    TEMPERATURE,
    EmbeddingLossName,
    LossName,
    LossTerm,
    NonTargetWeight,
    Smoothing,
    Temperature,
    require_use,
)


class TrainingConfig(Record):
    """How one model is trained. The defaults are the demo's for a student."""

    epochs: int = Field(8, ge=1, description="Passes over the examples.")
    batch_size: int = Field(32, ge=1, description="Examples per step.")
    learning_rate: float = Field(2e-4, gt=0, description="Peak of the schedule, reached after the warm-up.")
    warmup_share: float = Field(0.1, ge=0, lt=1, description="Share of the steps that the learning rate rises for.")
    weight_decay: float = Field(0.01, ge=0, description="AdamW's, on every trained weight.")
    clip_norm: float = Field(1.0, gt=0, description="Largest norm of a step's gradient.")
    dropout: float = Field(0.0, ge=0, lt=1, description="On hidden states and attention while training.")
    loss: LossName = Field(
        "logit_mse",
        description="Beside the teacher's distribution (kl; standardised_kl of logits at one mean and spread; dkd with "
        "a weight of its own for the other labels; bce of each label of a set), its logits (logit_mse) or its smoothed "
        "answer (answers); or the labels alone (labels).",
    )
    temperature: Temperature = TEMPERATURE
    smoothing: Smoothing = SMOOTHING
    non_target_weight: NonTargetWeight = NON_TARGET_WEIGHT
    label_weight: float = Field(0.0, ge=0, le=1, description="Of the label where known, beside the teacher.")
    embedding_weight: float = Field(0.0, ge=0, description="Weight of matching the teacher's pooled hidden state.")
    embedding_loss: EmbeddingLossName = Field(
        "mse",
        description="How the pooled hidden states are compared: each with the teacher's (mse, cosine), or the "
        "distances or angles between those of a batch, which may have another width and need batches of some size.",
    )
    mixture: tuple[LossTerm, ...] = Field((), description="What an example costs beside all this, with weights.")
    contrast_weight: float = Field(
        0.0,
        ge=0,
        exclude_if=lambda weight: weight == 0,  # so that a recipe without the field keeps its digest
        description="Beside 1 for the labels, where loss is labels: weight of drawing the pooled hidden states of "
        "texts with one label together, and those of others apart. For few labels.",
    )
    freeze_embeddings: bool = Field(
        True, description="Leave the embedding layer as it is: faster, and rare words keep their meaning."
    )
    max_tokens: int = Field(
        128, ge=3, le=512, description="Longer texts are truncated, at the encoder's own limit at the latest."
    )
    bfloat16: bool = Field(False, description="Autocast. Off: without AVX512-BF16 or AMX it is 35 times slower.")
    threads: int | None = Field(None, ge=1, description="Of torch; None leaves torch's own choice.")
    seed: int = Field(0, ge=0, description="Of the batches' order and of dropout.")
    checkpoint_every: int = Field(100, ge=1, description="Steps between two checkpoints.")

    @model_validator(mode="after")
    def _parts_fit_together(self) -> "TrainingConfig":
        if self.loss == "labels" and self.label_weight > 0:
            raise ValueError("label_weight mixes labels into a teacher's loss; with loss labels leave it at 0")
        if self.loss == "labels" and self.mixture:
            raise ValueError("mixture adds to a teacher's loss; with loss labels leave it out")
        if self.loss != "labels" and self.contrast_weight > 0:
            raise ValueError("contrast_weight: belongs to loss labels")
        twice = [term.name for term in self.mixture if term.loss == self.loss]
        if twice:
            raise ValueError(f"mixture: {twice[0]} is the loss already")
        require_use(self.smoothing, self.non_target_weight, {self.loss})
        if self.batch_size < 3 and not self.embedding_losses <= SAME_WIDTH:
            raise ValueError("batch_size: at least 3 where distances or angles between the states of a batch count")
        return self

    @property
    def own_term(self) -> LossTerm:
        """What `loss` alone is, as a term."""
        return LossTerm(
            loss=self.loss,
            temperature=self.temperature,
            smoothing=self.smoothing,
            non_target_weight=self.non_target_weight,
        )

    @property
    def terms(self) -> tuple[tuple[tuple[str | int, ...], LossTerm], ...]:
        """All that an example costs, each with the field that says so; a weight that moves may begin at none."""
        found: list[tuple[tuple[str | int, ...], LossTerm]] = [(("loss",), self.own_term)]
        if self.embedding_weight > 0:
            states = LossTerm(embedding_loss=self.embedding_loss, weight=self.embedding_weight)
            found.append((("embedding_weight",), states))
        return (*found, *((("mixture", index), term) for index, term in enumerate(self.mixture)))

    @property
    def embedding_losses(self) -> frozenset[EmbeddingLossName]:
        """In which ways hidden states are compared, if any."""
        return frozenset(term.embedding_loss for _, term in self.terms if term.embedding_loss is not None)

    @property
    def pooled_losses(self) -> frozenset[EmbeddingLossName]:
        """Of these, those of the pooled states at the end."""
        pooled = (term.embedding_loss for _, term in self.terms if term.layers is None)
        return frozenset(name for name in pooled if name is not None)

    @property
    def layer_terms(self) -> tuple[tuple[tuple[str | int, ...], LossTerm], ...]:
        """The terms that compare states after layers, each with its field."""
        return tuple((field, term) for field, term in self.terms if term.layers is not None)

    @property
    def own_layers(self) -> tuple[int, ...]:
        """Its layers that learn another, each once."""
        return tuple(sorted({own for _, term in self.layer_terms for own, _ in term.pairs}))

    @property
    def learned_layers(self) -> tuple[int, ...]:
        """The layers that these learn, each once."""
        return tuple(sorted({other for _, term in self.layer_terms for _, other in term.pairs}))

    def with_layers_named(self, cut: Sequence[int]) -> "TrainingConfig":
        """The same with numbers in the place of `as_cut`.

        Args:
            cut: which layer each of its own was cut from.
        """
        mixture = tuple(
            term.model_copy(update={"layers": tuple(cut)}) if term.layers == AS_CUT else term for term in self.mixture
        )
        return self.model_copy(update={"mixture": mixture})

    @field_validator("loss", mode="before")
    @classmethod
    def _as_0_1_0_called_it(cls, loss: object) -> object:
        return "labels" if loss == "cross_entropy" else loss
