"""Rows of a prompt set or a transfer set as what a model learns from.

Belongs here: which rows those are, in which order.
Does not: the loop that learns from them (stillhouse/models/training.py).
"""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from stillhouse.arrays import Float32Array
from stillhouse.device import Device
from stillhouse.recipe.students import StudentSpec
from stillhouse.tasks.task import Task
from stillhouse.teachers.answers import logits_of
from stillhouse.teachers.columns import DISAGREEMENT, RATIONALE

if TYPE_CHECKING:
    from stillhouse.models.training import TrainingExamples


def labelled_rows(prompts: pl.DataFrame) -> pl.DataFrame:
    """Rows of training and validation whose label is known, in a fixed order."""
    return prompts.filter(pl.col("label").is_not_null() & (pl.col("split") != "golden")).sort("prompt_id")


def validation_rows(prompts: pl.DataFrame) -> pl.DataFrame:
    """Rows of validation, in a fixed order."""
    return prompts.filter(pl.col("split") == "validation").sort("prompt_id")


def labelled_examples(rows: pl.DataFrame, task: Task) -> "TrainingExamples":
    """Turn labelled rows into examples to train on and examples to watch."""
    from stillhouse.models.training import TrainingExamples

    train, validation = rows.filter(pl.col("split") == "train"), rows.filter(pl.col("split") == "validation")
    return TrainingExamples(
        texts=train["text"].to_list(),
        targets=task.targets(train["label"]),
        task=task,
        validation_texts=validation["text"].to_list(),
        validation_targets=task.targets(validation["label"]),
    )


def taught_by(parent: Path, rows: pl.DataFrame, device: Device) -> pl.DataFrame:
    """Rows of the transfer set with what another student answers in the place of what the teacher said.

    Args:
        parent: model folder of that student.
        rows: with `text`, `logits` and `embedding`.
        device: where it answers.
    """
    from stillhouse.models.predictor import TorchClassifier

    said = TorchClassifier(parent, device).answer(rows["text"].to_list())
    return rows.with_columns(
        pl.Series("logits", said.logits.tolist(), dtype=rows.schema["logits"]),
        pl.Series("embedding", said.embeddings.tolist(), dtype=rows.schema["embedding"]),
    )


def explained(base: Path, rows: pl.DataFrame, device: Device) -> pl.DataFrame:
    """Rows of the transfer set with the state that an encoder has of each rationale, for students to match.

    Args:
        base: model folder of the encoder.
        rows: with `text` and `rationale`; a row without one has the state of its text.
        device: where it is asked.
    """
    from stillhouse.models.predictor import TorchClassifier

    said = rows.select(pl.col(RATIONALE).fill_null(pl.col("text")))[RATIONALE]
    states = TorchClassifier(base, device).answer(said.to_list()).embeddings
    return rows.with_columns(pl.Series("embedding", states.tolist(), dtype=rows.schema["embedding"]))


def examples_of(student: StudentSpec, rows: pl.DataFrame, validation: pl.DataFrame, task: Task) -> "TrainingExamples":
    """Rows of the transfer set as what a student learns from, and validation rows as what is watched."""
    from stillhouse.models.training import TrainingExamples

    copies = student.copies
    matched = copies and student.training is not None and bool(student.training.embedding_losses)
    return TrainingExamples(
        texts=rows["text"].to_list(),
        targets=task.targets(rows["label"]),
        task=task,
        teacher_logits=logits_of(rows) if copies else None,
        teacher_embeddings=np.array(rows["embedding"].to_list(), dtype=np.float32) if matched else None,
        row_weights=_agreement(rows) if student.weigh_by_agreement else None,
        validation_texts=validation["text"].to_list(),
        validation_targets=task.targets(validation["label"]),
    )


def _agreement(rows: pl.DataFrame) -> Float32Array:
    """What each row counts, shape (rows,): the share of the members that agree, by a factor that makes their mean 1.

    So the sum of the gradients, and with it the learning rate, means the same as where each counts 1.
    """
    agreed = 1.0 - rows[DISAGREEMENT].cast(pl.Float64).to_numpy()
    return np.asarray(agreed / agreed.mean(), np.float32)
