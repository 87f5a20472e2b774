"""What `stillhouse new` says of somebody's rows, on the screen and in the recipe."""

from pathlib import Path

import polars as pl
import pytest

from stillhouse.home import Home
from tests.command import stillhouse
from tests.small import questions


def test_rows_that_are_left_out_are_counted_by_reason(tmp_path: Path, home: Home) -> None:
    rows = questions(90)
    more = [rows, rows[:5], rows[7:8].with_columns(question=pl.lit(" "))]
    pl.concat(more).write_csv(tmp_path / "rows.csv")
    ended = stillhouse(
        "new", "mine", "--data", str(tmp_path / "rows.csv"), "--text", "question", "--label", "service",
        recipes=tmp_path / "recipes",
    )  # fmt: skip
    first = ended.stdout.splitlines()[0]
    assert first.startswith(("6 of 96 rows are left out: 5 duplicate text, 1 blank text", "7 of 96", "8 of 96"))
    assert first in " ".join((tmp_path / "recipes" / "mine" / "defs.yaml").read_text().split())
    assert "stillhouse run mine" in ended.stdout and "open  pain: what hurts" in ended.stdout


def seen_by_new(folder: Path, rows: pl.DataFrame, label: str) -> str:
    rows.write_csv(folder / "rows.csv")
    options = ("--data", str(folder / "rows.csv"), "--text", "question", "--label", label)
    ended = stillhouse("new", "mine", *options, recipes=folder / "recipes")
    assert ended.returncode == 0, ended.stderr
    written = (folder / "recipes" / "mine" / "defs.yaml").read_text()
    lines = [line for line in ended.stdout.splitlines() if not line.startswith(("wrote", "open", "Answer"))]
    assert all(f"# {line}." in written for line in lines)
    return "\n".join(lines)


def test_labels_of_a_handful_of_rows_are_said(tmp_path: Path, home: Home) -> None:
    """As in a file of a thousand classes with three rows each."""
    rows = questions(240).with_columns(service=pl.format("c{}", pl.int_range(pl.len()) // 3))
    assert "80 of 80 labels have too few rows to be learned or judged, such as 'c" in seen_by_new(
        tmp_path, rows, "service"
    )


def test_several_labels_in_a_cell_are_said(tmp_path: Path, home: Home) -> None:
    third = pl.int_range(pl.len()) % 3
    lists = pl.when(third == 0).then(pl.lit("['billing', 'urgent']")).when(third == 1).then(pl.lit("['repair']"))
    rows = questions(120).with_columns(service=lists.otherwise(pl.lit("['urgent', 'repair', 'billing']")))
    assert "hold several classes, such as " in seen_by_new(tmp_path, rows, "service")


def test_labels_that_are_records_are_said(tmp_path: Path, home: Home) -> None:
    """Regression: commas in them were taken for those between labels, and `multi_label` was advised."""
    two = pl.int_range(pl.len()) % 2
    record = pl.when(two == 0).then(pl.lit('{"payee": "bank", "due": null}')).otherwise(pl.lit('{"payee": "bank"}'))
    said = seen_by_new(tmp_path, questions(120).with_columns(service=record), "service")
    assert "rows are JSON objects, learned here as classes: 'due' has no value in any row, so nothing can" in said
    assert "hold several classes" not in said


def test_labels_that_a_gate_will_ask_about_and_those_that_mean_none_are_said(tmp_path: Path, home: Home) -> None:
    place = pl.int_range(pl.len())
    label = pl.when(place % 4 == 0).then(pl.lit("card_lost")).when(place % 4 == 1).then(pl.lit("Card lost"))
    rows = questions(120).with_columns(service=label.when(place % 4 == 2).then(pl.lit("nan")).otherwise(pl.lit("x")))
    said = seen_by_new(tmp_path, rows, "service")
    assert "one class? Card lost and card_lost: `data.labels` says so" in said
    assert "labels of 30 rows are nan, which many programs write where there is no label" in said
    assert '`data.labels: {"nan": ""}`' in said


@pytest.mark.parametrize("header", ["\ufeff\ufeffquestion,service", " question ,service,", "|question| service |"])
def test_columns_with_something_unseen_around_their_names_are_not_looked_at_again(
    tmp_path: Path, home: Home, header: str
) -> None:
    """Regression: with two labels, each other column was asked for once more, under a name that no column had."""
    two = pl.when(pl.int_range(pl.len()) % 2 == 0).then(pl.lit("billing")).otherwise(pl.lit("repair"))
    rows = questions(120).select("question", two.alias("service")).rows()
    line = "|{}|{}|" if header.startswith("|") else "{},{}," if header.endswith(",") else "{},{}"
    lines = [line.format(text.replace(",", " "), label) for text, label in rows]
    (tmp_path / "rows.csv").write_text("\n".join([header, *lines]))
    options = ("--data", str(tmp_path / "rows.csv"), "--text", "question", "--label", "service")
    ended = stillhouse("new", "mine", *options, recipes=tmp_path / "recipes")
    assert ended.returncode == 0, ended.stderr


def test_several_columns_of_labels_are_said(tmp_path: Path, home: Home) -> None:
    place = pl.int_range(pl.len())
    rows = questions(120).with_columns(billing=place % 2, urgent=place % 3 % 2, repair=place % 5 % 2)
    said = "urgent, repair say one of two things of each row, as billing does: several labels a row? This recipe"
    assert said in seen_by_new(tmp_path, rows, "billing")


def test_labels_that_are_numbers_are_said_with_what_learns_them(tmp_path: Path, home: Home) -> None:
    for cells, scale in ((["1", "2.5", "4", "5"], True), (["0", "1", "0", "1"], False), (["1", "2", "3", "x"], False)):
        place = pl.int_range(pl.len()) % 4
        rows = questions(120).with_columns(service=place.replace_strict(dict(enumerate(cells))))
        folder = tmp_path / "".join(cells)
        folder.mkdir()
        said = seen_by_new(folder, rows, "service")
        assert ("`score: {lowest: 1, highest: 5, tolerance: 0.4}` in `data` learn them as numbers" in said) is scale
