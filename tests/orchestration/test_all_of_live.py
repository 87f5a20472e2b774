"""One recipe with a cascade, traffic, a watch, a rollout, events and plays: the pieces of the live half, joined.

The tests are steps on the way of one recipe and run in order, with real rounds, the real app and the real teacher in
this process. What each piece does by itself is in the tests of that piece.
"""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from starlette.testclient import TestClient

from orchestration.auditing import audit_request
from orchestration.build import definitions
from orchestration.kill_rules import beside_the_ledger
from orchestration.live import LiveScreen
from orchestration.rollout import move
from orchestration.run import Outcome, distil
from orchestration.terminal import Terminal
from orchestration.watch import ask, look
from stillhouse.data.cleaning import prompt_ids
from stillhouse.live.asking import LiveAnswers
from stillhouse.live.findings import Action, FoundKind
from stillhouse.live.segments import TrafficStore
from stillhouse.models.predictor import OnnxClassifier
from stillhouse.recipe.reading import RecipeFile
from stillhouse.recipe.serving import TeacherCallsSpec
from stillhouse.records.deployments import DeployedRelease, Stage
from stillhouse.records.events import EventKind, history
from stillhouse.records.plays import measured
from stillhouse.release.bundle import MODEL, ReleaseRecord
from stillhouse.release.cascade import CASCADE, Cascade, TeacherOnCall
from stillhouse.serving.app import Server
from stillhouse.serving.desired import Follower, Slot
from stillhouse.serving.ids import RequestIds
from stillhouse.serving.teacher import Away, AwayError, ServingTeacher, TeacherSaid
from stillhouse.serving.tokens import Access, Tokens
from stillhouse.serving.traffic_logs import log_of
from stillhouse.stages.asking import teacher_of
from stillhouse.stages.facts import ChampionFacts, TeacherFacts
from stillhouse.stages.live_teacher import teacher_behind
from stillhouse.stages.names import CHAMPION, SHADOW
from stillhouse.stages.shadow import ShadowFacts
from stillhouse.teachers.answers import with_answers
from tests.conftest import Place
from tests.orchestration.served import now
from tests.small import questions, small_recipe, students_after
from tests.steps import command, within_a_day

pytestmark = pytest.mark.slow

BY = ["--by", "Ann Lee <ann@example.org>", "--reason", "all of it is tried together"]
ASKED = questions(1_700)[1_200:1_600]
TEXTS = ASKED["question"].to_list()
"""Of the kind of the rows, and nobody has trained on them."""
KIND = dict(ASKED.select("question", "kind").iter_rows())
"""What callers say of each."""
PEOPLE = {"name": "people", "column": "kind", "values": ["HUM:ind", "HUM:gr"], "critical": False}
SEEN: dict[str, Any] = {}


def recipe(place: Place, epochs: int, *, with_teacher: bool = True) -> RecipeFile:
    return small_recipe(
        place.folder,
        students=students_after(epochs),
        bar={"margin": 0.6, "champion_margin": 0.3},
        slices=[PEOPLE],
        serving={"request_columns": ["kind"]},
        traffic={"days": 30, "text_days": 7},
        **({"cascade": {"margin": 0.05, "share_at_most": 0.95}} if with_teacher else {}),
        watch={"ask_teacher": 1.0, "ask_when_drifting": 1.0, "latency_ms": 1_000.0},
        rollout={
            "shadow": {"margin": 0.3},
            "canary": {"shares": [0.5], "hours_at_least": 1, "slow_ms": 2_000, "errors_at_most": 0.05},
        },
        refresh={"cron": "0 3 * * 1", "start": ["agreement", "fallback"], "quiet_minutes": 1},
        plays=[
            {
                "name": "drift", "on": ["inputs", "agreement"], "owner": "team:tests", "do": "Label rows.",
                "cadence": "weekly", "kill": "rounds_without_promotion >= 3",
            }
        ],
    )  # fmt: skip


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, shared: Path) -> Iterator[Place]:
    with within_a_day(tmp_path_factory.mktemp("all_of_live"), seeded=shared, baselines=False) as place:
        yield place


