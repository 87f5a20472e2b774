"""The content-addressed store of artifacts, and of the files from outside that they were made from.

Belongs here: publishing a folder under its digest, keeping a file from outside, reading both back verified, remembering
which build gave which digest.
Does not: what is inside an artifact, which one is current (the ledger), how a local file is written (files.py).

Layout under the root, a local folder or any fsspec URL:

    <digest>/files/...                  the content, never written again
    <digest>/manifests/<identity>.json  one for every time it was made or found again
    builds/<build key>.json             which digest a build gave
    kept/<digest>                       a file from outside, as it was when it was read
    set_aside/                          what was cut, edited or forged, and was made again

On a local disk a folder is built aside and renamed; on an object store, which has no rename, the manifest goes last and
an artifact without a manifest does not exist. Either way a kill at any moment leaves the old state or the new one.
"""

import errno
import functools
import hashlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO
from uuid import uuid4

from pydantic import ValidationError
from upath import UPath

from stillhouse import progress
from stillhouse.digests import digest_of, digest_of_file, digest_of_folder, entries_below, files_below, links_below
from stillhouse.errors import MachineError, StillhouseError
from stillhouse.files import (
    SET_ASIDE,
    make_folder,
    move_into_place,
    plain_disk_errors,
    plain_full_disk,
    set_aside,
    sync_file,
    sync_folder,
)
from stillhouse.records.manifest import Manifest
from stillhouse.stores import fetch, is_local, place_at, send, write_at

_CHUNK = 1 << 20
_KEPT = "kept"


@dataclass(frozen=True)
class Built:
    """What a build gave earlier."""

    digest: str
    identity: str
    manifest: Manifest


