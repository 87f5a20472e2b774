"""What a recipe says of one training.

Belongs here: the settings of the loop, each with its default.
Does not: the loop (models/training.py), what the losses are (models/losses.py).
"""

from typing import Literal

from pydantic import Field, field_validator, model_validator

from stillhouse.base import Record

LossName = Literal["kl", "logit_mse", "labels"]
EmbeddingLossName = Literal["mse", "cosine"]


class TrainingConfig(Record):
    """How one model is trained. The defaults are the demo's for a student."""

    epochs: int = Field(8, ge=1, description="Passes over the examples.")
    batch_size: int = Field(32, ge=1, description="Examples per step.")
    learning_rate: float = Field(2e-4, gt=0, description="Peak of the schedule, reached after the warm-up.")
    warmup_share: float = Field(0.1, ge=0, lt=1, description="Share of the steps that the learning rate rises for.")
    weight_decay: float = Field(0.01, ge=0, description="AdamW's, on every trained weight.")
    clip_norm: float = Field(1.0, gt=0, description="Largest norm of a step's gradient.")
    dropout: float = Field(0.0, ge=0, lt=1, description="On hidden states and attention while training.")
    loss: LossName = Field("logit_mse", description="The teacher (kl, logit_mse), or the labels alone (labels).")
    temperature: float = Field(1.0, gt=0, description="Softens both sides of kl.")
    label_weight: float = Field(0.0, ge=0, le=1, description="Of the label where known, beside the teacher.")
    embedding_weight: float = Field(0.0, ge=0, description="Weight of matching the teacher's pooled hidden state.")
    embedding_loss: EmbeddingLossName = Field("mse", description="How the pooled hidden states are compared.")
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
        return self

    @field_validator("loss", mode="before")
    @classmethod
    def _as_0_1_0_called_it(cls, loss: object) -> object:
        return "labels" if loss == "cross_entropy" else loss
