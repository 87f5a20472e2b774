"""`stillhouse ask`: requests that are still missing, of later batches too, and nothing that is there is overwritten."""

import json
from pathlib import Path

import polars as pl
import pytest
import yaml

from orchestration.asking import write_requests
from stillhouse.data.cleaning import prompt_ids
from stillhouse.home import Home
from stillhouse.recipe.reading import RecipeFile, read_recipe
from tests.command import stillhouse
from tests.conftest import a_place
from tests.small import questions, small_recipe
from tests.stillhouse.teachers.answered import reply, written


def nobody_has_asked(folder: Path, rows: pl.DataFrame) -> RecipeFile:
    """A recipe with a teacher that nobody has asked."""
    rows.write_csv(folder / "questions.csv")
    path = small_recipe(folder, slices=[]).path
    document = yaml.safe_load(path.read_text())
    own = document["attributes"]
    own["teacher"] = {
        "kind": "stored", "source": str(folder / "replies" / "*.jsonl"), "revision": "October",
        "licence": "its terms", "training_on_outputs": "allowed", "reason": "It answers today.",
        "minimum_accuracy": 0.8, "answers": {"format": "batch"}, "ask": {"model": "large"},
    }  # fmt: skip
    own["base"] = {"source": str(folder / "teacher"), "revision": "test", "licence": "Apache-2.0"}
    own["budget"] = {"latency_ms_at_most": 20}
    for student in own["students"]:
        student["training"]["loss"] = "labels" if student.get("learns_from") == "labels" else "kl"
    path.write_text(yaml.safe_dump(document))
    (folder / "replies").mkdir()
    return read_recipe(path)


@pytest.fixture
def recipes(tmp_path: Path, home: Home) -> Path:
    """A folder with such a recipe of a hundred rows."""
    return nobody_has_asked(tmp_path, questions(100)).path.parents[1]


def test_only_what_has_no_answer_yet_is_asked(recipes: Path, tmp_path: Path) -> None:
    ended = stillhouse("ask", "small", "--write", str(tmp_path / "all.jsonl"), "--json", recipes=recipes)
    found = json.loads(ended.stdout)
    assert ended.returncode == 0 and found["requests"] == found["prompts"] == 100
    requests = [json.loads(line) for line in (tmp_path / "all.jsonl").read_text().splitlines()]
    assert {request["custom_id"] for request in requests} == {*prompt_ids(questions(100)["question"])}
    first, second, third, *rest = (request["custom_id"] for request in requests)
    written(tmp_path / "replies" / "1.jsonl", [reply(each, "HUM") for each in rest])
    written(tmp_path / "replies" / "2.jsonl", [reply(first, None, status=500), reply(second, "I do not know")])
    ended = stillhouse("ask", "small", "--write", str(tmp_path / "rest.jsonl"), recipes=recipes)
    assert ended.returncode == 0 and "rest.jsonl: 3 requests for 100 prompts, " in ended.stdout
    asked = {json.loads(line)["custom_id"] for line in (tmp_path / "rest.jsonl").read_text().splitlines()}
    assert asked == {first, second, third}


def test_a_file_that_is_there_is_never_overwritten(recipes: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.jsonl").write_text("paid for")
    ended = stillhouse("ask", "small", "--write", str(tmp_path / "mine.jsonl"), recipes=recipes)
    assert ended.returncode == 2 and "there is such a file" in ended.stderr
    assert (tmp_path / "mine.jsonl").read_text() == "paid for"


def test_a_teacher_that_runs_here_is_asked_by_the_run(tmp_path: Path, home: Home) -> None:
    small_recipe(tmp_path, rows=100)
    ended = stillhouse("ask", "small", "--write", str(tmp_path / "r.jsonl"), recipes=tmp_path / "recipes")
    assert ended.returncode == 2 and "the recipe does not say how its teacher is asked" in ended.stderr
    assert not (tmp_path / "r.jsonl").exists()


def test_the_prompts_of_a_dropped_file_are_asked_too(tmp_path: Path) -> None:
    with a_place(tmp_path) as place:
        of_three = questions(1000).filter(pl.col("service").is_in(["HUM", "LOC", "NUM"])).head(300)
        file = nobody_has_asked(place.folder, of_three)
        services = dict(zip(prompt_ids(of_three["question"]), of_three["service"], strict=True))
        written(tmp_path / "replies" / "1.jsonl", [reply(*answered) for answered in services.items()])
        assert place.run(file, "contract", "source", "prompts").success
        assert write_requests(place.builds, file, tmp_path / "none.jsonl").requests == 0
        later = questions(20, skip=1000).select("question", pl.lit(None, pl.String).alias("service"))
        place.drop("monday.csv", later)
        assert place.run(file, "source", "prompts", batch="monday.csv").success
        assert write_requests(place.builds, file, tmp_path / "later.jsonl").requests == 20
        asked = {json.loads(line)["custom_id"] for line in (tmp_path / "later.jsonl").read_text().splitlines()}
        assert asked == {*prompt_ids(later["question"])}
