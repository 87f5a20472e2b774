"""Making artifacts: find the build again or do the work, then publish, write the manifest and tell the ledger.

Belongs here: the one way in which anything becomes an artifact, and the places and records of one installation.
Does not: the work itself (each stage's package), which artifact is current (assets/materializations.py), gates
(checks/).
"""

import functools
import resource
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from fcntl import LOCK_EX, flock
from pathlib import Path
from typing import Any, Generic, TypeVar

import polars as pl
from pydantic import BaseModel, ValidationError

from stillhouse.device import Device, device_of
from stillhouse.errors import StillhouseError
from stillhouse.home import Home
from stillhouse.records.artifacts import ArtifactStore, build_key
from stillhouse.records.keys import Keys
from stillhouse.records.ledger import Ledger
from stillhouse.records.manifest import Input, Manifest, ReliedOn, asset_and_batch, lock_digest

FactsOf = TypeVar("FactsOf", bound=BaseModel)


@dataclass(frozen=True)
class Artifact:
    """A published, verified artifact with the record of how it was made.

    Args:
        manifest: that record.
        identity: the manifest's own digest.
        folder: local folder with the content, hashed when it was opened.
        relied_on: the gates that were found open when it was handed over.
    """

    manifest: Manifest
    identity: str
    folder: Path
    relied_on: tuple[ReliedOn, ...] = ()

    @property
    def asset(self) -> str:
        """Slash separated asset key."""
        return self.manifest.asset

    @property
    def batch(self) -> str | None:
        """The batch, for the stages that are made batch by batch."""
        return self.manifest.partition

    @property
    def address(self) -> str:
        """Asset and batch in one word."""
        return self.manifest.address

    @property
    def digest(self) -> str:
        """Content hash."""
        return self.manifest.digest

    def facts(self, record: type[FactsOf]) -> FactsOf:
        """What the stage measured about its own work.

        Args:
            record: of this kind of stage (stillhouse/stages/facts.py).

        Raises:
            StillhouseError: if another version of Stillhouse wrote other facts.
        """
        try:
            return record.model_validate(self.manifest.facts)
        except ValidationError as error:
            fields = ", ".join(".".join(map(str, each["loc"])) for each in error.errors())
            raise StillhouseError(
                f"what is known of it is not what this version of Stillhouse reads: {fields}",
                where=self.address,
                expected=record.__name__,
                do=f"Materialize {self.asset.split('/', 1)[1]} again.",
            ) from error

    def frame(self, name: str) -> pl.DataFrame:
        """Read one of the artifact's tables."""
        return pl.read_parquet(self.folder / f"{name}.parquet")


@dataclass(frozen=True)
class Plan(Generic[FactsOf]):
    """How an artifact is made, and all that its content depends on.

    Args:
        build: writes the content into the folder it is given and returns what it measured.
        depends_on: JSON values; the same values give the same artifact.
        config: the part of the recipe that applies; the content depends on it as well.
        seeds: every seed that is set; the content depends on them as well.
        external_inputs: digests of files read from outside, by URI. The content does not depend on where they are.
    """

    build: Callable[[Path], FactsOf]
    depends_on: Mapping[str, Any]
    config: Mapping[str, Any] = field(default_factory=dict)
    seeds: Mapping[str, int] = field(default_factory=dict)
    external_inputs: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class BuildRequest:
    """What is to be made.

    Args:
        recipe: name of the recipe.
        stage: asset key without the recipe, such as `candidates/small`.
        batch: which batch of a stage that is made batch by batch.
        run_id: the run that asks.
        code_version: digest of the code that decides the content.
        depends_on: everything else the content depends on, JSON values; the same values give the same artifact.
        inputs: all artifacts that were read, whether or not the content depends on all of each.
        external_inputs: digests of files read from outside, by URI.
        config: the part of the recipe that applies, for the manifest.
        seeds: every seed that was set.
        usd_per_hour: price of this machine.
    """

    recipe: str
    stage: str
    run_id: str
    code_version: str
    depends_on: Mapping[str, Any]
    batch: str | None = None
    inputs: Sequence[Artifact] = ()
    external_inputs: Mapping[str, str] = field(default_factory=dict)
    config: Mapping[str, Any] = field(default_factory=dict)
    seeds: Mapping[str, int] = field(default_factory=dict)
    usd_per_hour: float = 0.0

    @property
    def build_key(self) -> str:
        """Digest of all that decides the content."""
        return build_key(self.stage, self.code_version, recipe=self.recipe, batch=self.batch, **self.depends_on)


