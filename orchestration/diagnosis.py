"""What is wrong first, and the whole list of what must hold.

Belongs here: walking the stages in order to the earliest exit condition that does not hold, and the checklist.
Does not: deciding gates (checks/), printing (commands/).
"""

from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import dagster as dg
from pydantic import Field

from assets.keys import keys_of_events
from assets.materializations import Materialization
from assets.stage import MachineFailure
from checks.check_op import GatesClosed
from checks.gate_states import GateState
from checks.gatekeeper import WayClosed
from checks.stages import gates_of, waiver_rules
from checks.traffic import no_personal_data_is_left, retention_holds
from orchestration.approvals import how_to_waive, waivers_to_give_again
from orchestration.batches import batches_in, drop_folder_lines
from orchestration.dagster_internals import AssetCheckExecutionRecord, PartitionKeyFilter, StepFailureData
from orchestration.dispatcher import given_up
from orchestration.live import release_lines
from orchestration.stages_now import StageNow, beside_now, is_closed_beside, other_events_in_dagster, stages_now
from stillhouse.base import Record
from stillhouse.errors import StillhouseError
from stillhouse.files import write_atomically
from stillhouse.recipe.reading import RecipeFile
from stillhouse.records.builds import BuildStore
from stillhouse.records.gate_status import GateStatus
from stillhouse.records.manifest import address
from stillhouse.stages.names import BESIDE

_OF_PEOPLE = frozenset({no_personal_data_is_left.name, retention_holds.name})
"""Gates beside the rounds that come before all others: each hour in which they are closed is one too many."""
_ENDINGS = {dg.DagsterEventType.STEP_FAILURE, dg.DagsterEventType.STEP_SUCCESS}
_MARKS = {GateStatus.PASSED: "x", GateStatus.WAIVED: "~"}
SHOWN_ELSEWHERE = frozenset({"state", "because", "looked_at", "found", "do", "observed", "limit"})
"""What the metadata of a check says that is no evidence: what was found, and what it was found of."""
CHECKS_LOOKED_THROUGH = 50
"""How many of a gate's checks are searched for that of the run which decided; later ones may be plans or reports."""
RUNS_LOOKED_THROUGH = 20
"""How many of the runs that were to make an asset are searched for one that came as far; later ones broke before it."""


class Found(Record):
    """An exit condition that does not hold, or that all hold."""

    gate: str | None = Field(description="Null when the asset itself is missing, broken or stale.")
    state: GateStatus
    because: str = Field(description="What goes wrong without it.")
    what: str = Field(description="What was found.")
    evidence: tuple[str, ...]
    do: str = Field(description="What to do next.")


class Diagnosis(Found):
    """The earliest exit condition that does not hold."""

    recipe: str
    stage: str | None = Field(description="Null when all is well.")
    asset: str | None = Field(description="Address, with the batch.")
    dagster: tuple[str, ...] = Field(
        description="What Dagster's events say otherwise than the ledger; changes nothing."
    )
    drop_folder: tuple[str, ...] = Field(description="What a person should know of the files there.")
    given_up: str | None = Field(description="What was asked for until it was given up, and how that ended.")
    beside: tuple[str, ...] = Field(
        description="Other gates that are closed and are not part of a round, such as those of a day of traffic."
    )
    clock: str | None = Field(
        None, description="That the ledger is ahead of this machine's clock; null where it is not."
    )
    live: tuple[str, ...] = Field(
        description="What was withdrawn last, and what the watch found of the release that serves; changes nothing."
    )


def diagnose(instance: dg.DagsterInstance, builds: BuildStore, file: RecipeFile) -> Diagnosis:
    """Find the earliest exit condition that does not hold.

    What is kept of people beyond what was promised comes before all of a round: it is so now, whoever serves. Other
    gates beside the rounds come after them.
    """
    batches = batches_in(instance, file)
    stages, days = stages_now(builds, file, batches), beside_now(builds, file)
    beside = [(now, gate) for now in days for gate in now.gates if is_closed_beside(gate.state)]
    at_once = [(now, gate) for now, gate in beside if gate.name in _OF_PEOPLE]
    later = [each for each in beside if each not in at_once]
    problems = chain(
        ((now, _closed(instance, builds, file, now, gate)) for now, gate in at_once),
        ((now, _problem(instance, builds, file, now)) for now in stages),
        ((now, _closed(instance, builds, file, now, gate)) for now, gate in later),
    )
    now, found = next(((now, problem) for now, problem in problems if problem is not None), (None, None))
    well = Found(
        gate=None, state=GateStatus.PASSED, because="", what=f"every exit condition of {file.name} holds",
        evidence=(), do="",
    )  # fmt: skip
    return Diagnosis(
        **dict(found or well),
        recipe=file.name,
        stage=now and now.stage,
        asset=now and now.state.address,
        dagster=tuple(other_events_in_dagster(instance, stages)),
        drop_folder=tuple(drop_folder_lines(builds, file)),
        given_up=given_up(instance, builds, file, batches),
        beside=tuple(
            f"{gate.asset}: {gate.name} is {gate.state}: {gate.sentence}"
            for other, gate in beside
            if found is None or (gate.asset, gate.name) != (now and now.state.address, found.gate)
        ),
        clock=builds.ledger.ahead_of_the_clock(),
        live=release_lines(builds, file),
    )


