"""A release on its whole way: offered by a round, replayed, asked by a share of the callers, champion; or out.

The tests are steps on the way of one recipe and run in order. The rules alone are tested in test_rollout.py.
"""

import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import dagster as dg
import polars as pl
import pytest

import orchestration.deployments
import orchestration.rollout
import stillhouse.stages.shadow
from assets.keys import key_of
from orchestration.auditing import audit_request
from orchestration.build import definitions
from orchestration.cli import app
from orchestration.jobs import shadow_job
from orchestration.rollout import RolloutStep, look, move, replay_now, rollout_sensor
from orchestration.run import Outcome, distil
from orchestration.status import status
from orchestration.terminal import Terminal
from stillhouse.errors import StillhouseError
from stillhouse.live.segments import SECONDS_A_DAY, TrafficStore
from stillhouse.live.shadow import ALL
from stillhouse.models.predictor import OnnxClassifier
from stillhouse.recipe.reading import RecipeFile
from stillhouse.records.deployments import DeployedRelease, Stage
from stillhouse.records.outbox import Tone
from stillhouse.records.rollouts import counting
from stillhouse.release.bundle import MODEL
from stillhouse.serving.ids import RequestIds
from stillhouse.serving.requests import Feedback
from stillhouse.serving.traffic_logs import log_of
from stillhouse.stages.names import CHAMPION, RELEASE, SHADOW
from stillhouse.stages.shadow import ShadowFacts
from tests.conftest import Place
from tests.orchestration.served import now
from tests.small import questions, small_recipe, students_after
from tests.steps import command, within_a_day
from tests.stillhouse.serving.killed import served

pytestmark = pytest.mark.slow

BY, WHY = "Ann Lee <ann@example.org>", "it is rude to callers"
TEXTS = questions(1_500)["question"].to_list()[1_200:1_400]
TRUTHS = dict(questions(1_500).select("question", "service").iter_rows())
RELEASES: dict[str, str] = {}
SHOWN: dict[str, str] = {}


def recipe(place: Place, epochs: int) -> RecipeFile:
    """As that of test_rollback.py, whose models are found again; with a margin that 200 requests can prove."""
    bar = {"margin": 0.6, "champion_margin": 0.06}
    rollout = {"shadow": {"margin": 0.3}, "canary": {"shares": [0.25, 0.5], "hours_at_least": 1}}
    return small_recipe(
        place.folder, students=students_after(epochs), bar=bar, slices=[], rollout=rollout,
        traffic={"feedback": "complete", "matures_after_days": 1},
    )  # fmt: skip


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, shared: Path) -> Iterator[Place]:
    with within_a_day(tmp_path_factory.mktemp("rollout"), seeded=shared) as place:
        yield place


def a_round(place: Place, epochs: int) -> Outcome:
    return distil(recipe(place, epochs), place.home, Terminal(quiet=True))


def _two(place: Place) -> list[DeployedRelease]:
    deployment = now(place)
    assert deployment.challenger is not None
    return [deployment.champion, deployment.challenger.deployed]


def named(place: Place) -> tuple[str, str | None]:
    """The release that the champion asset names as the one that serves, and as the one on its way."""
    facts = place.newest(CHAMPION).manifest.facts
    return facts["release"], facts["offered"]


def ask(place: Place, epochs: int, *, arm: str = "champion", callers: int = 200) -> list[str]:
    """Requests since now, and their ids."""
    deployment, ids = now(place), []
    challenger = deployment.challenger
    own = arm == "challenger" and challenger is not None
    release = challenger.deployed.release if own and challenger else deployment.champion.release
    if arm == "instead":
        (first, *_) = deployment.quarantine
        assert first.instead is not None
        release = first.instead.release
    log = log_of(place.home, recipe(place, epochs), f"r{time.time_ns()}")
    for number in range(callers):
        id = RequestIds.of(place.home.serving).issue()
        row = served(id, at=time.time() + 1, text=TEXTS[number % len(TEXTS)], key=f"{number:032x}")
        log.put(replace(row, release=release, deployment=deployment.number, arm=arm))
        ids.append(id)
    log.close()
    return ids


def test_the_first_release_serves_at_once_and_the_next_one_is_offered(place: Place) -> None:
    assert a_round(place, epochs=4).succeeded
    RELEASES["first"] = now(place).champion.release
    assert now(place).challenger is None and named(place) == (RELEASES["first"], None)
    assert a_round(place, epochs=6).succeeded, "the round ends well, and nobody has waited for the shadow"
    challenger = now(place).challenger
    assert challenger is not None and challenger.stage is Stage.SHADOW
    RELEASES["second"] = challenger.deployed.release
    assert now(place).champion.release == RELEASES["first"]
    assert named(place) == (RELEASES["first"], RELEASES["second"])
    assert {state.state for state in place.states(CHAMPION).values()} == {"passed"}
    assert command("audit", "small").exit_code == 0


def test_an_unchanged_round_offers_nothing_again(place: Place) -> None:
    before = place.builds.ledger.entries("small", "deployment")
    assert a_round(place, epochs=6).succeeded
    assert place.builds.ledger.entries("small", "deployment") == before


