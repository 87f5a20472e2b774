"""The rule that holds across runs: nothing is read from an asset whose gates, or whose ancestors' gates, are not open.

Dagster stops the downstream of a failed check inside one run only; launched alone, the downstream asset would run. So
every artifact is handed over here, by the IO manager, after its lineage was walked.

Belongs here: the state of every gate on the newest materialization, and the one refusal.
Does not: deciding gates (the stage modules), loading artifacts (orchestration/io.py).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import dagster as dg
from dagster._core.storage.asset_check_execution_record import (
    AssetCheckExecutionRecord,
    AssetCheckExecutionRecordStatus,
)

from assets.current import Materialization, newest_materialization
from checks.stages import gates_of
from stillhouse.manifest import Manifest, ReliedOn
from stillhouse.workshop import Artifact, Workshop


@dataclass(frozen=True)
class GateState:
    """One gate on the newest materialization of its asset.

    Args:
        asset: slash separated key.
        name: the gate.
        state: passed, failed, inconclusive, missing (never looked at) or stale (looked at an older materialization).
        sentence: what was found.
        run_id: the run that looked, or that should have.
    """

    asset: str
    name: str
    state: str
    sentence: str
    run_id: str

    @property
    def is_open(self) -> bool:
        """Whether it lets anything through."""
        return self.state == "passed"


def gate_states(instance: dg.DagsterInstance, key: dg.AssetKey, newest: Materialization | None) -> list[GateState]:
    """State of each blocking gate of one asset, as of its newest materialization.

    Args:
        instance: where events are kept.
        key: the asset.
        newest: its newest materialization, or None.
    """
    keys = {name: dg.AssetCheckKey(key, name) for name in gates_of("/".join(key.path[1:])).names(blocking=True)}
    records = instance.event_log_storage.get_latest_asset_check_execution_by_key(list(keys.values()))
    return [_state(key, name, newest, records.get(check)) for name, check in keys.items()]


def _state(
    key: dg.AssetKey, name: str, newest: Materialization | None, record: AssetCheckExecutionRecord | None
) -> GateState:
    asset = "/".join(key.path)
    if newest is None:
        return GateState(asset, name, "missing", "the asset was never materialized", "")
    if record is None:
        return GateState(asset, name, "missing", "it was never looked at", newest.run_id)
    if record.status is AssetCheckExecutionRecordStatus.PLANNED or record.evaluation is None:
        return GateState(asset, name, "missing", "a run was going to look and did not get to it", record.run_id)
    evaluation = record.evaluation
    target = evaluation.target_materialization_data
    if target is None or target.storage_id != newest.storage_id:
        return GateState(asset, name, "stale", "it looked at an older materialization", record.run_id)
    sentence = evaluation.description or ""
    if evaluation.passed and record.status is AssetCheckExecutionRecordStatus.SUCCEEDED:
        return GateState(asset, name, "passed", sentence, record.run_id)
    stated = evaluation.metadata.get("state")
    state = "inconclusive" if stated is not None and stated.value == "inconclusive" else "failed"
    return GateState(asset, name, state, sentence, record.run_id)


def hand_over(instance: dg.DagsterInstance, workshop: Workshop, key: dg.AssetKey) -> Artifact:
    """Open the newest artifact of an asset if every gate on the way to it is open.

    Args:
        instance: where events are kept.
        workshop: where artifacts are kept.
        key: the asset to read.

    Raises:
        dagster.Failure: naming every closed gate, why it is closed, and what to do; never retried.
    """
    newest = newest_materialization(instance, key)
    if newest is None:
        raise _refusal(key, [f"{_name(key)} was never materialized"], f"materialize {_name(key)}")
    closed, relied_on = [], []
    for step in _lineage(instance, workshop, newest):
        if step.outdated:
            closed.append(step.outdated)
        states = gate_states(instance, step.newest.key, step.newest)
        closed += [_told(state) for state in states if not state.is_open]
        relied_on += [ReliedOn(asset=s.asset, gate=s.name, state=s.state, run_id=s.run_id) for s in states]
    if closed:
        raise _refusal(key, closed, _mend(closed))
    return workshop.artifact(newest.digest, newest.manifest, relied_on)


@dataclass(frozen=True)
class _Step:
    newest: Materialization
    outdated: str | None


def _lineage(instance: dg.DagsterInstance, workshop: Workshop, start: Materialization) -> Iterator[_Step]:
    """Walk an asset and its ancestors, each once, noting what was made from something that is no longer current."""
    seen: dict[str, Materialization | None] = {"/".join(start.key.path): start}
    queue = [start]
    while queue:
        newest = queue.pop(0)
        manifest: Manifest = workshop.store.read_manifest(newest.digest, newest.manifest)
        outdated = None
        for asset, read in manifest.inputs.items():
            if asset not in seen:
                seen[asset] = newest_materialization(instance, dg.AssetKey(asset.split("/")))
                if (upstream := seen[asset]) is not None:
                    queue.append(upstream)
            current = seen[asset]
            if current is None or current.digest != read.digest:
                outdated = f"{manifest.asset} is stale: it was made from an older {asset} than the current one"
        yield _Step(newest, outdated)


def _told(state: GateState) -> str:
    run = f" (run {state.run_id[:8]})" if state.run_id else ""
    return f"gate {state.asset}:{state.name} is {state.state}{run}: {state.sentence}"


def _mend(closed: Sequence[str]) -> str:
    return (
        "mend the cause and materialize that asset with its checks again"
        if any(line.startswith("gate") for line in closed)
        else "materialize the stale asset and all that lies between"
    )


def _refusal(key: dg.AssetKey, closed: Sequence[str], mend: str) -> dg.Failure:
    recipe = key.path[0]
    return dg.Failure(
        description=f"Refused to read {_name(key)}: {'; '.join(closed)}. To go on, {mend}; "
        f"`stillhouse status {recipe}` shows every gate.",
        metadata={"closed": dg.MetadataValue.md("\n".join(f"- {line}" for line in closed))},
        allow_retries=False,
    )


def _name(key: dg.AssetKey) -> str:
    return "/".join(key.path)
