"""Walking a champion back to the rows and the weights it was made from, and re-hashing every artifact on the way.

Belongs here: the walk, and what counts as a problem.
Does not: printing it (orchestration/cli.py).
"""

from typing import Any

from stillhouse.artifacts import ArtifactStore
from stillhouse.errors import StillhouseError
from stillhouse.ledger import Ledger
from stillhouse.manifest import Manifest, asset_and_batch


def audit(store: ArtifactStore, ledger: Ledger, recipe: str) -> dict[str, Any]:
    """Walk the champion of a recipe back to its source rows and the weights that its teacher began with.

    Args:
        store: where artifacts and manifests are.
        ledger: the record that names the champion, and every manifest by digest.
        recipe: whose champion.

    Returns:
        `ok`; `problems`, one line each; `chain`, an entry for each artifact from the release back to the source, with
        asset, digest, manifest, run, inputs, external inputs and whether the content still hashes to its name.
    """
    problems = ledger.problems()
    champion = ledger.champion(recipe)
    if champion is None:
        return {"ok": False, "problems": [*problems, f"{recipe} has no champion"], "chain": []}
    recorded = {e.body["manifest"] for e in ledger.entries(recipe, "materialization")}
    chain: list[dict[str, Any]] = []
    seen = {champion["manifest"]}
    queue = [(f"{recipe}/release", champion["digest"], champion["manifest"])]
    while queue:
        asset, digest, identity = queue.pop(0)
        found: list[str] = []
        manifest = _manifest(store, asset, digest, identity, found)
        if identity not in recorded:
            found.append(f"{asset}: the ledger has no entry for manifest {identity[:12]}")
        found += _content_problems(store, asset, digest)
        problems += found
        chain.append(_link(asset, digest, identity, manifest, whole=not found))
        for name, item in manifest.inputs.items() if manifest else ():
            if item.manifest not in seen:
                seen.add(item.manifest)
                queue.append((name, item.digest, item.manifest))
    from_outside = {asset_and_batch(link["asset"])[0] for link in chain if link["external_inputs"]}
    for stage, what in (("source", "source file"), ("teacher", "weights that the teacher began with")):
        if f"{recipe}/{stage}" not in from_outside:
            problems.append(f"the walk does not reach any {what}")
    return {"ok": not problems, "problems": problems, "chain": chain}


def _manifest(store: ArtifactStore, asset: str, digest: str, identity: str, found: list[str]) -> Manifest | None:
    try:
        manifest = store.read_manifest(digest, identity)
    except (StillhouseError, ValueError) as error:
        found.append(f"{asset}: {' '.join(str(error).split())}")
        return None
    if (manifest.address, manifest.digest) != (asset, digest):
        found.append(f"{asset}: its manifest is of {manifest.address} {manifest.digest[:12]}")
    return manifest


def _content_problems(store: ArtifactStore, asset: str, digest: str) -> list[str]:
    try:
        store.open(digest)
    except StillhouseError as error:
        return [f"{asset}: {error}"]
    return []


def _link(asset: str, digest: str, identity: str, manifest: Manifest | None, *, whole: bool) -> dict[str, Any]:
    return {
        "asset": asset,
        "digest": digest,
        "manifest": identity,
        "run_id": manifest.run_id if manifest else None,
        "created_at": manifest.created_at if manifest else None,
        "inputs": {name: item.digest for name, item in manifest.inputs.items()} if manifest else {},
        "external_inputs": manifest.external_inputs if manifest else {},
        "relied_on": len(manifest.relied_on) if manifest else 0,
        "verified": whole,
    }