def test_status_and_fleet_say_where_it_is_and_what_is_missing(place: Place) -> None:
    ask(place, 6, callers=3)
    assert command("rollout", "small", "--replay").exit_code == 0
    file = recipe(place, 6)
    shown = status(place.instance, place.builds, [file]).recipes["small"].champion
    assert shown is not None and shown.challenger is not None
    assert (shown.challenger.digest, shown.challenger.stage) == (RELEASES["second"], "shadow")
    assert shown.challenger.missing is not None and "more requests are needed" in shown.challenger.missing
    assert f"{RELEASES['second'][:12]} is in the shadow since" in " ".join(command("status", "small").stdout.split())
    assert '"stage": "shadow"' in command("fleet", "--json").stdout  # the table wraps where it is narrow
    assert "more requests are needed" in command("rollout", "small").stdout


def test_the_sensor_asks_for_a_replay_once_and_says_why_it_waits(place: Place) -> None:
    file = recipe(place, 6)
    ask(place, 6)
    assert "rollout_small" in {sensor.name for sensor in definitions([file]).sensors or ()}
    with pytest.MonkeyPatch.context() as patches:
        patches.setattr(orchestration.rollout, "SECONDS_BETWEEN_REPLAYS", 0.0)
        ticks = rollout_sensor(file, shadow_job(file))
        context = dg.build_sensor_context(instance=place.instance)
        (request,) = ticks.evaluate_tick(context).run_requests or []
        assert "is in the shadow" in request.tags["stillhouse/because"]
    later = dg.build_sensor_context(instance=place.instance, cursor=str(time.time()))
    tick = ticks.evaluate_tick(later)
    assert not tick.run_requests and "is in the shadow" in str(tick.skip_message)


def test_what_was_asked_is_put_to_both_and_counted_on_top_of_what_was_counted(place: Place) -> None:
    file = recipe(place, 6)
    assert replay_now(place.instance, place.builds, file)
    facts = place.newest(SHADOW).facts(ShadowFacts)
    assert facts.overall.rows == 203 and facts.overall.differ < 203
    assert facts.asked <= facts.overall.differ, "the teacher is asked where they differ, and each text once"
    assert (facts.champion, facts.challenger) == (RELEASES["first"], RELEASES["second"])
    assert replay_now(place.instance, place.builds, file)
    assert place.newest(SHADOW).facts(ShadowFacts).overall.rows == 203, "nothing is counted twice"


