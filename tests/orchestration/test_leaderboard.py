"""The leaderboard of a real recipe: one whole round, and a second one under another split key, which broke off."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from orchestration.cli import app
from orchestration.leaderboard import board
from stillhouse.errors import StillhouseError
from stillhouse.recipe.reading import RecipeFile
from stillhouse.records.builds import Artifact, BuildRequest, BuildStore
from stillhouse.stages.baselines import OPTIONS
from stillhouse.stages.names import BASELINES, CONTRACT, EVALUATION, PROMPTS, SOURCE, TEACHER
from tests.conftest import Place, a_place, verdicts
from tests.small import Measured, small_recipe

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def rounds(tmp_path_factory: pytest.TempPathFactory, shared: Path) -> Iterator[tuple[Place, RecipeFile]]:
    folder = tmp_path_factory.mktemp("rounds")
    with a_place(folder, seeded=shared) as place, pytest.MonkeyPatch.context() as patches:
        file = small_recipe(folder)
        assert place.run(file).success
        patches.setenv("STILLHOUSE_RECIPES", str(folder / "recipes"))
        file = small_recipe(folder, split__key="second")
        result = place.run(file, CONTRACT, SOURCE, PROMPTS, TEACHER, BASELINES)
        assert result.success, verdicts(result)
        yield place, file


def leaderboard(*options: str) -> Result:
    return CliRunner().invoke(app, ["leaderboard", "small", *options], env={"COLUMNS": "200"})


def test_models_of_another_golden_set_are_left_out_and_counted(rounds) -> None:
    found = json.loads(leaderboard("--json").stdout)
    assert (
        found["current"]
        and {row["kind"] for row in found["rows"]} == {"baseline"}
        and len(found["rows"]) == len(OPTIONS)
    )
    (other,) = found["left_out"]
    assert other["models"] == len(OPTIONS) + 2 and other["golden_digest"] != found["golden_digest"]
    plain = leaderboard()
    assert plain.exit_code == 0
    assert (
        f"{len(OPTIONS) + 2} of {other['golden_digest'][:12]} ({other['golden_rows']} rows, last judged 2"
        in plain.stdout
    )
    assert "left out, since numbers on other golden rows compare with nothing here" in plain.stdout


def test_another_golden_set_is_shown_by_the_beginning_of_its_digest(rounds) -> None:
    place, _ = rounds
    digest = json.loads(leaderboard("--json").stdout)["left_out"][0]["golden_digest"]
    found = json.loads(leaderboard("--golden", digest[:8], "--json").stdout)
    assert (found["golden_digest"], found["current"]) == (digest, False)
    accuracies = [row["accuracy"] for row in found["rows"]]
    assert len(found["rows"]) == len(OPTIONS) + 2 and accuracies == sorted(accuracies, reverse=True)
    (champion,) = [row for row in found["rows"] if row["champion"]]
    assert champion["model"] == "one" and champion["digest"] == place.newest("exports/one").digest
    plain = leaderboard("--golden", digest[:8]).stdout
    assert "champion" in plain and "this is not the golden set of the newest evaluation" in plain


@pytest.mark.parametrize("beginning", ["", "no such"])
def test_a_beginning_of_two_digests_or_of_none_is_refused(rounds, beginning: str) -> None:
    place, file = rounds
    with pytest.raises(StillhouseError, match="golden sets begin with"):
        board(place.builds, file, beginning)


def test_a_round_that_is_found_again_is_current_again_and_was_judged_when_it_was(rounds) -> None:
    place, file = rounds
    before = board(place.builds, file).model_dump(mode="json")
    old = before["left_out"][0]["golden_digest"]
    (first,) = place.builds.ledger.entries("small", "materialization", subject=f"small/{EVALUATION}")
    assert place.run(small_recipe(place.folder)).success
    after = board(place.builds, file).model_dump(mode="json")
    assert (after["golden_digest"], after["left_out"][0]["golden_digest"]) == (old, before["golden_digest"])
    assert {row["run_id"] for row in after["rows"]} == {first.body["run_id"]}


def published(builds: BuildStore, content: str) -> Artifact:
    """An evaluation with any content."""

    def build(folder: Path) -> Measured:
        (folder / "evaluations.json").write_text(content)
        return Measured({})

    order = BuildRequest("small", EVALUATION, run_id="0123456789ab", code_version="v", depends_on={"content": content})
    return builds.make(order, build)


def test_evaluations_of_another_version_are_said_and_never_guessed_at(tmp_path: Path, builds: BuildStore) -> None:
    published(builds, '[{"golden_digest": "of old"}]')
    with pytest.raises(StillhouseError, match="all of its 1 evaluations are of another version"):
        board(builds, small_recipe(tmp_path, rows=20))


def test_an_altered_evaluation_is_refused(tmp_path: Path, builds: BuildStore) -> None:
    path = published(builds, "[]").folder / "evaluations.json"
    path.unlink()
    path.write_text("[ ]")
    with pytest.raises(StillhouseError, match="the content was altered"):
        board(builds, small_recipe(tmp_path, rows=20))


def test_a_recipe_that_judged_nothing_says_so(tmp_path: Path, builds: BuildStore) -> None:
    with pytest.raises(StillhouseError, match=r"it has none yet.*`stillhouse run small` judges them"):
        board(builds, small_recipe(tmp_path, rows=20))
