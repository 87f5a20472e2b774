"""Rows from an Excel workbook (xlsx), by openpyxl, which is an extra.

Belongs here: reading its one sheet of rows, and counting them without openpyxl.
Does not: other formats (delimited.py, parquet.py, ...).
"""

import functools
import math
import re
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime, time
from functools import cached_property
from itertools import islice
from typing import Any
from xml.etree.ElementTree import ParseError, iterparse
from zipfile import ZipFile

from stillhouse.data.foreign import HEAD, refuse_what_is_no_rows
from stillhouse.data.limits import refuse_line, zip_within
from stillhouse.data.places import BATCH_ROWS, Place, opened_as_bytes, plain_read_errors
from stillhouse.data.quoting import quoted
from stillhouse.data.rejects import RejectReason
from stillhouse.data.table import Table, as_text, require_columns, require_once
from stillhouse.errors import StillhouseError
from stillhouse.packages import how_to_install

_SHEETS = "xl/worksheets/"
ROWS_ABOVE = 20
"""Rows that are looked at for the names of the columns where the first one has none of them."""
_ERRORS = frozenset({"#NULL!", "#DIV/0!", "#VALUE!", "#REF!", "#NAME?", "#NUM!", "#N/A"})
"""What Excel writes where a formula has no value."""
_CELL = re.compile(r"([A-Z]{1,3})(\d+)")
_RANGE = re.compile(rf"{_CELL.pattern}:{_CELL.pattern}")


def read_xlsx(place: Place, columns: Sequence[str], optional: Collection[str]) -> Table:
    """Read the one sheet of a workbook that has rows; the first row that is not empty has the names of the columns.

    A row with a value to the right of the last name is a reject. Empty rows are none. Cells of one column that are
    merged have their one value each; an error such as `#REF!` is no value.

    Raises:
        StillhouseError: if openpyxl is not installed, it is no workbook, several sheets have rows, its names are not in
            the first row, or a formula was never calculated.
    """
    with _workbook(place) as (book, archive):
        filled = [sheet for sheet in book.worksheets if next(_filled_rows(sheet), None)]
        if len(filled) > 1:
            raise StillhouseError(
                f"{len(filled)} of its sheets have rows ({', '.join(map(_title, filled[:5]))})",
                where=place.uri,
                expected="one sheet with rows",
                do="Save the one that is meant as a file of its own.",
            )
        # openpyxl has no public name for where a sheet is, and tells of no merged cell while it streams.
        seen = _look_at(archive, filled[0]._worksheet_path) if filled else _Sheet()
        rows = _filled_rows(filled[0]) if filled else iter(())
        first, names = next(rows, (1, []))
        while names and names[-1] is None:
            names.pop()
        names += [None] * (seen.width(first) - len(names))
        header = [str(as_text(name) or "") for name in names]
        table = Table([name for name in columns if name in header or name not in optional])
        if not set(table.columns) <= set(header):
            _refuse_rows_above(table.columns, first, islice(rows, ROWS_ABOVE), place)
        require_columns(header, table.columns, f"{place.uri}, row {first}")
        require_once(header, table.columns, f"{place.uri}, row {first}")
        wanted = [header.index(name) for name in table.columns]
        _refuse_uncalculated(seen, first, wanted, place)
        shared: dict[int, tuple[int, Any]] = {}
        table.add([])
        while batch := list(islice(rows, BATCH_ROWS)):
            whole = []
            for number, row in batch:
                _fill_merged(seen, number, row, shared)
                values = [_text(value) for value in row]
                refuse_line(place.limits, sum(len(value or "") for value in values), f"{place.uri}, row {number}")
                if any(value is not None for value in values[len(header) :]):
                    spelled = "\t".join(value or "" for value in values)
                    detail = f"row {number}: a value beyond the {len(header)} columns of the header"
                    table.rejects.append((spelled, RejectReason.OTHER_FIELDS, detail))
                else:
                    whole.append([values[i] if i < len(values) else None for i in wanted])
            table.add(whole)
    return table


def count_xlsx(place: Place) -> int:
    """Count the rows below the header by the marks in the workbook's own files."""
    with plain_read_errors(place.uri, "an Excel workbook"), opened_as_bytes(place) as raw:
        archive = zip_within(raw, place.limits, place.uri)
        sheets = [name for name in archive.namelist() if name.startswith(_SHEETS) and name.endswith(".xml")]
        try:
            return max(0, sum(_count_sheet(archive, name) for name in sheets) - 1)
        except ParseError as error:
            raise _no_workbook(place) from error


def _count_sheet(archive: ZipFile, name: str) -> int:
    rows, is_filled = 0, False
    with archive.open(name) as file:
        for _, element in iterparse(file):
            tag = element.tag.rpartition("}")[2]
            # The value of a cell, or its text where it is written in the sheet itself.
            is_filled |= tag in ("v", "t") and bool(element.text)
            if tag == "row":
                rows, is_filled = rows + is_filled, False
                element.clear()
    return rows


