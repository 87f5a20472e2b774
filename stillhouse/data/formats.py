"""Reading one file of rows: csv, ndjson, lines with a pattern, parquet.

Belongs here: from the bytes of one place to string columns, where every record becomes a row or a numbered reject.
Does not: finding and opening the place (places.py), the names of columns (sources.py), judging texts (cleaning.py).

Text formats are parsed from Python's own line iterator, not by `pl.scan_csv` and `pl.scan_ndjson`. On polars 2.1 the
first fills a row with too few fields with nulls and says nothing, the second drops a key that first appears late and
turns a nested value into text; neither names the line at fault. 1M rows of 70 characters took 4 s as csv and 8 s as
ndjson on one core.
"""

import csv
import json
import math
import re
import sys
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from difflib import get_close_matches
from io import BytesIO
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeVar

import polars as pl

from stillhouse.data.advice import SettingError
from stillhouse.data.counting import RowShape
from stillhouse.data.limits import parquet_within, refuse_line
from stillhouse.data.places import BATCH_ROWS, Place, in_memory, opened, told_plainly
from stillhouse.data.quoting import quoted
from stillhouse.data.rejects import RejectReason
from stillhouse.errors import StillhouseError

Format = Literal["csv", "parquet", "ndjson", "lines"]
Quoting = Literal["none", "double", "single"]
Record = list[str | None]
Item = TypeVar("Item")

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


@dataclass(frozen=True)
class Dialect:
    """How the fields of delimited text are told apart.

    Args:
        separator: one character between two fields.
        quoting: which quotes may be around a field; with `none` a quote is text, and each line is a record.
    """

    separator: str
    quoting: Quoting

    @property
    def quote(self) -> str | None:
        """The character around quoted fields."""
        return {"none": None, "double": '"', "single": "'"}[self.quoting]


@dataclass
class CsvTable(Table):
    """A table of delimited text, and what its rows look like."""

    shape: RowShape = field(default_factory=lambda: RowShape(",", 0, None, frozenset()))


def read_csv(
    place: Place, columns: Sequence[str], optional: Collection[str], dialect: Dialect, label: str | None
) -> CsvTable:
    """Read delimited text with a header; rows with more or fewer fields than the header are rejects.

    Args:
        place: where the file is.
        columns: columns of the header to keep, in this order.
        optional: those of them that the header may lack.
        dialect: separator and quotes.
        label: which of the columns has the label, by which lines inside a quoted field are known to be rows.

    Raises:
        StillhouseError: for a broken quote (nothing after it can be trusted), one that holds rows, no header, or an
            unknown column.
    """
    with _any_field_size(), opened(place) as lines:
        numbered = _csv_records(lines, place, dialect)
        header = next(numbered, CsvRecord(1, [], [])).fields
        table = CsvTable([name for name in columns if name in header or name not in optional])
        wanted = _positions(header, table.columns, place, dialect.separator)
        label_at = header.index(label) if label in header else None
        labels: set[str] = set()
        long: list[CsvRecord] = []
        for batch in _batches(numbered):
            whole = [record for record in batch if len(record.fields) == len(header)]
            table.add([[record.fields[i] for i in wanted] for record in whole])
            table.rejects += [
                (
                    dialect.separator.join(record.fields),
                    RejectReason.OTHER_FIELDS,
                    f"line {record.line}: {_fields(record.fields)} where the header has {len(header)}",
                )
                for record in batch
                if len(record.fields) != len(header)
            ]
            if label_at is not None:
                labels |= {record.fields[label_at].strip() for record in whole if len(record.lines) == 1}
            long += [record for record in batch if _may_hold_rows(record.lines, dialect.separator, len(header))]
    table.shape = RowShape(dialect.separator, len(header), label_at, frozenset(labels - {""}))
    _refuse_rows_in_a_field(long, table.shape, place)
    return table


def _may_hold_rows(lines: Sequence[str], separator: str, fields: int) -> bool:
    return len(lines) > 1 and sum(line.count(separator) == fields - 1 for line in lines) > 1


def _refuse_rows_in_a_field(records: Sequence["CsvRecord"], shape: RowShape, place: Place) -> None:
    for record in records:
        if shape.are_rows(record.lines):
            last = record.line + len(record.lines) - 1
            raise SettingError(
                "a quoted field holds lines that are rows by themselves",
                where=f"{place.uri}, record of lines {record.line} to {last}",
                expected="a quote at the beginning of a field to be closed at its end",
                field="quoting",
                value="none",
                otherwise="If other fields are quoted, close the quote in these lines; if the text really has these "
                "lines, write the file as ndjson or parquet.",
            )


