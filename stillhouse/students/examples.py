"""Rows of a prompt set or a transfer set as what a model learns from.

Belongs here: which rows those are, in which order, and their labels as class numbers.
Does not: the loop that learns from them (stillhouse/models/training.py).
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import polars as pl

from stillhouse.recipe.contract import StudentSpec
from stillhouse.teachers.answers import logits_of

if TYPE_CHECKING:
    from stillhouse.models.training import TrainingExamples


def labelled_rows(prompts: pl.DataFrame) -> pl.DataFrame:
    """Rows of training and validation whose label is known, in a fixed order."""
    return prompts.filter(pl.col("label").is_not_null() & (pl.col("split") != "golden")).sort("prompt_id")


def validation_rows(prompts: pl.DataFrame) -> pl.DataFrame:
    """Rows of validation, in a fixed order."""
    return prompts.filter(pl.col("split") == "validation").sort("prompt_id")


def label_ids(names: pl.Series, labels: Sequence[str]) -> npt.NDArray[np.int64]:
    """Class numbers of label names, -1 where the label is unknown."""
    index = {name: number for number, name in enumerate(labels)}
    return np.array([-1 if name is None else index[name] for name in names], dtype=np.int64)


def labelled_examples(rows: pl.DataFrame, labels: Sequence[str]) -> "TrainingExamples":
    """Turn labelled rows into examples to train on and examples to watch."""
    from stillhouse.models.training import TrainingExamples

    train, validation = rows.filter(pl.col("split") == "train"), rows.filter(pl.col("split") == "validation")
    return TrainingExamples(
        texts=train["text"].to_list(),
        label_ids=label_ids(train["label"], labels),
        validation_texts=validation["text"].to_list(),
        validation_label_ids=label_ids(validation["label"], labels),
    )


def examples_of(
    student: StudentSpec, rows: pl.DataFrame, validation: pl.DataFrame, labels: Sequence[str]
) -> "TrainingExamples":
    """Rows of the transfer set as what a student learns from, and validation rows as what is watched."""
    from stillhouse.models.training import TrainingExamples

    from_teacher = student.learns_from == "teacher"
    return TrainingExamples(
        texts=rows["text"].to_list(),
        label_ids=label_ids(rows["label"], labels),
        teacher_logits=logits_of(rows) if from_teacher else None,
        teacher_embeddings=np.array(rows["embedding"].to_list(), dtype=np.float32) if from_teacher else None,
        validation_texts=validation["text"].to_list(),
        validation_label_ids=label_ids(validation["label"], labels),
    )
