"""Rows whose labels are many different numbers become a recipe that learns numbers; codes and few numbers do not."""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import yaml

from orchestration.scaffold.scale import scale_of
from orchestration.scaffold.server import TeacherServer
from orchestration.scaffold.writing import FilesBeside, Written, write_recipe
from stillhouse.recipe.data import ScoreSpec
from stillhouse.recipe.reading import read_recipe
from tests.small import questions


def counts(labels: list[str], rows: int = 10) -> dict[str, int]:
    return dict.fromkeys(labels, rows)


TENTHS = [f"{number / 10:.1f}" for number in range(10, 51)]


def test_the_ends_are_those_of_the_rows_and_a_tenth_between_them_is_near_enough() -> None:
    assert scale_of(counts(TENTHS)) == ScoreSpec(lowest=1, highest=5, tolerance=0.4)
    prices = [str(number) for number in (*range(0, 2_000, 90), 1_999)]
    assert scale_of(counts(prices)) == ScoreSpec(lowest=0, highest=1999, tolerance=199.9)
    exact = scale_of(counts([f"{number / 7:.9f}" for number in range(-50, 50)]))
    assert exact is not None and (exact.lowest, exact.highest) == (-7.142858, 7.0), "no label is beyond an end"
    assert exact.lowest <= -50 / 7


@pytest.mark.parametrize(
    "labels",
    [
        ["1", "2", "3", "4", "5"],
        [str(number) for number in range(77)],
        [str(number) for number in range(1, 102)],
        TENTHS[:19],
        [*TENTHS, "good", "bad", "neither"],
        [f"queue {number}" for number in range(40)],
        [f"{number}e15" for number in range(1, 40)],
        [f"0.00000{number}" for number in range(10, 60)],
        [],
    ],
    ids=["stars", "codes", "all of 1 to 101", "few", "words among them", "words", "too large", "too near", "nothing"],
)
def test_what_stays_classes(labels: list[str]) -> None:
    assert scale_of(counts(labels)) is None


def test_a_few_cells_that_are_no_numbers_are_left_out_and_do_not_make_them_classes() -> None:
    assert scale_of({**counts(TENTHS, 100), "n/a": 150}) is not None
    assert scale_of({**counts(TENTHS, 100), "n/a": 250}) is None


def rows(folder: Path) -> Path:
    """400 questions with 97 different numbers, and a few without one."""
    asked = questions(400)["question"].to_list()
    stars: list[str | None] = [f"{1 + number % 97 / 24:.2f}" for number in range(400)]
    stars[7:9], stars[20] = ["n/a", "many"], None
    path = folder / "rows.csv"
    pl.DataFrame({"question": asked, "stars": stars}).write_csv(path)
    return path


def new(folder: Path, **beside: Any) -> Written:
    return write_recipe(
        folder / "recipes", "stars", data=str(rows(folder)), text="question", label="stars",
        beside=FilesBeside(**beside),
    )  # fmt: skip


def test_many_different_numbers_make_a_recipe_of_numbers_that_says_so(tmp_path: Path) -> None:
    made = new(tmp_path)
    recipe, text = read_recipe(made.path).recipe, made.path.read_text()
    assert recipe.data.answer == "score" and recipe.data.score == ScoreSpec(lowest=1, highest=5, tolerance=0.4)
    assert (recipe.bar.metric, recipe.slices, recipe.task) == (
        "accuracy", (), "Give a text of rows.csv a number from 1 to 5.",
    )  # fmt: skip
    losses = [each.training.loss for each in recipe.students if each.training]
    assert losses == ["logit_mse", "labels", "logit_mse", "labels"]
    (said,) = (each for each in made.seen if "data.score" in each)
    assert "different numbers from 1 to 5, learned as numbers: an answer counts as right within 0.4" in said
    assert any("2 no number" in each for each in made.seen), made.seen
    assert "one number for all is" in text and "column label is the class" not in text
    assert "contrast_weight" not in text and 0.5 <= recipe.teacher.minimum_accuracy < 1


def test_left_out_as_the_remark_says_they_are_classes_again(tmp_path: Path) -> None:
    made = new(tmp_path)
    document = yaml.safe_load(made.path.read_text())
    for field in ("answer", "score"):
        del document["attributes"]["data"][field]
    made.path.write_text(yaml.safe_dump(document))
    assert read_recipe(made.path).recipe.data.answer == "single_label"


def test_numbers_of_a_language_model_are_learned_as_numbers_too(tmp_path: Path) -> None:
    asked = questions(400)["question"].to_list()
    answers = tmp_path / "answers.csv"
    pl.DataFrame({"text": asked, "answer": np.resize(TENTHS, 400)}).write_csv(answers)
    server = TeacherServer("http://127.0.0.1:8000/v1", "large", 0.2, 0.6, 25)
    for kind, beside in {"stored": {"stored": str(answers)}, "endpoint": {"server": server}}.items():
        (tmp_path / kind).mkdir()
        made = new(tmp_path / kind, **beside)
        recipe, text = read_recipe(made.path).recipe, made.path.read_text()
        assert (recipe.data.answer, recipe.teacher.kind) == ("score", kind)
        assert [each.training.loss for each in recipe.students if each.training] == ["logit_mse", "labels"] * 2
        assert "one number for all is" in text and "largest class" not in text
