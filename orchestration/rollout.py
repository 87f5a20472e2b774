"""Moving a challenger on: from the shadow to a share of the callers, to more of them, to champion; or out.

Belongs here: what the next step is by what was found, taking it, and the sensor that asks every minute.
Does not: what was found (checks/shadow.py, stillhouse/live/canary.py), what a step writes (records/rollouts.py).

A step rests on the ledger alone: on the verdicts on the newest look of the shadow, by the gatekeeper's own rule, and on
the rows of the canary. So it is found again after whatever was killed, and `move` needs no Dagster. What is withdrawn
is withdrawn first and explained afterwards.
"""

import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import dagster as dg
from pydantic import Field

from assets.keys import key_of
from assets.materializations import newest_artifact_if_any
from checks.gate_states import GateState, asset_state, gate_states
from checks.stages import waiver_rules
from orchestration.approvals import ended_waivers
from orchestration.dagster_internals import UnresolvedAssetJobDefinition
from orchestration.deployments import name_what_serves_if_free
from orchestration.notices import notify_owners
from orchestration.runnable import runnable
from orchestration.runs import BECAUSE_TAG, QUIET, SHADOWS, UNFINISHED, new_run_id, process_tag
from stillhouse.base import Record
from stillhouse.errors import StillhouseError
from stillhouse.home import Home
from stillhouse.live.brakes import Stopped, stopped_on
from stillhouse.live.canary import CanaryFound, canary_found
from stillhouse.live.memory import OverMemory, over_memory
from stillhouse.live.segments import TrafficStore, day_at
from stillhouse.live.shadow import ALL, Judged
from stillhouse.live.state import WatchBook
from stillhouse.recipe.reading import RecipeFile
from stillhouse.recipe.rollout import RolloutSpec
from stillhouse.records.builds import BuildStore
from stillhouse.records.deployments import Challenger, Deployment, Stage, desired
from stillhouse.records.events import EventKind, note
from stillhouse.records.gate_status import GateStatus
from stillhouse.records.governance import valid_waivers
from stillhouse.records.ledger import OvertakenError
from stillhouse.records.outbox import Notice, Tone
from stillhouse.records.replicas import replicas_up
from stillhouse.records.rollouts import BY_ITSELF, keep_back, move_on, take_over, withdraw
from stillhouse.records.witness import Witness
from stillhouse.serving.ids import RequestIds
from stillhouse.stages.labels import labels_due
from stillhouse.stages.names import CHAMPION, SHADOW
from stillhouse.stages.shadow import Replay, ShadowFacts
from stillhouse.summaries import shadow as summary

SECONDS_BETWEEN_LOOKS = 60
SECONDS_BETWEEN_REPLAYS = 3_600.0
LONGEST_REASON = 500
WAIT_FOR_A_REPLAY = timedelta(days=1)
"""How long a challenger that is late is not held because a replay is due, which may break again and again."""


class RolloutEvidence(Record):
    """What a step of a rollout rests on, as the ledger keeps it beside the step."""

    said: tuple[str, ...]
    shadow: str | None
    overall: Judged | None
    critical: dict[str, Judged]
    canary: CanaryFound | None
    memory: OverMemory | None = Field(
        None,
        exclude_if=lambda over: over is None,  # so that what rests on none of it is written as it was
        description="Servers that hold too much since they have the challenger loaded.",
    )
    stopped: Stopped | None = Field(
        None,
        exclude_if=lambda on: on is None,  # likewise
        description="Servers that ask the challenger no more, where any does.",
    )
    truth: Judged | None = Field(
        None,
        exclude_if=lambda truth: truth is None,  # likewise
        description="All requests by what people said, shown where a teacher judges.",
    )


@dataclass(frozen=True)
class RolloutStep:
    """What became of a look at a rollout.

    Args:
        sentence: how it stands, and what is missing.
        tone: of what owners are sent a notice of, a step that was taken or what is asked of them; None of all else.
        replay: whether the shadow is to be looked at again.
        truth: how both do against what people said, where anybody is asked or says it.
    """

    sentence: str
    tone: Tone | None = None
    replay: bool = False
    truth: str | None = None


