"""Reading one file of rows: csv, JSON, lines with a pattern, parquet, xlsx.

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
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import partial
from io import BytesIO
from itertools import chain, islice
from pathlib import Path
from typing import Any, Literal, NamedTuple, TextIO, TypeVar

import polars as pl

from stillhouse.data.advice import SettingError
from stillhouse.data.counting import SEPARATOR_LINE, RowShape
from stillhouse.data.foreign import HEAD, refuse_what_is_no_rows
from stillhouse.data.limits import parquet_within, refuse_line
from stillhouse.data.places import (
    BATCH_ROWS,
    Place,
    in_memory,
    is_packed,
    lines_of,
    opened,
    opened_as_text,
    told_plainly,
)
from stillhouse.data.quoting import quoted
from stillhouse.data.rejects import RejectReason
from stillhouse.errors import StillhouseError

Format = Literal["csv", "parquet", "ndjson", "json", "xlsx", "lines"]
Quoting = Literal["none", "double", "single"]
Record = list[str | None]
Item = TypeVar("Item")
# The number of a record's first line, its fields, and its lines as they are where it has more than one.
CsvRecord = tuple[int, list[str], Sequence[str]]

TAB = "\t"
SEPARATORS = (TAB, ";", ",", "|")
"""What fields of delimited text are commonly separated by."""

# A name of a column is no longer than this, and a text often is.
_LONGEST_NAME, _WORDS_OF_A_NAME = 40, 3
_NAME = re.compile(r"[\w .()\[\]/#%+-]*")
# Rows that are held against a header that lacks a column.
_LOOKED_AT = 1_000
_ELEMENT_PART = 1_048_576
_JSON, _VISIBLE = json.JSONDecoder(), re.compile(r"[^\s\ufeff]")
_PATHS_TOLD, _DEEPEST = 30, 8
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
    """How the fields of delimited text are separated.

    Args:
        separator: one character between two fields.
        quoting: which quotes may be around a field; with `none` a quote is text, and each line is a record.
        columns: names of the columns where the file has no header.
    """

    separator: str
    quoting: Quoting
    columns: tuple[str, ...] = ()

    @property
    def quote(self) -> str | None:
        """The character around quoted fields."""
        return {"none": None, "double": '"', "single": "'"}[self.quoting]


def usual_quoting(separator: str) -> Quoting:
    """What is around fields where nothing is said: tab-separated text rarely quotes, and a tweet holds any quote."""
    return "none" if separator == TAB else "double"


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
        header = list(dialect.columns) or next(numbered, (1, [], ()))[1]
        first = list(islice(numbered, _LOOKED_AT))
        numbered = chain(first, numbered)
        table = CsvTable([name for name in columns if name in header or name not in optional])
        wanted = _positions(header, table.columns, place, dialect, [record for _, record, _ in first])
        label_at = header.index(label) if label in header else None
        labels: set[str] = set()
        long: list[CsvRecord] = []
        for batch in _batches(numbered):
            table.add([[record[i] for i in wanted] for _, record, _ in batch if len(record) == len(header)])
            table.rejects += [
                (
                    dialect.separator.join(record),
                    RejectReason.OTHER_FIELDS,
                    f"line {line}: {_fields(record)} where the header has {len(header)}",
                )
                for line, record, _ in batch
                if len(record) != len(header)
            ]
            if label_at is not None:
                labels |= {record[label_at] for _, record, many in batch if not many and len(record) == len(header)}
            long += [record for record in batch if record[2] and _may_hold_rows(record[2], dialect, len(header))]
    table.shape = RowShape(
        dialect.separator, len(header), label_at, frozenset(label.strip() for label in labels if label.strip())
    )
    _refuse_rows_in_a_field(long, table.shape, place)
    return table


def _may_hold_rows(lines: Sequence[str], dialect: Dialect, fields: int) -> bool:
    return sum(line.count(dialect.separator) == fields - 1 for line in lines) > 1


def _refuse_rows_in_a_field(records: Sequence[CsvRecord], shape: RowShape, place: Place) -> None:
    for first, _, lines in records:
        if shape.are_rows(lines):
            raise SettingError(
                "a quoted field holds lines that are rows by themselves",
                where=f"{place.uri}, record of lines {first} to {first + len(lines) - 1}",
                expected="a quote at the beginning of a field to be closed at its end",
                field="quoting",
                value="none",
                when="If no field is quoted,",
                otherwise="Otherwise close the quote in these lines; if a text really has these lines, write the file "
                "as ndjson or parquet.",
            )


def read_json(place: Place, columns: Sequence[str], optional: Collection[str]) -> Table:
    """Read one JSON object a line, or one array of objects, whichever the file begins with.

    A column is a key, or a path such as `ticket.body`, `choices.0.label` or `messages.-1.content` (the last one)
    where no key has that name. What is no object, or holds a list or object where text belongs, is a reject.

    Raises:
        StillhouseError: if a column that is not optional is in no record at all, holds a list or object in all of them,
            or the array is broken.
    """
    table = Table(columns)
    paths: dict[str, None] = {}
    nested: dict[str, dict[str, None]] = {}
    found: set[str] = set()
    is_array = holds_an_array(place)
    with opened_as_text(place) as text:
        items = _elements(text, place) if is_array else _objects_by_line(lines_of(text, place))
        for batch in _batches(items):
            records: list[Record] = []
            for item in batch:
                if not isinstance(item.value, dict):
                    table.rejects.append((item.spelled, RejectReason.NOT_A_JSON_OBJECT, item.where))
                    continue
                if len(paths) < _PATHS_TOLD:
                    paths.update(dict.fromkeys(_paths(item.value)))
                values = {name: _at(item.value, name) for name in columns}
                found |= {name for name, value in values.items() if value is not _NOT_THERE}
                parts = {name: value for name, value in values.items() if isinstance(value, dict | list)}
                if parts:
                    table.rejects.append((item.spelled, RejectReason.NESTED_VALUE, item.where))
                    for name, value in parts.items():
                        nested.setdefault(name, {}).update(dict.fromkeys(_paths({name: value})))
                else:
                    records.append([None if value is _NOT_THERE else as_text(value) for value in values.values()])
            table.add(records)
    if paths:
        existing = list(dict.fromkeys([*paths, *found]))
        require_columns(existing, [name for name in columns if name not in optional], place.uri)
    if table.rows.is_empty() and nested:
        name, below = next(iter(nested.items()))
        raise StillhouseError(
            f"column {name!r} holds lists or objects",
            where=place.uri,
            expected="text, such as " + ", ".join(repr(quoted(path)) for path in list(below)[:_PATHS_TOLD]),
            do="Name a field in it by its path.",
        )
    return table


class _Item(NamedTuple):
    """One thing that should be a JSON object, where it is, and how it is spelled."""

    where: str
    spelled: str
    value: Any


def holds_an_array(place: Place) -> bool:
    """Whether the first character of a JSON file that is no blank opens an array."""
    with opened_as_text(place) as text:
        return next((part.lstrip("\ufeff \t\r\n") for part in iter(partial(text.read, 4096), "")), "").startswith("[")


def _objects_by_line(lines: Iterator[str]) -> Iterator[_Item]:
    return (_Item(f"line {number}", line, _json_value(line)) for number, line in _numbered_lines(lines))


class _ArrayText:
    """The text of one JSON array, of which no more is held than one element takes."""

    def __init__(self, text: TextIO, place: Place) -> None:
        self._text, self._place = text, place
        self._held, self._at, self.number = "", 0, 0

    def next_mark(self) -> str:
        """Go on to the next character that is no blank, and give it; nothing at the end."""
        while True:
            found = _VISIBLE.search(self._held, self._at)
            if found:
                self._at = found.start()
                return found[0]
            self._held, self._at = self._text.read(_ELEMENT_PART), 0
            if not self._held:
                return ""

    def skip(self) -> None:
        """Leave a character behind."""
        self._at += 1

    def element(self) -> _Item:
        """Read on until an element is whole."""
        self.number += 1
        where = f"record {self.number}"
        if self._at > _ELEMENT_PART:
            self._held, self._at = self._held[self._at :], 0
        while True:
            try:
                value, end = _JSON.raw_decode(self._held, self._at)
                problem = "the end of the array is missing"
            except RecursionError as error:
                raise self.broken("too many lists in each other") from error
            except json.JSONDecodeError as error:
                value, end, problem = None, len(self._held), error.msg
            refuse_line(self._place.limits, end - self._at, f"{self._place.uri}, {where}")
            # What ends where the text that is held ends may go on, as a number does.
            if end < len(self._held):
                spelled, self._at = self._held[self._at : end], end
                return _Item(where, spelled, value)
            more = self._text.read(max(_ELEMENT_PART, len(self._held) - self._at))
            if not more:
                raise self.broken(problem)
            self._held += more

    def broken(self, problem: str) -> StillhouseError:
        """What is wrong with the array, of which nothing after this place can be read."""
        return StillhouseError(
            f"not readable as JSON ({problem})",
            where=f"{self._place.uri}, record {self.number}",
            expected="one array of objects, or one object a line",
            do="Fix the file, or write it as ndjson.",
        )


def _elements(text: TextIO, place: Place) -> Iterator[_Item]:
    """Give each element of the array that a file holds."""
    array = _ArrayText(text, place)
    array.next_mark()
    array.skip()
    mark = array.next_mark()
    while mark != "]":
        yield array.element()
        mark = array.next_mark()
        if mark == ",":
            array.skip()
            array.next_mark()
        elif mark != "]":
            raise array.broken("a comma or the end of the array is missing")
    array.skip()
    if array.next_mark():
        raise array.broken("something follows the array")


_NOT_THERE = object()
_PLACE = re.compile(r"-?\d+", re.ASCII)
"""In a list, from its end where it is negative."""


def _at(found: dict[str, Any], name: str) -> Any:
    """The value of a key, or where there is none of that name at the end of a path of keys and places in lists."""
    if name in found:
        return found[name]
    value: Any = found
    for part in name.split("."):
        if isinstance(value, dict) and part in value:
            value = value[part]
        elif isinstance(value, list) and _PLACE.fullmatch(part) and -len(value) <= int(part) < len(value):
            value = value[int(part)]
        else:
            return _NOT_THERE
    return value


def _paths(value: Any, before: str = "", depth: int = 0) -> Iterator[str]:
    """The paths to all values that are neither list nor object; of a list, those in its first element."""
    inside = value.items() if isinstance(value, dict) else list(enumerate(value))[:1] if isinstance(value, list) else ()
    if not inside or depth > _DEEPEST:
        yield before
    for key, item in inside:
        yield from _paths(item, f"{before}.{key}" if before else str(key), depth + 1)


def read_lines(place: Place, columns: Sequence[str], pattern: str) -> Table:
    """Match each line with `pattern`, whose named groups are the columns; lines that do not match are rejects.

    Raises:
        StillhouseError: if the pattern is no regular expression, or has no group of a wanted name.
    """
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise SettingError(
            f"the pattern {pattern!r} is no regular expression ({error})",
            where=place.uri,
            expected="a Python regular expression with named groups",
            field="pattern",
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
    """Read columns of a parquet file as strings; a column may be a path such as `ticket.body`.

    Raises:
        StillhouseError: for a file that is no parquet, an unknown column, or one that does not hold text or numbers.
    """
    with told_plainly(place.uri, "a parquet file"):
        file: Path | BytesIO = in_memory(place) if place.path is None or is_packed(place) else place.path
        refuse_what_is_no_rows(file.getvalue()[:HEAD] if isinstance(file, BytesIO) else _head(file), place.uri)
        scan = pl.scan_parquet(file, glob=False)
        schema = scan.collect_schema()
        values = {name: value for name in columns if (value := _parquet_value(schema, name)) is not None}
        table = Table([name for name in columns if name in values or name not in optional])
        require_columns(list(dict.fromkeys([*_parquet_paths(schema), *values])), table.columns, place.uri)
        wanted = scan.select(value.alias(name) for name, value in values.items())
        parquet_within(file, wanted, _roots(schema, values), place.limits, place.uri)
        frame = wanted.collect()
    table.frames.append(frame.select(_string_column(frame[name], place) for name in frame.columns))
    return table


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(HEAD)


def _roots(schema: Mapping[str, pl.DataType], names: Iterable[str]) -> list[str]:
    return [name if name in schema else name.partition(".")[0] for name in names]


def _parquet_value(schema: Mapping[str, pl.DataType], name: str) -> pl.Expr | None:
    if name in schema:
        return pl.col(name)
    root, *parts = name.split(".")
    if root not in schema:
        return None
    value: pl.Expr = pl.col(root)
    kind: Any = schema[root]
    for part in parts:
        inside = {item.name: item.dtype for item in kind.fields} if isinstance(kind, pl.Struct) else {}
        if part in inside:
            value, kind = value.struct.field(part), inside[part]
        elif isinstance(kind, pl.List) and part.isdecimal():
            value, kind = value.list.get(int(part), null_on_oob=True), kind.inner
        else:
            return None
    return value


def _parquet_paths(schema: Mapping[str, Any]) -> Iterator[str]:
    """The paths to all columns that are neither list nor struct; of a list, those in its first element."""
    for name, kind in schema.items():
        if isinstance(kind, pl.Struct):
            yield from (f"{name}.{path}" for path in _parquet_paths({item.name: item.dtype for item in kind.fields}))
        elif isinstance(kind, pl.List):
            yield from (f"{name}.{path}" for path in _parquet_paths({"0": kind.inner}))
        else:
            yield name


class UnknownColumnError(StillhouseError):
    """A column was asked for that does not exist; whoever asked can say where it did, and which ones there are."""

    def __init__(self, column: str, existing: Sequence[str], *, where: str, expected: str, do: str) -> None:
        self.column, self.existing = column, tuple(existing)
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
            )


def _positions(
    header: list[str], columns: Sequence[str], place: Place, dialect: Dialect, first: Sequence[list[str]]
) -> list[int]:
    """Find the columns in the header; what is said of a header that lacks one depends on what it looks like."""
    where = f"{place.uri}, line 1"
    if not header or set(columns) <= set(header):
        require_columns(header, columns, where)
    elif dialect.columns:
        require_columns(header, columns, f"{place.uri}, `columns`")
    else:
        _refuse_another_dialect(header, columns, where, dialect)
        if not set(columns) & set(header):
            _refuse_a_row_for_a_header(header, first, where)
        require_columns(header, columns, where)
    twice = [name for name in columns if header.count(name) > 1]
    if twice:
        raise StillhouseError(
            f"the header names {twice[0]!r} {header.count(twice[0])} times",
            where=where,
            expected="each column once",
            do="Rename one of them in the file.",
        )
    return [header.index(name) for name in columns]


def _refuse_another_dialect(header: list[str], columns: Sequence[str], where: str, dialect: Dialect) -> None:
    """Nothing of the line is quoted: it may be a row."""
    counts = {mark: header[0].count(mark) for mark in SEPARATORS if mark != dialect.separator}
    other = max(counts, key=counts.__getitem__)
    if len(header) == 1 and counts[other]:
        raise SettingError(
            f"the first line is one field, and holds {other!r} {counts[other]} times",
            where=where,
            expected=f"fields separated by {dialect.separator!r}",
            field="separator",
            value=repr(other),
        )
    for quoting, quote in (("double", '"'), ("single", "'")):
        bare = [name.removeprefix(quote).removesuffix(quote) for name in header]
        if quoting != dialect.quoting and bare != header and set(columns) <= set(bare):
            raise SettingError(
                f"the names in the header are wrapped in {quote}",
                where=where,
                expected="names without quotes" if dialect.quote is None else f"quotes that are {dialect.quote}",
                field="quoting",
                value=quoting,
            )


def _refuse_a_row_for_a_header(header: list[str], first: Sequence[list[str]], where: str) -> None:
    """Where there is no header the first row stands in its place, and a row is quoted nowhere."""
    below = [row for row in first if row != header]  # two files one below the other have two headers
    values = [{row[place] for row in below if place < len(row)} for place in range(len(header))]
    stands_below = any(name.strip() and name in known for name, known in zip(header, values, strict=True))
    if stands_below or not all(_is_like_a_name(name) for name in header):
        raise SettingError(
            "there is no header: the first line looks like a row",
            where=where,
            expected="a first line with the names of the columns",
            field="columns",
            value=f"[{', '.join(f'column_{number}' for number in range(1, len(header) + 1))}]",
            otherwise="Choose the names in the order of the fields, or put a header into the file.",
        )


def _is_like_a_name(field: str) -> bool:
    is_short = len(field) <= _LONGEST_NAME and len(field.split()) <= _WORDS_OF_A_NAME
    return is_short and _NAME.fullmatch(field) is not None and not field.strip().isdigit()


def _fields(record: list[str]) -> str:
    return "1 field" if len(record) == 1 else f"{len(record)} fields"


def _csv_records(lines: Iterator[str], place: Place, dialect: Dialect) -> Iterator[CsvRecord]:
    record_characters, most = 0, place.limits.line_characters_at_most + len("\r\n")
    held: list[str] = []
    first_line = next(lines, "")
    if is_separator_line := bool(SEPARATOR_LINE.fullmatch(first_line)):
        _refuse_another_separator(first_line[4], place, dialect)
    else:
        lines = chain([first_line] if first_line else [], lines)

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
        start, record_characters, held = reader.line_num + 1 + is_separator_line, 0, []
        try:
            record = next(reader, None)
        except csv.Error as error:
            raise SettingError(
                f"not readable as csv ({error})",
                where=f"{place.uri}, record of lines {start} to {reader.line_num + is_separator_line}",
                expected=f"fields that hold a quote or a line break in {dialect.quote}, with inner quotes doubled",
                field="quoting",
                value="none",
                when="If no field is quoted,",
                otherwise="Otherwise fix the quotes, or write the file as parquet.",
            ) from error
        if record is None:
            return
        # A blank line gives an empty record: it holds nothing, so nothing is lost by going on.
        if record:
            yield start, record, held if len(held) > 1 else ()


def _refuse_another_separator(said: str, place: Place, dialect: Dialect) -> None:
    if said != dialect.separator:
        raise SettingError(
            f"its first line says that fields are separated by {said!r}",
            where=f"{place.uri}, line 1",
            expected=f"fields separated by {dialect.separator!r}",
            field="separator",
            value=repr(said),
        )


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


def _json_value(line: str) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None


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


def _decoded(column: pl.Series, place: Place) -> pl.Series:
    """Text that an older writer kept as bytes."""
    try:
        return column.cast(pl.String)
    except pl.exceptions.ComputeError as error:
        rows = enumerate(column, start=1)
        row = next(row for row, value in rows if value is not None and not _is_utf8(value))
        raise StillhouseError(
            f"column {column.name!r} holds bytes that are not utf-8",
            where=f"{place.uri}, row {row}",
            expected="text, or bytes of text in utf-8",
            do="Write it as a string column.",
        ) from error


def _is_utf8(value: bytes) -> bool:
    try:
        value.decode()
    except UnicodeDecodeError:
        return False
    return True


def _string_column(column: pl.Series, place: Place) -> pl.Series:
    kind = column.dtype
    if kind.is_nested() or kind in (pl.Object, pl.Duration):
        paths = list(_parquet_paths({column.name: kind})) if isinstance(kind, pl.Struct | pl.List) else []
        raise StillhouseError(
            f"column {column.name!r} holds {'lists or objects' if paths else kind}",
            where=place.uri,
            expected="text, such as " + ", ".join(repr(quoted(path)) for path in paths[:_PATHS_TOLD])
            if paths
            else "text, or numbers and dates that can be written as text",
            do="Name a field in it by its path, or write it as a string column.",
        )
    if kind == pl.Binary:
        return _decoded(column, place)
    if kind.is_float():
        # As in as_text: pandas stores whole numbers with gaps as floats.
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