def checklist(instance: dg.DagsterInstance, builds: BuildStore, file: RecipeFile) -> str:
    """Every gate of a recipe as a markdown list: ticked, waived or open, with its reason and what was found."""
    lines = [f"# Checklist of {file.name}", "", file.recipe.task, ""]
    for now in [*stages_now(builds, file, batches_in(instance, file)), *beside_now(builds, file)]:
        gates = gates_of(now.stage)
        because = gates.because()
        lines += [f"## {address(now.stage, now.batch)}", ""]
        for gate in now.gates:
            mark = _MARKS.get(gate.state, " ")
            lines.append(f"- [{mark}] **{_words(gate.name)}**, because {because[gate.name]}.")
            found = f" (run {gate.run_id[:8]})" if gate.run_id else ""
            lines.append(f"      {gate.state}: {gate.sentence}{found}")
        lines += [f"- advice: {_words(name)}, because {because[name]}." for name in gates.names(blocking=False)]
        lines.append("")
    return "\n".join(lines)


def write_checklist(instance: dg.DagsterInstance, builds: BuildStore, file: RecipeFile) -> Path:
    """Put the checklist beside the report, and return where it is."""
    path = builds.home.reports / f"{file.name}.checklist.md"
    write_atomically(path, checklist(instance, builds, file).encode())
    return path


def what_broke(failure: StepFailureData) -> str:
    """One line of a failed step: the sentence meant for people, or the kind and message of what broke."""
    if failure.user_failure_data is not None and failure.user_failure_data.description:
        return failure.user_failure_data.description
    error = failure.error
    while error is not None and error.cause is not None:
        error = error.cause
    return " ".join(str(error.message).split()) if error is not None else "a step failed without an error"


def is_closed_gate(failure: StepFailureData) -> bool:
    """Whether a step of gates failed because one that blocks is closed, and nothing broke."""
    return failure.error is not None and failure.error.cls_name == GatesClosed.__name__


def is_of_the_machine(failure: StepFailureData) -> bool:
    """Whether a step ended by a fault of this machine, such as a full disk, which says nothing of what it looked at."""
    return failure.error is not None and failure.error.cls_name == MachineFailure.__name__


def is_behind_a_closed_gate(failure: StepFailureData) -> bool:
    """Whether a step could not read what it is made from because a gate on the way is closed, and nothing broke."""
    return failure.error is not None and failure.error.cls_name == WayClosed.__name__


def _problem(instance: dg.DagsterInstance, builds: BuildStore, file: RecipeFile, now: StageNow) -> Found | None:
    name, key, state = now.state.address, now.state.key, now.state
    broken = _why_it_failed(instance, key, now.batch)
    if now.newest is None:
        do = "fix that and run again" if broken else f"materialize it: `stillhouse run {file.name}`"
        what = broken or f"{name} was never materialized"
        return _found(None, GateStatus.MISSING, "nothing below can be made without it", what, [], do)
    if broken:
        because = "what is there now is older than the last attempt"
        return _found(None, GateStatus.FAILED, because, broken, [], "fix that and run again")
    closed = next((gate for gate in now.gates if not gate.is_open), None)
    if closed is not None:
        return _closed(instance, builds, file, now, closed)
    again = f"`stillhouse run {file.name}`"
    if state.stale:
        because = "what it was made from, or with, has changed since"
        return _found(None, GateStatus.STALE, because, f"{name} is stale: {'; '.join(state.stale)}", [], again)
    problem = state.broken or _problem_of_content(builds, now.newest)
    if problem:
        because = "what is stored is not what was made and looked at"
        return _found(None, GateStatus.FAILED, because, problem, [], again)
    return None


def _problem_of_content(builds: BuildStore, newest: Materialization) -> str | None:
    try:
        builds.artifact(newest.digest, newest.manifest)
    except StillhouseError as error:
        return str(error)
    return None


