"""Bad input, put through the assets as a user meets it: one line with what, where, what was expected and what to do.

Belongs here: what only a run shows, such as the field of the recipe that a message names.
Does not: each mistake by itself, which is tested at the function that finds it (tests/stillhouse), and planted as a
fault (tests/faults/contract_and_source.py).
"""

from pathlib import Path

import polars as pl

from assets.keys import key_of
from assets.materializations import newest_artifact
from stillhouse.recipe.reading import RecipeFile
from stillhouse.records.builds import BuildStore
from tests.conftest import Run, failures
from tests.small import questions, small_recipe

GOOD = questions(200)


def recipe_on(folder: Path, content: bytes, **changes: object) -> RecipeFile:
    """A recipe whose source has this content."""
    file = small_recipe(folder, rows=100, slices=[], **changes)
    (folder / "questions.csv").write_bytes(content)
    return file


def csv(rows: pl.DataFrame) -> bytes:
    return rows.write_csv().encode()


def test_a_source_that_cannot_be_read_is_one_line(tmp_path: Path, run: Run) -> None:
    (said,) = failures(run(recipe_on(tmp_path, b"PK\x03\x04" + bytes(200)), "contract", "source"))
    assert "questions.csv" in said and "expected" in said
    assert len(said.splitlines()) == 1


def test_a_sensitive_column_that_is_not_there_is_said_by_its_field(tmp_path: Path, run: Run) -> None:
    (said,) = failures(run(recipe_on(tmp_path, csv(GOOD), sensitive=[{"column": "region"}]), "contract", "source"))
    assert "sensitive.0.column" in said and "there is no column 'region'" in said


def test_a_slice_on_a_column_that_does_not_exist_is_said_by_its_line(tmp_path: Path, run: Run) -> None:
    wanted = [{"name": "people", "column": "knd", "values": ["HUM:ind"], "critical": True}]
    file = small_recipe(tmp_path, rows=100, slices=wanted)
    (said,) = failures(run(file, "contract", "source"))
    line = next(n for n, text in enumerate(file.path.read_text().splitlines(), start=1) if "column: knd" in text)
    assert said.startswith(f"{file.path}:{line}: slices.0.column: ")
    assert "there is no column 'knd'" in said and "Did you mean 'kind'?" in said


def test_odd_rows_are_kept_or_rejected_with_a_reason_and_none_is_lost(
    tmp_path: Path, run: Run, builds: BuildStore
) -> None:
    """A label seen once, null text, and a text of a megabyte."""
    odd = pl.DataFrame({
        "question": ["What is seen once ?", None, "x " * 500_000],
        "service": ["ONCE", "HUM", "HUM"],
        "kind": [None] * 3,
    }, schema_overrides={"kind": pl.String})  # fmt: skip
    file = recipe_on(tmp_path, csv(pl.concat([GOOD, odd])))
    assert run(file, "contract", "source", "prompts").success
    prompts = newest_artifact(builds, key_of("small", "prompts"), "base")
    reasons = prompts.frame("rejects")["reason"].to_list()
    assert prompts.manifest.facts["kept"] + len(reasons) == GOOD.height + 3
    assert "label seen once" in reasons and "blank text" in reasons
    assert "longer than max_characters" in reasons


def test_after_a_teacher_that_is_not_there_nothing_but_the_contract_is_made(tmp_path: Path, run: Run) -> None:
    file = small_recipe(tmp_path, rows=200, slices=[], teacher__source=str(tmp_path / "nowhere"))
    result = run(file, "contract", "source", "prompts", "teacher")
    closed = {check.check_name: check for check in result.get_asset_check_evaluations() if not check.passed}
    assert closed.keys() == {
        "the_teachers_weights_are_safe", "the_weights_are_the_pinned_ones", "the_weights_have_what_the_recipe_asks",
        "training_fits_into_memory",
    }  # fmt: skip
    said = str(closed["the_teachers_weights_are_safe"].description)
    assert "no such model folder" in said and "Correct the model's source in the recipe" in said
    assert {event.asset_key.path[-1] for event in result.get_asset_materialization_events()} == {"contract"}
