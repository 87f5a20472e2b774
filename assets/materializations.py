"""Which artifact is current: the one that the ledger's newest materialization of its asset and batch names.

Belongs here: reading that entry, opening its artifact, and saying where Dagster's event log tells something else.
Does not: whether the artifact may be used (checks/gatekeeper.py).

Dagster's events are not asked: whoever reaches the webserver can write one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import dagster as dg

from assets.keys import BatchOfAsset, address_of, keys_of_events
from stillhouse.errors import StillhouseError
from stillhouse.records.builds import Artifact, BuildStore
from stillhouse.records.ledger import Entry, Ledger


@dataclass(frozen=True)
class Materialization(BatchOfAsset):
    """The newest materialization of an asset, or of one batch of it.

    Args:
        digest: of the artifact's content.
        manifest: identity of its manifest.
        run_id: the run that made or found it.
        at: when, in UTC.
    """

    digest: str
    manifest: str
    run_id: str
    at: datetime

    @classmethod
    def of(cls, key: dg.AssetKey, batch: str | None, entry: Entry) -> "Materialization":
        """The materialization that an entry of the ledger is about."""
        return cls(key, batch, entry.body["digest"], entry.body["manifest"], entry.body["run_id"], entry.moment)


def newest_materialization(ledger: Ledger, key: dg.AssetKey, batch: str | None = None) -> Materialization | None:
    """Return the newest materialization of an asset, or of one batch of it, or None if there is none."""
    entry = ledger.newest(key.path[0], "materialization", subject=address_of(key, batch))
    return None if entry is None else Materialization.of(key, batch, entry)


def newest_of_batches(ledger: Ledger, key: dg.AssetKey, batches: Sequence[str]) -> dict[str, Materialization]:
    """The newest materialization of each of some batches of an asset, in their order, of those that have one."""
    addresses = {address_of(key, batch): batch for batch in batches}
    found = ledger.newest_materializations(key.path[0], [*addresses])
    return {batch: Materialization.of(key, batch, found[each]) for each, batch in addresses.items() if each in found}


def newest_artifact(builds: BuildStore, key: dg.AssetKey, batch: str | None = None) -> Artifact:
    """Open the artifact of the newest materialization of an asset, or of one batch of it.

    Raises:
        StillhouseError: if the asset was never materialized.
    """
    newest = require_materialization(builds.ledger, key, batch)
    return builds.artifact(newest.digest, newest.manifest)


def newest_artifact_if_any(builds: BuildStore, key: dg.AssetKey, batch: str | None = None) -> Artifact | None:
    """Open the artifact of the newest materialization likewise; None if the asset was never materialized."""
    newest = newest_materialization(builds.ledger, key, batch)
    return None if newest is None else builds.artifact(newest.digest, newest.manifest)


def require_materialization(ledger: Ledger, key: dg.AssetKey, batch: str | None) -> Materialization:
    """Return the newest materialization of an asset, or of one batch of it.

    Raises:
        StillhouseError: if the asset was never materialized.
    """
    newest = newest_materialization(ledger, key, batch)
    if newest is None:
        raise StillhouseError(
            "it was never materialized",
            where=(name := address_of(key, batch)),
            expected="a materialization",
            do=f"Materialize {name} first.",
        )
    return newest


def other_event_in_dagster(
    instance: dg.DagsterInstance, key: dg.AssetKey, batch: str | None, newest: Materialization | None
) -> str | None:
    """Say in one line what Dagster's newest event of an asset claims, if that is not what the ledger says.

    Args:
        instance: where Dagster keeps events.
        key: the asset.
        batch: which batch of it.
        newest: what the ledger says; None if it was never materialized.
    """
    batches = None if batch is None else [batch]
    filters = (dg.AssetRecordsFilter(asset_key=each, asset_partitions=batches) for each in keys_of_events(key))
    found = (instance.fetch_materializations(each, limit=1).records for each in filters)
    records = next((each for each in found if each), ())
    event = records[0].asset_materialization if records else None
    name = address_of(key, batch)
    if event is None:
        if newest is None:
            return None
        return f"{name}: Dagster has no event of it; the ledger says {newest.digest[:12]}, and that is what counts"
    claimed = event.metadata.get("manifest")
    if newest is not None and claimed is not None and claimed.value == newest.manifest:
        return None
    digest = event.metadata.get("digest")
    shown = f"names {str(digest.value)[:12]}" if digest is not None else "was not written by Stillhouse"
    counts = f"{newest.digest[:12]}, and that is what counts" if newest else "that it was never materialized"
    if newest is not None and digest is not None and digest.value == newest.digest:  # made or found again, no more
        shown = f"names manifest {str(claimed and claimed.value)[:12]} of the same content"
        counts = f"manifest {newest.manifest[:12]}, and that is what counts"
    return f"{name}: Dagster's newest event (run {records[0].run_id[:8] or 'none'}) {shown}; the ledger says {counts}"
