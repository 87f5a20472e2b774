"""The rule that holds across runs: nothing is read from an asset whose gates, or whose ancestors' gates, are not open.

Dagster stops the downstream of a failed check inside one run only; launched alone, the downstream asset would run. So
every artifact is handed over here, by the IO manager, after its lineage was walked.

Belongs here: the state of every gate on the newest materialization, waivers counted, and the one refusal.
Does not: deciding gates (the stage modules), loading artifacts (orchestration/resources.py).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import dagster as dg
from dagster._core.event_api import PartitionKeyFilter
from dagster._core.storage.asset_check_execution_record import (
    AssetCheckExecutionRecord,
    AssetCheckExecutionRecordStatus,
)

from assets.current import Materialization, newest_materialization
from assets.keys import BASE, CONTRACT
from checks.gate import LOOKED_AT
from checks.stages import gates_of
from stillhouse.governance import Waiver, valid_waivers
from stillhouse.manifest import Manifest, ReliedOn, address, asset_and_batch
from stillhouse.workshop import Artifact, Workshop


@dataclass(frozen=True)
class GateState:
    """One gate on the newest materialization of its asset.

    Args:
        asset: address of what it looks at: slash separated key, and the batch in brackets.
        name: the gate.
        state: passed, failed, inconclusive, missing (never looked at), stale (looked at an older materialization) or
            waived (failed or inconclusive, and a named person lets it pass until a day).
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
        return self.state in ("passed", "waived")


def gate_states(
    instance: dg.DagsterInstance,
    waivers: Mapping[str, Waiver],
    key: dg.AssetKey,
    newest: Materialization | None,
    batch: str | None = None,
) -> list[GateState]:
    """State of each blocking gate of one asset, or of one batch of it, as of its newest materialization.

    Args:
        instance: where events are kept.
        waivers: those that are valid now, by gate.
        key: the asset.
        newest: its newest materialization, or None.
        batch: which batch, for an asset that is made batch by batch.
    """
    keys = {name: dg.AssetCheckKey(key, name) for name in gates_of("/".join(key.path[1:])).names(blocking=True)}
    records = instance.event_log_storage.get_latest_asset_check_execution_by_key(
        list(keys.values()), partition_filter=None if batch is None else PartitionKeyFilter(key=batch)
    )
    asset = address("/".join(key.path), batch)
    return [_waived(_state(asset, name, newest, records.get(check)), waivers) for name, check in keys.items()]


def _waived(state: GateState, waivers: Mapping[str, Waiver]) -> GateState:
    """Let a waiver open what was looked at and found wanting; it cannot stand in for looking."""
    waiver = waivers.get(f"{state.asset}:{state.name}")
    if waiver is None or state.state not in ("failed", "inconclusive"):
        return state
    return GateState(state.asset, state.name, "waived", f"{waiver}: {state.sentence}", state.run_id)


def _state(
    asset: str, name: str, newest: Materialization | None, record: AssetCheckExecutionRecord | None
) -> GateState:
    if newest is None:
        return GateState(asset, name, "missing", "the asset was never materialized", "")
    if record is None:
        return GateState(asset, name, "missing", "it was never looked at", newest.run_id)
    if record.status is AssetCheckExecutionRecordStatus.PLANNED or record.evaluation is None:
        return GateState(asset, name, "missing", "a run was going to look and did not get to it", record.run_id)
    evaluation = record.evaluation
    looked_at = evaluation.metadata.get(LOOKED_AT)
    if looked_at is None or looked_at.value != str(newest.storage_id):
        return GateState(asset, name, "stale", "it looked at an older materialization", record.run_id)
    sentence = evaluation.description or ""
    if evaluation.passed and record.status is AssetCheckExecutionRecordStatus.SUCCEEDED:
        return GateState(asset, name, "passed", sentence, record.run_id)
    stated = evaluation.metadata.get("state")
    state = "inconclusive" if stated is not None and stated.value == "inconclusive" else "failed"
    return GateState(asset, name, state, sentence, record.run_id)


def hand_over(
    instance: dg.DagsterInstance, workshop: Workshop, recipe: str, key: dg.AssetKey, batch: str | None = None
) -> Artifact:
    """Open the newest artifact of an asset, or of one batch of it, if every gate on the way to it is open.

    Args:
        instance: where events are kept.
        workshop: where artifacts are kept.
        recipe: digest of the recipe as it is now.
        key: the asset to read.
        batch: which batch of it.

    Raises:
        dagster.Failure: naming every closed gate, why it is closed, and what to do; never retried.
    """
    found = _look(instance, workshop, recipe, key, batch)
    if found.newest is None or found.closed:
        raise _refusal(key, address(_name(key), batch), found.closed)
    return workshop.artifact(found.newest.digest, found.newest.manifest, found.relied_on)


