"""The real daemon brings a release in by what it shows on live texts, and takes it back when it fails callers.

Belongs here: that replay, rollout, watch and report happen by themselves, with nobody at a command.
Does not: their rules (tests/orchestration/test_rollout.py, test_watch.py), all the live half in one process
(test_all_of_live.py).
"""

import time
from dataclasses import replace
from pathlib import Path

from assets.keys import key_of
from assets.materializations import newest_artifact
from orchestration.auditing import audit_recipe
from orchestration.run import distil
from orchestration.terminal import Terminal
from orchestration.watch import BY
from stillhouse.live.findings import Action, FoundKind
from stillhouse.live.state import WatchBook
from stillhouse.recipe.reading import RecipeFile
from stillhouse.records.deployments import Challenger, Deployment, Stage, serving_now
from stillhouse.serving.ids import RequestIds
from stillhouse.serving.spool import log_of
from stillhouse.stages.facts import ChampionFacts
from tests.conftest import Place, a_place
from tests.end_to_end.rounds import Running, until
from tests.end_to_end.server import dagster_dev
from tests.small import questions, small_recipe
from tests.stillhouse.serving.killed import served

TEXTS = questions(1_500)["question"].to_list()[1_200:1_400]
QUICKLY = """
import orchestration.rollout, orchestration.watch_sensor
orchestration.rollout.SECONDS_BETWEEN_LOOKS = orchestration.watch_sensor.SECONDS_BETWEEN_LOOKS = 5
orchestration.rollout.SECONDS_BETWEEN_REPLAYS = 5.0
"""
"""People wait a minute for a look, and an hour for the next replay."""


def recipe(folder: Path, epochs: int) -> RecipeFile:
    """Two releases of it differ in how long their student learned, and any of them clears the bar."""
    training = {"epochs": epochs, "learning_rate": 1e-3, "max_tokens": 32}
    student = {"name": "one", "layers": [0], "training": training}
    as_it_is = {"name": "as_it_is", "layers": [0, 1], "learns_from": "nothing", "trim_vocabulary": False}
    return small_recipe(
        folder, students=[student, as_it_is], bar={"margin": 0.6, "champion_margin": 0.3}, slices=[], traffic={},
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


def test_a_release_is_replayed_tried_promoted_watched_and_taken_back_by_itself(tmp_path: Path, shared: Path) -> None:
    with a_place(tmp_path, seeded=shared) as installed:
        for epochs in (4, 6):
            file = recipe(installed.folder, epochs)
            assert distil(file, installed.home, Terminal(quiet=True)).succeeded
        place = Running(installed.folder, installed.home, installed.instance, file)
        first = now(place).champion.release
        second = on_its_way(place).deployed.release
        answer(place, file, first)
        with dagster_dev(place.folder, file, place.home, first=QUICKLY):
            until(place, lambda: on_its_way(place).stage is Stage.CANARY, "it does not leave the shadow")
            assert now(place).champion.release == first and on_its_way(place).share == 0.5
            answer(place, file, second, arm="challenger")
            until(place, lambda: now(place).champion.release == second, "it is not promoted")
            book = WatchBook(place.builds.ledger.url, "small")
            until(place, lambda: (state := book.read().state) is not None and state.release == second, "not watched")
            answer(place, file, second, status=500)
            until(place, lambda: now(place).champion.release == first, "it is not taken back")
            until(place, lambda: named(place) == first, "the champion asset names another release")
        audited = audit_recipe(place.home, "small")
        assert audited.ok, audited.problems
    (finding,) = [each for each in book.findings() if each.kind is FoundKind.ERRORS]
    assert (finding.release, finding.action) == (second, Action.ROLL_BACK)
    promotions = place.builds.ledger.entries("small", "promotion")
    assert [entry.body.get("because", "round") for entry in promotions] == ["round", "rollout", "rollback"]
    assert promotions[-1].body["by"] == BY


def now(place: Place) -> Deployment:
    return serving_now(place.builds.ledger, "small")


def on_its_way(place: Place) -> Challenger:
    challenger = now(place).challenger
    assert challenger is not None, "no release is on its way"
    return challenger


def named(place: Place) -> str:
    return newest_artifact(place.builds, key_of("small", "champion")).facts(ChampionFacts).release
