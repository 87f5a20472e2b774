"""Excel workbooks: read by openpyxl, and one clear line where it is not installed."""

import sys
from datetime import date
from io import BytesIO
from pathlib import Path
from typing import Any
from zipfile import ZIP_DEFLATED, ZipFile

import pytest

from stillhouse.data.sources import SourceRead, read_rows
from stillhouse.errors import StillhouseError
from stillhouse.recipe.data import Limits

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
    found = read_rows(path.name, kept={path.name: path}, **{"text": "text", "label": "label", **options})
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
        ("café", "7", "2024-02-29T00:00:00"),
        (None, "1.5", None),
        ("a\nb", "true", None),
    ]
    assert found.rejects["detail"].to_list() == ["row 7: a value beyond the 3 columns of the header"]


def test_several_sheets_with_rows_a_lacking_column_and_no_rows_are_refused(tmp_path: Path) -> None:
    rows: Sheet = [["text", "label"], ["a", "x"]]
    assert "2 of its sheets have rows (Sheet, Sheet1)" in refused(tmp_path, workbook(rows, rows)).what
    error = refused(tmp_path, workbook(rows), label="lable")
    assert "Did you mean 'label'?" in error.do and error.where == "rows.xlsx, row 1"
    assert "holds no rows" in refused(tmp_path, workbook(rows[:1])).what


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


@pytest.mark.parametrize("content", [b"no workbook", b"PK\x05\x06" + bytes(18)])
def test_what_is_no_workbook_is_refused(tmp_path: Path, content: bytes) -> None:
    pytest.importorskip("openpyxl")
    error = refused(tmp_path, content)
    assert "cannot be read" in error.what or "no Excel workbook" in error.what


def test_without_openpyxl_a_workbook_is_refused_in_one_clear_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "openpyxl", None)
    error = refused(tmp_path, b"PK")
    assert "read by openpyxl, which is not installed" in error.what and ".[xlsx]" in error.do
