"""Tables in the UI: sorted, the winner marked, a control not called failed, and nothing of our own cut."""

from types import SimpleNamespace
from typing import Any

import polars as pl

from assets.tables import evaluation_table, markdown_table, table_metadata
from stillhouse.evaluation.models import ModelKind


def judged(name: str, accuracy: float, kind: ModelKind = ModelKind.STUDENT, summary: str = "fine") -> Any:
    score = SimpleNamespace(accuracy=accuracy, accuracy_interval=(accuracy - 0.01, accuracy + 0.01), kind=kind)
    return SimpleNamespace(
        usd_per_1000_calls=None,
        name=name, score=score, seeds=None, agreement=0.95678, size_ratio=13.28, latency_ratio=None, verdict="fail",
        summary=summary,
    )  # fmt: skip


def rows(table: str) -> list[list[str]]:
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()[2:]]


def test_the_best_stands_first_the_chosen_one_is_marked_and_a_control_has_no_verdict() -> None:
    long = "two_layers misses the bar: " + "its drop may be 5.1 points, more than the margin of 4; " * 5
    all_of_them = [judged("two", 0.88, summary=long), judged("labels", 0.9, ModelKind.CONTROL), judged("five", 0.91234)]
    table = rows(evaluation_table(all_of_them, chosen="five").value)  # type: ignore[arg-type]
    assert [row[0] for row in table] == ["**five** (chosen)", "labels", "two"]
    assert [row[5] for row in table] == ["fail", "control", "fail"]
    assert table[0][1:5] == ["0.912 (0.902 to 0.922)", "0.957", "13.3x", "not measured"]
    assert table[2][6] == long.strip(), "a sentence of ours is not cut"


def test_what_calls_cost_is_shown_where_one_of_the_options_is_paid_for() -> None:
    free, paid = judged("five", 0.9), judged("prompted", 0.8)
    paid.usd_per_1000_calls = 0.25
    assert "USD" not in str(evaluation_table([free]).value)
    table = rows(evaluation_table([free, paid]).value)  # type: ignore[arg-type]
    assert [row[5] for row in table] == ["", "0.25"]


def test_what_quotes_rows_is_cut_and_numbers_are_rounded() -> None:
    cut, whole = (markdown_table([{"text": "t" * 200, "share": 0.123456}], quotes_rows=each) for each in (True, False))
    assert rows(cut) == [["t" * 77 + "...", "0.1235"]] and rows(whole)[0][0] == "t" * 200


def test_each_column_says_what_it_is() -> None:
    schema = table_metadata(pl.DataFrame({"split": ["train"], "kind": ["HUM"]}))["dagster/column_schema"]
    described = {column.name: column.description for column in schema.columns}
    assert described["split"] == "train, validation or golden: the side of the row, which never changes"
    assert described["kind"] == "a column of the rows, which travels along"
