"""Bad input, put through the assets as a user meets it: one line with what, where, what was expected and what to do.

The same mistakes are tested at the functions that find them in tests/stillhouse.
"""

import pickle
from pathlib import Path

import dagster as dg
import polars as pl
import pytest

from stillhouse.recipe.reading import RecipeFile
from tests.conftest import Run, failures, verdicts
from tests.small import questions, small_recipe


def recipe_on(folder: Path, content: bytes | None, **changes: object) -> RecipeFile:
    """A recipe whose source has this content."""
    file = small_recipe(folder, rows=100, slices=[], **changes)
    data = folder / "questions.csv"
    data.unlink()
    if content is not None:
        data.write_bytes(content)
    return file


def csv(rows: pl.DataFrame) -> bytes:
    return rows.write_csv().encode()


GOOD = questions(200)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "questions.csv: no such file; expected a file with rows"),
        (b"", "questions.csv: the file is empty; expected a file with rows"),
        (b"question,service\n", "questions.csv: it holds no rows"),
        (csv(GOOD).replace(b"Who", "Wh\u00f6".encode("latin-1"), 1), "questions.csv"),
        (csv(GOOD.rename({"service": "servise"})), "there is no column 'service'"),
        (b"PK\x03\x04" + bytes(200), "questions.csv"),
    ],
    ids=["missing", "empty", "header only", "wrong encoding", "unknown column", "binary"],
)
def test_a_source_that_cannot_be_read(tmp_path: Path, run: Run, content: bytes | None, message: str) -> None:
    (told,) = failures(run(recipe_on(tmp_path, content), "contract", "source"))
    assert message in told and "expected" in told
    assert len(told.splitlines()) == 1


def test_a_sensitive_column_that_is_not_there_is_told_by_its_field(tmp_path: Path, run: Run) -> None:
    (told,) = failures(run(recipe_on(tmp_path, csv(GOOD), sensitive=[{"column": "region"}]), "contract", "source"))
    assert "sensitive.0.column" in told and "there is no column 'region'" in told


def test_wrong_encoding_names_the_line_and_what_to_do(tmp_path: Path, run: Run) -> None:
    content = csv(GOOD).replace(b"\nWho", "\nWh\u00f6".encode("latin-1"), 1)
    (told,) = failures(run(recipe_on(tmp_path, content), "contract", "source"))
    assert "line" in told and "encoding" in told


def test_one_class_only(tmp_path: Path, run: Run) -> None:
    result = run(recipe_on(tmp_path, csv(GOOD.with_columns(pl.lit("HUM").alias("service")))), "contract", "source")
    assert verdicts(result)["two_classes_are_labelled"] is False


def test_a_slice_on_a_column_that_does_not_exist(tmp_path: Path, run: Run) -> None:
    wanted = [{"name": "people", "column": "knd", "values": ["HUM:ind"], "critical": True}]
    file = small_recipe(tmp_path, rows=100, slices=wanted)
    (told,) = failures(run(file, "contract", "source"))
    line = next(n for n, text in enumerate(file.path.read_text().splitlines(), start=1) if "column: knd" in text)
    assert told.startswith(f"{file.path}:{line}: slices.0.column: ")
    assert "there is no column 'knd'" in told and "Did you mean 'kind'?" in told


def test_odd_rows_are_kept_or_rejected_with_a_reason_and_none_is_lost(tmp_path: Path, run: Run, builds) -> None:
    """A label seen once, null text, and a text of a megabyte."""
    from assets.keys import key_of
    from assets.materializations import newest_artifact

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


def test_a_pickle_as_teacher(tmp_path: Path, run: Run) -> None:
    file = small_recipe(tmp_path, rows=200, slices=[])
    (tmp_path / "teacher" / "model.safetensors").write_bytes(pickle.dumps({"weights": [1.0]}))
    told = why_the_weights_were_refused(run(file, "contract", "source", "prompts", "teacher"))
    assert "can run code when it is loaded (pickle)" in told and "safetensors only" in told


def test_a_truncated_safetensors_as_teacher(tmp_path: Path, run: Run) -> None:
    file = small_recipe(tmp_path, rows=200, slices=[])
    weights = tmp_path / "teacher" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1000])
    told = why_the_weights_were_refused(run(file, "contract", "source", "prompts", "teacher"))
    assert "model.safetensors: truncated or corrupt" in told


def test_a_teacher_that_is_not_there(tmp_path: Path, run: Run) -> None:
    file = small_recipe(tmp_path, rows=200, slices=[], teacher__source=str(tmp_path / "nowhere"))
    told = why_the_weights_were_refused(run(file, "contract", "source", "prompts", "teacher"))
    assert "no such model folder" in told and "Correct the model's source in the recipe" in told


def why_the_weights_were_refused(result: dg.ExecuteInProcessResult) -> str:
    """The sentence of the gate that closes; nothing after the contract was made."""
    found = {e.check_name: e for e in result.get_asset_check_evaluations()}
    closed = {name for name, each in found.items() if not each.passed}
    assert closed == {
        "the_teachers_weights_are_safe", "the_weights_are_the_pinned_ones", "training_fits_into_memory"
    }  # fmt: skip
    assert {event.asset_key.path[-1] for event in result.get_asset_materialization_events()} == {"contract"}
    return str(found["the_teachers_weights_are_safe"].description)


def test_a_teacher_whose_terms_are_unknown_is_never_loaded(tmp_path: Path, run: Run) -> None:
    file = small_recipe(tmp_path, rows=200, slices=[], teacher__training_on_outputs="unknown")
    result = run(file, "contract", "source", "prompts", "teacher")
    assert verdicts(result)["terms_allow_training_on_outputs"] is False
    (told,) = failures(run(file, "teacher"))
    assert "terms_allow_training_on_outputs is failed" in told
