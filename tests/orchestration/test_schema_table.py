"""`stillhouse schema` for people: every field of a recipe, or of one part of it."""

import json
from io import StringIO

import pytest

from orchestration.schema_table import fields_table, part_of
from orchestration.terminal import Terminal
from stillhouse.recipe.contract import Recipe
from tests.command import stillhouse

SCHEMA = Recipe.model_json_schema(mode="validation")


def cells(part: str | None) -> dict[str, list[str]]:
    """Each line of a table by its field."""
    table = fields_table(part_of(SCHEMA, part), part)
    columns = [[str(cell) for cell in column.cells] for column in table.columns]
    return {name: list(rest) for name, *rest in zip(*columns, strict=True)}


def test_every_field_of_the_recipe_is_a_line_that_says_what_it_is() -> None:
    lines = cells(None)
    assert lines.keys() == Recipe.model_fields.keys()
    assert all(what for *_, what in lines.values())
    assert lines["stakes"][:2] == ["low, high", '"low"'] and lines["task"][1] == "required"
    assert lines["teacher"][2].endswith("See `stillhouse schema teacher`.")


def test_a_part_and_a_part_of_a_part_and_a_single_field() -> None:
    assert cells("teacher")["minimum_accuracy"][:2] == ["number > 0 <= 1", "required"]
    assert "date_column" in cells("data.provenance")
    assert cells("students")["training"][2].endswith("See `stillhouse schema students.training`.")
    assert cells("teacher.review")["size"][:2] == ["whole number >= 20", "200"], "a part beside null"
    assert cells("data.label")["label"][:2] == ["text or null", "required"]
    said = "privacy class of all rows, where no column tells it"
    assert cells("data.provenance.privacy_class")["privacy_class"][2] == said


@pytest.mark.parametrize("width", [80, 200])
def test_the_table_shows_every_field_on_any_terminal(width: int) -> None:
    shown = StringIO()
    Terminal(file=shown, width=width).print(fields_table(part_of(SCHEMA, "data"), "data"))
    assert all(name in shown.getvalue() for name in ("source", "allow_missing_columns", "wrong_labels_at_most"))


def test_a_field_that_does_not_exist_is_one_line_with_the_closest() -> None:
    ended = stillhouse("schema", "data.textt")
    (line,) = ended.stderr.splitlines()
    assert ended.returncode == 2 and "recipe.data: there is no field 'textt'" in line and "Did you mean 'text'?" in line
    assert stillhouse("schema", "task.word").returncode == 2


def test_scripts_get_json_schema() -> None:
    assert json.loads(stillhouse("schema", "--json").stdout) == SCHEMA
    assert json.loads(stillhouse("schema", "teacher", "--json").stdout)["properties"].keys() >= {"source", "revision"}