@dataclass(frozen=True)
class _Sheet:
    """What a sheet says of its cells beside their values.

    Args:
        merged: first row, last row, first column and last column of each merged range, from 1.
        uncalculated: row and column of each formula without a value.
    """

    merged: tuple[tuple[int, int, int, int], ...] = ()
    uncalculated: tuple[tuple[int, int], ...] = ()

    def width(self, row: int) -> int:
        """Last column of the merged cells of a row; 0 where it has none."""
        return max((right for top, bottom, _, right in self.merged if top <= row <= bottom), default=0)

    @cached_property
    def down(self) -> Mapping[int, list[tuple[int, int]]]:
        """By first row: column and last row of what is merged over several rows of one column."""
        found: defaultdict[int, list[tuple[int, int]]] = defaultdict(list)
        for top, bottom, left, right in self.merged:
            if top < bottom and left == right:
                found[top].append((left, bottom))
        return found


def _look_at(archive: ZipFile, name: str) -> _Sheet:
    merged: list[tuple[int, int, int, int]] = []
    uncalculated: list[tuple[int, int]] = []
    with archive.open(name.removeprefix("/")) as file:
        for _, element in iterparse(file):
            tag = element.tag.rpartition("}")[2]
            if tag == "mergeCell" and (found := _RANGE.fullmatch(element.get("ref", ""))):
                left, top, right, bottom = found.groups()
                merged.append((int(top), int(bottom), _column(left), _column(right)))
            elif tag == "c":
                parts = {part.tag.rpartition("}")[2]: part.text for part in element}
                if "f" in parts and not parts.get("v") and (at := _CELL.fullmatch(element.get("r", ""))):
                    uncalculated.append((int(at[2]), _column(at[1])))
            elif tag == "row":
                element.clear()
    return _Sheet(tuple(merged), tuple(uncalculated))


def _column(letters: str) -> int:
    return functools.reduce(lambda number, letter: number * 26 + ord(letter) - ord("A") + 1, letters, 0)


def _fill_merged(seen: _Sheet, number: int, row: list[Any], shared: dict[int, tuple[int, Any]]) -> None:
    """Give each row of cells that are merged downwards their one value, which only the first of them holds.

    Args:
        seen: of the sheet.
        number: of the row.
        row: its values, which are changed.
        shared: by column the last row that shares a value, and that; kept from row to row.
    """
    for column, (last, value) in shared.items():
        if number <= last:
            row += [None] * (column - len(row))
            row[column - 1] = value
    for column, last in seen.down.get(number, ()):
        shared[column] = (last, row[column - 1] if column <= len(row) else None)


def _refuse_rows_above(wanted: Sequence[str], first: int, rows: Iterator[tuple[int, list[Any]]], place: Place) -> None:
    """Refuse a title or a second row of names by its rows, where one of the next rows has all names."""
    for number, row in rows:
        if set(wanted) <= {_text(value) for value in row}:
            raise StillhouseError(
                f"the names of the columns are in row {number} and not in the first one that is filled",
                where=f"{place.uri}, row {first}",
                expected=f"a row with {', '.join(map(repr, map(quoted, wanted)))} before any other",
                do=f"Delete what is above row {number}, then save it again.",
            )


def _refuse_uncalculated(seen: _Sheet, first: int, wanted: Collection[int], place: Place) -> None:
    without = [(row, column) for row, column in seen.uncalculated if row > first and column - 1 in wanted]
    if without:
        raise StillhouseError(
            f"{len(without):,} cells hold a formula and no value, since no program has calculated them",
            where=f"{place.uri}, row {without[0][0]}",
            expected="values",
            do="Open it in Excel or LibreOffice and save it there, or save the sheet as csv.",
        )


def _title(sheet: Any) -> str:
    return f"{sheet.title}{'' if sheet.sheet_state == 'visible' else ', which is hidden'}"


@contextmanager
def _workbook(place: Place) -> Iterator[tuple[Any, ZipFile]]:
    try:
        from openpyxl import load_workbook
        from openpyxl.utils.exceptions import InvalidFileException
    except ImportError as error:
        raise StillhouseError(
            "Excel workbooks are read by openpyxl, which is not installed",
            where=place.uri,
            expected="the extra `xlsx`, or a sheet saved as csv",
            do=how_to_install("xlsx"),
        ) from error
    with plain_read_errors(place.uri, "an Excel workbook"), opened_as_bytes(place) as raw:
        refuse_what_is_no_rows(raw.read(HEAD), place.uri)
        archive = zip_within(raw, place.limits, place.uri)
        raw.seek(0)
        try:
            book = load_workbook(raw, read_only=True, data_only=True)
            for sheet in book.worksheets:
                sheet.reset_dimensions()  # some programs write smaller ones than there are rows
            yield book, archive
        except (KeyError, ValueError, ParseError, InvalidFileException) as error:
            raise _no_workbook(place) from error


def _no_workbook(place: Place) -> StillhouseError:
    return StillhouseError(
        "it is not an Excel workbook, or a damaged one",
        where=place.uri,
        expected="an xlsx file",
        do="Open it in Excel and save it again, or save the sheet as csv.",
    )


def _filled_rows(sheet: Any) -> Iterator[tuple[int, list[Any]]]:
    """Rows with a value and their numbers."""
    for number, row in enumerate(sheet.iter_rows(values_only=True), start=1):
        if any(value is not None for value in row):
            yield number, list(row)


def _text(value: Any) -> str | None:
    if isinstance(value, datetime) and value.time() == time():
        value = value.date()  # a day, as the sheet shows it, is kept as its midnight
    if isinstance(value, date | time):
        return value.isoformat()
    if value in _ERRORS:
        return None
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return as_text(value) if isinstance(value, str | bool | int | float | None) else str(value)