def read_ndjson(place: Place, columns: Sequence[str], optional: Collection[str]) -> Table:
    """Read one JSON object a line; lines that are not one, or hold a list or object where text belongs, are rejects.

    Raises:
        StillhouseError: if a column that is not optional is in no line at all.
    """
    table = Table(columns)
    keys: dict[str, None] = {}
    with opened(place) as lines:
        for batch in _batches(_numbered_lines(lines)):
            records: list[Record] = []
            for number, line in batch:
                found = _json_object(line)
                if found is None:
                    table.rejects.append((line, RejectReason.NOT_A_JSON_OBJECT, f"line {number}"))
                    continue
                keys.update(dict.fromkeys(found))
                values = [found.get(name) for name in columns]
                if any(isinstance(value, (list, dict)) for value in values):
                    table.rejects.append((line, RejectReason.NESTED_VALUE, f"line {number}"))
                else:
                    records.append([_as_text(value) for value in values])
            table.add(records)
    if keys:
        require_columns(list(keys), [name for name in columns if name not in optional], place.uri)
    return table


def read_lines(place: Place, columns: Sequence[str], pattern: str) -> Table:
    """Match each line with `pattern`, whose named groups are the columns; lines that do not match are rejects.

    Raises:
        StillhouseError: if the pattern is no regular expression, or has no group of a wanted name.
    """
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise StillhouseError(
            f"the pattern {pattern!r} is no regular expression ({error})",
            where=place.uri,
            expected="a Python regular expression with named groups",
            do="Fix `pattern` in the recipe.",
        ) from error
    require_columns(list(compiled.groupindex), columns, f"{place.uri}, pattern {pattern!r}")
    table = Table(columns)
    with opened(place) as lines:
        for batch in _batches(_numbered_lines(lines)):
            matches = [(number, line, compiled.match(line)) for number, line in batch]
            table.add([[match[name] for name in columns] for _, _, match in matches if match])
            table.rejects += [
                (line, RejectReason.NO_MATCH, f"line {number}") for number, line, match in matches if not match
            ]
    return table


def read_parquet(place: Place, columns: Sequence[str], optional: Collection[str]) -> Table:
    """Read columns of a parquet file as strings.

    Raises:
        StillhouseError: for a file that is no parquet, an unknown column, or one that does not hold text or numbers.
    """
    with told_plainly(place.uri, "a parquet file"):
        file: Path | BytesIO = place.path or in_memory(place)
        scan = pl.scan_parquet(file, glob=False)
        existing = scan.collect_schema().names()
        table = Table([name for name in columns if name in existing or name not in optional])
        require_columns(existing, table.columns, place.uri)
        parquet_within(file, scan, table.columns, place.limits, place.uri)
        frame = scan.select(table.columns).collect()
    table.frames.append(frame.select(_string_column(frame[name], place) for name in frame.columns))
    return table


class UnknownColumnError(StillhouseError):
    """A column was asked for that does not exist; whoever asked can say where it did."""

    def __init__(self, column: str, *, where: str, expected: str, do: str) -> None:
        self.column = column
        super().__init__(f"there is no column {column!r}", where=where, expected=expected, do=do)


def require_columns(existing: Sequence[str], wanted: Iterable[str], where: str) -> None:
    """Refuse a column that does not exist, with those that do and the closest one.

    Raises:
        UnknownColumnError: for the first one.
    """
    for name in wanted:
        if name not in existing:
            close = get_close_matches(name, existing, n=1, cutoff=0.6)
            hint = f"Did you mean {quoted(close[0])!r}?" if close else "Name one of these in the recipe."
            raise UnknownColumnError(
                name,
                where=where,
                # Without a header the first row stands in its place.
                expected=f"one of {', '.join(repr(quoted(column)) for column in existing)}"
                if existing
                else "at least one column",
                do=hint,
            )