def a_round(place: Place, epochs: int, *, with_teacher: bool = True) -> Outcome:
    return distil(recipe(place, epochs, with_teacher=with_teacher), place.home, Terminal(quiet=True))


def cascade_of(place: Place, release: DeployedRelease) -> Cascade:
    folder = place.builds.artifact(release.release, release.manifest).folder
    return Cascade.model_validate_json((folder / CASCADE).read_bytes())


@dataclass
class InThisProcess:
    """The real teacher of a release, without a process of its own; a test may send it away."""

    place: Place
    file: RecipeFile
    on_call: TeacherOnCall
    is_away: bool = False
    seen_usd = 0.0

    def __post_init__(self) -> None:
        serves = now(self.place)
        on_its_way = [] if serves.challenger is None else [serves.challenger.deployed]
        behind = (teacher_behind(self.place.builds, each) for each in [serves.champion, *on_its_way])
        artifact = next(each for each in behind if each.digest == self.on_call.artifact)
        self.task = artifact.facts(TeacherFacts).task
        self.teacher = teacher_of(artifact, self.file.recipe.teacher, self.place.builds)

    def is_ready(self) -> bool:
        return True

    def ask(self, text: str, seconds: float) -> TeacherSaid:
        if self.is_away:
            raise AwayError(Away.NO_LABEL)
        said = self.teacher.ask(pl.DataFrame({"prompt_id": ["a"], "text": [text]}))
        confidence = self.task.confidence(np.array(said["logits"].to_list()), self.on_call.temperature)
        assert confidence is not None
        return TeacherSaid(with_answers(said, self.task)["answer"][0], float(confidence[0]))

    def close(self) -> None:
        """Nothing is held."""


@dataclass
class Running:
    """A server in this process."""

    slot: Slot
    client: TestClient
    asked: list[InThisProcess]

    def predict(self, text: str, key: str) -> dict[str, Any]:
        asked = {"text": text, "key": key, "columns": {"kind": KIND[text]}}
        found = self.client.post("/v1/small/predict", json=asked)
        assert found.status_code == 200, found.text
        return dict(found.json())


@contextmanager
def a_server(place: Place, epochs: int, *, away: bool = False) -> Iterator[Running]:
    """The app as `stillhouse serve` has it; its rows are sealed when it ends."""
    file, asked = recipe(place, epochs), list[InThisProcess]()

    def opened(on_call: TeacherOnCall) -> ServingTeacher:
        asked.append(InThisProcess(place, file, on_call, away))
        return ServingTeacher(asked[-1], TeacherCallsSpec(deadline_ms=20_000))

    slot, tokens = Slot("small", file.recipe.serving, open_teacher=opened), Tokens(place.home.serving)
    replica = f"r{time.time_ns()}"
    follower, log = Follower(place.builds, {"small": slot}, tokens, replica), log_of(place.home, file, replica)
    follower.look()
    server = Server({"small": slot}, RequestIds.of(place.home.serving), Access(tokens, "127.0.0.1"), {"small": log})
    try:
        with TestClient(server, base_url="http://127.0.0.1:8080") as client:
            yield Running(slot, client, asked)
    finally:
        log.close()


def kept(place: Place) -> pl.DataFrame:
    store = TrafficStore(place.home.artifacts, "small")
    return pl.concat([store.frame(day, "requests") for day in store.days()])


def test_one_recipe_has_all_of_it_and_each_part_its_asset_its_job_and_its_sensor(place: Place) -> None:
    file = recipe(place, 4)
    assert command("check", "small").exit_code == 0
    built = definitions([file])
    stages = {key.path[-1] for key in built.resolve_asset_graph().materializable_asset_keys}
    assert {"cascade", "release", "champion", "traffic", "live_report", "shadow"} <= stages
    jobs = {job.name for job in built.resolve_all_job_defs() if not job.name.startswith("__")}
    assert {"distil_small", "shadow_small", "live_report_small", "traffic_small"} <= jobs
    sensors = {sensor.name for sensor in built.get_repository_def().sensor_defs}
    assert {"rounds_small", "watch_small", "rollout_small"} <= sensors