class ArtifactStore:
    """Immutable artifacts by digest.

    Args:
        root: folder or fsspec URL of the store.
        cache: local folder for copies of remote artifacts.
        workbench: local folder where artifacts are built before they are published.
    """

    def __init__(self, root: str, *, cache: Path, workbench: Path) -> None:
        self.root = place_at(root)
        self.is_local = is_local(self.root)
        self.cache = cache
        self.workbench = workbench
        self._hashed: dict[Path, tuple[object, str]] = {}
        self._read: dict[tuple[str, str], Manifest] = {}

    @contextmanager
    def building(self) -> Iterator[Path]:
        """Give an empty folder to build an artifact in, and remove what is left of it afterwards."""
        folder = self._empty_folder()
        try:
            with plain_full_disk(self.workbench):
                yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _empty_folder(self) -> Path:
        with plain_disk_errors(self.workbench):
            make_folder(self.workbench)
            return Path(tempfile.mkdtemp(dir=self.workbench))

    def publish(self, folder: Path) -> str:
        """Move a finished folder into the store and return its digest; publishing the same again changes nothing.

        Raises:
            StillhouseError: if there is a link in it, whose bytes would be outside the store.
        """
        for link in links_below(folder):
            raise StillhouseError(
                f"{link.relative_to(folder)} is a link to {link.readlink()}",
                where=str(folder),
                expected="files, whose bytes can be hashed and cannot change afterwards",
                do="Write a copy of what it points to.",
            )
        digest = digest_of_folder(folder)
        target = self.root / digest / "files"
        if self._is_whole(digest):
            return digest
        if self.is_local:
            with plain_disk_errors(Path(str(target))):
                is_placed = _publish_by_rename(folder, Path(str(self.root)) / digest)
            if not is_placed:  # another process was faster: what it published is looked at like any that is there
                return self.publish(folder)
        else:
            for path in files_below(folder):
                send(path, target / path.relative_to(folder).as_posix())
        return digest

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
        if found != digest and not self.is_local:  # the copy may be damaged and not the store: fetched once more
            shutil.rmtree(folder)
            found = self._digest_now(self._download(digest))
        if found != digest:
            raise StillhouseError(
                f"the content was altered: it now hashes to {found[:12]}",
                where=str(source),
                expected=f"content with digest {digest[:12]}",
                do=_REMAKE,
            )
        return folder

    def _is_whole(self, digest: str) -> bool:
        return self._is_usable(self.root / digest / "files", self.open, digest)

    def _is_kept(self, digest: str) -> bool:
        return self._is_usable(self.root / _KEPT / digest, self.kept, digest)

    def _is_usable(self, place: UPath, opened: Callable[[str], Path], digest: str) -> bool:
        """Whether content is there and what its name says; altered content is set aside."""
        if not place.exists():
            return False
        try:
            opened(digest)
        except MachineError:
            raise
        except StillhouseError as error:
            self._set_aside(place, f"cannot be used ({error.what})")
            return False
        return True

    def _digest_now(self, place: Path) -> str:
        """Hash a file or folder, again only if the system says that something in it has changed since the last time."""
        seen = [_status(path) for path in ([place] if place.is_file() else entries_below(place))]
        known = self._hashed.get(place)
        if known is None or known[0] != seen:
            found = digest_of_file(place) if place.is_file() else digest_of_folder(place)
            self._hashed[place] = known = (seen, found)
        return known[1]

    def _download(self, digest: str) -> Path:
        target = self.cache / digest
        if target.exists():
            return target
        with plain_disk_errors(self.cache):
            make_folder(self.cache)
            partial = Path(tempfile.mkdtemp(dir=self.cache))
        try:
            base = self.root / digest / "files"
            for path in base.fs.find(base.path):
                name = path.removeprefix(base.path).lstrip("/")
                fetch(base / name, partial / name)
            partial.rename(target)
        except OSError:
            if not target.exists():  # else another process was faster
                raise
        finally:
            shutil.rmtree(partial, ignore_errors=True)
        return target

    def keep(self, source: Path | IO[bytes]) -> str:
        """Keep the bytes of a file from outside, so that what was hashed is what is read, now and by an audit.

        A file that is kept already is hashed and not copied again. Else it is copied once, hashed on the way: `kept` of
        the digest gives the bytes that the digest is of, whatever happens to the source in the meantime.

        Args:
            source: a local file, or a stream of bytes such as an object in a bucket.

        Returns:
            SHA-256 of the bytes, as 64 hex digits.
        """
        if isinstance(source, Path):
            digest = digest_of_file(source)
            if self._is_kept(digest):
                return digest
            with source.open("rb") as stream:
                return self.keep(stream)
        with self.building() as folder:
            copy = folder / "copy"
            digest = _copy(source, copy)
            if self._is_kept(digest):
                return digest
            target = self.root / _KEPT / digest
            if self.is_local:
                path = Path(str(target))
                with plain_disk_errors(path):
                    make_folder(path.parent)
                    copy.chmod(0o400)  # it may hold rows that nobody else on this machine may see
                    move_into_place(copy, path)
            else:
                send(copy, target)
        return digest

    def kept(self, digest: str) -> Path:
        """Return a local copy of a file that was kept, after hashing it.

        Raises:
            StillhouseError: if it was never kept, or was altered since.
        """
        source = self.root / _KEPT / digest
        if not source.exists():
            raise StillhouseError(
                "these bytes from outside were not kept",
                where=str(source),
                expected="a file that was read from outside and kept",
                do="Run the stage that reads it again; installations of version 0.1.0 kept none.",
            )
        path = Path(str(source)) if self.is_local else self._download_kept(digest)
        found = self._digest_now(path)
        if found != digest and not self.is_local:
            path.unlink()
            found = self._digest_now(self._download_kept(digest))
        if found != digest:
            raise StillhouseError(
                f"these bytes from outside were altered: they now hash to {found[:12]}",
                where=str(source),
                expected=f"content with digest {digest[:12]}",
                do="Run the stage that reads it again: the altered copy is set aside and the source is kept again.",
            )
        return path

    def _download_kept(self, digest: str) -> Path:
        path = self.cache / _KEPT / digest
        if not path.exists():
            fetch(self.root / _KEPT / digest, path)
        return path

    def write_manifest(self, manifest: Manifest) -> str:
        """Store a manifest beside its artifact and return the manifest's identity."""
        identity = manifest.identity
        write_at(self._manifest_path(manifest.digest, identity), manifest.model_dump_json(indent=1).encode())
        return identity

    def read_manifest(self, digest: str, identity: str) -> Manifest:
        """Read one manifest back; from elsewhere it is fetched once for each store object, as artifacts are.

        Raises:
            StillhouseError: if it is absent or was edited.
        """
        known = self._read.get((digest, identity))
        if known is not None:
            return known
        path = self._manifest_path(digest, identity)
        try:
            content = path.fs.cat_file(path.path)  # one request, where opening it would be three
        except FileNotFoundError as error:
            raise StillhouseError(
                "the manifest is missing", where=str(path), expected="a manifest", do=_REMAKE
            ) from error
        try:
            manifest, found = _manifest_in(content)
        except ValidationError as error:
            raise StillhouseError(
                "the manifest is cut, or Stillhouse did not write it",
                where=str(path),
                expected=f"a record with digest {identity[:12]}",
                do=_REMAKE,
            ) from error
        if found != identity:
            raise StillhouseError(
                "the manifest was edited", where=str(path), expected=f"a record with digest {identity[:12]}", do=_REMAKE
            )
        if not self.is_local:
            self._read[digest, identity] = manifest
        return manifest

    def remember_build(self, build_key: str, digest: str, identity: str) -> None:
        """Remember what a build gave; its manifest has to be in the ledger by then."""
        write_at(self._build_path(build_key), json.dumps({"digest": digest, "manifest": identity}).encode())

    def find_build(self, build_key: str, *, is_recorded: Callable[[str, str], bool]) -> Built | None:
        """Return what this build gave before, if every record of it holds; else it has to be made again.

        A build entry says only where to look. It counts if the manifest that it names is whole, is of this very build
        and is in the ledger, and the content is what its digest says. Whatever does not fit is set aside.

        Args:
            build_key: digest of all that the content depends on.
            is_recorded: whether the ledger knows an artifact by this digest and this manifest.
        """
        path = self._build_path(build_key)
        if not path.exists():
            return None
        found = self._read_build(path.read_bytes(), build_key, is_recorded)
        if isinstance(found, str):
            self._set_aside(path, found)
            return None
        return found if self._is_whole(found.digest) else None

    def _read_build(self, content: bytes, build_key: str, is_recorded: Callable[[str, str], bool]) -> Built | str:
        """What a build entry stands for, or what is wrong with it, as a clause."""
        entry = _build_entry(content)
        if entry is None:
            return "is not a complete build entry"
        digest, identity = entry
        try:
            manifest = self.read_manifest(digest, identity)
        except MachineError:
            raise
        except StillhouseError as error:
            written = self._manifest_path(digest, identity)
            if written.exists():
                self._set_aside(written, f"cannot be used ({error.what})")
            return f"names manifest {identity[:12]}, which cannot be used ({error.what})"
        if manifest.digest != digest or manifest.build_key != build_key or manifest.made_by is not None:
            return "names a manifest of another build"
        if not is_recorded(digest, identity):
            return f"names manifest {identity[:12]}, which is not in the ledger"
        return Built(digest, identity, manifest)

    def _set_aside(self, path: UPath, why: str) -> None:
        name = path.path.removeprefix(self.root.path).strip("/").replace("/", "-")
        if self.is_local:
            set_aside(Path(str(path)), why, where=Path(str(self.root)) / SET_ASIDE, name=name)
            return
        target = self.root / SET_ASIDE / f"{name}.{uuid4().hex[:8]}"
        target.parent.mkdir(parents=True, exist_ok=True)
        self.root.fs.mv(path.path, target.path, recursive=path.is_dir())
        progress.remark(f"{path} {why}: moved to {target}, made again")

    def _manifest_path(self, digest: str, identity: str) -> UPath:
        return self.root / digest / "manifests" / f"{identity}.json"

    def _build_path(self, build_key: str) -> UPath:
        return self.root / "builds" / f"{build_key}.json"


