"""The real daemon brings a release in by what it shows on live texts, and takes it back when it fails callers.

Belongs here: that replay, rollout, watch and report happen by themselves, with nobody at a command, and what a person
sees of it in a browser.
Does not: their rules (tests/orchestration/test_rollout.py, test_watch.py), all the live half in one process
(test_all_of_live.py).
"""

import time
from dataclasses import replace
from pathlib import Path

import pytest

from assets.keys import key_of
from assets.materializations import newest_artifact
from orchestration.auditing import audit_recipe
from orchestration.rollout import look
from orchestration.run import distil
from orchestration.terminal import Terminal
from stillhouse.live.findings import BY, Action, FoundKind
from stillhouse.live.segments import SECONDS_A_DAY
from stillhouse.live.state import WatchBook
from stillhouse.recipe.reading import RecipeFile
from stillhouse.records.deployments import Challenger, Deployment, Stage, serving_now
from stillhouse.serving.ids import RequestIds
from stillhouse.serving.traffic_logs import log_of
from stillhouse.stages.facts import ChampionFacts
from stillhouse.stages.names import LIVE_REPORT
from tests.command import stillhouse
from tests.conftest import Place, a_place
from tests.end_to_end import browser
from tests.end_to_end.rounds import Running, until
from tests.end_to_end.server import dagster_dev
from tests.small import questions, small_recipe, students_after
from tests.stillhouse.serving.killed import served

pytestmark = pytest.mark.slow

WHY = "it is rude to callers"
BY_ANN = ("--by", "Ann Lee <ann@example.org>", "--reason", WHY)
TEXTS = questions(1_500)["question"].to_list()[1_200:1_400]
QUICKLY = """
import orchestration.rollout, orchestration.watch_sensor
orchestration.rollout.SECONDS_BETWEEN_LOOKS = orchestration.watch_sensor.SECONDS_BETWEEN_LOOKS = 5
orchestration.rollout.SECONDS_BETWEEN_REPLAYS = 5.0
"""
"""People wait a minute for a look, and an hour for the next replay."""


def recipe(folder: Path, epochs: int) -> RecipeFile:
    """Two releases of it differ in how long their student learned, and any of them clears the bar."""
    return small_recipe(
        folder, students=students_after(epochs), bar={"margin": 0.6, "champion_margin": 0.3}, slices=[], traffic={},
        watch={"ask_teacher": 0.05, "latency_ms": 1000.0},
        rollout={"shadow": {"margin": 0.3}, "canary": {"shares": [0.5], "hours_at_least": 0}},
    )  # fmt: skip


def answer(place: Place, file: RecipeFile, release: str, *, arm: str = "champion", status: int = 200) -> None:
    """What a server keeps of two hundred callers that a release answered just now, or failed to."""
    log = log_of(place.home, file, f"r{time.time_ns()}")
    for number, text in enumerate(TEXTS):
        row = served(RequestIds.of(place.home.serving).issue(), at=time.time(), text=text, key=f"{number:032x}")
        said = {} if status == 200 else {"label": None, "confidence": None}
        log.put(replace(row, release=release, arm=arm, status=status, **said))
    log.close()


def test_a_release_is_held_tried_promoted_watched_and_taken_back_by_itself(tmp_path: Path, shared: Path) -> None:
    with a_place(tmp_path, seeded=shared) as installed:
        for epochs in (4, 6):
            file = recipe(installed.folder, epochs)
            assert distil(file, installed.home, Terminal(quiet=True)).succeeded
        recipes = installed.folder / "recipes"
        place = Running(installed.folder, installed.home, installed.instance, file)
        first = now(place).champion.release
        second = on_its_way(place).deployed.release
        held = look(place.instance, place.builds, file, at=time.time() + 30 * SECONDS_A_DAY).sentence
        assert "is held in shadow: nothing that was asked since it was offered was replayed yet" in held
        with dagster_dev(place.folder, file, place.home, first=QUICKLY) as server:
            sees(f"{server.url}/assets/small/champion?view=events", held)
            assert stillhouse("resume", "small", *BY_ANN, recipes=recipes).returncode == 0
            answer(place, file, first)
            until(place, lambda: on_its_way(place).stage is Stage.CANARY, "it does not leave the shadow")
            assert now(place).champion.release == first and on_its_way(place).share == 0.5
            answer(place, file, second, arm="challenger")
            until(place, lambda: now(place).champion.release == second, "it is not promoted")
            book = WatchBook(place.builds.ledger.url, "small")
            until(place, lambda: (state := book.read().state) is not None and state.release == second, "not watched")
            answer(place, file, second, status=500)
            until(place, lambda: now(place).champion.release == first, "it is not taken back")
            until(place, lambda: named(place) == first, "the champion asset names another release")
            report = key_of("small", LIVE_REPORT)
            until(place, lambda: bool(place.instance.fetch_materializations(report, limit=1).records), "no report")
            sees(f"{server.url}/assets/small/live_report?view=checks", "agreement_holds", "errors_are_inside")
            assert stillhouse("promote", "small", second[:12], *BY_ANN, recipes=recipes).returncode == 0
            assert stillhouse("rollback", "small", *BY_ANN, recipes=recipes).returncode == 0
            sees(f"{server.url}/assets/small/champion", first[:12], "brought_back", WHY)
        audited = audit_recipe(place.home, "small")
        assert audited.ok, audited.problems
    (finding,) = [each for each in book.findings() if each.kind is FoundKind.ERRORS]
    assert (finding.release, finding.action) == (second, Action.ROLL_BACK)
    promotions = place.builds.ledger.entries("small", "promotion")
    because = [entry.body.get("because", "round") for entry in promotions]
    assert because == ["round", "rollout", "rollback", "promote", "rollback"]
    assert [promotions[place].body["by"] for place in (2, 4)] == [BY, BY_ANN[1]]
    if browser.DRIVER is None:
        pytest.skip("all of it held but what a person sees of it: needs Debian's chromium and chromium-driver")


def sees(url: str, *texts: str) -> None:
    """A person opens a page and reads this there, if there is a browser; without one the test says so at its end."""
    if browser.DRIVER is not None:
        with browser.chromium() as person:
            person.open(url)
            person.see(*texts)


def now(place: Place) -> Deployment:
    return serving_now(place.builds.ledger, "small")


def on_its_way(place: Place) -> Challenger:
    challenger = now(place).challenger
    assert challenger is not None, "no release is on its way"
    return challenger


def named(place: Place) -> str:
    return newest_artifact(place.builds, key_of("small", "champion")).facts(ChampionFacts).release