@dataclass(frozen=True)
class _Shadow:
    """The newest look of a challenger's shadow, as the gatekeeper sees it."""

    facts: ShadowFacts | None
    digest: str | None
    looked_at: datetime | None
    gates: tuple[GateState, ...]

    @property
    def is_current(self) -> bool:
        """Whether there is a look of this rollout, by code as it is now, on which every gate has decided."""
        undecided = (GateStatus.MISSING, GateStatus.STALE)
        return self.facts is not None and not any(gate.state in undecided for gate in self.gates)

    @property
    def is_open(self) -> bool:
        """Whether each gate is open."""
        return self.is_current and all(gate.is_open for gate in self.gates)

    @property
    def failed(self) -> list[str]:
        """What was found wanting."""
        return [gate.sentence for gate in self.gates if self.is_current and gate.state is GateStatus.FAILED]

    @property
    def missing(self) -> list[str]:
        """Why it is not open."""
        return [gate.sentence for gate in self.gates if self.is_current and not gate.is_open]


def move(builds: BuildStore, file: RecipeFile, *, at: float | None = None) -> RolloutStep:
    """Take the next step of a rollout, if what was found allows it or asks for it.

    Args:
        builds: with ledger and traffic.
        file: the recipe.
        at: now, in seconds since 1970; by the clock when left out.
    """
    now = datetime.fromtimestamp(time.time() if at is None else at, UTC)
    seen = desired(builds.ledger, file.name)
    if seen is None or seen.challenger is None:
        return RolloutStep("no release is on its way to take over")
    if file.recipe.rollout is None:
        return RolloutStep(_nobody_moves(file, seen.challenger), Tone.LOOK)
    try:
        shadow = _newest_shadow(builds, file, seen.challenger)
        take = _in_shadow if seen.challenger.stage is Stage.SHADOW else _in_canary
        step = take(builds, file, seen, seen.challenger, shadow, now)
        return replace(step, truth=None if shadow.facts is None else summary.truth(shadow.facts))
    except OvertakenError as error:
        return RolloutStep(f"somebody else has decided meanwhile: {error}")
    except StillhouseError as error:
        if desired(builds.ledger, file.name) == seen:
            raise
        return RolloutStep(f"somebody else has decided meanwhile: {error}")


def _in_shadow(
    builds: BuildStore, file: RecipeFile, seen: Deployment, challenger: Challenger, shadow: _Shadow, now: datetime
) -> RolloutStep:
    spec = _spec(file)
    evidence, changed = _evidence(shadow, None), _teacher_changed(builds, file)
    if shadow.failed and changed is None:
        return _withdrawn(builds, file, seen, challenger, shadow.failed[0], evidence)
    if file.recipe.shadow_is_live:
        evidence, failed = _on_servers(builds, file, seen, evidence)
        if failed is not None:
            return _withdrawn_for_service(builds, file, seen, challenger, failed, evidence)
    if (waits := _waits(file, seen, challenger, changed)) is not None:
        return RolloutStep(waits)
    if shadow.is_open:
        share = spec.canary.shares[0]
        move_on(builds.ledger, file.name, seen, share=share, evidence=evidence)
        return RolloutStep(
            f"{challenger.in_words} has shown enough in the shadow and answers {share:.0%} of the callers", Tone.GOOD
        )
    done = "put to it" if file.recipe.shadow_is_live else "replayed"
    missing = "; ".join(shadow.missing) or f"nothing that was asked since it was offered was {done} yet"
    late_by = now - datetime.fromisoformat(challenger.since) - timedelta(days=spec.shadow.days_at_most)
    is_due = _replay_is_due(builds, file, seen, shadow, now)
    if late_by >= (WAIT_FOR_A_REPLAY if is_due else timedelta()):
        return _kept_back(builds, file, seen, challenger, missing, evidence)
    return RolloutStep(f"{challenger.in_words} is in the shadow: {missing}", replay=is_due)


def _in_canary(
    builds: BuildStore, file: RecipeFile, seen: Deployment, challenger: Challenger, shadow: _Shadow, now: datetime
) -> RolloutStep:
    spec = _spec(file)
    found = look_at_canary(builds, file, challenger, now)
    evidence, on_servers = _on_servers(builds, file, seen, _evidence(shadow, found))
    failed = found.failed or on_servers
    if failed is not None:
        return _withdrawn_for_service(builds, file, seen, challenger, failed, evidence)
    changed = _teacher_changed(builds, file)
    if shadow.failed and changed is None:
        return _withdrawn(builds, file, seen, challenger, shadow.failed[0], evidence)
    if (waits := _waits(file, seen, challenger, changed)) is not None:
        return RolloutStep(waits)
    began = datetime.fromisoformat(challenger.since)
    where = f"{challenger.in_words} answers {challenger.share:.0%} of the callers"
    where += "" if evidence.stopped is None else f", {evidence.stopped.asked_on}"
    if found.missing:
        missing = f"{found.missing:,} more callers are needed, counted by day"
        if now - began >= timedelta(days=spec.shadow.days_at_most):
            return _kept_back(builds, file, seen, challenger, missing, evidence)
        return RolloutStep(f"{where}: {missing}")
    ends = began + timedelta(hours=spec.canary.hours_at_least)
    if now < ends:
        return RolloutStep(
            f"{where} until {ends:%Y-%m-%d %H:%M} UTC at least; {found.callers:,} callers by day, no harm found"
        )
    if not shadow.is_open:
        return RolloutStep(
            f"{where}: {'; '.join(shadow.missing) or 'its shadow has to be looked at again'}",
            replay=not shadow.is_current,
        )
    share = next((each for each in spec.canary.shares if each > challenger.share), None)
    if share is not None:
        move_on(builds.ledger, file.name, seen, share=share, evidence=evidence)
        return RolloutStep(f"{challenger.in_words} answers {share:.0%} of the callers from now on", Tone.GOOD)
    return _last_step(builds, file, seen, challenger, evidence)


