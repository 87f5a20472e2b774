"""What is kept of the columns that callers send with a text, and how that is read again.

Belongs here: which values may be kept, the form in which a row has them, and rows that have the columns themselves in
that form.
Does not: which columns callers send (`Recipe.request_columns`), what a slice is (slices.py), the rows (segments.py).

A row has one text, a JSON object by column: `{"channel":"post"}`. A value that no slice of the recipe names is null, as
in `{"channel":null}`, so that whatever a caller sends, words of the recipe alone are kept. A column that the caller did
not send is not in it, and the whole is null where none was to be kept.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from stillhouse.recipe.bar import SliceSpec
from stillhouse.recipe.contract import Recipe
from stillhouse.release.cascade import LABEL
from stillhouse.tasks.label_sets import carries_any

COLUMNS = "columns"
"""Of a row of traffic, what is kept of the columns that its caller sent."""
_NO_SLICE = ""
"""Stands for a value that no slice names: no caller can send it, since blank values are left out."""


@dataclass(frozen=True)
class KeptColumns:
    """What may be kept.

    Args:
        values: of each column that callers send, those that slices of the recipe name.
    """

    values: Mapping[str, frozenset[str]]

    @classmethod
    def of(cls, recipe: Recipe) -> "KeptColumns | None":
        """Of a recipe; None where callers send no column."""
        named = {
            column: frozenset(value for each in recipe.slices if each.column == column for value in each.values)
            for column in recipe.request_columns
        }
        return cls(named) if named else None

    def written(self, sent: Mapping[str, str]) -> str:
        """What is kept of what a caller sent."""
        kept = {
            column: value if (value := sent[column]) in named else None
            for column, named in self.values.items()
            if column in sent
        }
        return json.dumps(kept, separators=(",", ":"))


def as_sent(rows: pl.DataFrame, columns: Sequence[str]) -> pl.Series:
    """What callers would send of rows that have the columns themselves, such as golden ones, in the form of the log.

    Args:
        rows: of a prompt set; a column that they lack, as those of an earlier recipe may, is not sent.
        columns: that callers send.
    """
    named = [column for column in columns if column in rows.columns]
    if not named:
        return pl.Series(COLUMNS, [None] * rows.height, dtype=pl.String)
    sent = pl.struct(pl.col(column).cast(pl.String) for column in named).struct.json_encode()
    return rows.select(sent.alias(COLUMNS)).to_series()


def each_as_sent(rows: pl.DataFrame, columns: Sequence[str]) -> list[dict[str, str]]:
    """The same of each row as a rule about slices reads it; an empty value is not sent either."""
    named = [column for column in columns if column in rows.columns]
    sent = rows.select(pl.col(named).cast(pl.String)).rows(named=True) if named else [{}] * rows.height
    return [{name: value for name, value in row.items() if value is not None} for row in sent]


def value_sent(column: str) -> pl.Expr:
    """The value of a column; null where it was not sent, or is one that no slice names."""
    return pl.col(COLUMNS).str.json_decode(pl.Struct({column: pl.String})).struct.field(column)


def is_in_slice(slice: SliceSpec, label: str, *, are_sets: bool) -> pl.Expr:
    """Whether a row of traffic is in a slice that is known when a request comes.

    Args:
        slice: see `Recipe.slices_of_requests`.
        label: the column of what the student answers.
        are_sets: whether that is a set of labels.
    """
    if slice.column == LABEL:
        return carries_any(pl.col(label), slice.values, are_sets=are_sets)
    return value_sent(slice.column).is_in(slice.values)


def columns_sent(kept: str | None) -> dict[str, str] | None:
    """What a caller sent, as a rule about slices reads it; None where none of it was to be kept."""
    if kept is None:
        return None
    return {column: _NO_SLICE if value is None else value for column, value in json.loads(kept).items()}
