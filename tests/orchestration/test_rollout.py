"""What moves a release on, and what withdraws or holds it: by verdicts and rows alone, without models and Dagster."""

import threading
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import dagster as dg
import polars as pl
import pytest
from typer.testing import CliRunner

import orchestration.commands.serving
import orchestration.deployments
import orchestration.rollout
from checks.gate import gate_code
from checks.stages import gates_of
from orchestration.approvals import Approved, approve_newest_release
from orchestration.champion_status import champion_status
from orchestration.cli import app
from orchestration.deployments import name_what_serves_if_free
from orchestration.rollout import SECONDS_BETWEEN_REPLAYS, move
from stillhouse.errors import StillhouseError
from stillhouse.home import Home
from stillhouse.live.canary import CALLERS_AT_LEAST
from stillhouse.live.segments import Differing, Harvest, TrafficStore, columns_of, day_at, sealed
from stillhouse.live.shadow import ALL, BOTH, COUNTS, SEEN_SCHEMA, TALLY_SCHEMA, judged
from stillhouse.live.watch import TeacherHealth
from stillhouse.recipe.contract import Recipe
from stillhouse.records.builds import Artifact, BuildRequest, BuildStore
from stillhouse.records.deployments import Challenger, Deployment, Stage, is_loaded
from stillhouse.records.events import EventKind, pending
from stillhouse.records.governance import approve
from stillhouse.records.locks import recipe_locked_if_free
from stillhouse.records.outbox import Tone
from stillhouse.records.promotion import hold
from stillhouse.records.replicas import Heartbeat, beat
from stillhouse.records.rollouts import offer, withdraw
from stillhouse.stages.names import SHADOW
from stillhouse.stages.shadow import SEEN, TALLY, BesideTruth, ShadowFacts
from stillhouse.stages.versions import code_version
from stillhouse.statistics.verdicts import Verdict
from tests.promotions import model_of, named, seen, serve
from tests.small import small_recipe

DAY = 86_400.0
WORSE = "the_challenger_is_not_worse"
NAMES = gates_of(SHADOW).names(blocking=False)


@pytest.fixture(autouse=True)
def nothing_was_waived(monkeypatch: pytest.MonkeyPatch) -> None:
    """The releases here are names, without artifacts that would say what was waived."""
    monkeypatch.setattr(orchestration.rollout, "ended_waivers", lambda builds, file, release: [])