def _positions(header: list[str], columns: Sequence[str], place: Place, separator: str) -> list[int]:
    if len(header) == 1 and header[0] not in columns:
        other = next((mark for mark in "\t;|," if mark != separator and mark in header[0]), None)
        if other:
            raise StillhouseError(
                f"the whole header is one column, {quoted(header[0])!r}",
                where=f"{place.uri}, line 1",
                expected=f"fields separated by {separator!r}, but these look separated by {other!r}",
                do=f"Convert the file to fields separated by {separator!r}.",
            )
    require_columns(header, columns, f"{place.uri}, line 1")
    twice = [name for name in columns if header.count(name) > 1]
    if twice:
        raise StillhouseError(
            f"the header names {twice[0]!r} {header.count(twice[0])} times",
            where=f"{place.uri}, line 1",
            expected="each column once",
            do="Rename one of them.",
        )
    return [header.index(name) for name in columns]


def _fields(record: list[str]) -> str:
    return "1 field" if len(record) == 1 else f"{len(record)} fields"


class CsvRecord(NamedTuple):
    """One record of delimited text: the number of its first line, its fields, and its lines as they are."""

    line: int
    fields: list[str]
    lines: list[str]


def _csv_records(lines: Iterator[str], place: Place, dialect: Dialect) -> Iterator[CsvRecord]:
    record_characters, most = 0, place.limits.line_characters_at_most + len("\r\n")
    held: list[str] = []

    def counted() -> Iterator[str]:
        nonlocal record_characters
        for line in lines:
            record_characters += len(line)
            if record_characters > most:
                refuse_line(place.limits, record_characters, f"{place.uri}, record from line {start}")
            held.append(line)
            yield line

    reader = csv.reader(
        counted(),
        delimiter=dialect.separator,
        quotechar=dialect.quote,
        quoting=csv.QUOTE_MINIMAL if dialect.quote else csv.QUOTE_NONE,
        strict=True,
    )
    while True:
        start, record_characters, held = reader.line_num + 1, 0, []
        try:
            record = next(reader, None)
        except csv.Error as error:
            raise SettingError(
                f"not readable as csv ({error})",
                where=f"{place.uri}, record of lines {start} to {reader.line_num}",
                expected=f"fields that hold a quote or a line break in {dialect.quote}, with inner quotes doubled",
                field="quoting",
                value="none",
                otherwise="If other fields are quoted, fix the quotes, or write the file as parquet.",
            ) from error
        if record is None:
            return
        # A blank line gives an empty record: it holds nothing, so nothing is lost by going on.
        if record:
            yield CsvRecord(start, record, held)


def _numbered_lines(lines: Iterator[str]) -> Iterator[tuple[int, str]]:
    stripped = ((number, line.rstrip("\r\n")) for number, line in enumerate(lines, start=1))
    return ((number, line) for number, line in stripped if line and not line.isspace())


def _batches(items: Iterator[Item]) -> Iterator[list[Item]]:
    """Cut into lists that bound the memory Python strings take; always at least one list, so that columns exist."""
    batch: list[Item] = []
    for item in items:
        batch.append(item)
        if len(batch) == BATCH_ROWS:
            yield batch
            batch = []
    yield batch


def _json_object(line: str) -> dict[str, Any] | None:
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _as_text(value: str | bool | int | float | None) -> str | None:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None
    if isinstance(value, str):
        # JSON can spell half of a surrogate pair, which no UTF-8 string can hold; cleaning rejects the mark left here.
        return value if value.isascii() else _SURROGATE.sub("\ufffd", value)
    if isinstance(value, bool):
        return str(value).lower()
    # A whole number with gaps is stored as a float by many tools: label 3 must not become "3.0".
    return str(int(value)) if value == value // 1 and abs(value) < 2**53 else repr(value)


def _string_column(column: pl.Series, place: Place) -> pl.Series:
    kind = column.dtype
    if kind.is_nested() or kind in (pl.Binary, pl.Object, pl.Duration):
        raise StillhouseError(
            f"column {column.name!r} holds {kind}",
            where=place.uri,
            expected="text, or numbers and dates that can be written as text",
            do="Write it as a string column.",
        )
    if kind.is_float():
        # As in _as_text: pandas stores whole numbers with gaps as floats.
        column = column.fill_nan(None)
        if (column.drop_nulls().abs() < 2**53).all() and (column.drop_nulls() == column.drop_nulls().floor()).all():
            column = column.cast(pl.Int64)
    return column.cast(pl.String)


@contextmanager
def _any_field_size() -> Iterator[None]:
    # The csv module refuses a field above 131,072 characters; here a whole record has a limit, and cleaning.py decides
    # how long a text may be that goes on.
    before = csv.field_size_limit(sys.maxsize)
    try:
        yield
    finally:
        csv.field_size_limit(before)
