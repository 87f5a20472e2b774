"""What every format of rows is read into: a table of string columns, and the records that could not be read.

Belongs here: the names of the formats, the table, columns that have to exist, a value as text, cutting into batches.
Does not: reading a format (delimited.py, json_rows.py, lines.py, parquet.py, workbooks.py), which columns are asked for
(sources.py).
"""

import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any, Literal, TypeVar

import polars as pl

from stillhouse.data.places import BATCH_ROWS
from stillhouse.data.quoting import quoted
from stillhouse.data.rejects import RejectReason
from stillhouse.errors import StillhouseError

Format = Literal["csv", "parquet", "ndjson", "json", "xlsx", "lines"]
Record = list[str | None]
Item = TypeVar("Item")

PATHS_NAMED = 30
"""Paths to values that an error names at most."""
LIST_ADVICE = (
    "The path of one element leaves the others out. A column with several labels a row is read whole where the recipe "
    "says `data.answer: multi_label`."
)
"""Said of a column of lists with several elements, of which a path takes one."""

_SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass
class Table:
    """The string columns that were asked for, and the records that could not be read (text, reason, detail)."""

    columns: Sequence[str]
    rejects: list[tuple[str, RejectReason, str]] = field(default_factory=list)
    frames: list[pl.DataFrame] = field(default_factory=list)

    def add(self, records: Sequence[Record]) -> None:
        """Append records, each with one value a column."""
        schema = {name: pl.String for name in self.columns}
        self.frames.append(
            pl.DataFrame(records, schema=schema, orient="row") if records else pl.DataFrame(schema=schema)
        )

    @property
    def rows(self) -> pl.DataFrame:
        """Everything appended so far."""
        return pl.concat(self.frames, rechunk=True)


class UnknownColumnError(StillhouseError):
    """A column was asked for that does not exist; whoever asked can say where it did, and which ones there are."""

    def __init__(
        self, column: str, existing: Sequence[str], *, where: str, expected: str, do: str, is_like_one: bool = False
    ) -> None:
        self.column, self.existing, self.is_like_one = column, tuple(existing), is_like_one
        super().__init__(f"there is no column {column!r}", where=where, expected=expected, do=do)


def require_columns(existing: Sequence[str], wanted: Iterable[str], where: str) -> None:
    """Refuse a column that does not exist, with those that do and the closest one.

    Raises:
        UnknownColumnError: for the first one.
    """
    for name in wanted:
        if name not in existing:
            close = get_close_matches(name, existing, n=1, cutoff=0.6)
            hint = f"Did you mean {quoted(close[0])!r}?" if close else "Name one of these."
            raise UnknownColumnError(
                name,
                existing,
                where=where,
                # Without a header the first row stands in its place.
                expected=f"one of {', '.join(repr(quoted(column)) for column in existing)}"
                if existing
                else "at least one column",
                do=hint,
                is_like_one=bool(close),
            )


def require_once(header: Sequence[str], wanted: Iterable[str], where: str) -> None:
    """Refuse a column that there is twice.

    Raises:
        StillhouseError: for the first one.
    """
    for name in wanted:
        if header.count(name) > 1:
            raise StillhouseError(
                f"the header names {name!r} {header.count(name)} times",
                where=where,
                expected="each column once",
                do="Rename one of them in the file.",
            )


def batches(items: Iterator[Item]) -> Iterator[list[Item]]:
    """Cut into lists that bound the memory Python strings take; always at least one list, so that columns exist."""
    batch: list[Item] = []
    for item in items:
        batch.append(item)
        if len(batch) == BATCH_ROWS:
            yield batch
            batch = []
    yield batch


def as_text(value: str | bool | int | float | None) -> str | None:
    """Spell a value as a person would write it; what is no number is nothing."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None
    if isinstance(value, str):
        # JSON can spell half of a surrogate pair, which no UTF-8 string can hold; cleaning rejects the mark left here.
        return value if value.isascii() else _SURROGATE.sub("\ufffd", value)
    if isinstance(value, bool):
        return str(value).lower()
    # A whole number with gaps is stored as a float by many tools: label 3 must not become "3.0".
    return str(int(value)) if value == value // 1 and abs(value) < 2**53 else repr(value)


def as_json(value: Mapping[str, Any] | Sequence[Any]) -> str:
    """Spell an object or a list; what JSON has no form for, such as a date, is text in it."""
    return json.dumps(value, ensure_ascii=False, default=str)
