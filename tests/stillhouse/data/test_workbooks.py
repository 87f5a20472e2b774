"""Excel workbooks: read by openpyxl, and one clear line where it is not installed."""

import sys
from datetime import date, datetime, time
from io import BytesIO
from pathlib import Path
from typing import Any
from zipfile import ZIP_DEFLATED, ZipFile

import pytest

from stillhouse.data.sources import SourceRead
from stillhouse.errors import StillhouseError
from stillhouse.recipe.data import Limits
from tests.stillhouse.data.options import read_with

Sheet = list[list[Any]]


def workbook(*sheets: Sheet) -> bytes:
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    book.remove(book.active)
    for rows in sheets:
        sheet = book.create_sheet()
        for row in rows:
            sheet.append(row)
    buffer = BytesIO()
    book.save(buffer)
    return buffer.getvalue()


def read(folder: Path, content: bytes, **options: Any) -> SourceRead:
    path = folder / "rows.xlsx"
    path.write_bytes(content)
    found = read_with(path.name, kept={path.name: path}, **{"text": "text", "label": "label", **options})
    assert found.counted == found.rows.height + found.rejects.height, "both counts are the same"
    return found


def refused(folder: Path, content: bytes, **options: Any) -> StillhouseError:
    with pytest.raises(StillhouseError) as caught:
        read(folder, content, **options)
    assert "\n" not in str(caught.value), "an error is one line"
    return caught.value


def test_the_one_sheet_with_rows_is_read(tmp_path: Path) -> None:
    rows = [
        [], ["text", "label", "day", None], ["café", 7, date(2024, 2, 29)], [], [None, 1.5, None], ["a\nb", True],
        ["x", "", None, "more"],
    ]  # fmt: skip
    found = read(tmp_path, workbook([], rows), keep=["day"])
    assert found.rows.drop("batch").rows() == [
        ("café", "7", "2024-02-29"),
        (None, "1.5", None),
        ("a\nb", "true", None),
    ]
    assert found.rejects["detail"].to_list() == ["row 7: a value beyond the 3 columns of the header"]


def changed(rows: Sheet, merged: tuple[str, ...] = (), **cells: Any) -> bytes:
    """A workbook of one sheet with cells that Excel would show in another way."""
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    for row in rows:
        book.active.append(row)
    for place, value in cells.items():
        book.active[place] = value
    for area in merged:
        book.active.merge_cells(area)
    buffer = BytesIO()
    book.save(buffer)
    return buffer.getvalue()


def test_days_and_times_of_day_are_written_as_they_are_shown(tmp_path: Path) -> None:
    rows: Sheet = [["text", "label"], [date(2024, 2, 29), datetime(2024, 2, 29, 4, 5)], ["a", time(3, 4)], ["b", 1.0]]
    found = read(tmp_path, changed(rows)).rows
    assert found["text"].to_list() == ["2024-02-29", "a", "b"]
    assert found["label"].to_list() == ["2024-02-29T04:05:00", "03:04:00", "1"]


def test_rows_that_share_a_merged_cell_have_its_value_each(tmp_path: Path) -> None:
    """Regression: all but the first of them had no label, without a word."""
    rows: Sheet = [["text", "label"], ["a", "x"], ["b"], ["c"], ["d", "y"], ["e"]]
    found = read(tmp_path, changed(rows, ("B2:B4",))).rows
    assert found["label"].to_list() == ["x", "x", "x", "y", None]
    found = read(tmp_path, changed([["text", "label"], ["a"], ["b"]], ("B2:B3",))).rows
    assert found["label"].to_list() == [None, None]


def test_columns_below_a_merged_name_are_below_a_name(tmp_path: Path) -> None:
    """Regression: each row with a value below the second half of a name was a reject."""
    found = read(tmp_path, changed([["text", "label", None], ["a", "x", "more"], ["b", "y"]], ("B1:C1",)))
    assert found.rows["label"].to_list() == ["x", "y"] and found.rejects.is_empty()
    beyond = read(tmp_path, changed([["text", "label"], ["a", "x"], ["b", "y", "more", "beyond"]], ("B1:C1",)))
    assert beyond.rejects["detail"].to_list() == ["row 3: a value beyond the 3 columns of the header"]


def test_a_title_above_the_names_is_refused_by_its_row(tmp_path: Path) -> None:
    error = refused(tmp_path, changed([["Tickets of May"], [], ["text", "label"], ["a", "x"]], ("A1:B1",)))
    assert error.what == "the names of the columns are in row 3 and not in the first one that is filled"
    assert error.where == "rows.xlsx, row 1" and "Delete what is above row 3" in error.do


