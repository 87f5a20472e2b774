"""What a recipe needs next: by its state, and not by what has changed since somebody last looked.

Belongs here: the first thing that is missing or stale, the events that wait for a round, whether a run of the recipe is
under way, how often the same was asked for already, and the one round that follows from it.
Does not: taking in files (batches.py), the sensor that asks at each tick (sensors.py), deciding gates (checks/),
keeping events (stillhouse/records/events.py).

A closed gate waits for a person. Whatever is only missing or stale is asked for, however it came to be so: a new batch,
a run that was killed, an update that Dagster's automation lost, changed code, a changed recipe. An attempt that changes
nothing is repeated after a pause that grows, and after the third a person is told. Of an attempt whose run was killed
three count as one, and there is no pause: it says little about the work, though a run that dies each time (out of
memory, say) may not be repeated for ever either.

An event that a recipe wants a round for starts one though nothing is missing or stale, or a gate is closed. All events
that wait are for one round, and its attempts are counted like any others.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass

import dagster as dg

from orchestration.batches import PlannedRun, plan_runs
from orchestration.runs import (
    ATTEMPT_TAG,
    EVENTS_TAG,
    OUTCOME_TAG,
    RECIPE_TAG,
    STATE_TAG,
    UNFINISHED,
    VERSION_TAG,
    in_a_tag,
    process_of,
    recipes_of,
    version_of,
)
from orchestration.stages_now import StageNow, stages_now
from stillhouse.digests import digest_of
from stillhouse.recipe.reading import RecipeFile
from stillhouse.records.builds import BuildStore
from stillhouse.records.events import Event, EventKind, pending
from stillhouse.records.plays import closed_by_a_play
from stillhouse.records.rounds import MONTH, budget_used_up, held_back, starting
from stillhouse.stages.asking import call_log
from stillhouse.stages.names import BASE, SOURCE, TRANSFER_SET
from stillhouse.stages.versions import code_version

ATTEMPTS = 3
KILLED_PER_ATTEMPT = 3
EVENTS_IN_WORDS = 3
PAUSES = (60.0, 600.0)
"""Seconds between an attempt that changed nothing and the next one."""


@dataclass(frozen=True)
class Wait:
    """Nothing is asked for.

    Args:
        sentence: why, and where a person has to do something, what.
        given_up: whether attempts have changed nothing, so that it stays so until a person does something.
        changed_code: whether code was changed for which the recipe wants no round.
    """

    sentence: str
    given_up: bool = False
    changed_code: bool = False


@dataclass(frozen=True)
class Ask:
    """A round is asked for.

    Args:
        rounds: its runs, in order.
        because: why, for the runs and whoever looks at them.
        state: digest of what it is to change.
        attempt: which attempt at that state this is.
        is_stale: something was made from what is no longer current, which Dagster's automation may follow by itself.
        events: names of those that wait, all of which it takes.
    """

    rounds: Sequence[PlannedRun]
    because: str
    state: str
    attempt: int
    is_stale: bool
    events: Sequence[str] = ()

    @property
    def tags(self) -> dict[str, str]:
        """What each of its runs carries."""
        return {STATE_TAG: self.state, ATTEMPT_TAG: str(self.attempt), EVENTS_TAG: in_a_tag(self.events)}


def under_way(instance: dg.DagsterInstance, recipe: str) -> str | None:
    """An unfinished run of a recipe, whoever started it, or None; a plan that nobody has started is none."""
    for run in instance.get_runs(dg.RunsFilter(statuses=UNFINISHED)):
        only_planned = run.status is dg.DagsterRunStatus.NOT_STARTED and process_of(run.run_id, run.tags) is None
        if recipe in recipes_of(instance, run) and not only_planned:
            return run.run_id
    return None


def given_up(instance: dg.DagsterInstance, builds: BuildStore, file: RecipeFile, batches: Sequence[str]) -> str | None:
    """What was asked for until it was given up, how that ended and what a person can do; None if nothing was."""
    step = next_step(instance, builds, file, batches)
    return step.sentence if isinstance(step, Wait) and step.given_up else None


def stopped(instance: dg.DagsterInstance, builds: BuildStore, file: RecipeFile) -> str | None:
    """The run by whose end a person has stopped a recipe, or None.

    That is its newest one, if it was cancelled, however far it had come. The stop counts until a person starts another
    or notes that something has happened, the recipe or the code is changed, or new rows arrive.
    """
    newest = instance.get_run_records(dg.RunsFilter(tags={RECIPE_TAG: file.name}), limit=1)
    if not newest or newest[0].dagster_run.status is not dg.DagsterRunStatus.CANCELED:
        return None
    run, version = newest[0].dagster_run, version_of(file)
    batch, since = builds.ledger.newest(file.name, "batch"), newest[0].create_timestamp
    is_newer = batch is not None and batch.moment > since
    by_people = [each for each in pending(builds.ledger, file.name) if each.kind is EventKind.PERSON]
    is_newer = is_newer or any(event.first_seen > since for event in by_people)
    return None if is_newer or run.tags.get(VERSION_TAG, version) != version else run.run_id


def held(builds: BuildStore, file: RecipeFile, events: Sequence[Event] = ()) -> str | None:
    """Why no round of a recipe may start by itself now, by its own limits or a play; None if one may.

    Args:
        builds: with the ledger, and the log of what the teacher was paid.
        file: the recipe.
        events: those that the round would be for, if it is for any.
    """
    ledger, refresh = builds.ledger, file.recipe.refresh
    closed = closed_by_a_play(ledger, file.name)
    return closed or held_back(ledger, file.name, refresh, paid_usd=paid_usd(builds, file), events=events)


def used_up(builds: BuildStore, file: RecipeFile) -> str | None:
    """Why the rounds or the money of 30 days let no round start by itself; None where both are left."""
    return budget_used_up(builds.ledger, file.name, file.recipe.refresh, paid_usd=paid_usd(builds, file))


def paid_usd(builds: BuildStore, file: RecipeFile) -> float:
    """What the teacher was paid in 30 days; not looked up where no limit counts it."""
    if file.recipe.refresh.usd_per_month is None:
        return 0.0
    return call_log(builds.home).spent(file.name, since=builds.ledger.now() - MONTH)


def next_step(instance: dg.DagsterInstance, builds: BuildStore, file: RecipeFile, batches: Sequence[str]) -> Wait | Ask:
    """What a recipe needs next, given that no run of it is under way.

    Args:
        instance: where runs are kept.
        builds: where artifacts and ledger are kept.
        file: the recipe.
        batches: all its batches, the base first.
    """
    stages = stages_now(builds, file, batches)
    if len(batches) <= 1 and all(now.newest is None for now in stages):
        return Wait(f"nothing of {file.name} was made yet: `stillhouse run {file.name}` begins, or a file of rows")
    waiting = pending(builds.ledger, file.name)
    wanted = starting(file.recipe.refresh, waiting)
    found, of_events = _first_problem(file, stages), _of_events(wanted) if wanted else None
    if found is None and of_events is None:
        return _nothing_to_do(file, stages)
    if found is not None and found.is_closed:
        untried = [batch for batch in batches if batch != BASE and _is_untried(instance, stages, batch)]
        if not untried and of_events is None:
            return Wait(f"{found.what.removesuffix('.')}. A person has to decide: `stillhouse diagnose {file.name}`")
        what = f"{len(untried)} new batches" if len(untried) > 1 else "a new batch"
        found = _Problem(what, digest_of(untried)) if untried else None
    by_state, found = found is not None, found or of_events
    assert found is not None
    if stopped(instance, builds, file) is not None:
        return _cancelled(file, found)
    if (why := held(builds, file, () if by_state else wanted)) is not None:
        return Wait(f"{found.what}; {why}")
    return _counted(instance, builds, file, batches, stages, found, [event.name for event in waiting])


def _nothing_to_do(file: RecipeFile, stages: Sequence[StageNow]) -> Wait:
    changed = sorted({now.stage for now in stages if _is_of_other_code_alone(now)})
    if not changed:
        return Wait(f"nothing of {file.name} is missing or stale")
    what = f"the code of {', '.join(changed)} was changed, and refresh.changed_code is wait"
    return Wait(
        f"{what}: the next round makes them again, and `stillhouse run {file.name}` starts one", changed_code=True
    )


@dataclass(frozen=True)
class _Problem:
    what: str
    state: str
    is_closed: bool = False
    is_stale: bool = False


def _of_events(events: Sequence[Event]) -> _Problem:
    """What a round is for that only events ask for: the same ones again are the same."""
    said = "; ".join(f"{event.kind.in_words}: {event.sentence}" for event in events[:EVENTS_IN_WORDS])
    more = f" and {len(events) - EVENTS_IN_WORDS} more events" if len(events) > EVENTS_IN_WORDS else ""
    return _Problem(said + more, digest_of(sorted(event.name for event in events)))


def _first_problem(file: RecipeFile, stages: Sequence[StageNow]) -> _Problem | None:
    """The first stage in the order of the data that is missing, stale or closed.

    Of a batch with a closed gate the later stages cannot be made, and where the recipe trains on open batches it is
    passed by.
    """
    closed: dict[str, _Problem] = {}
    before: list[object] = [file.recipe.digest]
    passes_code_by = file.recipe.refresh.changed_code == "wait" and any(map(_is_of_other_code_alone, stages))
    for now in stages:
        if now.batch in closed:
            continue
        if now.stage == TRANSFER_SET and closed and not file.recipe.refresh.train_on_open_batches:
            return next(iter(closed.values()))
        before.append([now.stage, now.batch, now.newest and now.newest.digest, code_version(now.stage)])
        problem = None if passes_code_by and _is_of_code(now) else _problem(now, before)
        if problem is not None and problem.is_closed and now.batch not in (None, BASE):
            closed[str(now.batch)] = problem
        elif problem is not None:
            return problem
    return None


def _is_of_other_code_alone(now: StageNow) -> bool:
    """Whether what is there of a stage no longer counts because its code was changed, and for nothing else."""
    manifest = now.state.manifest
    return manifest is not None and manifest.code_digest != code_version(now.stage) and len(now.state.stale) == 1


def _is_of_code(now: StageNow) -> bool:
    """Likewise, or whether there are only gates on it that have not looked since."""
    if now.newest is None or now.state.broken:
        return False
    return _is_of_other_code_alone(now) or not (now.state.stale or any(gate.state.was_decided for gate in now.gates))


def _problem(now: StageNow, before: Sequence[object]) -> _Problem | None:
    """What is wrong with a stage, if anything; first the gates that have found it wanting as it is now."""
    closed = [] if now.state.stale else [gate for gate in now.gates if not gate.is_open]
    for gate in sorted(closed, key=lambda gate: not gate.state.was_decided):
        what = f"gate {gate.asset}:{gate.name} is {gate.state}: {gate.sentence}"
        if now.newest is not None:
            return _Problem(what, digest_of([*before, gate.name, gate.state]), is_closed=gate.state.was_decided)
    if now.state.is_open:
        return None
    what = "; ".join(now.state.reasons)
    return _Problem(what, digest_of([*before, what]), is_stale=bool(now.state.stale))


def _is_untried(instance: dg.DagsterInstance, stages: Sequence[StageNow], batch: str) -> bool:
    if any(now.stage == SOURCE and now.batch == batch and now.newest is not None for now in stages):
        return False
    return not instance.get_runs(dg.RunsFilter(tags={"dagster/partition": batch}), limit=1)


def _counted(
    instance: dg.DagsterInstance,
    builds: BuildStore,
    file: RecipeFile,
    batches: Sequence[str],
    stages: Sequence[StageNow],
    found: _Problem,
    events: Sequence[str],
) -> Wait | Ask:
    """Ask for a round, unless the same was asked for too often or just now."""
    attempts = _attempts(instance, file, found.state)
    if attempts and attempts[-1].was_cancelled:
        return _cancelled(file, found)
    failed = [attempt for attempt in attempts if not attempt.was_killed]
    killed = len(attempts) - len(failed)
    if len(failed) + killed // KILLED_PER_ATTEMPT >= ATTEMPTS:
        last = next((attempt.outcome for attempt in reversed(attempts) if attempt.outcome), "its process was killed")
        what = f"{found.what}; {len(attempts)} attempts changed nothing, the last: {last}. {_again(file)}"
        return Wait(what, given_up=True)
    if failed and failed[-1] is attempts[-1]:
        pause = PAUSES[min(len(failed), len(PAUSES)) - 1] - (time.time() - failed[-1].ended)
        if pause > 0:
            return Wait(f"{found.what}; attempt {len(attempts)} changed nothing, the next follows in {pause:.0f} s")
    due = plan_runs(builds, file, batches, [now.state for now in stages])
    return Ask(due, found.what, found.state, len(attempts) + 1, found.is_stale, events)


def _cancelled(file: RecipeFile, found: _Problem) -> Wait:
    return Wait(f"{found.what}; the run that should have made it was cancelled. {_again(file)}", given_up=True)


def _again(file: RecipeFile) -> str:
    return f"`stillhouse diagnose {file.name}` says more, `stillhouse run {file.name}` tries again"


@dataclass(frozen=True)
class _Attempt:
    was_cancelled: bool
    was_killed: bool
    outcome: str
    ended: float


def _attempts(instance: dg.DagsterInstance, file: RecipeFile, state: str) -> list[_Attempt]:
    """The earlier attempts to change a state, the first one first."""
    records = instance.get_run_records(dg.RunsFilter(tags={STATE_TAG: state, RECIPE_TAG: file.name}), ascending=True)
    by_number: dict[str, list[dg.RunRecord]] = {}
    for record in records:
        by_number.setdefault(record.dagster_run.tags.get(ATTEMPT_TAG, ""), []).append(record)
    return [_attempt(records) for records in by_number.values()]


def _attempt(records: Sequence[dg.RunRecord]) -> _Attempt:
    runs = [record.dagster_run for record in records]
    outcomes = [run.tags[OUTCOME_TAG] for run in runs if OUTCOME_TAG in run.tags and not run.is_success]
    return _Attempt(
        was_cancelled=any(run.status is dg.DagsterRunStatus.CANCELED for run in runs),
        was_killed=any(run.is_failure and OUTCOME_TAG not in run.tags for run in runs),
        outcome=outcomes[-1] if outcomes else "",
        ended=max(record.update_timestamp.timestamp() for record in records),
    )
