"""Rows from an Excel workbook (xlsx), by openpyxl, which is an extra.

Belongs here: reading its one sheet of rows, and counting them without openpyxl.
Does not: other formats (delimited.py, parquet.py, ...).
"""

import math
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from datetime import date, time
from itertools import islice
from typing import Any
from xml.etree.ElementTree import ParseError, iterparse
from zipfile import ZipFile

from stillhouse.data.foreign import HEAD, refuse_what_is_no_rows
from stillhouse.data.limits import refuse_line, zip_within
from stillhouse.data.places import BATCH_ROWS, Place, opened_as_bytes, told_plainly
from stillhouse.data.rejects import RejectReason
from stillhouse.data.table import Table, as_text, require_columns
from stillhouse.errors import StillhouseError

_SHEETS = "xl/worksheets/"


def read_xlsx(place: Place, columns: Sequence[str], optional: Collection[str]) -> Table:
    """Read the one sheet of a workbook that has rows; the first row that is not empty has the names of the columns.

    A row with a value to the right of the last name is a reject. Empty rows are none.

    Raises:
        StillhouseError: if openpyxl is not installed, it is no workbook, or several sheets have rows.
    """
    with _workbook(place) as book:
        filled = [sheet for sheet in book.worksheets if next(_filled_rows(sheet), None)]
        if len(filled) > 1:
            raise StillhouseError(
                f"{len(filled)} of its sheets have rows ({', '.join(sheet.title for sheet in filled[:5])})",
                where=place.uri,
                expected="one sheet with rows",
                do="Save the one that is meant as a file of its own.",
            )
        rows = _filled_rows(filled[0]) if filled else iter(())
        number, names = next(rows, (1, []))
        while names and names[-1] is None:
            names.pop()
        header = [str(as_text(name) or "") for name in names]
        table = Table([name for name in columns if name in header or name not in optional])
        require_columns(header, table.columns, f"{place.uri}, row {number}")
        wanted = [header.index(name) for name in table.columns]
        table.add([])
        while batch := list(islice(rows, BATCH_ROWS)):
            whole = []
            for number, row in batch:
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
    with told_plainly(place.uri, "an Excel workbook"), opened_as_bytes(place) as raw:
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


@contextmanager
def _workbook(place: Place) -> Iterator[Any]:
    try:
        from openpyxl import load_workbook
        from openpyxl.utils.exceptions import InvalidFileException
    except ImportError as error:
        raise StillhouseError(
            "Excel workbooks are read by openpyxl, which is not installed",
            where=place.uri,
            expected="the extra xlsx of Stillhouse",
            do='Run `pip install -e ".[xlsx]"`, or save the sheet as csv.',
        ) from error
    with told_plainly(place.uri, "an Excel workbook"), opened_as_bytes(place) as raw:
        refuse_what_is_no_rows(raw.read(HEAD), place.uri)
        zip_within(raw, place.limits, place.uri)
        raw.seek(0)
        try:
            book = load_workbook(raw, read_only=True, data_only=True)
            yield book
        except (KeyError, ValueError, ParseError, InvalidFileException) as error:
            raise _no_workbook(place) from error


def _no_workbook(place: Place) -> StillhouseError:
    return StillhouseError(
        "it is no Excel workbook, or a damaged one",
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
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return as_text(value) if isinstance(value, str | bool | int | float | None) else str(value)