def _last_step(
    builds: BuildStore, file: RecipeFile, seen: Deployment, challenger: Challenger, evidence: RolloutEvidence
) -> RolloutStep:
    """Make it the champion, unless a person has to say something first; days have passed since its gates were open."""
    has_shown = f"{challenger.in_words} answers {challenger.share:.0%} of the callers and has shown enough"
    if file.recipe.stakes == "high" and not _approved_since(builds, file, challenger):
        how = f"`stillhouse approve {file.name} --by NAME --reason WHY` makes it the champion"
        return RolloutStep(f"{has_shown}; the stakes are high: {how}", Tone.LOOK)
    if ended := ended_waivers(builds, file, challenger.deployed):
        return RolloutStep(f"{has_shown}; {'; '.join(ended)}", Tone.LOOK)
    take_over(builds.ledger, Witness.from_environment(), file.name, seen, evidence=evidence)
    return RolloutStep(f"{challenger.in_words} is the champion", Tone.GOOD)


def _on_servers(
    builds: BuildStore, file: RecipeFile, seen: Deployment, evidence: RolloutEvidence
) -> tuple[RolloutEvidence, str | None]:
    """What the servers say that have the challenger loaded, added to the evidence; and what of it ends the rollout."""
    up = replicas_up(builds.home.ledger_url, file.name)
    over, stopped = over_memory(up, seen.number, _spec(file).canary.memory_mb_at_most), stopped_on(up, seen.number)
    failed = None if over is None else over.sentence
    if failed is None and stopped is not None and stopped.is_on_most:
        failed = stopped.sentence
    return evidence.model_copy(update={"memory": over, "stopped": stopped}), failed


def look_at_canary(builds: BuildStore, file: RecipeFile, challenger: Challenger, now: datetime) -> CanaryFound:
    """What the callers of a challenger have met since it was offered."""
    store = TrafficStore(builds.home.artifacts, file.name)
    offered = datetime.fromisoformat(challenger.offered).timestamp()
    first, last = day_at(offered), day_at(now.timestamp())
    return canary_found(
        store,
        [day for day in store.days() if first <= day <= last],
        challenger=challenger.deployed.release,
        offered=offered,
        since=datetime.fromisoformat(challenger.since).timestamp(),
        spec=_spec(file).canary,
    )


def _newest_shadow(builds: BuildStore, file: RecipeFile, challenger: Challenger) -> _Shadow:
    key = key_of(file.name, SHADOW)
    waivers = valid_waivers(builds.ledger, file.name, waiver_rules(file.recipe))
    state = asset_state(builds, file.recipe, waivers, key)
    if state.newest is None or state.broken or state.stale:
        return _Shadow(None, None, None, ())
    found = newest_artifact_if_any(builds, key)
    facts = (
        None if found is None or found.manifest.facts.get("rollout") != challenger.salt else found.facts(ShadowFacts)
    )
    gates = tuple(gate_states(builds.ledger, waivers, key, state.newest, blocking=False))
    return _Shadow(facts, state.newest.digest, state.newest.at, gates)