def test_the_first_release_serves_with_its_teacher_behind_it(place: Place) -> None:
    assert a_round(place, 4).succeeded
    SEEN["first"] = now(place).champion
    rule = cascade_of(place, now(place).champion).rule
    assert now(place).challenger is None
    assert not look(place.builds, recipe(place, 4), at=time.time()).findings
    with a_server(place, 4) as running:
        answers = [running.predict(text, f"caller {n}") for n, text in enumerate(TEXTS[:250])]
        shown = running.client.get("/v1/small").json()
        metrics = running.client.get("/metrics").text
    assert shown["threshold"] == rule.threshold.threshold
    assert {each["source"] for each in answers} == {"student", "teacher"}
    assert "stillhouse_handed_on_total" in metrics
    rows = kept(place)
    handed_on = rows.filter(pl.col("source") == "teacher")
    assert handed_on.height == sum(each["source"] == "teacher" for each in answers)
    for label, sure, teacher in rows.select("student_label", "student_confidence", "source").iter_rows():
        assert (label is None) == (teacher == "student")
        assert label is None or rule.hands_on(label, sure, {}) is not None
    for source in ("student", "teacher"):
        SEEN[source] = next(each for each in answers if each["source"] == source)


def test_the_watch_holds_traffic_against_the_cascade_that_was_judged(place: Place) -> None:
    file = recipe(place, 4)
    looked = ask(place.builds, file, at=time.time())
    assert looked.state is not None and list(looked.findings) == []
    golden = cascade_of(place, now(place).champion).golden_share
    handed_on = looked.state.reference.handed_on
    assert handed_on is not None and handed_on[0] / handed_on[1] == pytest.approx(golden)
    agreement = looked.state.reference.agreement
    assert agreement is not None and sum(agreement.rows) == handed_on[1] - handed_on[0]
    shown = LiveScreen.model_validate_json(command("live", "small", "--json").output)
    rows = kept(place)
    own = rows.filter(pl.col("student_label").is_null()).height
    assert shown.day.agreement is not None and shown.day.agreement.requests == own
    assert shown.day.answers == rows.height
    rule, kept_by_it = cascade_of(place, now(place).champion).rule, looked.state.reference.cascade
    assert kept_by_it is not None and (kept_by_it.margin, kept_by_it.threshold) == (0.05, rule.threshold.threshold)
    assert looked.state.bets["cascade_agreement"].rows == rows.height, "what the teacher answers counts, too"
    of_all = shown.day.cascade
    assert of_all is not None and of_all.agreement is not None and of_all.agreement.requests == rows.height
    assert 1 - of_all.agreement.debiased == pytest.approx((1 - shown.day.agreement.debiased) * own / rows.height)
    (people,) = looked.state.reference.slices
    assert people.slice.name == "people" and 0 < people.labelled < looked.state.reference.labelled
    assert 0 < looked.state.bets["slice_agreement people"].rows < own
    assert people.slice.rows_of(rows).height == sum(KIND[text] in PEOPLE["values"] for text in TEXTS[:250])
    fallback = next(each for each in shown.day.shares if each.kind == "fallback")
    assert (fallback.events, fallback.rows, fallback.reference) == (rows.height - own, rows.height, golden)
    assert "come from the teacher" in command("live", "small").output or "fallback" in command("live", "small").output


def test_a_teacher_that_is_away_is_no_fault_of_the_release(place: Place) -> None:
    with a_server(place, 4, away=True) as running:
        answers = [running.predict(text, f"caller {n}") for n, text in enumerate(TEXTS[:150])]
    degraded = [each for each in answers if each["degraded"]]
    assert degraded and {each["source"] for each in answers} == {"student"}
    SEEN["degraded"] = degraded[0]
    looked = ask(place.builds, recipe(place, 4), at=time.time())
    assert list(looked.findings) == [] and looked.state is not None and not looked.state.standing
    assert now(place).champion == SEEN["first"]