def _closed(
    instance: dg.DagsterInstance, builds: BuildStore, file: RecipeFile, now: StageNow, gate: GateState
) -> Found:
    """What is wrong with a stage whose gate is closed."""
    key, gates = now.state.key, gates_of(now.stage)
    because = gates.because()[gate.name]
    is_beside = now.stage in BESIDE
    again = f"materialize {now.state.address} again in the UI" if is_beside else f"`stillhouse run {file.name}`"
    if not gate.state.was_decided:
        do = f"look at it: materialize {now.state.address} with its checks" + ("" if is_beside else f", or {again}")
        broken = _why_it_failed(instance, key, now.batch, gate=gate.name)
        return _found(gate.name, gate.state, because, broken or gate.sentence, [], do)
    remedy = gates.remedies().get(gate.name, f"fix the cause and {again}")
    do = remedy + _waiver(file, gate)
    evidence = [*_evidence(instance, key, now.batch, gate), *waivers_to_give_again(builds.ledger, file, _named(gate))]
    return _found(gate.name, gate.state, because, gate.sentence, evidence, do)


def _why_it_failed(
    instance: dg.DagsterInstance, key: dg.AssetKey, batch: str | None, *, gate: str | None = None
) -> str | None:
    """What the newest attempt of an asset, or of the gates of it, died of, if it did not succeed since."""
    steps = {"__".join([*each.path, *(["gates"] if gate else [])]) for each in keys_of_events(key)}
    for run_id in _runs_with(instance, key, batch) if gate is None else _runs_with_gate(instance, key, batch, gate):
        events = instance.all_logs(run_id, of_type=_ENDINGS)
        mine = [e.dagster_event for e in events if e.dagster_event and e.dagster_event.step_key in steps]
        if mine:
            last = mine[-1]
            if not last.is_step_failure:
                return None
            return what_broke(last.step_failure_data)
    return None


def _runs_with(instance: dg.DagsterInstance, key: dg.AssetKey, batch: str | None) -> list[str]:
    """The runs that were to make an asset, the newest first.

    They are asked for by the asset: runs of picked assets, such as those that automation starts, name no recipe, and
    among the runs of all recipes those of another one would hide them.
    """
    batches = None if batch is None else [batch]
    filters = [dg.AssetRecordsFilter(asset_key=each, asset_partitions=batches) for each in keys_of_events(key)]
    found = (instance.fetch_planned_materializations(each, limit=RUNS_LOOKED_THROUGH).records for each in filters)
    records = sorted((record for each in found for record in each), key=lambda record: record.storage_id, reverse=True)
    return [record.run_id for record in records]


def _runs_with_gate(instance: dg.DagsterInstance, key: dg.AssetKey, batch: str | None, gate: str) -> list[str]:
    """The runs that were to look at a gate, the newest first; a check that was reported by hand has no run."""
    records = _checks_of(instance, key, batch, gate, limit=RUNS_LOOKED_THROUGH)
    return [record.run_id for record in sorted(records, key=lambda record: record.id, reverse=True) if record.run_id]


def _checks_of(
    instance: dg.DagsterInstance, key: dg.AssetKey, batch: str | None, gate: str, *, limit: int
) -> Iterator[AssetCheckExecutionRecord]:
    partition = PartitionKeyFilter(key=batch) if batch is not None else None
    for each in keys_of_events(key):
        yield from instance.event_log_storage.get_asset_check_execution_history(
            dg.AssetCheckKey(each, gate), limit=limit, partition_filter=partition
        )


def _evidence(instance: dg.DagsterInstance, key: dg.AssetKey, batch: str | None, gate: GateState) -> list[str]:
    """What the check of the run that decided has in its metadata beside state and reason, one line for each.

    Evidence may quote rows, so it is kept where it can be deleted: in Dagster's event log and not in the ledger.
    """
    for record in _checks_of(instance, key, batch, gate.name, limit=CHECKS_LOOKED_THROUGH):
        if record.run_id == gate.run_id and isinstance(record.evaluation, dg.AssetCheckEvaluation):
            return [
                f"{name}: {line}"
                for name, value in record.evaluation.metadata.items()
                if name not in SHOWN_ELSEWHERE
                for line in str(value.value).splitlines()
            ]
    return []


def _waiver(file: RecipeFile, gate: GateState) -> str:
    if gate.name in waiver_rules(file.recipe).unwaivable:
        return "; nobody can waive this one"
    return f"; or {how_to_waive(_named(gate))}"


def _named(gate: GateState) -> str:
    return f"{gate.asset}:{gate.name}"


def _found(gate: str | None, state: GateStatus, because: str, what: str, evidence: list[str], do: str) -> Found:
    return Found(gate=gate, state=state, because=because, what=what, evidence=tuple(evidence), do=do)


def _words(name: str) -> str:
    return name.replace("_", " ")
