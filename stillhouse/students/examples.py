"""Rows of a prompt set or a transfer set as what a model learns from.

Belongs here: which rows those are, in which order.
Does not: the loop that learns from them (stillhouse/models/training.py).
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from stillhouse.arrays import Float32Array
from stillhouse.device import Device
from stillhouse.errors import StillhouseError
from stillhouse.recipe.students import StudentSpec
from stillhouse.tasks.task import Task
from stillhouse.teachers.answers import logits_of
from stillhouse.teachers.columns import DISAGREEMENT, RATIONALE

if TYPE_CHECKING:
    from stillhouse.models.training_examples import TrainingExamples


def labelled_rows(prompts: pl.DataFrame) -> pl.DataFrame:
    """Rows of training and validation whose label is known, in a fixed order."""
    return prompts.filter(pl.col("label").is_not_null() & (pl.col("split") != "golden")).sort("prompt_id")


def validation_rows(prompts: pl.DataFrame) -> pl.DataFrame:
    """Rows of validation, in a fixed order."""
    return prompts.filter(pl.col("split") == "validation").sort("prompt_id")


def labelled_examples(rows: pl.DataFrame, task: Task) -> "TrainingExamples":
    """Turn labelled rows into examples to train on and examples to watch."""
    from stillhouse.models.training_examples import TrainingExamples

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


def learned_from(
    student: StudentSpec, rows: pl.DataFrame, teacher: Path, parent: Path | None, device: Device
) -> pl.DataFrame:
    """Rows of the transfer set with all that a student learns of each: of its teacher, or of its parent.

    Args:
        student: with the numbers of the layers that its own learn, see `Recipe.with_layers_named`.
        rows: of the transfer set.
        teacher: model folder of the teacher, or of the base beside its answers.
        parent: model folder of the student that it is cut from, if any.
        device: where models are asked.

    Raises:
        StillhouseError: if the states that its layers learn take more memory than there is.
    """
    if student.training is None or not student.copies:
        return rows
    is_of_parent, larger = student.learns_from == "parent", teacher
    if is_of_parent:
        assert parent is not None
        rows, larger = taught_by(parent, rows, device), parent
    elif RATIONALE in rows.columns and student.training.embedding_losses:
        rows = explained(teacher, rows, device)
    layers = student.training.learned_layers
    return after_layers(larger, rows, layers, device) if layers else rows


def after_layers(model: Path, rows: pl.DataFrame, layers: Sequence[int], device: Device) -> pl.DataFrame:
    """Rows of the transfer set with the mean of the tokens' states after some layers of a model, a column for each.

    Args:
        model: model folder.
        rows: with `text`.
        layers: numbers of layers.
        device: where it is asked.

    Raises:
        StillhouseError: if they take more memory than half of what there is.
    """
    from stillhouse.models.memory import machine_memory_gb, states_gb
    from stillhouse.models.network import read_sizes
    from stillhouse.models.predictor import TorchClassifier

    needed, limit = states_gb(rows.height, len(layers), read_sizes(model).width), machine_memory_gb() / 2
    if needed > limit:
        raise StillhouseError(
            f"the states of {rows.height:,} texts after {len(layers)} layers take {needed:.1f} GB",
            where="training.mixture: layers",
            expected=f"at most half of this machine's memory, {limit:.1f} GB",
            do="Have fewer layers learn another, or learn from fewer rows.",
        )
    said = TorchClassifier(model, device).answer(rows["text"].to_list(), layers=layers).layers
    return rows.with_columns(pl.Series(_after(number), states) for number, states in said.items())


def _after(layer: int) -> str:
    """The column of the states after a layer."""
    return f"after layer {layer}"


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
    from stillhouse.models.training_examples import TrainingExamples

    copies = student.copies
    training = student.training if copies else None
    matched = training is not None and bool(training.pooled_losses)
    return TrainingExamples(
        texts=rows["text"].to_list(),
        targets=task.targets(rows["label"]),
        task=task,
        teacher_logits=logits_of(rows) if copies else None,
        teacher_embeddings=np.array(rows["embedding"].to_list(), dtype=np.float32) if matched else None,
        row_weights=_agreement(rows) if student.weigh_by_agreement else None,
        teacher_layers={
            number: np.asarray(rows[_after(number)].to_numpy(), np.float32)
            for number in (() if training is None else training.learned_layers)
        },
        validation_texts=validation["text"].to_list(),
        validation_targets=task.targets(validation["label"]),
    )


def _agreement(rows: pl.DataFrame) -> Float32Array:
    """What each row counts, shape (rows,): the share of the members that agree, by a factor that makes their mean 1.

    So the sum of the gradients, and with it the learning rate, means the same as where each counts 1.

    Raises:
        StillhouseError: if of no row any member agrees, as two that give numbers may never.
    """
    agreed = 1.0 - rows[DISAGREEMENT].cast(pl.Float64).to_numpy()
    if not agreed.any():
        raise StillhouseError(
            f"of none of {rows.height:,} rows a member of the teacher gives the answer of all together",
            where="students.weigh_by_agreement",
            expected="rows on which one of them agrees, to weigh those",
            do="Take weigh_by_agreement out; look at what the members say before anything is learned of it.",
        )
    return np.asarray(agreed / agreed.mean(), np.float32)
