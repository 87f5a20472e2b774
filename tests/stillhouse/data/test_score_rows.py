"""Cells become numbers of one spelling, whatever file they are in; what is none, or beyond the ends, is a reject."""

from pathlib import Path

import polars as pl
import pytest

from stillhouse.data.cleaning import label_problems
from stillhouse.data.sources import RowColumns, SourceRead, read_rows
from stillhouse.errors import StillhouseError
from stillhouse.recipe.data import ScoreSpec

CELLS = ["4", " 4.50", "1e0", "", "5.1", "four", "nan", "-1", "4\u200b"]
STARS = ScoreSpec(lowest=1, highest=5, tolerance=0.5)


def read(path: Path) -> SourceRead:
    return read_rows(str(path), RowColumns("text", "stars"), answer="score", score=STARS)


@pytest.mark.parametrize("ending", ["csv", "ndjson", "parquet"])
def test_every_format_gives_the_same_numbers_and_the_same_rejects(tmp_path: Path, ending: str) -> None:
    frame = pl.DataFrame({"text": [f"text {number}" for number in range(len(CELLS))], "stars": CELLS})
    path = tmp_path / f"rows.{ending}"
    getattr(frame, f"write_{ending}")(path)
    found = read(path)
    assert found.rows["text"].to_list() == ["text 0", "text 1", "text 2", "text 3", "text 8"]
    assert found.rows["label"].to_list() == ["4", "4.5", "1", None, "4"]
    assert found.rejects["text"].to_list() == ["text 4", "text 5", "text 6", "text 7"]
    assert set(found.rejects["reason"]) == {"no number where one belongs"}
    assert found.rejects["detail"].to_list() == [
        "row 5, '5.1': it is not from 1 to 5",
        "row 6, 'four': it is not a number, which is written like 4.5, without separators between thousands",
        "row 7, 'nan': it is not a number, which is written like 4.5, without separators between thousands",
        "row 8, '-1': it is not from 1 to 5",
    ]


def test_numbers_of_a_file_that_has_numbers_are_read(tmp_path: Path) -> None:
    frame = pl.DataFrame({"text": ["a b", "c d", "e f"], "stars": [4.0, 2.25, None]})
    for ending in ("ndjson", "parquet"):
        path = tmp_path / f"rows.{ending}"
        getattr(frame, f"write_{ending}")(path)
        assert read(path).rows["label"].to_list() == ["4", "2.25", None]


def test_a_file_without_a_number_is_refused(tmp_path: Path) -> None:
    pl.DataFrame({"text": ["a", "b"], "stars": ["good", "bad"]}).write_csv(tmp_path / "rows.csv")
    with pytest.raises(StillhouseError, match="no number where one belongs"):
        read(tmp_path / "rows.csv")


def test_a_number_that_no_other_row_has_stays_and_one_alone_is_refused() -> None:
    rows = pl.DataFrame({"text": ["a", "b", "c"], "label": ["1", "2", "2.5"], "batch": "base"})
    found = label_problems(rows, "score", where="here")
    assert found.kept.equals(rows) and found.rejects.is_empty()
    with pytest.raises(StillhouseError, match="every label is 2"):
        label_problems(rows.with_columns(label=pl.lit("2")), "score", where="here")
    with pytest.raises(StillhouseError, match="none of 3 rows has a label"):
        label_problems(rows.with_columns(label=pl.lit(None, pl.String)), "score", where="here")
