"""The content-addressed store of artifacts.

Belongs here: publishing a folder under its digest, reading it back verified, remembering which build gave which digest.
Does not: what is inside an artifact, and which one is current (that is an event in Dagster and in the ledger).

Layout under the root, a local folder or any fsspec URL:

    <digest>/files/...                  the content, never written again
    <digest>/manifests/<identity>.json  one for every time it was made or found again
    builds/<build key>.json             which digest a build gave

On a local disk a folder is built aside and renamed; on an object store, which has no rename, the manifest goes last and
an artifact without a manifest does not exist. Either way a kill at any moment leaves the old state or the new one.
"""

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from upath import UPath

from stillhouse.digests import digest_of, digest_of_folder, files_below
from stillhouse.errors import StillhouseError
from stillhouse.manifest import Manifest


@dataclass(frozen=True)
class Built:
    """What a build gave earlier."""

    digest: str
    manifest: str


class ArtifactStore:
    """Immutable artifacts by digest.

    Args:
        root: folder or fsspec URL of the store.
        cache: local folder for copies of remote artifacts.
        workbench: local folder where artifacts are built before they are published.
    """

    def __init__(self, root: str, *, cache: Path, workbench: Path) -> None:
        self.root = UPath(root)
        self.is_local = self.root.protocol in ("", "file")
        self.cache = cache
        self.workbench = workbench
        self._hashed: dict[Path, tuple[object, str]] = {}

    @contextmanager
    def building(self) -> Iterator[Path]:
        """Give an empty folder to build an artifact in, and remove what is left of it afterwards."""
        self.workbench.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(dir=self.workbench))
        try:
            yield folder
        except OSError as error:
            if error.errno is not None and os.strerror(error.errno) in (os.strerror(28), os.strerror(122)):
                raise StillhouseError(
                    f"no space left while building an artifact ({error.strerror})",
                    where=str(self.workbench),
                    expected="room for the artifact; nothing was published",
                    do="Free space or point STILLHOUSE_HOME at a larger disk, then run again.",
                ) from error
            raise
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def publish(self, folder: Path) -> str:
        """Move a finished folder into the store and return its digest; publishing the same again changes nothing."""
        digest = digest_of_folder(folder)
        target = self.root / digest / "files"
        if target.exists() and (not self.is_local or self._intact(digest)):
            return digest
        if self.is_local:
            _publish_by_rename(folder, Path(str(self.root)) / digest)
        else:
            for path in files_below(folder):
                remote = target / path.relative_to(folder).as_posix()
                remote.parent.mkdir(parents=True, exist_ok=True)
                remote.write_bytes(path.read_bytes())
        return digest

    def _intact(self, digest: str) -> bool:
        return self._digest_now(Path(str(self.root / digest / "files"))) == digest

    def _digest_now(self, folder: Path) -> str:
        """Hash a folder, again only if a name, size or time in it has changed since this store hashed it."""
        seen = [(path, path.stat().st_size, path.stat().st_mtime_ns) for path in files_below(folder)]
        known = self._hashed.get(folder)
        if known is None or known[0] != seen:
            self._hashed[folder] = known = (seen, digest_of_folder(folder))
        return known[1]

    def open(self, digest: str) -> Path:
        """Return the local folder of an artifact after hashing every byte of it, once for each store object.

        Raises:
            StillhouseError: if it is absent, or its content is no longer what its name says.
        """
        source = self.root / digest / "files"
        if not source.exists():
            raise StillhouseError(
                "the artifact is not in the store", where=str(source), expected="a published artifact", do=_REMAKE
            )
        folder = Path(str(source)) if self.is_local else self._download(digest)
        found = self._digest_now(folder)
        if found != digest:
            if not self.is_local:
                shutil.rmtree(folder)
            raise StillhouseError(
                f"the content was altered: it now hashes to {found[:12]}",
                where=str(source),
                expected=f"content with digest {digest[:12]}",
                do=_REMAKE,
            )
        return folder

    def _download(self, digest: str) -> Path:
        target = self.cache / digest
        if not target.exists():
            self.cache.mkdir(parents=True, exist_ok=True)
            partial = Path(tempfile.mkdtemp(dir=self.cache))
            base = self.root / digest / "files"
            for path in base.rglob("*"):
                if path.is_file():
                    local = partial / path.path.removeprefix(base.path).lstrip("/")
                    local.parent.mkdir(parents=True, exist_ok=True)
                    local.write_bytes(path.read_bytes())
            partial.rename(target)
        return target

    def write_manifest(self, manifest: Manifest) -> str:
        """Store a manifest beside its artifact, then remember the build; return the manifest's identity."""
        identity = manifest.identity
        self._write(self.root / manifest.digest / "manifests" / f"{identity}.json", manifest.model_dump_json(indent=1))
        if manifest.made_by is None:
            built = {"digest": manifest.digest, "manifest": identity}
            self._write(self._build_path(manifest.build_key), json.dumps(built))
        return identity

    def read_manifest(self, digest: str, identity: str) -> Manifest:
        """Read one manifest back.

        Raises:
            StillhouseError: if it is absent or was edited.
        """
        path = self.root / digest / "manifests" / f"{identity}.json"
        if not path.exists():
            raise StillhouseError("the manifest is missing", where=str(path), expected="a manifest", do=_REMAKE)
        manifest = Manifest.model_validate_json(path.read_text())
        if manifest.identity != identity:
            raise StillhouseError(
                "the manifest was edited", where=str(path), expected=f"a record with digest {identity[:12]}", do=_REMAKE
            )
        return manifest

    def find_build(self, build_key: str) -> Built | None:
        """Return what this build gave before, if its artifact is still whole; otherwise it has to be made again."""
        path = self._build_path(build_key)
        if not path.exists():
            return None
        built = Built(**json.loads(path.read_text()))
        present = (self.root / built.digest / "files").exists()
        whole = present and (not self.is_local or self._intact(built.digest))
        return built if whole else None

    def _build_path(self, build_key: str) -> UPath:
        return self.root / "builds" / f"{build_key}.json"

    def _write(self, path: UPath, text: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        if self.is_local:
            write_atomically(Path(str(path)), text.encode())
        else:
            path.write_text(text)


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file so that a reader, or a kill, sees all of it or none of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{uuid4().hex}")
    try:
        with partial.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def build_key(stage: str, code_version: str, **parts: object) -> str:
    """Digest everything a build depends on: the stage, the version of its code, its configuration and its inputs."""
    return digest_of({"stage": stage, "code_version": code_version, **parts})


def _publish_by_rename(folder: Path, target: Path) -> None:
    for path in files_below(folder):
        with path.open("rb") as file:
            os.fsync(file.fileno())
        path.chmod(0o444)
    target.mkdir(parents=True, exist_ok=True)
    files = target / "files"
    if files.exists():  # altered content under this name: the honest copy takes its place
        shutil.rmtree(files)
    folder.rename(files)
    folder.mkdir()


_REMAKE = "Materialize the asset again; a build whose artifact is gone or altered is made anew."
