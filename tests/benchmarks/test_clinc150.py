"""The benchmark on CLINC150: its rows, its recipe, and what it says where the rows are absent. It is not run here."""

import os
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

from benchmarks.clinc150 import RECIPE, SOURCE, write_rows
from benchmarks.recipes import recipe_like
from stillhouse.home import CHECKOUT


def test_its_recipe_is_valid_and_every_control_has_a_student_of_its_shape(tmp_path: Path) -> None:
    students = recipe_like(RECIPE, tmp_path, "clinc150", {}).recipe.students
    learners, controls = (
        [(s.layers, s.feed_forward) for s in students if s.learns_from == whom] for whom in ("teacher", "labels")
    )
    assert max(learners, key=lambda shape: len(shape[0])) in controls
    assert {*controls} <= {*learners}


def test_it_says_where_the_rows_belong_and_fails_where_they_are_absent(tmp_path: Path) -> None:
    run = subprocess.run(
        [sys.executable, "-m", "benchmarks.clinc150", str(tmp_path / "home")],
        cwd=CHECKOUT, env={**os.environ, "CLINC150": str(tmp_path)}, capture_output=True, text=True,
    )  # fmt: skip
    assert run.returncode == 1
    assert str(tmp_path / "data_full.json") in run.stderr
    assert "CLINC150=FOLDER" in run.stderr
    assert "Traceback" not in run.stderr


@pytest.mark.skipif(not SOURCE.is_dir(), reason="CLINC150 is neither beside the checkout nor where CLINC150 says")
def test_its_rows_are_the_in_scope_ones_and_each_slice_has_fifteen_intents(tmp_path: Path) -> None:
    write_rows(SOURCE, tmp_path / "rows.csv")
    rows = pl.read_csv(tmp_path / "rows.csv")
    assert rows.height == 22_500  # 15,000 + 3,000 + 4,500, Larson et al. 2019, section 2
    intents = dict(rows.group_by("domain").agg(pl.col("intent").n_unique()).iter_rows())
    slices = recipe_like(RECIPE, tmp_path, "clinc150", {}).recipe.slices
    assert intents == {slice_.values[0]: 15 for slice_ in slices}
    assert all(slice_.values == (slice_.name,) for slice_ in slices)