def _replay_is_due(builds: BuildStore, file: RecipeFile, seen: Deployment, shadow: _Shadow, now: datetime) -> bool:
    """Whether texts came that were not replayed, or a look counts no longer; not within an hour of the last one.

    Once more when its days are over: what is too rare to prove anything is then judged by what it has shown.
    """
    assert seen.challenger is not None
    if shadow.is_current and shadow.looked_at is not None:
        if (now - shadow.looked_at).total_seconds() < SECONDS_BETWEEN_REPLAYS:
            return False
        late = datetime.fromisoformat(seen.challenger.since) + timedelta(days=_spec(file).shadow.days_at_most)
        if shadow.looked_at < late <= now:
            return True
    newest = newest_artifact_if_any(builds, key_of(file.name, SHADOW))
    key = RequestIds.of(builds.home.serving).drawing_key
    replay = Replay.of(file, builds, seen, newest, key=key, at=now.timestamp())
    counts_no_longer = replay.before is not None and not shadow.is_current
    beside = replay.truth_beside
    truth_is_due = beside is not None and not beside.due().is_empty()
    labels_are_due = labels_due(replay.given, None if shadow.facts is None else shadow.facts.labelled)
    return counts_no_longer or truth_is_due or labels_are_due or not replay.due().is_empty()


def _evidence(shadow: _Shadow, canary: CanaryFound | None) -> RolloutEvidence:
    facts = shadow.facts
    return RolloutEvidence(
        said=tuple(gate.sentence for gate in shadow.gates) if facts else (),
        shadow=shadow.digest if facts else None,
        overall=facts and facts.overall,
        critical=facts.critical if facts else {},
        canary=canary,
        truth=facts and facts.truth and facts.truth.parts[ALL],
    )


def _withdrawn(
    builds: BuildStore, file: RecipeFile, seen: Deployment, challenger: Challenger, why: str, evidence: RolloutEvidence
) -> RolloutStep:
    withdraw(builds.ledger, file.name, seen, by=BY_ITSELF, reason=why[:LONGEST_REASON], evidence=evidence)
    return RolloutStep(f"{challenger.in_words} is withdrawn: {why}", Tone.BROKEN)


def _withdrawn_for_service(
    builds: BuildStore, file: RecipeFile, seen: Deployment, challenger: Challenger, why: str, evidence: RolloutEvidence
) -> RolloutStep:
    """Withdraw it for what callers or servers met, which is an event: no other rows would change it."""
    step = _withdrawn(builds, file, seen, challenger, why, evidence)
    which = f"{challenger.deployed.release}:{challenger.salt}"
    note(builds.ledger, file.name, EventKind.SERVICE, which, step.sentence)
    return step


def _kept_back(
    builds: BuildStore, file: RecipeFile, seen: Deployment, challenger: Challenger, why: str, evidence: RolloutEvidence
) -> RolloutStep:
    keep_back(builds.ledger, file.name, seen, missing=why[:LONGEST_REASON], evidence=evidence)
    return RolloutStep(
        f"{challenger.in_words} is held in {challenger.stage}: {why}. {_what_a_person_can_do(file)}", Tone.LOOK
    )


def _teacher_changed(builds: BuildStore, file: RecipeFile) -> str | None:
    """What the watch has found where the teacher no longer answers as recorded; what it says of two releases is void.

    That callers fail is seen without it, and ends a rollout all the same.
    """
    if file.recipe.watch is None or _spec(file).shadow.judge_by == "truth":
        return None
    state = WatchBook(builds.ledger.url, file.name).read().state
    health = None if state is None else state.teacher
    return health.sentence if health is not None and health.as_recorded is False else None


def _waits(file: RecipeFile, seen: Deployment, challenger: Challenger, teacher_changed: str | None) -> str | None:
    """Why a challenger that is not found wanting goes no further, whatever it shows; None where it may."""
    where = f"{challenger.in_words} waits in {challenger.stage}"
    if challenger.stuck is not None:
        return f"{challenger.in_words} is held in {challenger.stage}: {challenger.stuck}. {_what_a_person_can_do(file)}"
    if seen.hold is not None:
        return f"{where}: {seen.hold.by} holds the champion: {seen.hold.reason}"
    if teacher_changed is not None:
        return (
            f"{where}: the teacher does not answer as recorded, so nothing it says of the two releases counts "
            f"({teacher_changed}). It goes on when the canary of a later day passes"
        )
    return None


def _nobody_moves(file: RecipeFile, challenger: Challenger) -> str:
    name, by = file.name, "--by NAME --reason WHY"
    answers = f"answers {challenger.share:.0%} of the callers" if challenger.share else "is in the shadow"
    return (
        f"{challenger.in_words} {answers}, and the recipe has no `rollout:` any more: nothing moves it on or withdraws "
        f"it. `stillhouse promote {name} {challenger.deployed.release[:12]} {by}` brings it in, `stillhouse withdraw "
        f"{name} {by}` ends its way; so does the next round that promotes a release"
    )


