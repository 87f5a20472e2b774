"""`stillhouse inbox`: where to drop files, and an example that the recipe itself takes in."""

from pathlib import Path

import pytest

from orchestration.inbox import TEXT, encoding, example
from stillhouse.data.dropped import read_dropped
from stillhouse.data.provenance import with_provenance
from stillhouse.home import Home
from stillhouse.recipe.contract import Recipe
from stillhouse.recipe.data import ProvenanceSpec
from tests.command import stillhouse
from tests.small import small_recipe

PROVENANCE = ProvenanceSpec(
    date_column="day", rights_column="right", rights_allowed=("contract, signed",), privacy_column="class",
    kind_column="kind of row",
)  # fmt: skip


@pytest.mark.parametrize("provenance", [ProvenanceSpec(), PROVENANCE])
def test_the_example_has_two_lines_and_goes_through(tmp_path: Path, provenance: ProvenanceSpec) -> None:
    recipe = small_recipe(tmp_path, rows=60).recipe
    recipe = recipe.model_copy(update={"data": recipe.data.model_copy(update={"provenance": provenance})})
    assert len(example(recipe).splitlines()) == 2
    dropped = tmp_path / "dropped.csv"
    dropped.write_text(example(recipe))
    rows = read_dropped(recipe, "dropped.csv", dropped, batch="dropped").rows
    traced = with_provenance(rows, provenance)
    assert traced.rows["text"].to_list() == [TEXT] and traced.rejects.is_empty()
    assert Recipe.model_validate(recipe.model_dump()).slices[0].values[0] in example(recipe)


@pytest.mark.parametrize(
    "how",
    [
        {"separator": ";"},
        {"separator": ";", "quoting": "single"},
        {"separator": "\t"},
        {"columns": ("kind", "question", "service")},
        {"encoding": "utf-16-le"},
    ],
)
def test_the_example_is_written_as_the_source_by_which_a_dropped_file_is_read(
    tmp_path: Path, how: dict[str, object]
) -> None:
    """Regression: the example had commas where the recipe separates by semicolons, and was refused when dropped."""
    recipe = small_recipe(tmp_path, rows=60).recipe
    recipe = recipe.model_copy(update={"data": recipe.data.model_copy(update=how)})
    dropped = tmp_path / "dropped.csv"
    dropped.write_text(example(recipe), encoding=encoding(recipe))
    rows = read_dropped(recipe, "dropped.csv", dropped, batch="dropped").rows
    assert rows["text"].to_list() == [TEXT] and rows["kind"].to_list() == ["HUM:ind"]


def test_the_command_names_the_folder_and_shows_the_example(tmp_path: Path, home: Home) -> None:
    file = small_recipe(tmp_path, rows=60)
    ended = stillhouse("inbox", "small", recipes=tmp_path / "recipes")
    folder, formats, *lines = ended.stdout.splitlines()
    assert (ended.returncode, folder) == (0, str(home.inbox("small"))) and Path(folder).is_dir()
    assert "csv in utf-8, parquet or ndjson" in formats and lines[:2] == example(file.recipe).splitlines()
