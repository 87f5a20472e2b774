"""A do-nothing option that clears the bar ends the run well, and is released by all gates once a recipe names it."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
import yaml

from assets.recipe_assets import assets_of
from checks.stages import gates_of
from orchestration.auditing import audit_recipe
from orchestration.diagnosis import diagnose
from orchestration.run import Outcome, distil
from orchestration.terminal import Terminal
from stillhouse.recipe.reading import RecipeFile
from stillhouse.stages.names import BASELINES, SELECTION, TEACHER_SIGNAL, candidate
from tests.conftest import Place, a_place, failures
from tests.small import LAYERS, small_recipe

pytestmark = pytest.mark.slow

MARGIN = 0.07
NAMED = "{name: int8_teacher, layers: [0, 1], learns_from: nothing, trim_vocabulary: false}"
# Half the size and not slower: what int8 alone gives.
BUDGET = {"latency_ratio_at_least": 1.0, "size_ratio_at_least": 2}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, shared: Path) -> Iterator[Place]:
    with a_place(tmp_path_factory.mktemp("take_the_baseline"), seeded=shared) as place:
        yield place


def recipe(place: Place, **changes: Any) -> RecipeFile:
    return small_recipe(place.folder, slices=[], bar={"margin": MARGIN}, budget=BUDGET, **changes)


def run(place: Place, file: RecipeFile) -> tuple[Outcome, str]:
    """Run a recipe as `stillhouse run` does: how it ended, and all that was printed, in one line."""
    console = Terminal(width=300, record=True, file=StringIO())
    outcome = distil(file, place.home, console)
    return outcome, " ".join(console.export_text().replace("│", " ").split())


@dataclass(frozen=True)
class Ended:
    """What a run left behind.

    Args:
        outcome: how it ended.
        printed: all that it said, in one line.
        page: about the option to take, and what it says.
        champion: in the ledger.
        do: what `diagnose` says to do.
        refusals: why the answers of the teacher to all rows are not made.
        sentence: of the gate on baselines.
    """

    outcome: Outcome
    printed: str
    page: tuple[Path, str]
    champion: object
    do: str
    refusals: list[str]
    sentence: str


@pytest.fixture(scope="module")
def ended(place: Place) -> Ended:
    """A run of a recipe of which an option without a student clears the bar."""
    file = recipe(place)
    outcome, printed = run(place, file)
    page = place.home.reports / "small.baselines.html"
    return Ended(
        outcome, printed, (page, page.read_text()), place.builds.ledger.champion("small"),
        diagnose(place.instance, place.builds, file).do, failures(place.run(file, TEACHER_SIGNAL)),
        place.states(BASELINES)["no_baseline_clears_the_bar"].sentence,
    )  # fmt: skip


@pytest.fixture(scope="module")
def released(place: Place, ended: Ended) -> tuple[RecipeFile, Outcome, str]:
    """A run of the recipe that was changed by what the gate said and nothing else; the bar stays frozen as it was."""
    file = recipe(place, students=[yaml.safe_load(NAMED)])
    return file, *run(place, file)


def test_a_baseline_that_clears_the_bar_ends_the_run_well_and_no_student_is_made(place: Place, ended: Ended) -> None:
    outcome, printed = ended.outcome, ended.printed
    assert outcome.ends_well and not outcome.succeeded
    assert [gate.name for gate in outcome.closed] == ["no_baseline_clears_the_bar"]
    assert "small: take the baseline" in printed and "int8 teacher" in printed and NAMED in printed
    assert "not released" not in printed
    assert "int8 teacher finds" in printed, "how much of each class"
    path, page = ended.page
    assert str(path) in printed and "clears the bar" in page and "int8 teacher" in page
    assert ended.champion is None
    assert ended.do.startswith("take it and stop")
    (refusal,) = ended.refusals
    assert "Refused to read" in refusal and "take the baseline" in refusal


def test_what_the_gate_says_to_put_into_the_recipe_goes_the_whole_way_to_champion(
    place: Place, ended: Ended, released: tuple[RecipeFile, Outcome, str]
) -> None:
    assert NAMED in ended.sentence
    file, outcome, printed = released
    assert outcome.succeeded and outcome.closed == [] and outcome.errors == [], printed
    assert "released int8_teacher" in printed and "take the baseline int8_teacher" in printed
    for stage in assets_of(file):
        batch = "base" if stage in ("source", "prompts", "teacher_signal") else None
        states = place.states(stage, batch)
        assert set(states) == set(gates_of(stage).names(blocking=True))
        assert {state.state for state in states.values()} == {"passed"}, stage
    assert "nothing to train" in place.states(candidate("int8_teacher"))["training_converged"].sentence
    champion = place.builds.ledger.champion("small")
    assert champion is not None and champion["student"] == "int8_teacher"
    assert audit_recipe(place.home, "small").ok


@pytest.mark.usefixtures("released")
def test_the_released_bundle_holds_the_teacher_as_it_was_judged(place: Place) -> None:
    release, selection = place.newest("release"), place.newest(SELECTION)
    report = json.loads((release.folder / "report.json").read_text())
    assert (report["student"]["kind"], report["verdict"]) == ("baseline", "pass")
    assert report["student"]["note"] == "layers 0, 1 of the teacher, as they are, not trained"
    assert selection.manifest.facts["winner"] == release.manifest.facts["student"] == "int8_teacher"
    (judged,) = (each for each in report["others"] if each["name"] == "int8 teacher")
    assert report["student"]["accuracy"] == judged["accuracy"], "the same model under a name of its own"
    assert report["student"]["size_bytes"] == judged["size_bytes"]
    model, exported = release.folder / "model", place.newest("exports/int8_teacher").folder / "model"
    assert (model / "model.onnx").read_bytes() == (exported / "model.onnx").read_bytes()
    weights = place.newest(candidate("int8_teacher"))
    assert weights.manifest.facts["training"] is None and len(weights.manifest.facts["layers"]) == LAYERS
