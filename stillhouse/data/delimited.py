"""Rows from delimited text: csv and its relatives, by Python's own csv module.

Belongs here: records from lines, quotes that are broken or hold rows, records longer or shorter than the header.
Does not: separators and quotes (dialect.py), finding columns in the header (header.py), guessing (sniffing.py).

Records are parsed from Python's own line iterator, not by `pl.scan_csv`. On polars 2.1 it fills a row with too few
fields with nulls and says nothing, and does not name the line at fault. 1M rows of 70 characters took 4 s on one core.
"""

import csv
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain, islice

from stillhouse.data.advice import SettingError
from stillhouse.data.counting import SEPARATOR_LINE, RowShape
from stillhouse.data.dialect import Dialect, any_field_size, as_asked_for
from stillhouse.data.foreign import refuse_json
from stillhouse.data.header import positions
from stillhouse.data.limits import refuse_line
from stillhouse.data.places import Place, opened
from stillhouse.data.rejects import RejectReason
from stillhouse.data.table import Table, batches
from stillhouse.errors import StillhouseError

# The number of a record's first line, its fields, and its lines as they are where it has more than one.
CsvRecord = tuple[int, list[str], Sequence[str]]

# Rows that are held against a header that lacks a column.
_LOOKED_AT = 1_000


@dataclass
class CsvTable(Table):
    """A table of delimited text, and what its rows look like."""

    shape: RowShape = field(default_factory=lambda: RowShape(",", 0, None, frozenset()))


def read_csv(
    place: Place, columns: Sequence[str], optional: Collection[str], dialect: Dialect, label: str | None
) -> CsvTable:
    """Read delimited text with a header; rows with more or fewer fields than the header are rejects.

    Empty fields beyond the header say nothing, and a name in the header counts without blanks around it.

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
    with any_field_size(), opened(place) as lines:
        numbered = _csv_records(lines, place, dialect)
        header = as_asked_for(dialect.columns or next(numbered, (1, [], ()))[1], columns)
        if not header:
            raise StillhouseError("it holds no rows", where=place.uri, expected="a header", do="Put rows into it.")
        first = list(islice(numbered, _LOOKED_AT))
        numbered = chain(first, numbered)
        table = CsvTable([name for name in columns if name in header or name not in optional])
        wanted = positions(header, table.columns, place, dialect, {line: record for line, record, _ in first})
        label_at = header.index(label) if label in header else None
        labels: set[str] = set()
        long: list[CsvRecord] = []
        for batch in batches(numbered):
            whole = [(record, many) for _, record, many in batch if _fits(record, header)]
            table.add([[record[i] for i in wanted] for record, _ in whole])
            table.rejects += [
                (
                    dialect.separator.join(record),
                    RejectReason.OTHER_FIELDS,
                    f"line {line}: {_fields(record)} where the header has {len(header)}",
                )
                for line, record, _ in batch
                if not _fits(record, header)
            ]
            if label_at is not None:
                labels |= {record[label_at] for record, many in whole if not many}
            long += [record for record in batch if record[2] and _may_hold_rows(record[2], dialect, len(header))]
    table.shape = RowShape(
        dialect.separator, len(header), label_at, frozenset(label.strip() for label in labels if label.strip())
    )
    _refuse_rows_in_a_field(long, table.shape, place)
    return table


def _fits(record: Sequence[str], header: Sequence[str]) -> bool:
    return len(record) == len(header) or (len(record) > len(header) and not any(record[len(header) :]))


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


def _fields(record: list[str]) -> str:
    return "1 field" if len(record) == 1 else f"{len(record)} fields"


def _csv_records(lines: Iterator[str], place: Place, dialect: Dialect) -> Iterator[CsvRecord]:
    record_characters, most = 0, place.limits.line_characters_at_most + len("\r\n")
    held: list[str] = []
    first_line = next(lines, "")
    if is_separator_line := bool(SEPARATOR_LINE.fullmatch(first_line)):
        _refuse_another_separator(first_line[4], place, dialect)
        first_line = next(lines, "")
    refuse_json(first_line, place.uri)
    lines = chain([first_line] if first_line else [], lines)

    def counted() -> Iterator[str]:
        nonlocal record_characters
        for line in lines:
            record_characters += len(line)
            if record_characters > most:
                refuse_line(place.limits, record_characters, f"{place.uri}, record from line {start}")
            held.append(line)
            yield dialect.doubled(line)

    reader = csv.reader(
        counted(),
        delimiter=dialect.separator,
        quotechar=dialect.quote,
        quoting=csv.QUOTE_MINIMAL if dialect.quote else csv.QUOTE_NONE,
        skipinitialspace=dialect.has_blanks(first_line),
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
                **_remedy(held, dialect),
            ) from error
        if record is None:
            return
        # A blank line gives an empty record: it holds nothing, so nothing is lost by going on.
        if record:
            yield start, record, held if len(held) > 1 else ()


def _remedy(lines: Sequence[str], dialect: Dialect) -> dict[str, str]:
    """What to set where a quote is broken, by the lines of its record."""
    if dialect.quoting == "double" and any('\\"' in line for line in lines):
        return {"value": "escaped", "when": "Where a backslash stands before a quote that is text,"}
    otherwise = "Otherwise fix the quotes, or write the file as parquet."
    return {"value": "none", "when": "If no field is quoted,", "otherwise": otherwise}


def _refuse_another_separator(said: str, place: Place, dialect: Dialect) -> None:
    if said != dialect.separator:
        raise SettingError(
            f"its first line says that fields are separated by {said!r}",
            where=f"{place.uri}, line 1",
            expected=f"fields separated by {dialect.separator!r}",
            field="separator",
            value=repr(said),
        )
