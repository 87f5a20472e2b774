"""The bytes of one artifact: whether its manifest and its files are what they are named for.

Belongs here: hashing an artifact again, and what is in it that is no plain file.
Does not: which artifacts are on the way (walk.py), whether the ledger knows them (walk.py).
"""

import os
import tempfile
from collections.abc import Iterable
from pathlib import Path

from stillhouse.audit.words import one_line
from stillhouse.errors import MachineError, StillhouseError
from stillhouse.records.artifacts import ArtifactStore
from stillhouse.records.manifest import Manifest


def altered(store: ArtifactStore, artifacts: Iterable[tuple[str, str, str]]) -> list[str]:
    """Hash artifacts again and say, one line each, which are not what they are named for.

    Args:
        store: where they are.
        artifacts: address, digest and identity of the manifest of each.
    """
    problems: list[str] = []
    with tempfile.TemporaryDirectory() as cache:
        fresh = ArtifactStore(str(store.root), cache=Path(cache), workbench=store.workbench)
        for asset, digest, identity in artifacts:
            manifest_of(fresh, asset, digest, identity, problems)
            problems += content_problems(fresh, asset, digest)
    return problems


def manifest_of(store: ArtifactStore, asset: str, digest: str, identity: str, found: list[str]) -> Manifest | None:
    """Read a manifest and add to `found` what is wrong with it; None if it cannot be read."""
    try:
        manifest = store.read_manifest(digest, identity)
    except (StillhouseError, ValueError) as error:
        found.append(f"{asset}: {one_line(error)}")
        return None
    if (manifest.address, manifest.digest) != (asset, digest):
        found.append(f"{asset}: its manifest is of {manifest.address} {manifest.digest[:12]}")
    return manifest


def content_problems(store: ArtifactStore, asset: str, digest: str) -> list[str]:
    """What is wrong with the files of an artifact, which are hashed again where the store has not hashed them."""
    problems = []
    if store.is_local:
        problems = [f"{asset}: {problem}" for problem in _no_plain_files(Path(str(store.root)) / digest)]
    try:
        store.open(digest)
    except MachineError:
        raise
    except StillhouseError as error:
        problems.append(f"{asset}: {one_line(error)}")
    return problems


def _no_plain_files(artifact: Path) -> list[str]:
    """What is below an artifact and is neither a file nor a folder: a link's target is outside and may change."""
    found = [] if not artifact.is_symlink() else [f"{artifact} is a link"]
    for folder, folders, files in os.walk(artifact):
        for path in (Path(folder) / name for name in sorted([*folders, *files])):
            if path.is_symlink():
                found.append(f"{path.relative_to(artifact)} is a link to {os.readlink(path)}")
            elif not path.is_file() and not path.is_dir():
                found.append(f"{path.relative_to(artifact)} is neither a file nor a folder")
    return found
