"""Which artifact is current: the one that the newest materialization names.

Belongs here: reading that event and opening its artifact.
Does not: whether it may be used (checks/gatekeeper.py).
"""

from dataclasses import dataclass

import dagster as dg

from stillhouse.errors import StillhouseError
from stillhouse.workshop import Artifact, Workshop


@dataclass(frozen=True)
class Materialization:
    """The newest materialization of an asset."""

    key: dg.AssetKey
    digest: str
    manifest: str
    run_id: str
    storage_id: int
    timestamp: float


def newest_materialization(instance: dg.DagsterInstance, key: dg.AssetKey) -> Materialization | None:
    """Return the newest materialization of an asset, or None if there is none."""
    records = instance.fetch_materializations(key, limit=1).records
    if not records:
        return None
    record = records[0]
    assert record.asset_materialization is not None  # fetch_materializations returns nothing else
    metadata = record.asset_materialization.metadata
    return Materialization(
        key=key,
        digest=str(metadata["digest"].value),
        manifest=str(metadata["manifest"].value),
        run_id=record.run_id,
        storage_id=record.storage_id,
        timestamp=record.timestamp,
    )


def newest_artifact(instance: dg.DagsterInstance, workshop: Workshop, key: dg.AssetKey) -> Artifact:
    """Open the artifact of the newest materialization.

    Raises:
        StillhouseError: if the asset was never materialized.
    """
    newest = newest_materialization(instance, key)
    if newest is None:
        raise StillhouseError(
            "it was never materialized",
            where=key.to_user_string(),
            expected="a materialization",
            do=f"Materialize {key.to_user_string()} first.",
        )
    return workshop.artifact(newest.digest, newest.manifest)
