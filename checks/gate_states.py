"""What the ledger says of gates and assets: which gates are open on what is current now, and what is stale.

The ledger decides, and nothing else. Dagster's newest check row is written by any run that is merely planned, by
whoever reaches the webserver, and by hand; it shows what was found and opens or closes nothing.

Belongs here: the state of every gate on the current artifact, waivers counted, and of every asset on the way to it.
Does not: deciding gates (the stage modules), refusing to read behind a closed one (gatekeeper.py).
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import dagster as dg

from assets.keys import BatchOfAsset, address_of, key_at, key_of, stage_of
from assets.materializations import Materialization, newest_materialization, newest_of_batches
from checks.gate import gate_code
from checks.stages import gates_of, waiver_rules
from stillhouse.errors import StillhouseError
from stillhouse.recipe.contract import Recipe
from stillhouse.records.batches import batches_of
from stillhouse.records.builds import BuildStore
from stillhouse.records.champions import serves_on
from stillhouse.records.gate_status import GateStatus
from stillhouse.records.governance import Waivers, valid_waivers
from stillhouse.records.ledger import Entry, Ledger
from stillhouse.records.manifest import Manifest, asset_and_batch
from stillhouse.stages.names import BASE, CHAMPION, CONTRACT, TEACHER_SIGNAL, TRANSFER_SET
from stillhouse.stages.versions import code_version


@dataclass(frozen=True)
class GateState:
    """One gate on the current artifact of its asset.

    Args:
        asset: address of what it looks at: slash separated key, and the batch in brackets.
        name: the gate.
        state: what it found, or why that does not count.
        sentence: what was found.
        run_id: the run that looked; empty if none did.
    """

    asset: str
    name: str
    state: GateStatus
    sentence: str
    run_id: str

    @property
    def is_open(self) -> bool:
        """Whether it lets anything through."""
        return self.state.is_open


@dataclass(frozen=True)
class AssetState(BatchOfAsset):
    """What the ledger says of an asset, or of one batch of it.

    Args:
        newest: its newest materialization; None if there is none.
        gates: every blocking gate.
        manifest: how that was made; None if there is none, or it cannot be read.
        stale: why what is there no longer counts, one clause each: recipe, code or an input has changed since.
        broken: what is wrong with its record, if that cannot be read.
    """

    newest: Materialization | None
    gates: tuple[GateState, ...]
    manifest: Manifest | None = None
    stale: tuple[str, ...] = ()
    broken: str | None = None

    @property
    def is_open(self) -> bool:
        """Whether it may be read, as far as it is itself concerned; its ancestors have to be open too."""
        return self.newest is not None and not self.stale and not self.broken and all(g.is_open for g in self.gates)

    @property
    def reasons(self) -> list[str]:
        """Why it may not be read, one line each."""
        if self.newest is None:
            return [f"{self.address} was never materialized"]
        found = [f"{self.address} is stale: {why}" for why in self.stale]
        found += [self.broken] if self.broken else []
        return found + [_line(gate) for gate in self.gates if not gate.is_open]


class LedgerSnapshot:
    """What the ledger says of a recipe's assets at one moment: of each it is asked once, however many are made from it.

    All batches have most of their ancestors in common. Nothing that is written after it was asked about is seen, so
    that each decision takes a look of its own.

    Args:
        builds: where ledger and manifests are.
        recipe: as it is now.
        waivers: those that are valid now.
        known: what it said a moment ago, which is part of this look.
    """

    def __init__(self, builds: BuildStore, recipe: Recipe, waivers: Waivers, known: Iterable[AssetState] = ()) -> None:
        self.builds = builds
        self._recipe = recipe
        self._waivers = waivers
        self._states = {state.address: state for state in known}
        self._newest = {address: state.newest for address, state in self._states.items()}

    @classmethod
    def of(cls, builds: BuildStore, recipe: Recipe, name: str, known: Iterable[AssetState] = ()) -> "LedgerSnapshot":
        """Begin a look at the recipe of this name."""
        return cls(builds, recipe, valid_waivers(builds.ledger, name, waiver_rules(recipe)), known)

    def newest(self, key: dg.AssetKey, batch: str | None = None) -> Materialization | None:
        """The newest materialization of an asset, or of one batch of it, or None if there is none."""
        address = address_of(key, batch)
        if address not in self._newest:
            self._newest[address] = newest_materialization(self.builds.ledger, key, batch)
        return self._newest[address]

    def state(self, key: dg.AssetKey, batch: str | None = None) -> AssetState:
        """Say of one asset, or of one batch of it, what the ledger says; its ancestors are not asked."""
        address = address_of(key, batch)
        if address not in self._states:
            self._states[address] = self._state(key, batch)
        return self._states[address]

    def lineage(self, key: dg.AssetKey, batch: str | None = None) -> list[AssetState]:
        """Walk an asset and all its ancestors, each once and the asset first, and say of each what the ledger says."""
        found: dict[str, AssetState] = {}
        queue = [(key, batch)]
        while queue:
            state = self.state(*queue.pop(0))
            found[state.address] = state
            for name, read in state.manifest.inputs.items() if state.manifest else ():
                if stage_of(state.key) == CHAMPION and self._serves_on(key.path[0], name, read.digest):
                    continue  # what is newest now is another release; its own gates were asked before it served
                asset, of = asset_and_batch(name)
                if name not in found and (step := (key_at(asset), of)) not in queue:
                    queue.append(step)
        return list(found.values())

    def _state(self, key: dg.AssetKey, batch: str | None) -> AssetState:
        newest = self.newest(key, batch)
        gates = tuple(gate_states(self.builds.ledger, self._waivers, key, newest, batch))
        if newest is None:
            return AssetState(key, batch, None, gates)
        try:
            manifest = self.builds.store.read_manifest(newest.digest, newest.manifest)
        except (StillhouseError, ValueError) as error:  # absent or edited; cut, so that it is not JSON
            return AssetState(key, batch, newest, gates, broken=" ".join(str(error).split()))
        stale = [*self._what_has_changed(newest, manifest)]
        if stage_of(key) == TRANSFER_SET:
            stale += self._other_batches(key.path[0], manifest)
        return AssetState(key, batch, newest, gates, manifest, stale=tuple(stale))

    def _what_has_changed(self, newest: Materialization, manifest: Manifest) -> Iterator[str]:
        """Why an artifact no longer counts, though nothing is wrong with it."""
        stage = stage_of(newest.key)
        if (manifest.address, manifest.digest) != (newest.address, newest.digest):
            yield f"its manifest is of {manifest.address} {manifest.digest[:12]}"
        if stage == CONTRACT and manifest.facts.get("recipe") != self._recipe.digest:
            yield "the recipe was changed since it was frozen"
        if manifest.code_digest != code_version(stage):
            yield "the code that makes it was changed since"
        self._ask_for_newest(manifest.inputs)
        for name, read in manifest.inputs.items():
            if stage == CHAMPION and self._serves_on(newest.key.path[0], name, read.digest):
                continue
            current = self._newest_at(name)
            if current is None or current.digest != read.digest:
                yield f"it was made from an older {name} than the current one"

    def _other_batches(self, name: str, manifest: Manifest) -> Iterator[str]:
        """Whether what was made of all batches was made of those that count now, as `load_gated_batches` chooses them.

        Args:
            name: of the recipe.
            manifest: of what was made.
        """
        wanted = [BASE, *batches_of(self.builds.ledger, name)]
        if self._recipe.refresh.train_on_open_batches:
            signal = key_of(name, TEACHER_SIGNAL)
            ways = {batch: self.lineage(signal, batch) for batch in wanted}
            wanted = [batch for batch, way in ways.items() if batch == BASE or all(state.is_open for state in way)]
        made_of = manifest.facts["batches"]
        if sorted(made_of) != sorted(wanted):
            yield f"it was made of the batches {', '.join(made_of)}, not {', '.join(wanted)}"

    def _serves_on(self, recipe: str, release: str, digest: str) -> bool:
        """Whether the release that a champion was made from serves on beside what is the newest of its address now."""
        current = self._newest_at(release)
        return serves_on(self.builds.ledger, recipe, digest, current.digest if current else None)

    def _ask_for_newest(self, addresses: Iterable[str]) -> None:
        """Ask for the newest materializations of some assets of one recipe together."""
        unknown = [address for address in addresses if address not in self._newest]
        if not unknown:
            return
        found = self.builds.ledger.newest_materializations(key_at(unknown[0]).path[0], unknown)
        for address in unknown:
            asset, batch = asset_and_batch(address)
            made = found.get(address)
            self._newest[address] = None if made is None else Materialization.of(key_at(asset), batch, made)

    def _newest_at(self, address: str) -> Materialization | None:
        asset, batch = asset_and_batch(address)
        return self.newest(key_at(asset), batch)


def asset_state(
    builds: BuildStore, recipe: Recipe, waivers: Waivers, key: dg.AssetKey, batch: str | None = None
) -> AssetState:
    """Say of one asset, or of one batch of it, what the ledger says; its ancestors are not asked.

    Args:
        builds: where ledger and manifests are.
        recipe: as it is now.
        waivers: those that are valid now.
        key: the asset.
        batch: which batch, for an asset that is made batch by batch.
    """
    return LedgerSnapshot(builds, recipe, waivers).state(key, batch)


def lineage(builds: BuildStore, recipe: Recipe, key: dg.AssetKey, batch: str | None = None) -> list[AssetState]:
    """Walk an asset and all its ancestors, each once and the asset first, and say of each what the ledger says.

    Args:
        builds: where ledger and manifests are.
        recipe: as it is now.
        key: the asset to begin with.
        batch: which batch of it.
    """
    return LedgerSnapshot.of(builds, recipe, key.path[0]).lineage(key, batch)


def gate_states(
    ledger: Ledger,
    waivers: Waivers,
    key: dg.AssetKey,
    newest: Materialization | None,
    batch: str | None = None,
    *,
    blocking: bool = True,
) -> list[GateState]:
    """State of each gate of one asset, or of one batch of it, on its newest materialization.

    A gate is open when its newest verdict is about this content with this manifest, was reached by the code as it is
    now, and passed; or when it was found wanting and a valid waiver lets it be.

    Args:
        ledger: where verdicts are.
        waivers: those that are valid now.
        key: the asset.
        newest: its newest materialization, or None.
        batch: which batch, for an asset that is made batch by batch.
        blocking: of the gates that stop a run, or of the others.
    """
    asset, stage = address_of(key, batch), stage_of(key)
    names, code = gates_of(stage).names(blocking=blocking), gate_code(stage)
    verdicts = ledger.newest_verdicts(key.path[0], asset, names)
    states = [_state(asset, name, code, newest, verdicts.get(name)) for name in names]
    return [_waived(state, newest, waivers) for state in states]


def states_of_batches(ledger: Ledger, waivers: Waivers, key: dg.AssetKey, batches: Sequence[str]) -> list[AssetState]:
    """State of each blocking gate of many batches that nothing is made from, such as days, by few statements.

    Of batches that were made, in the order given. Whether what was made is stale is not asked: a day is over.
    """
    newest, stage = newest_of_batches(ledger, key, batches), stage_of(key)
    names, code = gates_of(stage).names(blocking=True), gate_code(stage)
    addresses = {batch: address_of(key, batch) for batch in newest}
    verdicts = {name: ledger.newest_verdicts_of(key.path[0], [*addresses.values()], name) for name in names}
    return [
        AssetState(
            key=key,
            batch=batch,
            newest=made,
            gates=tuple(
                _waived(_state(addresses[batch], name, code, made, verdicts[name].get(addresses[batch])), made, waivers)
                for name in names
            ),
        )
        for batch, made in newest.items()
    ]


def _waived(state: GateState, newest: Materialization | None, waivers: Waivers) -> GateState:
    """Let a waiver open what was looked at and found wanting; it cannot stand in for looking."""
    if newest is None or not state.state.was_decided:
        return state
    waiver = waivers.of(state.asset, state.name, newest.digest)
    if waiver is None:
        return state
    return GateState(state.asset, state.name, GateStatus.WAIVED, f"{waiver}: {state.sentence}", state.run_id)


def _state(asset: str, name: str, code: str, newest: Materialization | None, verdict: Entry | None) -> GateState:
    def state(status: GateStatus, sentence: str) -> GateState:
        return GateState(asset, name, status, sentence, "" if verdict is None else verdict.body["run_id"])

    if newest is None:
        return state(GateStatus.MISSING, "the asset was never materialized")
    if verdict is None:
        return state(GateStatus.MISSING, "no run has looked yet")
    body = verdict.body
    if body["digest"] != newest.digest or body.get("manifest", newest.manifest) != newest.manifest:
        return state(GateStatus.STALE, "it looked at an older materialization")
    if body.get("code") != code:  # a verdict of version 0.1.0 names none
        return state(GateStatus.STALE, "the code of the gate was changed since it looked")
    return state(GateStatus(body["state"]), body["sentence"])


def _line(gate: GateState) -> str:
    run = f" (run {gate.run_id[:8]})" if gate.run_id else ""
    return f"gate {gate.asset}:{gate.name} is {gate.state}{run}: {gate.sentence}"
