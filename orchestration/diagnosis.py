"""What is wrong first, and the whole list of what must hold.

Belongs here: walking the stages in order to the earliest exit condition that does not hold, and the checklist.
Does not: deciding gates (checks/), printing (cli.py).
"""

from pathlib import Path
from typing import Any

import dagster as dg
from dagster._core.event_api import PartitionKeyFilter
from dagster._core.execution.plan.objects import StepFailureData

from assets.keys import key_of
from checks.baselines import no_baseline_clears_the_bar
from checks.gate import LOOKED_AT
from checks.gatekeeper import GateState, hand_over
from checks.stages import gates_of
from orchestration.status import StageNow, stages_now
from stillhouse.artifacts import write_atomically
from stillhouse.errors import StillhouseError
from stillhouse.manifest import address
from stillhouse.recipe import RecipeFile
from stillhouse.workshop import Workshop

_ENDINGS = {dg.DagsterEventType.STEP_FAILURE, dg.DagsterEventType.STEP_SUCCESS}
_MARKS = {"passed": "x", "waived": "~"}


def diagnose(instance: dg.DagsterInstance, workshop: Workshop, file: RecipeFile) -> dict[str, Any]:
    """Find the earliest exit condition that does not hold.

    Returns:
        `stage` (None when all is well), `asset` (with the batch), `gate` (None when the asset itself is missing, broken
        or stale), `state`, `because`, `what` was found, `evidence` lines and what to `do` next.
    """
    for now in stages_now(instance, workshop, file):
        problem = _problem(instance, workshop, file, now)
        if problem is not None:
            return {"recipe": file.name, "stage": now.stage, "asset": _address(file, now), **problem}
    return {
        "recipe": file.name, "stage": None, "asset": None, "gate": None, "state": "passed", "because": "",
        "what": f"every exit condition of {file.name} holds", "evidence": [], "do": "",
    }  # fmt: skip


def checklist(instance: dg.DagsterInstance, workshop: Workshop, file: RecipeFile) -> str:
    """Every gate of a recipe as a markdown list: ticked, waived or open, with its reason and what was found."""
    lines = [f"# Checklist of {file.name}", "", file.recipe.task, ""]
    for now in stages_now(instance, workshop, file):
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


def write_checklist(instance: dg.DagsterInstance, workshop: Workshop, file: RecipeFile) -> Path:
    """Put the checklist beside the report, and return where it is."""
    path = workshop.home.reports / f"{file.name}.checklist.md"
    write_atomically(path, checklist(instance, workshop, file).encode())
    return path


def what_broke(failure: StepFailureData) -> str:
    """One line of a failed step: the sentence meant for people, or the kind and message of what broke."""
    if failure.user_failure_data is not None and failure.user_failure_data.description:
        return failure.user_failure_data.description
    error = failure.error
    while error is not None and error.cause is not None:
        error = error.cause
    return " ".join(str(error.message).split()) if error is not None else "a step failed without an error"


def _problem(
    instance: dg.DagsterInstance, workshop: Workshop, file: RecipeFile, now: StageNow
) -> dict[str, Any] | None:
    name, key = _address(file, now), key_of(file.name, now.stage)
    broken = _why_it_failed(instance, "__".join(key.path), now.batch)
    if now.newest is None:
        do = "mend that and run again" if broken else f"materialize it: `stillhouse run {file.name}`"
        what = broken or f"{name} was never materialized"
        return _found(None, "missing", "nothing below can be made without it", what, [], do)
    if broken:
        because = "what is there now is older than the last attempt"
        return _found(None, "failed", because, broken, [], "mend that and run again")
    closed = next((gate for gate in now.gates if not gate.is_open), None)
    if closed is not None:
        because = gates_of(now.stage).because()[closed.name]
        if closed.state in ("missing", "stale"):
            do = f"look at it: materialize {name} with its checks, or `stillhouse run {file.name}`"
            broken = _why_it_failed(instance, "__".join([*key.path, "gates"]), now.batch)
            if broken:
                return _found(closed.name, closed.state, because, broken, [], do)
        elif closed.name == no_baseline_clears_the_bar.name:
            do = "take it and stop, which is success" + _waiver(file, closed)
        else:
            do = f"mend the cause and `stillhouse run {file.name}`" + _waiver(file, closed)
        evidence = _evidence(instance, key, now.batch, closed)
        return _found(closed.name, closed.state, because, closed.sentence, evidence, do)
    try:
        hand_over(instance, workshop, file.recipe.digest, key, now.batch)
    except dg.Failure as refusal:  # its own gates are open, those above are passed: what is left is staleness
        because = "it was made from something that has changed since"
        return _found(None, "stale", because, str(refusal.description), [], f"`stillhouse run {file.name}`")
    except StillhouseError as error:
        because = "what is stored is not what was made and looked at"
        return _found(None, "failed", because, str(error), [], f"`stillhouse run {file.name}`")
    return None


def _why_it_failed(instance: dg.DagsterInstance, step: str, batch: str | None) -> str | None:
    """What the newest attempt of a step died of, if it did not succeed since."""
    filters = dg.RunsFilter(tags={"dagster/partition": batch} if batch else {})
    for record in instance.get_run_records(filters, limit=20):
        events = instance.all_logs(record.dagster_run.run_id, of_type=_ENDINGS)
        mine = [e.dagster_event for e in events if e.dagster_event and e.dagster_event.step_key == step]
        if mine:
            last = mine[-1]
            if not last.is_step_failure:
                return None
            return what_broke(last.step_failure_data)
    return None


def _evidence(instance: dg.DagsterInstance, key: dg.AssetKey, batch: str | None, gate: GateState) -> list[str]:
    """What the check has in its metadata beside state and reason, one line for each."""
    check = dg.AssetCheckKey(key, gate.name)
    partition = PartitionKeyFilter(key=batch) if batch is not None else None
    found = instance.event_log_storage.get_latest_asset_check_execution_by_key([check], partition_filter=partition)
    record = found.get(check)
    if record is None or not isinstance(record.evaluation, dg.AssetCheckEvaluation):
        return []  # never looked at, or a run was going to and did not get to it
    return [
        f"{name}: {line}"
        for name, value in record.evaluation.metadata.items()
        if name not in ("state", "because", LOOKED_AT)
        for line in str(value.value).splitlines()
    ]


def _waiver(file: RecipeFile, gate: GateState) -> str:
    if gate.name in file.recipe.unwaivable:
        return "; nobody can waive this one"
    return f"; or `stillhouse waive '{gate.asset}:{gate.name}' --by NAME --reason WHY --until YYYY-MM-DD`"


def _found(gate: str | None, state: str, because: str, what: str, evidence: list[str], do: str) -> dict[str, Any]:
    return {"gate": gate, "state": state, "because": because, "what": what, "evidence": evidence, "do": do}


def _address(file: RecipeFile, now: StageNow) -> str:
    return address(f"{file.name}/{now.stage}", now.batch)


def _words(name: str) -> str:
    return name.replace("_", " ")