def test_the_next_release_is_on_its_way_with_a_cascade_of_its_own_and_is_compared_as_callers_get_it(
    place: Place,
) -> None:
    assert a_round(place, 6).succeeded
    challenger = now(place).challenger
    assert challenger is not None and challenger.stage is Stage.SHADOW
    SEEN["second"] = challenger.deployed
    rules = [cascade_of(place, each).rule for each in (SEEN["first"], SEEN["second"])]
    assert rules[0].threshold.threshold != rules[1].threshold.threshold
    with a_server(place, 6) as running:
        for n, text in enumerate(TEXTS[:200]):
            running.predict(text, f"caller {n}")
    assert command("rollout", "small", "--replay").exit_code == 0
    facts = place.newest(SHADOW).facts(ShadowFacts)
    assert facts.overall.rows == 200 and facts.overall.unanswered == 0
    assert facts.parts["people"].rows == sum(KIND[text] in PEOPLE["values"] for text in TEXTS[:200])
    assert 0 < facts.overall.differ < 100, "what both hand on they answer alike"
    challenger = now(place).challenger
    assert challenger is not None and (challenger.stage, challenger.share) == (Stage.CANARY, 0.5)


def test_a_share_of_the_callers_is_answered_by_it_and_its_own_teacher_while_the_watch_goes_on(place: Place) -> None:
    assert command("hold", "small", *BY).exit_code == 0
    with a_server(place, 6) as running:
        answers = [running.predict(text, f"caller {n}") for n, text in enumerate(TEXTS[:300])]
        assert running.slot.serving is not None and running.slot.serving.challenger is not None
        assert running.slot.serving.challenger.release.teacher is not None
        own = [each for each in answers if each["release"] == SEEN["second"].release]
        assert {each["source"] for each in own} == {"student", "teacher"} and 100 < len(own) < 200
        running.slot.serving.challenger.release.say = None  # type: ignore[method-assign, assignment]
        stood_in = [running.predict(text, f"caller {n}") for n, text in enumerate(TEXTS[:60])]
        assert {each["release"] for each in stood_in} == {SEEN["first"].release}
        assert running.slot.serving.challenger.breaker.is_open, "this server's own brake"
    SEEN["challenger"] = own[0]
    failed = kept(place).filter((pl.col("arm") == "challenger") & (pl.col("release") == SEEN["first"].release))
    assert failed.height >= 5
    SEEN["stood in"] = {"id": failed["id"][0]}
    looked = ask(place.builds, recipe(place, 6), at=time.time())
    assert list(looked.findings) == [] and now(place).champion == SEEN["first"]


@pytest.mark.parametrize("kind", ["student", "teacher", "degraded", "challenger", "stood in"])
def test_every_kind_of_answer_leads_to_its_rows(place: Place, kind: str) -> None:
    found = audit_request(place.home, "small", SEEN[kind]["id"])
    assert (found.problems, found.ok) == ((), True)
    shown = command("audit", "small", "--request", SEEN[kind]["id"], "--json")
    assert shown.exit_code == 0 and json.loads(shown.output)["release"] == found.release


@pytest.mark.parametrize(
    "screen", ["status small", "fleet", "live small", "rollout small", "events small", "roi small"]
)
def test_every_screen_shows_it(place: Place, screen: str) -> None:
    assert command(*screen.split()).exit_code == 0
    if screen != "rollout small":
        json.loads(command(*screen.split(), "--json").output)


def test_what_is_held_goes_no_further_and_then_takes_over(place: Place) -> None:
    file, in_time = recipe(place, 6), time.time() + 3_700
    assert "holds the champion" in command("rollout", "small").output
    assert "waits in canary" in move(place.builds, file, at=in_time).sentence
    assert command("resume", "small", *BY).exit_code == 0
    assert "is the champion" in move(place.builds, file, at=in_time).sentence
    assert command("rollout", "small").exit_code == 0
    assert now(place).champion == SEEN["second"]
    assert place.newest(CHAMPION).facts(ChampionFacts).release == SEEN["second"].release
    assert command("audit", "small").exit_code == 0
    play = file.recipe.plays[0]
    assert measured(place.builds.ledger, "small", play, None, beside_the_ledger(place.builds, file)) == 0, (
        "what took over by its rollout was promoted"
    )


