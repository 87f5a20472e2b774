"""A student in several precisions: each is exported, gated and judged by itself, and the smallest that holds ships.

The tests are steps on the way of one recipe and run in order.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from assets.recipe_assets import assets_of
from checks.stages import gates_of
from orchestration.auditing import audit_recipe
from stillhouse.evaluation.harness import read_evaluations
from stillhouse.evaluation.precisions import holds_quality
from stillhouse.models.predictor import OnnxClassifier
from stillhouse.recipe.reading import RecipeFile
from stillhouse.release.standalone import write_standalone
from stillhouse.stages.names import ERROR_ANALYSIS, EVALUATION, RELEASE, SELECTION, candidate, export
from stillhouse.statistics.verdicts import Verdict
from tests.conftest import Place, a_place, failures, verdicts
from tests.small import small_recipe

pytestmark = pytest.mark.slow

FORMS = {"one_fp32": "fp32", "one": "int8", "one_int8_static": "int8_static", "one_int4": "int4"}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, shared: Path) -> Iterator[Place]:
    with a_place(tmp_path_factory.mktemp("precisions"), seeded=shared) as place:
        yield place


def recipe(place: Place, *precisions: str, **changes: Any) -> RecipeFile:
    one, control = (student.model_dump(mode="json") for student in small_recipe(place.folder).recipe.students)
    students = [{**one, "precisions": list(precisions)}, control]
    return small_recipe(place.folder, students=students, limits={"int8_agreement_at_least": 0.8}, **changes)


@pytest.fixture(scope="module")
def file(place: Place) -> RecipeFile:
    """After the whole way, with every precision."""
    file = recipe(place, *FORMS.values())
    result = place.run(file)
    assert result.success, [failures(result), [gate for gate, passed in verdicts(result).items() if not passed]]
    return file


def test_each_precision_is_an_asset_with_the_gates_of_an_export(place: Place, file: RecipeFile) -> None:
    assert [stage for stage in assets_of(file) if stage.startswith("exports/")] == [
        *map(export, FORMS), "exports/one_labels",
    ]  # fmt: skip
    for name, precision in FORMS.items():
        states = place.states(export(name))
        assert set(states) == set(gates_of(export(name)).names(blocking=True)) and len(states) == 4
        assert {state.state for state in states.values()} == {"passed"}
        assert place.newest(export(name)).manifest.facts["precision"] == precision
    assert len({place.newest(export(name)).digest for name in FORMS}) == 4


def test_all_are_of_the_weights_that_were_trained_once(place: Place, file: RecipeFile) -> None:
    trained = place.newest(candidate("one")).digest
    for name in FORMS:
        (made_of,) = (
            each for asset, each in place.newest(export(name)).manifest.inputs.items() if "candidates" in asset
        )
        assert made_of.digest == trained


def test_each_is_judged_and_the_smallest_that_holds_is_released(place: Place, file: RecipeFile) -> None:
    judged = {each.name: each for each in read_evaluations(place.newest(EVALUATION).folder)}
    assert [*judged] == [*FORMS, "one_labels"]
    assert judged["one_fp32"].verdict is Verdict.FAIL and judged["one_fp32"].misses_only_the_budget, "too large"
    assert holds_quality(judged["one_fp32"]) is Verdict.PASS
    clear = [each for name, each in judged.items() if name in FORMS and each.verdict is Verdict.PASS]
    smallest = min(clear, key=lambda each: each.size_bytes)
    assert len(clear) > 1 and smallest.size_bytes < judged["one"].size_bytes, "else nothing would be shown here"
    selection, release = place.newest(SELECTION), place.newest(RELEASE)
    assert selection.manifest.facts["winner"] == smallest.name == release.manifest.facts["student"]
    assert release.manifest.facts["precision"] == FORMS[smallest.name]
    shipped, exported = release.folder / "model", place.newest(export(smallest.name)).folder / "model"
    assert sorted(path.name for path in shipped.iterdir()) == ["config.json", "model.onnx", "tokenizer.json"]
    assert (shipped / "model.onnx").read_bytes() == (exported / "model.onnx").read_bytes()
    champion = place.builds.ledger.champion("small")
    assert champion is not None and champion["student"] == smallest.name
    assert audit_recipe(place.home, "small").ok


def test_the_report_has_each_precision_and_what_does_not_hold_in_it(place: Place, file: RecipeFile) -> None:
    report = json.loads((place.newest(SELECTION).folder / "report.json").read_text())
    rows = {row["precision"]: row for row in report["precisions"]}
    assert [*rows] == [*FORMS.values()]
    assert "size ratio" in rows["fp32"]["does_not_hold"] and rows["fp32"]["verdict"] == "fail"
    assert rows[FORMS[report["student"]["name"]]]["does_not_hold"] == []
    assert [*report["error_analysis"]] == [report["student"]["name"]], "what is examined is what stands for the student"
    page = (place.newest(SELECTION).folder / "report.html").read_text()
    assert "In each precision" in page and "int8_static" in page


def test_what_ships_is_handed_over_with_the_answers_it_was_judged_by(
    place: Place, file: RecipeFile, tmp_path: Path
) -> None:
    release = place.newest(RELEASE)
    write_standalone(release.folder, release.digest, tmp_path / "out")  # compares the answers itself
    precision = release.manifest.facts["precision"]
    card = (tmp_path / "out" / "README.md").read_text()
    assert f"It is in {precision}: an answer does not depend on what else is in a batch." in card
    model = OnnxClassifier(release.folder / "model")
    texts = ["who wrote this", "where is the longest river in the world ?"] * 4
    assert abs(model.logits(texts, 8) - model.logits(texts, 1)).max() < 1e-5


def test_one_precision_more_trains_nothing_and_exports_the_others_no_second_time(
    place: Place, file: RecipeFile
) -> None:
    before = {name: place.newest(export(name)).digest for name in ("one_fp32", "one")}
    fewer = recipe(place, "fp32", "int8")
    result = place.run(fewer)
    assert result.success, failures(result)
    assert place.newest(candidate("one")).manifest.made_by is not None, "found again"
    for name, digest in before.items():
        found = place.newest(export(name))
        assert found.digest == digest and found.manifest.made_by is not None
    assert place.newest(SELECTION).manifest.facts["winner"] == "one"
    analysed = json.loads((place.newest(ERROR_ANALYSIS).folder / "error_analysis.json").read_text())
    assert [each["student"] for each in analysed] == ["one"]