def _what_a_person_can_do(file: RecipeFile) -> str:
    name, by = file.name, "--by NAME --reason WHY"
    return (
        f"`stillhouse resume {name} {by}` waits for as long again, `promote` brings it in, `withdraw` ends its way; "
        "else the next release takes its place"
    )


def _approved_since(builds: BuildStore, file: RecipeFile, challenger: Challenger) -> bool:
    """Whether a person has approved it knowing what its callers met: while it answered the last share."""
    found = builds.ledger.newest(file.name, "approval", content=challenger.deployed.release)
    return found is not None and found.moment >= datetime.fromisoformat(challenger.since)


def _spec(file: RecipeFile) -> RolloutSpec:
    assert file.recipe.rollout is not None
    return file.recipe.rollout


def look(instance: dg.DagsterInstance, builds: BuildStore, file: RecipeFile, *, at: float | None = None) -> RolloutStep:
    """Take the next step, say so to its owners and on the champion's page, and have its asset name what serves.

    Whatever was killed after the ledger was written is finished at the next look.

    Args:
        instance: where the UI reads what happened.
        builds: with ledger and traffic.
        file: the recipe.
        at: now, as `move` takes it.
    """
    step = move(builds, file, at=at)
    if step.tone is not None:
        _show_on_champion(instance, file, step)
        text = step.sentence if step.truth is None else f"{step.sentence}.\nWhat people said: {step.truth}."
        notice = Notice(f"{file.name}: {step.sentence[:80]}", text, step.tone)
        notify_owners(builds.ledger, file.name, "rollout", step.sentence, notice)
    name_what_serves_if_free(instance, builds, file)
    return step


def _show_on_champion(instance: dg.DagsterInstance, file: RecipeFile, step: RolloutStep) -> None:
    """Write an observation of the champion, which its page shows; what is waited for once, and not each minute."""
    key = key_of(file.name, CHAMPION)
    newest = instance.fetch_observations(key, limit=1).records
    shown = newest[0].asset_observation if newest else None
    if shown is None or shown.description != step.sentence:
        truth = {} if step.truth is None else {"truth": step.truth}
        observation = dg.AssetObservation(key, description=step.sentence, metadata={"rollout": step.sentence, **truth})
        instance.report_runless_asset_event(observation)


def replay_now(instance: dg.DagsterInstance, builds: BuildStore, file: RecipeFile) -> bool:
    """Replay what is due in this process, if a release is on its way, and look at the gates.

    Returns:
        Whether it came to its end.

    Raises:
        StillhouseError: if the recipe has no rollout.
    """
    if file.recipe.rollout is None:
        raise StillhouseError(
            "nothing is replayed of a recipe without a rollout", where=str(file.path), expected="`rollout:` in it",
            do="Leave out --replay, or add the part; `stillhouse schema rollout` shows what can be said there.",
        )  # fmt: skip
    deployed = desired(builds.ledger, file.name)
    if deployed is None or deployed.challenger is None:
        return True
    run_id = new_run_id()
    done = (
        runnable([file])
        .resolve_job_def(f"{SHADOWS}_{file.name}")
        .execute_in_process(
            instance=instance,
            raise_on_error=False,
            run_id=run_id,
            tags={BECAUSE_TAG: "asked for", **process_tag(run_id)},
            run_config=QUIET,
        )
    )
    return done.success


def rollout_sensor(file: RecipeFile, job: UnresolvedAssetJobDefinition) -> dg.SensorDefinition:
    """At each tick take the next step of a rollout, and ask for a replay where one is due.

    The cursor holds when a replay was asked for last, so that one that breaks is not asked for each minute.
    """

    @dg.sensor(
        name=f"rollout_{file.name}",
        job=job,
        minimum_interval_seconds=SECONDS_BETWEEN_LOOKS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=f"The next release of {file.name}: shadow, a share of the callers, champion",
        owners=list(file.recipe.owners),
    )
    def sensor(context: dg.SensorEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        builds, now = BuildStore(Home.from_environment()), time.time()
        step = look(context.instance, builds, file)
        asked = float(context.cursor or 0)
        if not step.replay or now - asked < SECONDS_BETWEEN_REPLAYS or _replays(context.instance, file):
            return dg.SkipReason(step.sentence)
        context.update_cursor(str(now))
        return dg.RunRequest(run_key=f"{now:.0f}", tags={BECAUSE_TAG: step.sentence[:200]})

    return sensor


def _replays(instance: dg.DagsterInstance, file: RecipeFile) -> bool:
    filters = dg.RunsFilter(job_name=f"{SHADOWS}_{file.name}", statuses=UNFINISHED)
    return bool(instance.get_runs(filters, limit=1))
