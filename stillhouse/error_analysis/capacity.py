"""Whether a student is large enough at all: can it memorise one batch of its teacher's answers?

Belongs here: the trial, whose model is thrown away.
Does not: the loop (models/training.py), what the outcome means (rules.py).
"""

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
from pydantic import Field

from stillhouse.base import Record
from stillhouse.device import CPU, Device
from stillhouse.tasks.task import Task
from stillhouse.teachers.answers import logits_of

if TYPE_CHECKING:
    from stillhouse.recipe.training import TrainingConfig


BATCH_ROWS = 32
"""The usual batch: few enough to be memorised in seconds, too many for a model that cannot tell texts apart."""

BATCH_STEPS = (60, 300)
"""The demo's student of two layers has memorised its batch after 50 steps at each rate from 2e-4 to 1e-3; only one that
has not after the first number is given the second, so that a slow start is not taken for a small model."""

BATCH_RATE = 1e-3
"""Not the recipe's: whether a student can is asked apart from whether its own training lets it."""

DIVERGENCE_LEFT = 0.05
"""Share of the targets' own spread that may be left when a batch counts as memorised; the demo's has 0.00001."""


class BatchTrial(Record):
    """Whether a student, from its start, can memorise one batch of its teacher's answers."""

    rows: int = Field(description="In the batch, the teacher's answers in turn.")
    steps: int = Field(description="Optimiser steps it was given.")
    agreement: float = Field(description="Share of the batch then answered as the teacher does.")
    divergence_left: float = Field(
        description="Mean KL(teacher || student) then, as a share of what one answer to all rows, the teacher's mean "
        "probabilities, would leave."
    )

    @property
    def memorised(self) -> bool:
        """Whether it could."""
        return self.agreement == 1.0 and self.divergence_left <= DIVERGENCE_LEFT


def overfit_one_batch(
    start: Path, rows: pl.DataFrame, config: "TrainingConfig", task: Task, device: Device = CPU
) -> BatchTrial:
    """Train a student on a single batch of teacher targets until it should have memorised it.

    A model that cannot is too small for the task, or broken; one that can has at least what it takes for so many rows
    (a usual first check of a network, such as Karpathy 2019, karpathy.github.io/2019/04/25/recipe).

    Args:
        start: the student before any training.
        rows: `prompt_id`, `text`, `logits` of the transfer set, by which the batch is chosen: the first row of each
            answer of the teacher, then the second, by prompt id.
        config: of the student; what of it is not about how fast and from what it learns counts here, too.
        task: what an answer is.
        device: where it is trained.
    """
    batch = _answers_in_turn(rows, task).head(BATCH_ROWS)
    for steps in BATCH_STEPS:
        trial = _trial(start, batch, config, steps, task, device)
        if trial.memorised:
            break
    return trial


def _trial(
    start: Path, batch: pl.DataFrame, config: "TrainingConfig", steps: int, task: Task, device: Device
) -> BatchTrial:
    from stillhouse.models.predictor import TorchClassifier
    from stillhouse.models.training import train
    from stillhouse.models.training_examples import TrainingExamples

    texts, targets = batch["text"].to_list(), logits_of(batch)
    how = {
        "epochs": steps, "batch_size": BATCH_ROWS, "learning_rate": BATCH_RATE,
        "loss": "logit_mse" if "logit_mse" in task.teacher_losses else "kl",  # of records some outputs are no logits
        "weight_decay": 0.0, "dropout": 0.0, "label_weight": 0.0, "embedding_weight": 0.0, "mixture": (),
        "contrast_weight": 0.0,
    }  # fmt: skip
    unknown = task.targets(pl.Series([None] * batch.height, dtype=pl.String))
    with tempfile.TemporaryDirectory() as scratch:
        out = Path(scratch) / "model"
        train(start, out, TrainingExamples(texts, unknown, task, targets), config.model_copy(update=how), device=device)
        logits = TorchClassifier(out, device).logits(texts).astype(np.float64)
    teacher = targets.astype(np.float64)
    spread = float(task.divergence(teacher, np.broadcast_to(task.average(teacher), teacher.shape)).mean())
    left = float(task.divergence(teacher, logits).mean())
    return BatchTrial(
        rows=batch.height,
        steps=steps,
        agreement=float(task.agree(logits, teacher).mean()),
        divergence_left=left / spread if spread > 0 else float(left > 0),
    )


def _answers_in_turn(rows: pl.DataFrame, task: Task) -> pl.DataFrame:
    answered = rows.with_columns(answer=pl.Series(task.answers(logits_of(rows)))).sort("prompt_id")
    return answered.with_columns(turn=pl.int_range(pl.len()).over("answer")).sort("turn", "answer")