class BuildStore:
    """One installation's store and ledger, and the way to make artifacts with them.

    Args:
        home: the installation.
        before_writing: raises where whoever works with this may write nothing more into the ledger.
    """

    def __init__(self, home: Home, before_writing: Callable[[], None] = lambda: None) -> None:
        self.home = home
        self._before_writing = before_writing
        self.store = ArtifactStore(home.artifacts, cache=home.cache, workbench=home.workbench)

    @functools.cached_property
    def ledger(self) -> Ledger:
        """The ledger, its table created at first use; its entries are signed as soon as there is a key."""
        return Ledger(self.home.ledger_url, Keys.from_environment().sign, self._before_writing)

    @property
    def device(self) -> Device:
        """What it trains and asks its teachers on.

        Raises:
            StillhouseError: if this machine has no such device.
        """
        return device_of(self.home.device)

    def artifact(self, digest: str, identity: str, relied_on: Sequence[ReliedOn] = ()) -> Artifact:
        """Open an artifact by digest and manifest, both verified."""
        manifest = self.store.read_manifest(digest, identity)
        return Artifact(manifest, identity, self.store.open(digest), tuple(relied_on))

    def inputs_of(self, artifact: Artifact, stage: str) -> list[Artifact]:
        """Open the very artifacts of a stage that another one was made from: one, or one for each batch."""
        asset = f"{artifact.asset.split('/', 1)[0]}/{stage}"
        found = [item for name, item in artifact.manifest.inputs.items() if asset_and_batch(name)[0] == asset]
        return [self.artifact(item.digest, item.manifest) for item in found]

    def make(self, order: BuildRequest, build: Callable[[Path], BaseModel]) -> Artifact:
        """Return the artifact of an order: an earlier build of the same key if there is one, else `build` is called.

        Args:
            order: what to make.
            build: writes the content into the folder it is given and returns what it measured.
        """
        known = self.store.find_build(order.build_key, is_recorded=functools.partial(self._is_recorded, order.recipe))
        if known is not None:
            return self._record(order, known.digest, known.identity, known.manifest.facts, 0.0, 0.0)
        with self.store.building() as folder:
            wall, cpu = time.perf_counter(), _cpu_seconds()
            facts = build(folder).model_dump(mode="json")
            wall, cpu = time.perf_counter() - wall, _cpu_seconds() - cpu
            digest = self.store.publish(folder)
        artifact = self._record(order, digest, None, facts, wall, cpu)
        self.store.remember_build(order.build_key, digest, artifact.identity)  # last: what it names is in the ledger
        return artifact

    def _is_recorded(self, recipe: str, digest: str, identity: str) -> bool:
        entries = self.ledger.entries(recipe, "materialization", content=digest)
        return any((entry.body["digest"], entry.body["manifest"]) == (digest, identity) for entry in entries)

    def _record(
        self, order: BuildRequest, digest: str, made_by: str | None, facts: dict[str, Any], wall: float, cpu: float
    ) -> Artifact:
        manifest = Manifest(
            digest=digest,
            asset=f"{order.recipe}/{order.stage}",
            partition=order.batch,
            run_id=order.run_id,
            made_by=made_by,
            build_key=order.build_key,
            code_digest=order.code_version,
            lock_digest=lock_digest(),
            config=dict(order.config),
            seeds=dict(order.seeds),
            device=self.device.machine,
            inputs={item.address: Input(digest=item.digest, manifest=item.identity) for item in order.inputs},
            external_inputs=dict(order.external_inputs),
            relied_on=sorted(
                {gate for item in order.inputs for gate in item.relied_on}, key=lambda g: (g.asset, g.gate)
            ),
            facts=facts,
            wall_seconds=round(wall, 3),
            cpu_seconds=round(cpu, 3),
            cost_usd=round(wall / 3600 * order.usd_per_hour, 6),
            created_at=datetime.now(UTC).isoformat(timespec="milliseconds"),
            head=self.ledger.head(),
        )
        identity = self.store.write_manifest(manifest)
        body = {"asset": manifest.address, "digest": digest, "manifest": identity, "run_id": order.run_id}
        spent = {
            "found_again": made_by is not None,
            "wall_seconds": manifest.wall_seconds,
            "cost_usd": manifest.cost_usd,
        }
        self.ledger.append("materialization", order.recipe, {**body, **spent})
        return self.artifact(digest, identity)

    @contextmanager
    def one_heavy_task(self) -> Iterator[None]:
        """Let one process of this installation train or time at once; two on the same cores are many times slower.

        A lock of the operating system and not a Dagster pool: it is gone the moment its holder is killed.
        """
        self.home.root.mkdir(parents=True, exist_ok=True)
        with (self.home.root / "heavy_task.lock").open("w") as file:
            flock(file, LOCK_EX)
            yield


def _cpu_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime
