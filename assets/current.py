"""Which artifact is current: the one that the newest materialization names.

Belongs here: reading that event and opening its artifact.
Does not: whether it may be used (checks/gatekeeper.py).
"""

from dataclasses import dataclass

import dagster as dg

from stillhouse.errors import StillhouseError
from stillhouse.manifest import address
from stillhouse.workshop import Artifact, Workshop


@dataclass(frozen=True)
class Materialization:
    """The newest materialization of an asset, or of one batch of it."""

    key: dg.AssetKey
    batch: str | None
    digest: str
    manifest: str
    run_id: str
    storage_id: int
    timestamp: float

    @property
    def address(self) -> str:
        """Asset and batch in one word."""
        return address("/".join(self.key.path), self.batch)


def newest_materialization(
    instance: dg.DagsterInstance, key: dg.AssetKey, batch: str | None = None
) -> Materialization | None:
    """Return the newest materialization of an asset, or of one batch of it, or None if there is none."""
    wanted = dg.AssetRecordsFilter(asset_key=key, asset_partitions=None if batch is None else [batch])
    records = instance.fetch_materializations(wanted, limit=1).records
    if not records:
        return None
    record = records[0]
    assert record.asset_materialization is not None  # fetch_materializations returns nothing else
    metadata = record.asset_materialization.metadata
    return Materialization(
        key=key,
        batch=batch,
        digest=str(metadata["digest"].value),
        manifest=str(metadata["manifest"].value),
        run_id=record.run_id,
        storage_id=record.storage_id,
        timestamp=record.timestamp,
    )


def newest_artifact(
    instance: dg.DagsterInstance, workshop: Workshop, key: dg.AssetKey, batch: str | None = None
) -> Artifact:
    """Open the artifact of the newest materialization of an asset, or of one batch of it.

    Raises:
        StillhouseError: if the asset was never materialized.
    """
    newest = require_materialization(instance, key, batch)
    return workshop.artifact(newest.digest, newest.manifest)


def require_materialization(
    instance: dg.DagsterInstance, key: dg.AssetKey, batch: str | None = None
) -> Materialization:
    """Return the newest materialization of an asset, or of one batch of it.

    Raises:
        StillhouseError: if the asset was never materialized.
    """
    newest = newest_materialization(instance, key, batch)
    if newest is None:
        raise StillhouseError(
            "it was never materialized",
            where=(name := address(key.to_user_string(), batch)),
            expected="a materialization",
            do=f"Materialize {name} first.",
        )
    return newest
