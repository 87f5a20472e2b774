"""Benchmarks that are whole runs of `stillhouse`, with a small teacher and few rows in the place of theirs."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import pytest

import benchmarks.recipes
from benchmarks import clinc150, language_model, precisions
from tests.language_models import byte_pairs
from tests.language_models import language_model as random_model
from tests.small import questions, small_recipe

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def own_environment() -> Iterator[None]:
    """A benchmark is a process of its own, and changes the environment as one."""
    with mock.patch.dict(os.environ):
        yield


def last_line(capfd: pytest.CaptureFixture[str]) -> dict[str, object]:
    found = json.loads(capfd.readouterr().out.splitlines()[-1])
    assert isinstance(found, dict)
    return found


def test_every_precision_of_a_student_is_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    file = small_recipe(tmp_path)
    for module in (benchmarks.recipes, precisions):
        monkeypatch.setattr(module, "DEMO", file.path)
    assert precisions.main(tmp_path / "home") == 0
    found = last_line(capfd)
    shown = found["precisions"]
    assert isinstance(shown, list)
    assert {each["precision"] for each in shown} == {*precisions.IN_ORDER} and found["reason"]


def test_rows_in_the_form_of_clinc150_go_to_the_report_of_all_models(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    rows = questions(1200).select("question", "service").rows()
    parts = {"train": rows[:800], "val": rows[800:1000], "test": rows[1000:], "oos_train": []}
    source = tmp_path / "clinc150"
    source.mkdir()
    (source / "data_full.json").write_text(json.dumps(parts))
    (source / "domains.json").write_text(
        json.dumps({"people": ["HUM"], "others": ["ABBR", "DESC", "ENTY", "LOC", "NUM"]})
    )
    slices = [{"name": name, "column": "domain", "values": [name], "critical": False} for name in ("people", "others")]
    file = small_recipe(tmp_path, slices=slices, data__text="text", data__label="intent")
    monkeypatch.setattr(clinc150, "RECIPE", file.path)
    monkeypatch.setattr(clinc150, "SOURCE", source)
    assert clinc150.main(tmp_path / "home") in (0, 1), "a small student may miss the bar"
    report = last_line(capfd)
    shown = report["slices"]
    assert isinstance(shown, list)
    assert report["golden_rows"] and {each["name"] for each in shown} == {"people", "others"}


def test_a_language_model_that_knows_nothing_is_turned_away_by_its_pilot(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    tokenizer = byte_pairs(questions(500)["question"].to_list(), 600)
    monkeypatch.setattr(language_model, "fetched", lambda folder: folder / "model.gguf")
    monkeypatch.setattr(
        language_model, "in_floating_point", lambda gguf, folder: random_model(folder, tokenizer, positions=2048)
    )
    assert language_model.main() == 0
    found = last_line(capfd)
    assert found["closed"] and found["asked"] == 70, "the validation rows, and no other"