def test_a_champion_that_fails_is_taken_back_while_another_release_is_on_its_way_which_is_offered_again(
    place: Place,
) -> None:
    file = recipe(place, 5)
    assert a_round(place, 5).succeeded
    on_its_way = now(place).challenger
    assert on_its_way is not None and now(place).champion == SEEN["second"]
    assert not look(place.builds, file, at=time.time()).findings
    with a_server(place, 5) as running:
        assert running.slot.serving is not None
        running.slot.serving.champion.say = None  # type: ignore[method-assign, assignment]
        for text in TEXTS[:60]:
            assert running.client.post("/v1/small/predict", json={"text": text}).status_code == 500
    found = look(place.builds, file, at=time.time())
    assert [(each.kind, each.action) for each in found.findings] == [(FoundKind.ERRORS, Action.ROLL_BACK)]
    assert now(place).champion == SEEN["first"] and now(place).challenger is None
    assert found.state is not None and found.state.release == SEEN["first"].release
    assert command("watch", "small", "--once").exit_code == 0
    assert command("rollout", "small").exit_code == 0
    named = place.newest(CHAMPION).facts(ChampionFacts)
    assert (named.release, named.offered) == (SEEN["first"].release, None)
    assert {event.event.kind for event in history(place.builds.ledger, "small")} >= {EventKind.SERVICE}
    assert a_round(place, 5).succeeded
    again = now(place).challenger
    assert again is not None and again.salt != on_its_way.salt
    assert again.export == on_its_way.export, "the same model, held against the champion that serves now"
    assert command("audit", "small").exit_code == 0


def test_the_model_that_serves_without_its_teacher_is_another_release_to_callers(place: Place) -> None:
    assert command("withdraw", "small", *BY).exit_code == 0
    recipe(place, 4, with_teacher=False)
    assert command("amend", "small", *BY).exit_code == 0, "who answers is part of the bar"
    assert a_round(place, 4, with_teacher=False).succeeded
    alone = now(place).challenger
    assert alone is not None and alone.stage is Stage.SHADOW and now(place).champion == SEEN["first"]
    models = [place.builds.artifact(each.release, each.manifest).facts(ReleaseRecord).export
              for each in (alone.deployed, SEEN["first"])]  # fmt: skip
    assert models[0] == models[1]
    assert command("withdraw", "small", *BY).exit_code == 0
    recipe(place, 4)
    assert command("amend", "small", *BY).exit_code == 0
    assert a_round(place, 4).succeeded, "the champion itself was not withdrawn with it"
    assert now(place).champion == SEEN["first"] and now(place).challenger is None


def test_a_text_that_is_erased_leaves_no_answer_of_the_teacher_behind(place: Place) -> None:
    store, teacher = TrafficStore(place.home.artifacts, "small"), teacher_behind(place.builds, now(place).champion)
    texts = pl.concat([store.frame(day, "texts") for day in store.days()])
    (text,) = texts.filter(pl.col("id") == SEEN["student"]["id"])["text"]
    asked = prompt_ids(pl.Series([text])).to_list()
    answers = LiveAnswers.of(place.home)
    fingerprint = teacher.facts(TeacherFacts).fingerprint
    assert answers.kept(fingerprint, asked).height == 1
    same = texts.filter(pl.col("text") == text)["id"].to_list()
    for id in same[:-1]:
        assert command("erase", "small", "--id", id).exit_code == 0
    assert answers.kept(fingerprint, asked).height == 1, "somebody else has asked it, too"
    assert command("erase", "small", "--id", same[-1]).exit_code == 0
    assert answers.kept(fingerprint, asked).is_empty()
    shown = json.loads(command("live", "small", "--json").output)
    assert shown["day"]["answers"] > 0


def test_an_export_of_it_answers_alone(place: Place, tmp_path: Path) -> None:
    assert command("export", "small", str(tmp_path / "out")).exit_code == 0
    asked = [sys.executable, str(tmp_path / "out" / "classify.py"), *TEXTS[:20]]
    said = subprocess.run(asked, capture_output=True, text=True, check=True).stdout.splitlines()
    serves = now(place).champion
    student = OnnxClassifier(place.builds.artifact(serves.release, serves.manifest).folder / MODEL)
    labels = [student.labels[place] for place in student.logits(TEXTS[:20]).argmax(axis=1)]
    assert [line.split("\t")[0] for line in said] == labels, "without its teacher, the student answers everything"
