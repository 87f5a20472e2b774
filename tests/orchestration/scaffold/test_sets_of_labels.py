"""Rows with several labels each become a recipe that learns sets of them, or one sentence says why not."""

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml

from orchestration.scaffold.server import TeacherServer
from orchestration.scaffold.writing import FilesBeside, Written, write_recipe
from stillhouse.errors import StillhouseError
from stillhouse.recipe.reading import read_recipe
from tests.small import questions

LISTS = [["person"], ["place", "asked"], [], ["amount", "person", "asked"], None, ["amount"], ["place"], ["asked"]]


def rows(folder: Path, name: str, **changes: Any) -> Path:
    """240 questions, of which one in eight has no labels said and one in eight has none."""
    asked = questions(240)["question"].to_list()
    labels = [LISTS[number % len(LISTS)] for number in range(240)]
    path = folder / name
    if path.suffix == ".csv":
        cells = [None if each is None else ";".join(each) or "[]" for each in labels]
        pl.DataFrame({"question": asked, "labels": cells}).write_csv(path)
    else:
        lines = ({"question": text, "labels": each, **changes} for text, each in zip(asked, labels, strict=True))
        path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def new(folder: Path, data: Path, **beside: Any) -> Written:
    return write_recipe(
        folder / "recipes", "sets", data=str(data), text="question", label="labels", beside=FilesBeside(**beside)
    )


@pytest.mark.parametrize("name", ["rows.csv", "rows.ndjson"])
def test_a_column_of_sets_is_recognised_and_the_recipe_says_so(tmp_path: Path, name: str) -> None:
    made = new(tmp_path, rows(tmp_path, name))
    recipe = read_recipe(made.path).recipe
    assert recipe.data.answer == "multi_label" and recipe.bar.metric == "accuracy"
    assert [each.training.loss for each in recipe.students if each.training] == ["bce", "labels", "bce", "labels"]
    assert any("data.answer: multi_label" in sentence for sentence in made.seen)
    assert "those of its 4 labels that apply" in recipe.task
    assert {each.column for each in recipe.slices} <= {"label"}
    assert all(value in ("person", "place", "amount", "asked") for each in recipe.slices for value in each.values)
    text = made.path.read_text()
    assert "4 labels." in text and "of whole sets of labels" in text and "contrast_weight" not in text


def test_golden_rows_with_sets_make_a_recipe_of_sets_of_a_source_without_labels(tmp_path: Path) -> None:
    golden = rows(tmp_path, "golden.ndjson")
    source = tmp_path / "rows.csv"
    pl.DataFrame({"question": questions(300, skip=300)["question"]}).write_csv(source)
    answers = tmp_path / "answers.jsonl"
    asked = questions(300, skip=300)["question"].to_list()
    answers.write_text("".join(json.dumps({"text": text, "answer": ["person"]}) + "\n" for text in asked))
    made = new(tmp_path, source, golden=str(golden), stored=str(answers))
    recipe = read_recipe(made.path).recipe
    assert (recipe.data.answer, recipe.data.label, recipe.data.golden_label) == ("multi_label", None, "labels")
    assert {each.training.loss for each in recipe.students if each.training} == {"bce"}


def test_a_server_is_asked_for_sets_with_room_for_a_list(tmp_path: Path) -> None:
    server = TeacherServer("http://127.0.0.1:8000/v1", "large", 0.2, 0.6, 25)
    recipe = read_recipe(new(tmp_path, rows(tmp_path, "rows.csv"), server=server).path).recipe
    assert (recipe.teacher.kind, recipe.data.answer) == ("endpoint", "multi_label")
    assert recipe.teacher.ask is not None and recipe.teacher.ask.settings == {"temperature": 0, "max_tokens": 128}
    assert {each.training.loss for each in recipe.students if each.training} == {"bce", "labels"}


def test_a_single_label_stays_what_it_was(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    questions(240).select("question", labels="service").write_csv(path)
    made = new(tmp_path, path)
    assert "answer" not in yaml.safe_load(made.path.read_text())["attributes"]["data"]
    assert read_recipe(made.path).recipe.data.answer == "single_label"


def test_a_few_lists_among_single_labels_are_left_out_as_a_round_leaves_them_out(tmp_path: Path) -> None:
    """Regression: their JSON became a class of the recipe's, of which a round had no row."""
    path = tmp_path / "rows.ndjson"
    asked, labels = questions(240)["question"].to_list(), questions(240)["service"].to_list()
    cells = [["a", "b"] if number % 40 == 0 else label for number, label in enumerate(labels)]
    path.write_text("".join(json.dumps({"question": a, "labels": b}) + "\n" for a, b in zip(asked, cells, strict=True)))
    made = new(tmp_path, path)
    assert read_recipe(made.path).recipe.data.answer == "single_label"
    assert f"its {len({*labels})} labels" in read_recipe(made.path).recipe.task
    assert any("6" in each and "list or object" in each for each in made.seen)


def test_more_labels_than_a_set_may_have_are_refused_in_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    cells = [f"label {number % 63};label {(number + 1) % 63}" for number in range(240)]
    pl.DataFrame({"question": questions(240)["question"], "labels": cells}).write_csv(path)
    with pytest.raises(StillhouseError, match="there are 63 labels in sets"):
        new(tmp_path, path)
    assert not (tmp_path / "recipes").exists()
