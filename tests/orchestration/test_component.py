"""`dg scaffold defs` writes what `stillhouse new` writes, and the component's page shows a recipe that is one."""

import json
from pathlib import Path

import pytest
import yaml
from dagster.components.component_scaffolding import scaffold_object
from dagster_shared.yaml_utils.sample_yaml import generate_sample_yaml

from orchestration.component import DistillationRecipe, RecipeWithExample
from orchestration.scaffold.open_questions import AnsweredQuestions
from orchestration.scaffold.server import TeacherServer
from orchestration.scaffold.writing import FilesBeside, write_recipe
from stillhouse.errors import StillhouseError
from stillhouse.home import CHECKOUT, Home
from stillhouse.recipe.contract import Recipe
from stillhouse.recipe.reading import COMPONENT_TYPE, read_recipe
from tests.language_models import byte_pairs, language_model
from tests.small import questions
from tests.stillhouse.models.encoders import published


def scaffolded(folder: Path, name: str, format: str = "yaml", **params: object) -> None:
    scaffold_object(folder / name, COMPONENT_TYPE, json.dumps(params), format, None)


def test_dg_scaffold_writes_what_stillhouse_new_writes(tmp_path: Path, home: Home) -> None:
    data = tmp_path / "rows.csv"
    questions(90).write_csv(data)
    scaffolded(tmp_path / "defs", "mine", data=str(data), text="question", label="service")
    path = tmp_path / "defs" / "mine" / "defs.yaml"
    other = write_recipe(tmp_path / "others", "mine", data=str(data), text="question", label="service").path
    assert path.read_text() == other.read_text() and read_recipe(path).recipe.data.text == "question"


def test_dg_scaffold_takes_the_answers_that_only_a_person_can_give(tmp_path: Path, home: Home) -> None:
    data = tmp_path / "rows.csv"
    questions(90).write_csv(data)
    answers = {"pain": ["latency"], "licence": "our own", "outputs_may_train": True}
    scaffolded(tmp_path / "defs", "mine", data=str(data), text="question", label="service", **answers)
    recipe = read_recipe(tmp_path / "defs" / "mine" / "defs.yaml").recipe
    assert (recipe.pain, recipe.data.licence, recipe.teacher.training_on_outputs) == (
        ("latency",),
        "our own",
        "allowed",
    )


def test_dg_scaffold_takes_the_files_and_the_server_that_stillhouse_new_takes(tmp_path: Path, home: Home) -> None:
    questions(200).select("question").write_csv(tmp_path / "rows.csv")
    questions(300, skip=180).write_csv(tmp_path / "audited.csv")
    given = {"data": str(tmp_path / "rows.csv"), "text": "question", "label": "service"}
    golden, server = str(tmp_path / "audited.csv"), TeacherServer("http://127.0.0.1:9/v1", "large", 0.2, 0.6, 25)
    asked = {"endpoint": server.url, "model": "large", "usd_in": 0.2, "usd_out": 0.6, "usd_at_most": 25}
    scaffolded(tmp_path / "defs", "mine", **given, golden=golden, **asked, teacher_may_see=["internal"])
    other = write_recipe(
        tmp_path / "others", "mine", **given, beside=FilesBeside(golden, server=server),
        answers=AnsweredQuestions(teacher_may_see=("internal",)),
    )  # fmt: skip
    path = tmp_path / "defs" / "mine" / "defs.yaml"
    assert path.read_text() == other.path.read_text() and read_recipe(path).recipe.teacher.kind == "endpoint"
    assert "teacher_may_see" not in other.open
    with pytest.raises(StillhouseError, match="--model is not said"):
        scaffolded(tmp_path / "defs", "other", **given, golden=golden, **{**asked, "model": None})
    assert not (tmp_path / "defs" / "other").exists()
    (tmp_path / "answers.csv").write_text("text,answer\nWho ?,HUM\n")
    scaffolded(tmp_path / "defs", "third", **given, golden=golden, answers=str(tmp_path / "answers.csv"))
    assert read_recipe(tmp_path / "defs" / "third" / "defs.yaml").recipe.teacher.kind == "stored"


def test_dg_scaffold_takes_the_weights_that_stillhouse_new_takes(tmp_path: Path, home: Home) -> None:
    questions(90).write_csv(tmp_path / "rows.csv")
    given = {"data": str(tmp_path / "rows.csv"), "text": "question", "label": "service"}
    model = language_model(tmp_path / "model", byte_pairs(questions(90)["question"].to_list(), 400))
    weights = {"teacher": str(model), "base": str(published("roberta", tmp_path / "base"))}
    scaffolded(tmp_path / "defs", "mine", **given, **weights)
    other = write_recipe(tmp_path / "others", "mine", **given, beside=FilesBeside(**weights))
    path = tmp_path / "defs" / "mine" / "defs.yaml"
    recipe = read_recipe(path).recipe
    assert path.read_text() == other.path.read_text() and recipe.teacher.kind == "causal_lm"
    assert recipe.base is not None and recipe.base.source == weights["base"]


def test_what_is_refused_leaves_nothing_behind(tmp_path: Path, home: Home) -> None:
    data = tmp_path / "rows.csv"
    questions(90).write_csv(data)
    with pytest.raises(StillhouseError, match="nowhere"):
        scaffolded(tmp_path / "defs", "mine", data=str(data), text="nowhere", label="service")
    with pytest.raises(StillhouseError, match="a recipe is YAML"):
        scaffolded(tmp_path / "defs", "other", "python", data=str(data), text="question", label="service")
    assert not (tmp_path / "defs" / "mine").exists()


def test_the_example_on_the_page_of_the_component_is_a_recipe() -> None:
    """Regression: it had `...` for every text and 0 for every number, which no recipe takes."""
    shown = yaml.safe_load(generate_sample_yaml(COMPONENT_TYPE, DistillationRecipe.get_model_cls().model_json_schema()))
    assert shown["type"] == COMPONENT_TYPE
    demo = read_recipe(CHECKOUT / "orchestration" / "defs" / "question_routing" / "defs.yaml").recipe
    assert Recipe.model_validate(shown["attributes"]) == demo
    assert (
        "examples" not in Recipe.model_json_schema()
        and RecipeWithExample.model_fields.keys() == Recipe.model_fields.keys()
    )
