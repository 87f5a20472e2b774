"""A file of what a teacher was asked elsewhere, and answered.

Belongs here: reading it, and finding the answer to each prompt by what the text is.
Does not: file formats (stillhouse/data/), what is learned from the answers (stored.py).
"""

from collections.abc import Mapping
from pathlib import Path

import polars as pl

from stillhouse.data.cleaning import prompt_ids
from stillhouse.data.formats import UnknownColumnError
from stillhouse.data.prompt_set import redacted
from stillhouse.data.sources import SourceRead, read_rows
from stillhouse.errors import StillhouseError
from stillhouse.recipe.reading import RecipeFile
from stillhouse.teachers.stored import Failure


def read_answers(file: RecipeFile, kept: Mapping[str, Path] | None = None) -> SourceRead:
    """Read the file of a stored teacher: each text as `text`, what was answered as `label`.

    Args:
        file: the recipe.
        kept: where the bytes of the file are kept, by address; None reads the file itself, for a look at it.

    Raises:
        StillhouseError: if it cannot be read or lacks a column; the recipe's line is named.
    """
    spec, data = file.recipe.teacher, file.recipe.data
    columns = {spec.columns.text: "text", spec.columns.answer: "answer"}
    try:
        return read_rows(
            spec.source,
            kept=kept,
            text=spec.columns.text,
            label=spec.columns.answer,
            classes=data.labels,
            root=file.root,
            limits=data.limits,
        )
    except UnknownColumnError as error:
        where = f"{file.where('teacher', 'columns', columns[error.column])}: {error.where}"
        raise StillhouseError(error.what, where=where, expected=error.expected, do=error.do) from error


def answers_by_prompt(rows: pl.DataFrame) -> pl.DataFrame:
    """Find the answer to each text under the id that a prompt set gives it, personal data taken out alike.

    Args:
        rows: `text` and `label`, the answer, as they were read; a text may occur several times.

    Returns:
        `prompt_id` (unique, sorted), `answer`, and `failure` where there is none.
    """
    asked = redacted(rows.filter(pl.col("text").is_not_null())).rows
    failure = (
        pl.when(pl.col("label").n_unique() > 1)
        .then(pl.lit(Failure.TWO_ANSWERS.value))
        .when(pl.col("label").first().is_null())
        .then(pl.lit(Failure.EMPTY.value))
    )
    found = (
        asked.select(prompt_ids(asked["text"]), "label")
        .group_by("prompt_id", maintain_order=True)
        .agg(pl.col("label").first().alias("answer"), failure.alias("failure"))
        .sort("prompt_id")
    )
    return found.with_columns(pl.when(pl.col("failure").is_null()).then("answer").alias("answer"))