def hand_over_batches(
    instance: dg.DagsterInstance,
    workshop: Workshop,
    recipe: str,
    key: dg.AssetKey,
    batches: Sequence[str],
    *,
    partial: bool,
) -> list[Artifact]:
    """Open the newest artifact of each batch; the base batch has to be open.

    Args:
        instance: where events are kept.
        workshop: where artifacts are kept.
        recipe: digest of the recipe as it is now.
        key: the asset to read.
        batches: all of them.
        partial: leave out a batch with a closed gate; else one closed batch closes all.

    Raises:
        dagster.Failure: naming every closed gate, why it is closed, and what to do; never retried.
    """
    found = {batch: _look(instance, workshop, recipe, key, batch) for batch in dict.fromkeys([BASE, *batches])}
    wanted = {batch: looked for batch, looked in found.items() if not looked.closed or batch == BASE or not partial}
    if closed := list(dict.fromkeys(line for looked in wanted.values() for line in looked.closed)):
        raise _refusal(key, _name(key), closed)
    return [
        workshop.artifact(looked.newest.digest, looked.newest.manifest, looked.relied_on)
        for looked in wanted.values()
        if looked.newest is not None
    ]


@dataclass(frozen=True)
class _Look:
    newest: Materialization | None
    closed: list[str] = field(default_factory=list)
    relied_on: list[ReliedOn] = field(default_factory=list)


def _look(instance: dg.DagsterInstance, workshop: Workshop, recipe: str, key: dg.AssetKey, batch: str | None) -> _Look:
    newest = newest_materialization(instance, key, batch)
    if newest is None:
        return _Look(None, [f"{address(_name(key), batch)} was never materialized"])
    waivers = valid_waivers(workshop.ledger, key.path[0])
    closed, relied_on = [], []
    for step in _lineage(instance, workshop, recipe, newest):
        if step.outdated:
            closed.append(step.outdated)
        states = gate_states(instance, waivers, step.newest.key, step.newest, step.newest.batch)
        closed += [_told(state) for state in states if not state.is_open]
        relied_on += [ReliedOn(asset=s.asset, gate=s.name, state=s.state, run_id=s.run_id) for s in states]
    return _Look(newest, closed, relied_on)


@dataclass(frozen=True)
class _Step:
    newest: Materialization
    outdated: str | None


def _lineage(instance: dg.DagsterInstance, workshop: Workshop, recipe: str, start: Materialization) -> Iterator[_Step]:
    """Walk an asset and its ancestors, each once, noting what was made from something that is no longer current."""
    seen: dict[str, Materialization | None] = {start.address: start}
    queue = [start]
    while queue:
        newest = queue.pop(0)
        manifest: Manifest = workshop.store.read_manifest(newest.digest, newest.manifest)
        outdated = None
        if newest.key.path[1:] == [CONTRACT] and manifest.facts["recipe"] != recipe:
            outdated = f"{manifest.address} is stale: the recipe was changed since it was frozen"
        for name, read in manifest.inputs.items():
            if name not in seen:
                asset, batch = asset_and_batch(name)
                seen[name] = newest_materialization(instance, dg.AssetKey(asset.split("/")), batch)
                if (upstream := seen[name]) is not None:
                    queue.append(upstream)
            current = seen[name]
            if current is None or current.digest != read.digest:
                outdated = f"{manifest.address} is stale: it was made from an older {name} than the current one"
        yield _Step(newest, outdated)


def _told(state: GateState) -> str:
    run = f" (run {state.run_id[:8]})" if state.run_id else ""
    return f"gate {state.asset}:{state.name} is {state.state}{run}: {state.sentence}"


def _mend(closed: Sequence[str]) -> str:
    if any(line.startswith("gate") for line in closed):
        return "mend the cause and materialize that asset with its checks again"
    if all(line.endswith("was never materialized") for line in closed):
        return "materialize it with its checks first"
    return "materialize the stale asset and all that lies between"


def _refusal(key: dg.AssetKey, what: str, closed: Sequence[str]) -> dg.Failure:
    recipe = key.path[0]
    return dg.Failure(
        description=f"Refused to read {what}: {'; '.join(closed)}. To go on, {_mend(closed)}; "
        f"`stillhouse diagnose {recipe}` says what is wrong first, `stillhouse status {recipe}` shows every gate.",
        metadata={"closed": dg.MetadataValue.md("\n".join(f"- {line}" for line in closed))},
        allow_retries=False,
    )


def _name(key: dg.AssetKey) -> str:
    return "/".join(key.path)