def test_a_name_that_there_is_twice_is_refused(tmp_path: Path) -> None:
    error = refused(tmp_path, changed([["text", "label", "label"], ["a", "x", "y"]]))
    assert (error.what, error.where) == ("the header names 'label' 2 times", "rows.xlsx, row 1")


def test_a_formula_that_was_never_calculated_is_refused_where_it_is_read(tmp_path: Path) -> None:
    """Regression: as a program writes them, formulas have no value, and the rows lost their labels."""
    rows: Sheet = [["text", "label", "length"], ["a", "x"], ["b", "y"]]
    error = refused(tmp_path, changed(rows, B3='=IF(A3="b","y","x")'))
    assert "1 cells hold a formula and no value" in error.what and error.where == "rows.xlsx, row 3"
    assert read(tmp_path, changed(rows, C3="=LEN(A3)")).rows["label"].to_list() == ["x", "y"]


def test_an_error_of_excel_is_no_value(tmp_path: Path) -> None:
    found = read(tmp_path, changed([["text", "label"], ["a", "#N/A"], ["b", "#REF!"], ["c", "#1"]])).rows
    assert found["label"].to_list() == [None, None, "#1"]


def test_a_sheet_that_excel_does_not_show_is_called_hidden(tmp_path: Path) -> None:
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.load_workbook(BytesIO(workbook([["text", "label"], ["a", "x"]], [["x"], ["y"]])))
    book.worksheets[1].sheet_state = "hidden"
    book.save(buffer := BytesIO())
    assert "(Sheet, Sheet1, which is hidden)" in refused(tmp_path, buffer.getvalue()).what


def test_rows_below_the_extent_that_a_program_wrote_are_read(tmp_path: Path) -> None:
    """Regression: by an extent of A1, which some programs write, a workbook had its header alone."""
    whole, cut = workbook([["text", "label"], ["a", "x"], ["b", "y"]]), BytesIO()
    with ZipFile(BytesIO(whole)) as before, ZipFile(cut, "w") as after:
        for name in before.namelist():
            after.writestr(name, before.read(name).replace(b'<dimension ref="A1:B3"', b'<dimension ref="A1"'))
    assert read(tmp_path, cut.getvalue()).rows["label"].to_list() == ["x", "y"]


def test_several_sheets_with_rows_a_lacking_column_and_no_rows_are_refused(tmp_path: Path) -> None:
    rows: Sheet = [["text", "label"], ["a", "x"]]
    assert "2 of its sheets have rows (Sheet, Sheet1)" in refused(tmp_path, workbook(rows, rows)).what
    error = refused(tmp_path, workbook(rows), label="lable")
    assert "Did you mean 'label'?" in error.do and error.where == "rows.xlsx, row 1"
    assert "holds no rows" in refused(tmp_path, workbook(rows[:1])).what


@pytest.mark.slow
@pytest.mark.long
def test_the_limits_hold_for_a_workbook(tmp_path: Path) -> None:
    rows: Sheet = [["text", "label"], ["a" * 1_001, "x"]]
    error = refused(tmp_path, workbook(rows), limits=Limits(line_characters_at_most=1_000))
    assert "longer than 1,000 characters" in error.what and error.where == "rows.xlsx, row 2"
    many = workbook([["text", "label"], *([str(n), "x"] for n in range(30_000))])
    assert "more than 1 MB" in refused(tmp_path, many, limits=Limits(file_mb_at_most=1)).what
    bomb = BytesIO(workbook(rows))
    with ZipFile(bomb, "a", ZIP_DEFLATED) as archive:
        archive.writestr("xl/bomb.xml", b"<a>" * 20_000_000)
    assert "times its size" in refused(tmp_path, bomb.getvalue()).what


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"no workbook", "cannot be read (File is not a zip file)"),
        (b"PK\x05\x06" + bytes(18), "it is not an Excel workbook, or a damaged one"),
    ],
)
def test_what_is_no_workbook_is_refused(tmp_path: Path, content: bytes, what: str) -> None:
    pytest.importorskip("openpyxl")
    assert refused(tmp_path, content).what == what


def test_without_openpyxl_a_workbook_is_refused_in_one_clear_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "openpyxl", None)
    error = refused(tmp_path, b"PK")
    assert "read by openpyxl, which is not installed" in error.what and "[xlsx]'" in error.do
