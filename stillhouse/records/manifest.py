"""What one artifact was made from, by whom and at what cost.

Belongs here: the shape of a manifest, and the digest of installed packages that it names.
Does not: storing manifests (artifacts.py), walking them (audit/).
"""

import functools
from importlib import metadata
from typing import Any

from pydantic import Field

from stillhouse.base import Record
from stillhouse.digests import digest_of
from stillhouse.records.gate_status import GateStatus
from stillhouse.records.ledger import Head


class Input(Record):
    """One artifact that was read, and the manifest it had when it was read."""

    digest: str
    manifest: str = Field(
        description="identity of the input's own manifest, so that lineage is walked without guessing"
    )


class ReliedOn(Record):
    """One gate that was found open before an input was read."""

    asset: str
    gate: str
    state: GateStatus
    run_id: str


class Manifest(Record):
    """The record beside every artifact."""

    digest: str = Field(description="content hash of the artifact")
    asset: str = Field(description="asset key, slash separated")
    partition: str | None = Field(None, description="the batch, for the stages that are made batch by batch")
    run_id: str
    made_by: str | None = Field(
        None, description="manifest of the run that computed it, when this run only found it again"
    )
    build_key: str = Field(description="digest of everything the content depends on")
    code_digest: str
    lock_digest: str = Field(description="digest of every installed distribution and its version")
    config: dict[str, Any]
    seeds: dict[str, int] = Field({})
    device: str
    inputs: dict[str, Input] = Field(description="all artifacts read, by address")
    external_inputs: dict[str, str] = Field({}, description="digest of every file read from outside, by URI")
    relied_on: list[ReliedOn] = Field([])
    facts: dict[str, Any] = Field({}, description="what the stage measured about its own work")
    wall_seconds: float
    cpu_seconds: float
    cost_usd: float
    created_at: str = Field(description="UTC, ISO 8601")
    head: Head | None = Field(
        None, description="the ledger's newest entry when this was written, which pins all before it"
    )

    @property
    def address(self) -> str:
        """Asset and batch, such as `questions/prompts[base]`."""
        return address(self.asset, self.partition)

    @property
    def identity(self) -> str:
        """Digest of the whole record: what the ledger stores, so that an edited manifest is found out.

        What 0.1.0 did not have is left out where it is not there, so that its manifests keep their identity.
        """
        return digest_of(self.model_dump(mode="json", exclude={"head"} if self.head is None else None))


def address(asset: str, batch: str | None) -> str:
    """Name an asset, or one batch of it, in one word."""
    return asset if batch is None else f"{asset}[{batch}]"


def asset_and_batch(address: str) -> tuple[str, str | None]:
    """Take an address apart."""
    asset, bracket, batch = address.partition("[")
    return (asset, batch.removesuffix("]")) if bracket else (asset, None)


@functools.cache
def lock_digest() -> str:
    """Digest the installed distributions: the lock that was really in force, not the one on paper.

    Of two with one name the first counts, which is what is imported: our own is there twice where the folder of a
    checkout is on the path, as it is under `dagster dev` and not under `stillhouse`.
    """
    found: dict[str, str] = {}
    for about in (each.metadata for each in metadata.distributions()):  # parsed again whenever it is asked for
        found.setdefault(about["Name"], about["Version"])
    return digest_of(sorted(f"{name}=={version}" for name, version in found.items()))