class World:
    """A recipe `r` whose champion is a1, and b1 on its way to take over from it."""

    def __init__(self, builds: BuildStore, folder: Path, **changes: Any) -> None:
        wanted = {"traffic": {}, "rollout": {"canary": {"shares": [0.05, 0.5]}}, **changes}
        self.file = small_recipe(folder, rows=100, name="r", **wanted)
        self.builds, self.ledger = builds, builds.ledger
        self.store = TrafficStore(builds.home.artifacts, "r")
        serve(self.ledger, "a1")
        self.offer("b1")
        self.rows = 0

    def offer(self, release: str) -> Challenger:
        now = seen(self.ledger)
        return offer(
            self.ledger, "r", named(release), seen=now, export=model_of(release), run_id="run", relied_on=()
        ).challenger

    @property
    def now(self) -> Deployment:
        return seen(self.ledger)

    @property
    def challenger(self) -> Challenger:
        assert self.now.challenger is not None
        return self.now.challenger

    def look(
        self, *, version: str | None = None, salt: str | None = None, truth: BesideTruth | None = None,
        upto: pl.DataFrame | None = None, **states: str,
    ) -> Artifact:  # fmt: skip
        """The shadow is replayed, and its gates say this; those that are not named have passed."""
        tally = pl.DataFrame([{"slice": ALL, **dict.fromkeys(COUNTS, 0)}], schema=TALLY_SCHEMA)
        assert self.file.recipe.rollout is not None
        facts = ShadowFacts(
            rollout=salt or self.challenger.salt, champion="a1", challenger="b1", judge="teacher", days=(), asked=0,
            left_out=0, parts=judged(tally, [], self.file.recipe.rollout.shadow), truth=truth,
        )  # fmt: skip

        def build(folder: Path) -> ShadowFacts:
            (pl.DataFrame(schema=SEEN_SCHEMA) if upto is None else upto).write_parquet(folder / f"{SEEN}.parquet")
            tally.write_parquet(folder / f"{TALLY}.parquet")
            return facts

        made = self.builds.make(
            BuildRequest("r", SHADOW, "run", version or code_version(SHADOW), {"look": len(self.ledger.entries("r"))}),
            build,
        )
        for name in NAMES:
            state = states.get(name, "passed")
            body = {
                "asset": made.address, "digest": made.digest, "manifest": made.identity, "gate": name, "state": state,
                "sentence": f"{name} is {state}, 500 more requests are needed", "code": gate_code(SHADOW),
                "run_id": "0123456789", "waived": None,
            }  # fmt: skip
            self.ledger.append("verdict", "r", body)
        return made

    def asks(self, callers: int, *, after: float = 60.0, arm: str = "challenger", fails: int = 0) -> None:
        """As many callers ask, some of them the challenger in vain."""
        at = time.time() + after
        release = "b1" if arm == "challenger" else "a1"
        rows = [
            (n, f"{self.rows}-{n}", at, "a1" if n <= fails else release, 1, "student", "x", 0.5, False, 200, 1.0, 3, 2,
             f"{self.rows}k{n}", arm, None, None, None, 1.0, None)
            for n in range(1, callers + 1)
        ]  # fmt: skip
        self.rows += 1
        replica = f"r{self.rows}"
        self.store.put(day_at(at), "requests", sealed(columns_of("requests", replica, rows)))
        texts = [(row[0], row[1], "who is it ?") for row in rows]
        self.store.put(day_at(at), "texts", sealed(columns_of("texts", replica, texts)))

    def kinds(self) -> list[str]:
        return [entry.body["because"] for entry in self.ledger.entries("r", "deployment")]


@pytest.fixture
def world(builds: BuildStore, tmp_path: Path) -> World:
    return World(builds, tmp_path)


def later(days: float) -> float:
    return time.time() + days * DAY


def test_without_a_request_it_waits_and_is_held_when_its_days_are_over(world: World) -> None:
    step = move(world.builds, world.file)
    assert (step.tone, step.replay) == (None, False)
    assert "nothing that was asked since it was offered was replayed yet" in step.sentence
    step = move(world.builds, world.file, at=later(14.1))
    assert step.tone is not None and "is held in shadow" in step.sentence and "`stillhouse resume r" in step.sentence
    assert world.challenger.stuck is not None and world.kinds()[-1] == "stuck"
    again = move(world.builds, world.file, at=later(15))
    assert again.tone is None and "is held in shadow" in again.sentence, "it is said once, and stands"
    world.offer("c1")
    assert world.challenger.deployed == named("c1")


def test_what_was_asked_since_the_offer_is_replayed_and_once_an_hour_at_most(world: World) -> None:
    world.asks(3, arm="champion")
    assert move(world.builds, world.file).replay
    world.look(**{WORSE: "inconclusive"})
    assert not move(world.builds, world.file).replay
    assert move(world.builds, world.file, at=time.time() + SECONDS_BETWEEN_REPLAYS + 60).replay


def test_when_every_gate_of_the_newest_look_is_open_a_share_of_the_callers_is_its_own(world: World) -> None:
    world.look(**{WORSE: "inconclusive"})
    made = world.look()
    step = move(world.builds, world.file)
    assert step.tone is not None and "answers 5% of the callers" in step.sentence
    assert (world.challenger.stage, world.challenger.share) == (Stage.CANARY, 0.05)
    evidence = world.ledger.entries("r", "deployment")[-1].body["evidence"]
    assert evidence["shadow"] == made.digest and len(evidence["said"]) == len(NAMES)


@pytest.mark.parametrize("gate", NAMES)
@pytest.mark.parametrize("state", ["inconclusive", "failed"])
def test_one_gate_that_is_not_open_is_enough(world: World, gate: str, state: str) -> None:
    world.look()
    world.look(**{gate: state})
    step = move(world.builds, world.file)
    if state == "failed":
        assert world.now.challenger is None and world.kinds()[-1] == "withdraw"
        assert "is withdrawn: " in step.sentence
        with pytest.raises(StillhouseError, match=r"was withdrawn .* by rollout"):
            world.offer("b2")
    else:
        assert world.challenger.stage is Stage.SHADOW and "500 more requests are needed" in step.sentence
        held = move(world.builds, world.file, at=later(14.1))
        assert "500 more requests are needed" in str(world.challenger.stuck) or held.replay


def by_people(world: World, *, lost: int) -> BesideTruth:
    """1,000 requests of which people said what was right, and the challenger lost some."""
    counts = {**dict.fromkeys(COUNTS, 0), "rows": 1_000, "differ": lost, "lost": lost, BOTH: 900 - lost}
    tally = pl.DataFrame([{"slice": ALL, **counts}])
    assert world.file.recipe.rollout is not None
    parts = judged(tally, [], world.file.recipe.rollout.shadow)
    return BesideTruth(selection="complete", days=("2026-11-20",), waiting=0, left_out=0, parts=parts)


