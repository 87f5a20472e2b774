"""The rule that holds across runs: nothing is read from an asset whose gates, or whose ancestors' gates, are not open.

Dagster stops the downstream of a failed check inside one run only; launched alone, the downstream asset would run. So
every artifact is handed over here, by the IO manager, after its lineage was walked.

Belongs here: opening an artifact, and the one refusal.
Does not: which gates are open (gate_states.py), the IO manager (orchestration/resources.py).
"""

from collections.abc import Sequence

import dagster as dg

from assets.keys import address_of
from checks.gate_states import AssetState, LedgerSnapshot, lineage
from stillhouse.recipe.contract import Recipe
from stillhouse.records.builds import Artifact, BuildStore
from stillhouse.records.manifest import ReliedOn
from stillhouse.stages.names import BASE


def load_gated(builds: BuildStore, recipe: Recipe, key: dg.AssetKey, batch: str | None = None) -> Artifact:
    """Open the current artifact of an asset, or of one batch of it, if every gate on the way to it is open.

    Args:
        builds: where ledger and artifacts are kept.
        recipe: as it is now.
        key: the asset to read.
        batch: which batch of it.

    Raises:
        dagster.Failure: naming every closed gate, why it is closed, and what to do; never retried.
    """
    way = lineage(builds, recipe, key, batch)
    if closed := [state for state in way if not state.is_open]:
        raise _refusal(key, way[0].address, closed)
    return _opened(builds, way)


def load_gated_batches(
    builds: BuildStore, recipe: Recipe, key: dg.AssetKey, batches: Sequence[str], *, partial: bool
) -> list[Artifact]:
    """Open the current artifact of each batch; the base batch has to be open.

    Args:
        builds: where ledger and artifacts are kept.
        recipe: as it is now.
        key: the asset to read.
        batches: all of them.
        partial: leave out a batch with a closed gate; else one closed batch closes all.

    Raises:
        dagster.Failure: naming every closed gate, why it is closed, and what to do; never retried.
    """
    look = LedgerSnapshot.of(builds, recipe, key.path[0])
    ways = {batch: look.lineage(key, batch) for batch in dict.fromkeys([BASE, *batches])}
    closed = {batch: [state for state in way if not state.is_open] for batch, way in ways.items()}
    wanted = [batch for batch in ways if not closed[batch] or batch == BASE or not partial]
    if every := {state.address: state for batch in wanted for state in closed[batch]}:
        raise _refusal(key, address_of(key), list(every.values()))
    return [_opened(builds, ways[batch]) for batch in wanted]


def _opened(builds: BuildStore, way: Sequence[AssetState]) -> Artifact:
    newest = way[0].newest
    assert newest is not None  # what was never made is not open, and was refused
    relied_on = [
        ReliedOn(asset=gate.asset, gate=gate.name, state=gate.state, run_id=gate.run_id)
        for state in way
        for gate in state.gates
    ]
    return builds.artifact(newest.digest, newest.manifest, relied_on)


def _what_to_do(closed: Sequence[AssetState]) -> str:
    gates = [gate for state in closed if state.newest for gate in state.gates if not gate.is_open]
    if any(gate.state.was_decided for gate in gates):
        return "fix the cause and materialize that asset with its checks again"
    if any(state.newest is None for state in closed):
        return "materialize it with its checks first"
    if any(state.stale or state.broken for state in closed):
        return "materialize the stale asset and everything between it and this one"
    return "materialize that asset with its checks again"


class WayClosed(dg.Failure):
    """What a stage would read lies behind a gate that was looked at and is closed: nothing broke."""


def _refusal(key: dg.AssetKey, what: str, closed: Sequence[AssetState]) -> dg.Failure:
    recipe = key.path[0]
    lines = [line for state in closed for line in state.reasons]
    refused = WayClosed if any(gate.state.was_decided for state in closed for gate in state.gates) else dg.Failure
    return refused(
        description=f"Refused to read {what}: {'; '.join(lines)}. To go on, {_what_to_do(closed)}; "
        f"`stillhouse diagnose {recipe}` says what is wrong first, `stillhouse status {recipe}` shows every gate.",
        metadata={"closed": dg.MetadataValue.md("\n".join(f"- {line}" for line in lines))},
        allow_retries=False,
    )
