"""A suite that has passed is not validated again until something that it could depend on changes."""

from pathlib import Path

import polars as pl
import pytest

import checks.expectations.suite
from checks.gate import GateContext
from stillhouse.records.builds import BuildStore
from tests.conftest import Run, verdicts
from tests.small import questions, small_recipe

pytestmark = pytest.mark.slow

UP_TO_PROMPTS = ("contract", "source", "prompts")


@pytest.fixture
def validated(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The number of rows of each table that Great Expectations validates."""
    seen: list[int] = []
    validate = checks.expectations.suite.validate

    def counting(frame: pl.DataFrame, *rest: object) -> object:
        seen.append(frame.height)
        return validate(frame, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(checks.expectations.suite, "validate", counting)
    return seen


def test_the_same_rows_are_validated_once_and_the_gates_pass_each_time(
    run: Run, builds: BuildStore, tmp_path: Path, validated: list[int]
) -> None:
    file = small_recipe(tmp_path)
    first = verdicts(run(file, *UP_TO_PROMPTS))
    assert len(validated) == 1
    assert verdicts(run(file, *UP_TO_PROMPTS)) == first
    assert len(validated) == 1
    pages = list((builds.home.reports / "data_docs").glob("small-prompts*base*.html"))
    assert len(pages) == 1 and "prompt_id" in pages[0].read_text()
    sentences = [e.body["sentence"] for e in builds.ledger.entries("small", "verdict") if "text" in e.body["gate"]]
    assert sentences[: len(sentences) // 2] == sentences[len(sentences) // 2 :]


@pytest.mark.parametrize("what", ["rows", "recipe", "code"])
def test_a_change_of_anything_it_could_depend_on_validates_again(
    run: Run, tmp_path: Path, validated: list[int], monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    run(small_recipe(tmp_path), *UP_TO_PROMPTS)
    if what == "rows":
        questions(1201).write_csv(tmp_path / "questions.csv")
    elif what == "code":
        for module in ("checks.gate", "checks.gatekeeper"):
            monkeypatch.setattr(f"{module}.gate_code", lambda stage: "other")
    run(small_recipe(tmp_path, **({"bar__margin": 0.06} if what == "recipe" else {})), *UP_TO_PROMPTS)
    assert len(validated) == 2


def test_what_failed_is_validated_again(
    run: Run, tmp_path: Path, validated: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        GateContext, "frame", lambda self, name: self.artifact.frame(name).with_columns(text=pl.lit(""))
    )
    first = run(small_recipe(tmp_path), *UP_TO_PROMPTS)
    (blank,) = [e for e in first.get_asset_check_evaluations() if e.check_name == "every_prompt_has_text"]
    assert not blank.passed and "rows are unexpected" in (blank.description or "")
    assert len(set(str(blank.metadata["prompt_ids"].value).splitlines())) == 20
    run(small_recipe(tmp_path), *UP_TO_PROMPTS)
    assert len(validated) == 2
