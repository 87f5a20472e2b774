"""A release loads without a server, by its folder or by the name of its recipe, in the lines that its card has."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import stillhouse
from stillhouse.errors import StillhouseError
from stillhouse.home import CHECKOUT
from stillhouse.release.bundle import RECORD
from tests.small import small_recipe
from tests.stillhouse.serving.conftest import ODD, RECIPE, Installation


@pytest.mark.long
def test_by_its_folder_and_by_its_recipe_it_answers_as_predict_does(
    installation: Installation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = installation.promote(1)
    small_recipe(tmp_path, name=RECIPE, rows=60)
    monkeypatch.setenv("STILLHOUSE_RECIPES", str(tmp_path / "recipes"))
    for model in (stillhouse.load(made.folder), stillhouse.load(str(made.folder)), stillhouse.load(RECIPE)):
        assert model.release == made.digest
        said = [model.answer(text) for text in ODD]
        assert [(each.label, each.confidence) for each in said] == installation.expected(1, ODD)


@pytest.mark.long
def test_the_lines_of_the_page_about_serving_run(
    installation: Installation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    installation.promote(0)
    small_recipe(tmp_path, name=RECIPE, rows=60)
    monkeypatch.setenv("STILLHOUSE_RECIPES", str(tmp_path / "recipes"))
    page = (CHECKOUT / "docs" / "serving.md").read_text("utf-8")
    (lines,) = re.findall(r"```python\n(.*?)```", page, flags=re.DOTALL)
    exec(lines.replace("question_routing", RECIPE), {})
    ((label, confidence),) = installation.expected(0, ["Who wrote Faust ?"])
    assert capsys.readouterr().out.split() == [label, str(confidence)]


@pytest.mark.long
def test_what_cannot_be_loaded_is_said_plainly(
    installation: Installation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small_recipe(tmp_path, name=RECIPE, rows=60)
    monkeypatch.setenv("STILLHOUSE_RECIPES", str(tmp_path / "recipes"))
    with pytest.raises(StillhouseError, match="no champion yet"):
        stillhouse.load(RECIPE)
    with pytest.raises(StillhouseError, match="cannot be the name of a recipe"):
        stillhouse.load("no such folder")
    with pytest.raises(StillhouseError, match=r"release\.json is missing"):
        stillhouse.load(tmp_path)
    made = installation.promote(0)
    with pytest.raises(StillhouseError, match="the text is empty"):
        stillhouse.load(made.folder).answer(" \u200b")
    (made.folder / RECORD).chmod(0o644)
    (made.folder / RECORD).write_text("{}")
    with pytest.raises(StillhouseError, match="not a release record"):
        stillhouse.load(made.folder)


@pytest.mark.long
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_model_that_gives_no_probability_gives_no_answer(
    installation: Installation, monkeypatch: pytest.MonkeyPatch, value: float
) -> None:
    """Regression: the caller was told the first label, and `NaN`, which is no JSON."""
    model = stillhouse.load(installation.release(0).folder)
    outputs = np.full((1, len(model.labels)), value, np.float32)
    monkeypatch.setattr(model._model, "say", lambda text: (outputs, 3))
    with pytest.raises(StillhouseError, match="gives no probability to this text"):
        model.answer("Who wrote Faust ?")


@pytest.mark.long
def test_the_lines_of_the_card_run_where_they_stand(installation: Installation) -> None:
    made = installation.release(2)
    card = (made.folder / "README.md").read_text()
    lines = card.partition("```python\n")[2].partition("```")[0]
    said = subprocess.run([sys.executable, "-c", lines], cwd=made.folder, capture_output=True, text=True, check=True)
    ((label, confidence),) = installation.expected(2, ["a text"])
    assert said.stdout.split() == [label, str(confidence)]


def test_a_folder_that_is_no_release_is_said_to_be_none(installation: Installation, tmp_path: Path) -> None:
    """Regression: of an exported folder it was said that parts of a bundle are missing, to be restored from a copy."""
    exported = tmp_path / "exported"
    exported.mkdir()
    for name in ("model.onnx", "classify.py", "release.json"):
        (exported / name).write_text("{}")
    for folder in (exported, str(exported)):
        with pytest.raises(StillhouseError, match=r"`stillhouse export` wrote.* Ask it by `python .*classify.py"):
            stillhouse.load(folder)
    with pytest.raises(StillhouseError, match="there is no such folder"):
        stillhouse.load(tmp_path / "nowhere")
    with pytest.raises(StillhouseError, match=r"release\.json is missing"):
        stillhouse.load(tmp_path)
