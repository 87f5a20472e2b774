"""A release that its teacher would not agree with any more is taken back by the watch: real rounds, teacher, commands.

The tests are steps on the way of one recipe and run in order. What else a watch does is in test_watch.py.
"""

import json
import time
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import polars as pl
import pytest

import orchestration.watch
from assets.keys import key_of
from assets.materializations import newest_artifact
from orchestration.jobs import live_report_job
from orchestration.live import LiveScreen
from orchestration.run import distil
from orchestration.terminal import Terminal
from orchestration.watch import ask, look
from orchestration.watch_sensor import watch_sensor
from stillhouse.errors import StillhouseError
from stillhouse.live.findings import BY, Action, FoundKind
from stillhouse.live.segments import SECONDS_A_DAY
from stillhouse.live.state import WatchBook
from stillhouse.live.watch import TeacherHealth
from stillhouse.recipe.reading import RecipeFile
from stillhouse.records.deployments import serving_now
from stillhouse.stages.facts import ChampionFacts
from stillhouse.stages.names import CHAMPION
from tests.conftest import Place
from tests.faults.live_report import TRAFFIC, WATCH, answers, keep, shuffled
from tests.small import small_recipe, students_after
from tests.steps import command, release_of, within_a_day

pytestmark = pytest.mark.slow

RELEASES: dict[str, str] = {}


def recipe(place: Place, epochs: int) -> RecipeFile:
    """A student under a bar that any clears; what is taken as it is, is too large."""
    return small_recipe(
        place.folder, students=students_after(epochs), bar={"margin": 0.6, "champion_margin": 0.3}, slices=[],
        traffic={**TRAFFIC, "feedback": "unknown"}, watch=WATCH,
    )  # fmt: skip


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, shared: Path) -> Iterator[Place]:
    with within_a_day(tmp_path_factory.mktemp("live"), seeded=shared) as place:
        RELEASES["first"], RELEASES["second"] = (release_of(place, recipe(place, epochs)) for epochs in (4, 6))
        yield place


def test_what_is_not_watched_yet_is_said(place: Place) -> None:
    assert RELEASES["first"] != RELEASES["second"]
    with pytest.raises(StillhouseError, match="nobody has looked yet"):
        command("live", "small")


def test_what_each_budget_of_answers_buys_is_computed_for_the_release_that_serves(place: Place) -> None:
    shown = json.loads(command("plan", "small", "--live", "--json").output)
    days = {(each["answers_a_day"], each["fall"]): each["days"] for each in shown["table"]}
    assert len(days) == 16
    for fall in (0.04, 0.06, 0.10, 0.20):
        falling = [days[answers, fall] or 401 for answers in (20, 50, 200, 500)]
        assert falling == sorted(falling, reverse=True)
    assert days[500, 0.20] < 30
    assert "median days until a fall of agreement is found" in command("plan", "small", "--live").output


def test_answers_as_the_release_gives_them_are_no_finding(place: Place) -> None:
    file = recipe(place, 6)
    assert not look(place.builds, file, at=time.time() - 60).findings
    keep(place.builds, answers(place.builds))
    ended = command("watch", "small", "--once")
    assert ended.exit_code == 0 and "nothing found" in ended.output
    shown = LiveScreen.model_validate_json(command("live", "small", "--json").output)
    assert shown.day.agreement is not None and shown.day.agreement.asked == 400
    assert shown.day.teacher is not None and shown.day.teacher.as_recorded
    assert shown.day.agreement_limit is not None and shown.day.agreement.debiased > shown.day.agreement_limit
    assert serving_now(place.builds.ledger, "small").champion.release == RELEASES["second"]


def test_a_teacher_that_has_changed_blames_no_release_and_is_said_once(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep(place.builds, shuffled(answers(place.builds)).with_columns(pl.col("number") + 400, id=pl.col("id") + "b"))
    changed = TeacherHealth(at=time.time(), day=0, as_recorded=False, sentence="largest change of a logit 2.4")
    monkeypatch.setattr(orchestration.watch, "canary", lambda *_, **__: changed)
    for said in ("a person has to look", "nothing found"):
        assert said in command("watch", "small", "--once").output
    (finding,) = WatchBook(place.builds.ledger.url, "small").findings()
    assert (finding.kind, finding.action) == (FoundKind.TEACHER, Action.PERSON)
    assert serving_now(place.builds.ledger, "small").champion.release == RELEASES["second"]


def test_a_release_that_the_teacher_does_not_agree_with_is_taken_back_without_dagster(place: Place) -> None:
    assert "nothing found" in command("watch", "small", "--once").output, "bets are placed again tomorrow"
    found = ask(place.builds, recipe(place, 6), at=time.time() + SECONDS_A_DAY)
    assert "the release was taken back" in found.sentence
    *_, finding = WatchBook(place.builds.ledger.url, "small").findings()
    assert (finding.kind, finding.action, finding.release) == (
        FoundKind.AGREEMENT, Action.ROLL_BACK, RELEASES["second"]
    )  # fmt: skip
    assert serving_now(place.builds.ledger, "small").champion.release == RELEASES["first"]
    withdrawal = place.builds.ledger.newest("small", "withdrawal")
    assert withdrawal is not None and withdrawal.body["by"] == BY
    shown = command("live", "small").output
    assert "student and teacher disagree" in shown
    for none in ("yesterday", "2026-13-45", "../../x"):  # regression: a traceback about an ISO format
        assert command("live", "small", "--day", none).exit_code == 2


def test_the_sensor_has_the_champion_asset_name_what_serves(place: Place) -> None:
    file = recipe(place, 6)
    for _ in range(2):  # the second finds nothing left to do
        said = watch_sensor(file, live_report_job(file))(dg.build_sensor_context(instance=place.instance))
        assert isinstance(said, dg.SkipReason) and RELEASES["first"][:12] in str(said.skip_message)
        named = newest_artifact(place.builds, key_of("small", CHAMPION)).facts(ChampionFacts)
        assert named.release == RELEASES["first"]


def test_no_round_brings_back_what_the_watch_has_withdrawn(place: Place) -> None:
    outcome = distil(recipe(place, 6), place.home, Terminal(quiet=True))
    assert {gate.name for gate in outcome.closed} == {"the_release_was_not_withdrawn"}
    assert serving_now(place.builds.ledger, "small").champion.release == RELEASES["first"]