def test_what_people_said_of_these_days_is_shown_beside_what_the_teacher_says(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, store = recipe(place, 6), TrafficStore(place.home.artifacts, "small")
    assert "nothing that people said has matured" in " ".join(command("status", "small").stdout.split())
    texts = pl.concat([store.frame(day, "texts") for day in store.days()])
    log = log_of(place.home, file, "desk")
    for id, text in texts.select("id", "text").rows():
        log.put(Feedback(id, at=time.time() + 2, recipe="small", truth=TRUTHS[text], by="desk"))
    log.close()
    judged = place.newest(SHADOW).facts(ShadowFacts).parts
    later = time.time() + 3 * SECONDS_A_DAY
    with monkeypatch.context() as patches:
        patches.setattr(stillhouse.stages.shadow, "time", SimpleNamespace(time=lambda: later))
        for _ in range(2):
            assert replay_now(place.instance, place.builds, file)
    facts = place.newest(SHADOW).facts(ShadowFacts)
    assert facts.parts == judged and facts.truth is not None
    found = facts.truth.parts[ALL]
    releases = [place.builds.artifact(each.release, each.manifest) for each in _two(place)]
    models = [OnnxClassifier(each.folder / MODEL) for each in releases]
    said = [[model.labels[int(model.logits([text]).argmax())] for text in texts["text"]] for model in models]
    right = [[label == TRUTHS[text] for label, text in zip(of, texts["text"], strict=True)] for of in said]
    assert found.rows == 203 and (found.champion_right, found.challenger_right) == (sum(right[0]), sum(right[1]))
    assert found.lost == sum(one and not other for one, other in zip(*right, strict=True))
    assert (found.differ, found.won) == (facts.overall.differ, found.lost + sum(right[1]) - sum(right[0]))
    shown = f"{found.lost} lost, {found.won} won"
    metadata = place.instance.get_latest_materialization_event(key_of("small", SHADOW))
    assert metadata is not None and metadata.asset_materialization is not None
    shown_there = metadata.asset_materialization.metadata
    assert shown in str(shown_there["truth"].value) and "parts_by_truth" in shown_there
    for said_by in (("status", "small"), ("fleet", "--json")):
        assert shown in " ".join(command(*said_by).stdout.split()), said_by
    SHOWN["truth"] = shown


def test_it_answers_a_share_of_the_callers_and_its_answers_lead_to_its_rows(place: Place) -> None:
    step = look(place.instance, place.builds, recipe(place, 6))
    assert step.sentence.endswith("has shown enough in the shadow and answers 25% of the callers")
    assert step.truth is not None and SHOWN["truth"] in step.truth
    assert SHOWN["truth"] in command("rollout", "small").stdout
    assert named(place) == (RELEASES["first"], RELEASES["second"])
    ids = ask(place, 6, arm="challenger", callers=120)
    found = audit_request(place.home, "small", ids[0])
    assert (found.release, found.problems, found.ok) == (RELEASES["second"], (), True)


def test_the_page_of_the_champion_says_where_it_is_and_what_is_waited_for_once(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    def said() -> list[str | None]:
        records = place.instance.fetch_observations(key_of("small", CHAMPION), limit=9).records
        return [record.asset_observation and record.asset_observation.description for record in records]

    before = said()
    assert str(before[0]).endswith("has shown enough in the shadow and answers 25% of the callers")
    waits = RolloutStep("it has shown enough; the stakes are high", Tone.LOOK)
    monkeypatch.setattr(orchestration.rollout, "move", lambda builds, file, *, at: waits)
    for _ in range(3):
        look(place.instance, place.builds, recipe(place, 6))
    assert said() == [waits.sentence, *before]


def test_it_takes_over_and_the_asset_the_gates_and_the_audit_agree(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*about: object) -> None:
        raise KeyboardInterrupt

    file, in_time = recipe(place, 6), time.time() + 3_700
    assert "answers 50% of the callers from now on" in move(place.builds, file, at=in_time).sentence
    ask(place, 6, arm="challenger", callers=120)
    assert "is the champion" in move(place.builds, file, at=in_time).sentence
    with monkeypatch.context() as patches:
        patches.setattr(orchestration.deployments, "_make_the_asset_name", killed)
        with pytest.raises(KeyboardInterrupt):
            look(place.instance, place.builds, file)
    assert named(place) == (RELEASES["first"], RELEASES["second"])
    look(place.instance, place.builds, file)
    assert named(place) == (RELEASES["second"], None)
    assert {state.state for state in place.states(CHAMPION).values()} == {"passed"}
    assert command("audit", "small").exit_code == 0
    promotions = place.builds.ledger.entries("small", "promotion")
    assert a_round(place, epochs=6).succeeded
    assert place.builds.ledger.entries("small", "promotion") == promotions


def test_a_slice_that_is_known_when_a_request_comes_is_taken_from_the_champion(place: Place) -> None:
    until = (datetime.now(UTC) + timedelta(days=3)).strftime("%Y-%m-%d")
    signed = ["--by", BY, "--reason", WHY, "--until", until]
    ended = command("quarantine", "small", "label=HUM", *signed)
    by_the_first = f"label=HUM is answered by one {RELEASES['first'][:12]} until {until}"
    assert ended.exit_code == 0 and by_the_first in ended.stdout
    assert command("quarantine", "small", "length=100-", *signed).exit_code == 0
    given = counting(now(place), datetime.now(UTC).date())
    assert [(each.labels, each.characters) for each in given] == [(("HUM",), None), ((), (100, None))]
    wrong = {
        "label=NOBODY": "no such slice or class", "length=9": "no such slice or class",
        "length=30-1": "slice length=30-1: no text has at least 30 and at most 1 characters",
    }  # fmt: skip
    for slice, why in wrong.items():
        with pytest.raises(StillhouseError, match=why):
            app(["quarantine", "small", slice, *signed], standalone_mode=False)
    with pytest.raises(StillhouseError, match="too far away"):
        app(["quarantine", "small", "label=HUM", *signed[:-1], "2099-01-01"], standalone_mode=False)
    with pytest.raises(StillhouseError, match="no teacher is behind champion one"):
        app(["quarantine", "small", "label=HUM", "--to-teacher", *signed], standalone_mode=False)
    assert "label=HUM is answered by" in " ".join(command("status", "small").stdout.split())
    ids = ask(place, 6, arm="instead", callers=1)
    assert audit_request(place.home, "small", ids[0]).ok


def test_a_person_withdraws_what_is_on_its_way_and_the_champion_serves_on(place: Place) -> None:
    """The third release is a person's to end, and the next round brings it back no more."""
    with pytest.raises(StillhouseError, match="no release is on its way"):
        app(["withdraw", "small", "--by", BY, "--reason", WHY], standalone_mode=False)
    assert a_round(place, epochs=5).succeeded
    challenger = now(place).challenger
    assert challenger is not None
    ended = command("withdraw", "small", "--by", BY, "--reason", WHY)
    assert ended.exit_code == 0 and f"champion one {RELEASES['second'][:12]} serves on" in ended.stdout, ended.output
    assert now(place).challenger is None and named(place) == (RELEASES["second"], None)
    assert place.states(RELEASE)["the_release_was_not_withdrawn"].state == "failed"
    assert {state.state for state in place.states(CHAMPION).values()} == {"passed"}
    outcome = a_round(place, epochs=5)
    assert {gate.name for gate in outcome.closed} == {"the_release_was_not_withdrawn"}
    assert now(place).challenger is None and now(place).champion.release == RELEASES["second"]
    assert command("audit", "small").exit_code == 0