def build_key(stage: str, code_version: str, **parts: object) -> str:
    """Digest everything a build depends on: the stage, the version of its code, its configuration and its inputs."""
    return digest_of({"stage": stage, "code_version": code_version, **parts})


@functools.lru_cache(maxsize=256)
def _manifest_in(content: bytes) -> tuple[Manifest, str]:
    """The record that these bytes are, and its identity; each look at a recipe reads those of all its assets again."""
    manifest = Manifest.model_validate_json(content)
    return manifest, manifest.identity


def _build_entry(content: bytes) -> tuple[str, str] | None:
    """Digest and manifest that a build entry names, or None if it is not such an entry."""
    try:
        entry = json.loads(content)
    except ValueError:
        return None
    if not isinstance(entry, dict):
        return None
    digest, identity = (str(entry.get(name)) for name in ("digest", "manifest"))
    return (digest, identity) if _IS_DIGEST.fullmatch(digest) and _IS_DIGEST.fullmatch(identity) else None


def _copy(source: IO[bytes], target: Path) -> str:
    """Copy a stream to a file that survives a power cut, and digest what was copied."""
    digest = hashlib.sha256()
    with target.open("wb") as file:
        while chunk := source.read(_CHUNK):
            digest.update(chunk)
            file.write(chunk)
        file.flush()
        os.fsync(file.fileno())
    return digest.hexdigest()


def _status(path: Path) -> tuple[Path, int, int, int, int, int]:
    """What the system changes when a file does; nobody can set the time of change (ctime) back."""
    found = path.lstat()
    return path, found.st_ino, found.st_mode, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def _publish_by_rename(folder: Path, target: Path) -> bool:
    """Move a folder into its place; False, and the folder stays, where something stands there by now."""
    for path in files_below(folder):
        sync_file(path)
        path.chmod(0o444)
    for inner in sorted({path.parent for path in files_below(folder)} | {folder}, reverse=True):
        sync_folder(inner)
    make_folder(target)
    try:
        move_into_place(folder, target / "files")
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):  # rename(2): either one, by file system
            raise
        return False
    folder.mkdir()
    return True


_IS_DIGEST = re.compile("[0-9a-f]{64}")
_REMAKE = "Materialize the asset again; a build whose artifact is gone or altered is made again."