def test_what_people_said_stands_beside_each_step_and_takes_none_where_the_teacher_judges(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.look(**{WORSE: "inconclusive"})
    assert move(world.builds, world.file).truth is None, "nobody has said anything"
    worse = by_people(world, lost=300)
    assert worse.parts[ALL].test.verdict is Verdict.FAIL
    world.look(truth=worse, **{WORSE: "inconclusive"})
    step = move(world.builds, world.file)
    said = "of 1,000 requests with their truth the champion has 90.0% right and the challenger 60.0%, 300 lost, 0 won"
    assert step.truth is not None and step.truth.startswith(said) and "beyond the margin" in step.truth
    assert world.challenger.stage is Stage.SHADOW, "it neither withdraws"
    shown = champion_status(world.builds, "r")
    assert shown is not None and shown.challenger is not None and shown.challenger.truth == step.truth
    monkeypatch.setattr(orchestration.commands.serving, "find_recipe", lambda name: world.file)
    assert said in " ".join(CliRunner().invoke(app, ["rollout", "r"], env={"COLUMNS": "400"}).output.split())
    well = by_people(world, lost=0)
    assert well.parts[ALL].test.verdict is Verdict.PASS
    world.look(truth=well, **{WORSE: "inconclusive"})
    assert move(world.builds, world.file).tone is None, "nor moves it on"
    world.look(truth=well)
    assert move(world.builds, world.file).tone is Tone.GOOD
    evidence = world.ledger.entries("r", "deployment")[-1].body["evidence"]
    assert (evidence["truth"]["rows"], evidence["truth"]["both_right"]) == (1_000, 900)


def test_what_people_said_since_the_last_look_is_a_reason_to_look_again(builds: BuildStore, tmp_path: Path) -> None:
    """Truth that has matured, and labels of texts that they were given, though every request was replayed."""
    world = World(builds, tmp_path, traffic={"feedback": "complete", "matures_after_days": 1})
    world.asks(3, arm="champion")
    (day,) = world.store.days()
    world.look(upto=pl.DataFrame([("r1", day, 3)], schema=SEEN_SCHEMA, orient="row"), **{WORSE: "inconclusive"})
    soon = time.time() + SECONDS_BETWEEN_REPLAYS + 60
    assert not move(builds, world.file, at=soon).replay and not move(builds, world.file, at=later(3)).replay
    world.store.put(day, "feedback", sealed(columns_of("feedback", "r1", [(4, "0-1", time.time(), "x", "desk")])))
    assert not move(builds, world.file, at=soon).replay, "it has not matured"
    assert move(builds, world.file, at=later(3)).replay
    of = Differing(rollout=world.challenger.salt, texts=9, differ=3)
    world.store.note_harvest(Harvest(file="h.ndjson", digest="d", ids=("0-1",), differing=of))
    assert not move(builds, world.file, at=soon).replay, "it was never written"
    world.ledger.append("harvest", "r", {"file": "h.ndjson"})
    assert move(builds, world.file, at=soon).replay


def test_a_step_of_which_nobody_said_the_truth_is_written_as_it_was(world: World) -> None:
    world.look()
    move(world.builds, world.file)
    evidence = world.ledger.entries("r", "deployment")[-1].body["evidence"]
    assert "truth" not in evidence and "both_right" not in evidence["overall"]


def test_too_little_evidence_is_held_and_says_how_much_is_missing(world: World) -> None:
    world.look(**{WORSE: "inconclusive"})
    step = move(world.builds, world.file, at=later(14.1))
    assert step.replay, "once it is late its rare slices are judged by what they have shown"
    assert move(world.builds, world.file, at=later(15.1)).tone is not None
    assert world.challenger.stuck == f"{WORSE} is inconclusive, 500 more requests are needed"


@pytest.mark.parametrize("how", [{"salt": "of another"}, {"version": "of other code"}])
def test_a_look_that_counts_no_longer_moves_nothing(world: World, how: Any) -> None:
    world.asks(3, arm="champion")
    world.look(**how)
    step = move(world.builds, world.file)
    assert (step.tone, step.replay, world.challenger.stage) == (None, True, Stage.SHADOW)
    world.look(**{WORSE: "failed"}, **how)
    move(world.builds, world.file)
    assert world.challenger.stage is Stage.SHADOW, "nor does it withdraw anything"


def in_canary(world: World) -> World:
    world.look()
    assert move(world.builds, world.file).tone is not None
    return world


def test_a_stage_takes_its_hours_and_its_callers_and_the_last_one_makes_it_champion(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_canary(world)
    assert f"{CALLERS_AT_LEAST} more callers are needed" in move(world.builds, world.file).sentence
    world.asks(60)
    assert "40 more callers are needed" in move(world.builds, world.file, at=later(1.1)).sentence
    world.asks(60)
    assert "answers 5% of the callers until" in move(world.builds, world.file, at=later(0.5)).sentence
    assert "answers 50% of the callers from now on" in move(world.builds, world.file, at=later(1.1)).sentence
    world.asks(120)
    with monkeypatch.context() as patches:
        ended = ["the waiver of r/prompts[base]:g has ended: waive it again"]
        patches.setattr(orchestration.rollout, "ended_waivers", lambda builds, file, release: ended)
        step = move(world.builds, world.file, at=later(1.1))
        assert "has shown enough; the waiver of r/prompts[base]:g has ended" in step.sentence
        assert (world.now.champion, step.tone) == (named("a1"), Tone.LOOK), "it waits, and is not withdrawn for that"
    step = move(world.builds, world.file, at=later(1.1))
    assert step.sentence == "one b1 is the champion"
    assert (world.now.champion, world.now.challenger, world.now.because) == (named("b1"), None, "rollout")
    evidence = world.ledger.entries("r", "promotion")[-1].body["evidence"]
    assert evidence["canary"]["callers"] == 240 and evidence["canary"]["failures"]["verdict"] == "inconclusive"
    assert move(world.builds, world.file).sentence == "no release is on its way to take over"


def test_without_callers_a_stage_is_held(world: World) -> None:
    in_canary(world)
    step = move(world.builds, world.file, at=later(14.1))
    assert "is held in canary: 100 more callers are needed" in step.sentence
    assert world.challenger.stuck is not None and world.challenger.share == 0.05


def test_one_that_fails_callers_is_withdrawn_at_once_and_while_a_person_holds(world: World) -> None:
    in_canary(world)
    hold(world.ledger, "r", by="Ann Lee", reason="month-end close")
    world.asks(90, fails=10)
    step = move(world.builds, world.file)
    assert "is withdrawn: 11.1% of the requests of a caller failed, over 90 callers by day" in step.sentence
    assert (world.now.champion, world.now.challenger) == (named("a1"), None)
    assert world.now.hold is not None
    withdrawal = world.ledger.entries("r", "withdrawal")[-1].body
    assert (withdrawal["release"], withdrawal["by"]) == ("b1", "rollout")
    (event,) = pending(world.ledger, "r")
    assert event.kind is EventKind.SERVICE and event.sentence == step.sentence


def test_a_hold_keeps_it_where_it_is(world: World) -> None:
    world.look()
    hold(world.ledger, "r", by="Ann Lee", reason="month-end close")
    step = move(world.builds, world.file)
    assert "waits in shadow: Ann Lee holds the champion" in step.sentence
    assert world.challenger.stage is Stage.SHADOW


class Watch:
    """Stands in for what the watch remembers: how the teacher has answered its canary prompts."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.as_recorded: bool | None = True
        monkeypatch.setattr(orchestration.rollout, "WatchBook", lambda url, recipe: self)

    def read(self) -> SimpleNamespace:
        health = TeacherHealth(at=0.0, day=0, as_recorded=self.as_recorded, sentence="a logit moved by 6")
        return SimpleNamespace(state=SimpleNamespace(teacher=health))


@pytest.mark.parametrize("stage", ["shadow", "canary"])
@pytest.mark.parametrize("found", ["passed", "failed"])
def test_while_the_teacher_answers_otherwise_nothing_that_it_says_moves_or_ends_a_rollout(
    builds: BuildStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stage: str, found: str
) -> None:
    watch, world = Watch(monkeypatch), World(builds, tmp_path, watch={})
    if stage == "canary":
        in_canary(world)
        world.asks(120)
    world.look(**{WORSE: found})
    before, at = world.now, later(1.1)
    watch.as_recorded = False
    said = move(world.builds, world.file, at=at).sentence
    assert world.now == before and "b1" in said and "the teacher does not answer as recorded" in said
    assert "a logit moved by 6" in said
    watch.as_recorded = True if stage == "shadow" else None  # None: it was away, and nothing is known against it
    said = move(world.builds, world.file, at=at).sentence
    assert world.now != before and ("is withdrawn" in said if found == "failed" else "of the callers" in said), said


def test_where_truth_judges_a_teacher_that_changed_holds_nothing_up(
    builds: BuildStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    truth = {"traffic": {"feedback": "complete"}, "rollout": {"shadow": {"judge_by": "truth"}}, "watch": {}}
    watch, world = Watch(monkeypatch), World(builds, tmp_path, **truth)
    watch.as_recorded = False
    assert in_canary(world).challenger.stage is Stage.CANARY


def test_callers_that_fail_end_a_rollout_whatever_the_teacher_says(
    builds: BuildStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    watch, world = Watch(monkeypatch), in_canary(World(builds, tmp_path, watch={}))
    watch.as_recorded = False
    world.asks(90, fails=10)
    assert "is withdrawn" in move(world.builds, world.file).sentence


def test_a_shadow_that_was_looked_at_by_other_code_is_looked_at_again_before_it_goes_on(world: World) -> None:
    in_canary(world)
    world.asks(120)
    world.look(version="of other code")
    step = move(world.builds, world.file, at=later(1.1))
    assert step.replay and world.challenger.share == 0.05


def test_a_challenger_that_nothing_moves_any_more_is_said(world: World) -> None:
    """Regression: without `rollout:` in the recipe it answered its share on, and the command said there is none."""
    without = replace(world.file, recipe=world.file.recipe.model_copy(update={"rollout": None}))
    assert "one b1 is in the shadow, and the recipe has no `rollout:`" in move(world.builds, without).sentence
    world.look()
    assert "answers 5% of the callers" in move(world.builds, world.file).sentence
    before, step = world.now, move(world.builds, without)
    assert "one b1 answers 5% of the callers, and the recipe has no `rollout:`" in step.sentence
    assert step.tone is Tone.LOOK and world.now == before
    withdraw(world.ledger, "r", before, by="Ann Lee", reason="nobody looks at it any more")
    assert move(world.builds, without).sentence == "no release is on its way to take over"


def test_without_a_rollout_nothing_is_replayed(home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Regression: it ended in Dagster's error about a job that there is not."""
    small_recipe(tmp_path, rows=60, name="r")
    monkeypatch.setenv("STILLHOUSE_RECIPES", str(tmp_path / "recipes"))
    with pytest.raises(StillhouseError, match="nothing is replayed of a recipe without a rollout"):
        CliRunner().invoke(app, ["rollout", "r", "--replay"], catch_exceptions=False)
    assert "no release is on its way" in CliRunner().invoke(app, ["rollout", "r"], catch_exceptions=False).output
    small_recipe(tmp_path, rows=60, name="r", traffic={}, rollout={"canary": {"shares": [0.5]}})
    ended = CliRunner().invoke(app, ["rollout", "r", "--replay"], catch_exceptions=False)
    assert ended.exit_code == 0 and "broke" not in ended.output, "there is no release to replay for"


def test_where_the_stakes_are_high_a_person_approves_what_its_callers_met(builds: BuildStore, tmp_path: Path) -> None:
    world = World(builds, tmp_path, stakes="high", author="Ann Lee", rollout={"canary": {"shares": [0.5]}})
    approve(world.ledger, "r", release="b1", author="Ann Lee", by="Bob Ray", reason="the report is convincing")
    world.look()
    in_stage = move(world.builds, world.file)
    assert "answers 50%" in in_stage.sentence
    world.asks(120)
    waits = move(world.builds, world.file, at=later(1.1))
    assert "`stillhouse approve r" in waits.sentence, "it was given too early"
    assert waits.tone is Tone.LOOK, "owners are sent what they are asked for"
    approved = approve_newest_release(world.builds, world.file, by="Bob Ray", reason="no caller was failed")
    assert approved == Approved("b1", answers_callers=True)
    assert move(world.builds, world.file, at=later(1.1)).sentence == "one b1 is the champion"


def test_killed_between_verdict_and_step_the_next_look_takes_it(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def killed(*about: object, **more: object) -> None:
        raise KeyboardInterrupt

    world.look()
    before = world.kinds()
    with monkeypatch.context() as patches:
        patches.setattr(orchestration.rollout, "move_on", killed)
        with pytest.raises(KeyboardInterrupt):
            move(world.builds, world.file)
    assert world.kinds() == before
    assert move(world.builds, world.file).tone is not None
    assert move(world.builds, world.file).tone is None, "and takes it once"


def test_two_that_look_at_once_take_one_step(world: World) -> None:
    world.look()
    steps: list[Any] = []
    begin = threading.Barrier(4)

    def looks() -> None:
        begin.wait()
        steps.append(move(BuildStore(world.builds.home), world.file))

    threads = [threading.Thread(target=looks) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [step.tone is not None for step in steps].count(True) == 1
    assert world.kinds().count("stage") == 1 and world.challenger.share == 0.05


def test_a_withdrawal_between_the_look_and_the_step_is_a_decision_of_somebody_else(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Regression: the step was refused as that of a withdrawn release, and the tick of the sensor failed."""
    world.look()
    real = orchestration.rollout.move_on

    def too_late(*about: Any, **more: Any) -> object:
        withdraw(world.ledger, "r", world.now, by="Ann Lee", reason="it is rude to callers")
        return real(*about, **more)

    monkeypatch.setattr(orchestration.rollout, "move_on", too_late)
    assert "somebody else has decided meanwhile" in move(world.builds, world.file).sentence
    assert world.now.challenger is None and world.kinds()[-1] == "withdraw"


def test_a_shadow_that_cannot_be_read_is_nothing_to_a_rollout_that_somebody_has_ended(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.look()

    def unreadable(*about: Any) -> object:
        withdraw(world.ledger, "r", world.now, by="Ann Lee", reason="it is rude to callers")
        raise StillhouseError("it was altered", where="r/shadow", expected="what was written", do="Look again.")

    monkeypatch.setattr(orchestration.rollout, "asset_state", unreadable)
    assert "somebody else has decided meanwhile" in move(world.builds, world.file).sentence
    assert world.now.challenger is None and world.kinds()[-1] == "withdraw"


def test_who_was_overtaken_says_so_and_changes_nothing(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.look()
    old = world.now
    hold(world.ledger, "r", by="Ann Lee", reason="month-end close")
    before = world.kinds()
    monkeypatch.setattr(orchestration.rollout, "desired", lambda ledger, recipe: old)
    step = move(world.builds, world.file)
    assert step.tone is None and "somebody else has decided meanwhile" in step.sentence
    assert world.kinds() == before


def test_the_champion_is_named_while_nobody_works_on_the_recipe_and_nobody_begins_meanwhile(
    world: World, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, seen = world.builds.home, list[str | None]()

    def name_it(*_: object) -> None:
        def another() -> None:
            with recipe_locked_if_free(home, "r", by="a round") as holder:
                seen.append(holder)

        thread = threading.Thread(target=another)
        thread.start()
        thread.join()

    monkeypatch.setattr(orchestration.deployments, "name_what_serves", name_it)
    name_what_serves_if_free(instance, world.builds, world.file)
    assert len(seen) == 1 and seen[0] is not None and "naming the champion of r" in seen[0]

    tick = threading.Thread(target=name_what_serves_if_free, args=(instance, world.builds, world.file))
    with recipe_locked_if_free(home, "r", by="a round"):
        tick.start()
        tick.join()
    assert len(seen) == 1, "a tick waits for no round"


def hears(
    world: World, held_mb: float | None, *, deployment: int | None = None, after: float = 60.0, **more: Any
) -> None:
    """A server that has the challenger loaded says what its process holds."""
    at = datetime.fromtimestamp(time.time() + after, UTC).isoformat()
    number = world.now.number if deployment is None else deployment
    beat(world.ledger.url, Heartbeat("one", "r", number, "a1", None, at, 900.0, held_mb, **more))


def limited_canary(builds: BuildStore, folder: Path, **canary: Any) -> World:
    return in_canary(World(builds, folder, rollout={"canary": {"shares": [0.05, 0.5], **canary}}))


def test_a_challenger_with_which_servers_hold_too_much_is_withdrawn(builds: BuildStore, tmp_path: Path) -> None:
    world = limited_canary(builds, tmp_path, memory_mb_at_most=300)
    hears(world, None)
    assert "no harm" not in move(world.builds, world.file, at=time.time() + 61).sentence
    assert world.now.challenger is not None, "900 MB at one heartbeat end nothing"
    hears(world, 900.0, deployment=world.now.number - 1)
    move(world.builds, world.file, at=time.time() + 61)
    assert world.now.challenger is not None, "what was held before it answered is not its own"
    hears(world, 310.0)
    step = move(world.builds, world.file, at=time.time() + 61)
    assert step.tone is Tone.BROKEN and "hold too much memory: one 310 MB" in step.sentence
    assert world.now.challenger is None and world.now.champion.release == "a1"
    withdrawal = world.ledger.newest("r", "withdrawal")
    assert withdrawal is not None and withdrawal.body["release"] == "b1"
    evidence = world.ledger.entries("r", "deployment")[-1].body["evidence"]
    assert evidence["memory"] == {"limit_mb": 300.0, "held_mb": {"one": 310.0}, "servers": 1, "beats": 12}
    (event,) = pending(world.ledger, "r")
    assert event.kind is EventKind.SERVICE


LIVE = {"mode": "live", "judge_by": "truth"}


def test_one_that_servers_ask_in_the_shadow_is_loaded_there_and_withdrawn_if_they_hold_too_much(
    builds: BuildStore, tmp_path: Path
) -> None:
    canary = {"shares": [0.5], "memory_mb_at_most": 300}
    world = World(builds, tmp_path, traffic={"keep_texts": False, "feedback": "sample"},
                  rollout={"shadow": LIVE, "canary": canary})  # fmt: skip
    assert "nothing that was asked since it was offered was put to it yet" in move(builds, world.file).sentence
    hears(world, 290.0)
    assert "is in the shadow" in move(builds, world.file, at=time.time() + 61).sentence
    hears(world, 310.0)
    step = move(builds, world.file, at=time.time() + 61)
    assert step.tone is Tone.BROKEN and "hold too much memory: one 310 MB" in step.sentence
    assert world.now.challenger is None and world.now.champion.release == "a1"
    evidence = world.ledger.entries("r", "deployment")[-1].body["evidence"]
    assert evidence["memory"]["held_mb"] == {"one": 310.0}


@pytest.mark.parametrize(("mode", "ends"), [(LIVE, True), ({"mode": "replay"}, False)])
def test_one_that_most_servers_ask_no_more_in_the_shadow_is_withdrawn_where_they_ask_it_there(
    builds: BuildStore, tmp_path: Path, mode: dict[str, str], ends: bool
) -> None:
    traffic = {"feedback": "sample", **({"keep_texts": False} if ends else {})}
    world = World(builds, tmp_path, traffic=traffic, rollout={"shadow": mode, "canary": {"shares": [0.5]}})
    hears(world, 290.0, challenger_stopped=True)
    step = move(builds, world.file, at=time.time() + 61)
    assert (step.tone is Tone.BROKEN) is ends and (world.now.challenger is None) is ends
    assert [event.kind for event in pending(world.ledger, "r")] == [EventKind.SERVICE] * ends
    if ends:
        evidence = world.ledger.entries("r", "deployment")[-1].body["evidence"]
        assert evidence["stopped"]["servers"] == ["one"] and evidence["stopped"]["alive"] == 1


def test_one_that_is_replayed_is_not_loaded_in_the_shadow_and_not_blamed_for_memory(
    builds: BuildStore, tmp_path: Path
) -> None:
    world = World(builds, tmp_path, rollout={"canary": {"shares": [0.5], "memory_mb_at_most": 300}})
    hears(world, 310.0)
    assert "is in the shadow" in move(builds, world.file, at=time.time() + 61).sentence
    assert not is_loaded(world.now.challenger, shadow_is_live=False)
    assert is_loaded(world.now.challenger, shadow_is_live=True)


def test_without_a_limit_on_memory_no_challenger_is_withdrawn_for_it(builds: BuildStore, tmp_path: Path) -> None:
    world = limited_canary(builds, tmp_path)
    hears(world, 90_000.0)
    move(world.builds, world.file, at=time.time() + 61)
    assert world.challenger.stage is Stage.CANARY
    assert "memory" not in world.ledger.entries("r", "deployment")[-1].body["evidence"]


def test_a_recipe_without_limits_on_memory_has_the_digest_that_it_had(tmp_path: Path) -> None:
    def recipe(watch: dict[str, float], canary: dict[str, float]) -> Recipe:
        return small_recipe(tmp_path, rows=100, traffic={}, watch=watch, rollout={"canary": canary}).recipe

    plain, limit = recipe({}, {}), {"memory_mb_at_most": 300}
    assert "memory_mb_at_most" not in plain.model_dump_json()
    assert len({plain.digest, recipe(limit, {}).digest, recipe({}, limit).digest}) == 3
