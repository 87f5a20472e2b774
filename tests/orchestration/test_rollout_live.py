"""A release on its way where no text may be kept: offered by a round, asked by a real server, and moved on by truth.

The tests are steps on the way of one recipe and run in order. The way with kept texts is in test_rollout_way.py, what
a server does with a challenger that fails or is slow in tests/stillhouse/serving/test_shadowing.py.
"""

import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import polars as pl
import pytest
from starlette.testclient import TestClient

import stillhouse.stages.shadow
from orchestration.recipe_check import load_mistakes
from orchestration.rollout import look, move, replay_now
from orchestration.run import Outcome, distil
from orchestration.terminal import Terminal
from stillhouse.live.segments import SECONDS_A_DAY, TrafficStore
from stillhouse.live.traffic import arithmetic
from stillhouse.recipe.reading import RecipeFile
from stillhouse.records.deployments import Challenger, Stage, desired
from stillhouse.serving.app import Server
from stillhouse.serving.desired import Follower
from stillhouse.serving.ids import RequestIds
from stillhouse.serving.process import _slot
from stillhouse.serving.tokens import Access, Tokens
from stillhouse.serving.traffic_logs import log_of
from stillhouse.stages.names import SHADOW
from stillhouse.stages.shadow import ShadowFacts
from stillhouse.statistics.verdicts import Verdict
from tests.conftest import Place
from tests.small import questions, small_recipe, students_after
from tests.steps import command, within_a_day

pytestmark = pytest.mark.slow

PERSONAL = "jane.doe@example.org"
ROWS = questions(1_500).slice(1_200, 200)


def recipe(place: Place, epochs: int) -> RecipeFile:
    """As that of test_rollout_way.py, whose models are found again; but it keeps no text."""
    shadow = {"mode": "live", "judge_by": "truth", "share": 1, "margin": 0.3}
    return small_recipe(
        place.folder, students=students_after(epochs), bar={"margin": 0.6, "champion_margin": 0.06}, slices=[],
        traffic={"keep_texts": False, "feedback": "complete", "matures_after_days": 0},
        rollout={"shadow": shadow, "canary": {"shares": [0.25, 0.5], "hours_at_least": 1}},
    )  # fmt: skip


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, shared: Path) -> Iterator[Place]:
    with within_a_day(tmp_path_factory.mktemp("rollout_live"), seeded=shared) as place:
        yield place


def a_round(place: Place, epochs: int) -> Outcome:
    return distil(recipe(place, epochs), place.home, Terminal(quiet=True))


def challenger(place: Place) -> Challenger:
    found = desired(place.builds.ledger, "small")
    assert found is not None and found.challenger is not None
    return found.challenger


def test_a_release_is_offered_and_waits_for_what_it_is_asked(place: Place) -> None:
    assert a_round(place, epochs=4).succeeded and a_round(place, epochs=6).succeeded
    assert challenger(place).stage is Stage.SHADOW and not load_mistakes(recipe(place, 6))
    step = move(place.builds, recipe(place, 6))
    assert "nothing that was asked since it was offered was put to it yet" in step.sentence and not step.replay


def test_a_server_asks_it_after_each_answer_and_callers_get_the_champions(place: Place) -> None:
    file, home = recipe(place, 6), place.home
    slot, tokens, log = _slot(file, place.builds), Tokens(home.serving), log_of(home, file, "one")
    Follower(place.builds, {"small": slot}, tokens, "one").look()
    server = Server({"small": slot}, RequestIds.of(home.serving), Access(tokens, "127.0.0.1"), {"small": log})
    with TestClient(server, base_url="http://127.0.0.1:8080") as client:
        for question, truth in ROWS.select("question", "service").rows():
            said = client.post("/v1/small/predict", json={"text": f"{question} {PERSONAL}", "key": PERSONAL}).json()
            assert said["release"] != challenger(place).deployed.release
            taken = client.post("/v1/small/feedback", json={"id": said["id"], "truth": truth, "by": "desk:2"})
            assert taken.status_code == 202
        by = time.monotonic() + 60
        while log.received < 3 * ROWS.height and time.monotonic() < by:
            time.sleep(0.01)
    log.close()
    store = TrafficStore(home.artifacts, "small")
    (day,) = store.days()
    assert store.frame(day, "shadow").height == ROWS.height
    assert [each.problems for each in arithmetic(store, day)] == [[]]


def test_until_its_truth_has_matured_nothing_is_judged(place: Place) -> None:
    assert replay_now(place.instance, place.builds, recipe(place, 6))
    facts = place.newest(SHADOW).facts(ShadowFacts)
    assert (facts.mode, facts.overall.rows, facts.overall.test.verdict) == ("live", 0, Verdict.INCONCLUSIVE)
    assert "is in the shadow" in look(place.instance, place.builds, recipe(place, 6)).sentence
    assert move(place.builds, recipe(place, 6), at=time.time() + 2 * SECONDS_A_DAY).replay


def test_what_both_said_is_judged_by_truth_and_it_moves_on(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    file, later = recipe(place, 6), time.time() + 2 * SECONDS_A_DAY
    monkeypatch.setattr(stillhouse.stages.shadow, "time", SimpleNamespace(time=lambda: later))
    for _ in range(2):
        assert replay_now(place.instance, place.builds, file)
        facts = place.newest(SHADOW).facts(ShadowFacts)
        assert (facts.overall.rows, facts.asked, facts.left_out) == (ROWS.height, 0, 0), "nothing is counted twice"
    truth = dict(zip(range(ROWS.height), ROWS["service"], strict=True))
    store = TrafficStore(place.home.artifacts, "small")
    (day,) = store.days()
    said = store.frame(day, "requests").sort("number")
    of_challenger = store.frame(day, "shadow").select("id", other="label")
    both = said.join(of_challenger, on="id", how="left", maintain_order="left").select("label", "other").rows()
    lost = sum(a == truth[n] != b for n, (a, b) in enumerate(both))
    won = sum(b == truth[n] != a for n, (a, b) in enumerate(both))
    assert (facts.overall.lost, facts.overall.won) == (lost, won) and 0 < facts.overall.differ < ROWS.height
    step = look(place.instance, place.builds, file)
    assert step.sentence.endswith("has shown enough in the shadow and answers 25% of the callers"), step.sentence
    assert challenger(place).stage is Stage.CANARY
    assert command("audit", "small").exit_code == 0


def test_nothing_personal_that_callers_sent_is_in_any_file(place: Place) -> None:
    looked_into = 0
    for path in place.home.root.rglob("*"):
        if path.is_file():
            looked_into += 1
            assert PERSONAL.encode() not in path.read_bytes(), path
            if path.suffix == ".parquet":  # which is compressed
                texts = pl.read_parquet(path).select(pl.col(pl.String))
                assert not any(column.str.contains(PERSONAL, literal=True).any() for column in texts), path
    assert looked_into > 100
