"""A student that misses a strict bar is told why, from its own rows and validation rows, and told again for nothing."""

import io
import json
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest

from orchestration.screens import result_screen
from orchestration.terminal import Terminal
from stillhouse.error_analysis.rules import Cause, read_analyses
from stillhouse.recipe.reading import RecipeFile
from stillhouse.records.builds import Artifact
from stillhouse.report.reading import read_report
from stillhouse.stages.error_analysis import learners_of
from stillhouse.statistics.verdicts import Verdict
from tests.conftest import Place, a_place, failures, verdicts
from tests.small import small_recipe

pytestmark = pytest.mark.slow

STRICT = {"margin": 0.004}
"""A one-layer student of this teacher loses a point or more, which is under any other test's bar."""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, shared: Path) -> Iterator[Place]:
    with a_place(tmp_path_factory.mktemp("error_analysis"), seeded=shared, drawn=True) as place:
        yield place


@pytest.fixture(scope="module")
def file(place: Place) -> RecipeFile:
    """The recipe, distilled as far as a strict bar lets it."""
    file = small_recipe(place.folder, bar=STRICT)
    result = place.run(file)
    assert verdicts(result)["every_miss_has_a_reason"] and not verdicts(result)["a_student_clears_the_bar"]
    assert failures(result) == []
    return file


def selection_of(place: Place) -> Artifact:
    return place.newest("selection")


def test_it_has_one_reason_and_one_change(place: Place, file: RecipeFile) -> None:
    found = read_analyses(place.newest("error_analysis").folder)
    assert list(found) == ["one"] == [student.name for student in learners_of(file.recipe)], "a control has no reasons"
    one = found["one"]
    assert one.conclusion is not None
    assert one.more_rows is not None and one.more_rows.verdict is Verdict.INCONCLUSIVE
    assert one.conclusion.cause is Cause.UNDECIDED, "whether rows or size are in the way"
    assert one.capacity is not None and one.capacity.memorised
    assert one.candidate == place.newest("candidates/one").digest


def test_the_curve_is_of_nested_rows_and_of_validation_rows_alone(place: Place, file: RecipeFile) -> None:
    curve = read_analyses(place.newest("error_analysis").folder)["one"].more_rows
    rows = place.newest("transfer_set").manifest.facts["kept"]
    assert curve is not None
    assert [point.rows for point in curve.points] == [rows // 4, rows // 2, rows]
    validation = place.newest("prompts", "base").frame("prompts").filter(pl.col("split") == "validation")
    assert curve.validation_rows == validation.height
    counts = read_analyses(place.newest("error_analysis").folder)["one"].generalisation.counts
    assert counts.validation_agreement.rows == validation.height and counts.training_agreement.rows == rows
    last = place.newest("candidates/one").manifest.facts["training"]["epochs"][-1]
    assert curve.points[-1].accuracy == pytest.approx(last["validation_accuracy"])


def test_page_json_and_screen_end_with_what_to_change(place: Place, file: RecipeFile) -> None:
    conclusion = read_analyses(place.newest("error_analysis").folder)["one"].conclusion
    assert conclusion is not None
    report = json.loads((selection_of(place).folder / "report.json").read_text())
    assert report["error_analysis"]["one"]["sentence"] == conclusion.sentence
    page = " ".join((selection_of(place).folder / "report.html").read_text().split())
    assert ">Why, and what next</h2>" in page and "Learning curve by rows" in page
    assert conclusion.change in page.replace("&#39;", "'")
    assert ">Training</h2>" in page and "Training and validation loss by epoch" in page
    console = Terminal(record=True, width=1000, file=io.StringIO())
    console.print(result_screen("small", read_report(selection_of(place).folder), place.home))
    assert f"why, and what next  {conclusion.sentence}" in console.export_text()


def test_looked_for_again_they_are_found_and_nothing_is_trained(
    place: Place, file: RecipeFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = place.newest("error_analysis")
    monkeypatch.setattr("stillhouse.models.training.train", None)
    assert place.run(file, "error_analysis").success
    after = place.newest("error_analysis")
    assert after.digest == before.digest and after.manifest.made_by is not None
