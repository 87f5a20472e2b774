"""A golden set may grow; what was refused once is not let in by the next change."""

from pathlib import Path

import polars as pl
import pytest

from tests.conftest import Run, verdicts
from tests.small import questions, small_recipe

pytestmark = pytest.mark.slow

GATE = "no_golden_row_has_changed"


def relabelled(rows: pl.DataFrame, golden: list[str]) -> pl.DataFrame:
    """The rows, with another label for one that is golden."""
    other = pl.when(pl.col("service") == "HUM").then(pl.lit("LOC")).otherwise(pl.lit("HUM"))
    return rows.with_columns(service=pl.when(pl.col("question") == golden[0]).then(other).otherwise("service"))


def test_a_relabelled_golden_row_stays_out_however_the_rows_grow(tmp_path: Path, run: Run, builds) -> None:
    file = small_recipe(tmp_path, rows=200, slices=[])
    data = tmp_path / "questions.csv"
    assert verdicts(run(file, "contract", "source", "prompts"))[GATE]
    (made,) = builds.ledger.entries("small", "materialization", subject="small/prompts[base]")
    prompts = builds.artifact(made.body["digest"], made.body["manifest"]).frame("prompts")
    golden = prompts.filter(pl.col("split") == "golden")["text"].to_list()

    questions(220).write_csv(data)
    assert verdicts(run(file, "source", "prompts"))[GATE], "it only grew"
    relabelled(questions(220), golden).write_csv(data)
    assert not verdicts(run(file, "source", "prompts"))[GATE]
    relabelled(questions(240), golden).write_csv(data)
    assert not verdicts(run(file, "source", "prompts"))[GATE], "the refused label came in with twenty more rows"
    questions(240).write_csv(data)
    assert verdicts(run(file, "source", "prompts"))[GATE]
