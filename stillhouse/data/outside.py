"""Files outside, as they lie there: keeping their bytes, noticing that they changed, listing a drop folder.

Belongs here: what is done with a file before anything in it is looked at.
Does not: addresses and opening (places.py), taking bytes for rows (sources.py), which dropped files can be taken in
(drop_folder.py).
"""

import json
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from stillhouse.data.limits import within_size
from stillhouse.data.places import Place, find_places, local_path, plain_read_errors, remote
from stillhouse.digests import digest_of_file
from stillhouse.errors import StillhouseError
from stillhouse.recipe.data import Limits
from stillhouse.records.artifacts import ArtifactStore

_UNFINISHED = ("~", ".tmp", ".temp", ".part", ".partial", ".filepart", ".crdownload", ".download", ".swp", ".lock")
# What object stores call a hash or version of the content, best first.
_CONTENT_MARKS = ("ETag", "etag", "md5Hash", "content_md5", "checksum", "blob_id", "version_id")
_TIME_MARKS = ("LastModified", "last_modified", "mtime", "updated", "created")


@dataclass(frozen=True)
class Outside:
    """Files from outside as they were when they were read, which happens once.

    Args:
        digests: SHA-256 of the bytes of each file, by its address; the bytes are kept under it.
        marks: of each file that is not on this machine, what its store called the content just before it was read.
    """

    digests: Mapping[str, str]
    marks: Mapping[str, str]

    @property
    def content(self) -> str:
        """One digest for the content of all files, in the order of their addresses."""
        return _digest_of_all(list(self.digests.values()))

    def kept(self, store: ArtifactStore) -> dict[str, Path]:
        """Where the bytes of each file are kept, hashed again, by its address."""
        return {address: store.kept(digest) for address, digest in self.digests.items()}


def read_outside(
    uri: str, store: ArtifactStore, *, root: str | Path | None = None, limits: Limits | None = None
) -> Outside:
    """Read every file behind an address once, and keep its bytes: whatever is parsed afterwards is what was hashed.

    Args:
        uri: see `sources.read_rows`.
        store: where the bytes are kept.
        root: folder that a relative path starts from; the working directory when None.
        limits: how much of a file that is not on this machine is fetched at most; the defaults of a recipe when None.

    Raises:
        StillhouseError: if there is nothing to read, it is over the limit or cannot be read, or no room is left.
    """
    digests, marks = {}, {}
    for place in find_places(uri, root, limits=limits):
        with plain_read_errors(place.uri, "a file that can be read"):
            if place.path is not None:
                digests[place.uri] = store.keep(place.path)
                continue
            marks[place.uri] = _remote_digest(place.uri)
            with remote(place).open("rb") as stream:
                digests[place.uri] = store.keep(within_size(stream, place.limits, place.uri))
    return Outside(digests, marks)


def digests_now(uri: str, *, root: str | Path | None = None) -> dict[str, str]:
    """Digest each file behind an address without keeping it, to see whether it was changed.

    Local files are hashed. Elsewhere the store's own mark of the content is taken (ETag, MD5, version); only where it
    keeps none, size and time of change.

    Returns:
        SHA-256 by address, as 64 hex digits.

    Raises:
        StillhouseError: if the source does not exist, or its store gives neither a digest nor a time of change.
    """
    places = find_places(uri, root)
    return {place.uri: digest_of_file(place.path) if place.path else _remote_digest(place.uri) for place in places}


@dataclass(frozen=True)
class FolderEntry:
    """One file in a drop folder, as a listing shows it.

    Args:
        name: of the file; bytes that are no UTF-8 are kept as surrogates.
        address: how to open it.
        mark: of size and time of change, or what an object store calls the content; it changes while a file grows.
        size: in bytes.
        is_local: whether it is a file of this machine.
    """

    name: str
    address: str
    mark: str
    size: int
    is_local: bool

    def keep(self, store: ArtifactStore, limits: Limits) -> str:
        """Keep the bytes of the file as they are now, and return their digest.

        Raises:
            StillhouseError: if it cannot be read, or is fetched from elsewhere and over the limit.
        """
        if self.is_local:
            return store.keep(Path(self.address))
        with (
            plain_read_errors(self.address, "a file that can be read"),
            remote(Place(self.address, None)).open("rb") as raw,
        ):
            return store.keep(within_size(raw, limits, self.address))


def drop_folder_entries(folder: str) -> list[FolderEntry]:
    """List the files in a drop folder, by name.

    Folders are left out, and hidden files, and those whose name says that a program is still writing them (`.tmp`,
    `.part`, `~` and the like).

    Args:
        folder: a local folder or an fsspec prefix such as `s3://bucket/inbox`; a prefix without files is empty.

    Raises:
        StillhouseError: if a local folder does not exist or is a file.
    """
    if "://" in folder and not folder.startswith("file://"):
        found = _remote_entries(folder)
    else:
        path = local_path(folder, None)
        if not path.is_dir():
            raise StillhouseError(
                "the drop folder is a file" if path.exists() else "the drop folder does not exist",
                where=folder,
                expected="a folder",
                do="Create it, or change `drop_folder` in the recipe.",
            )
        found = _local_entries(path)
    return sorted((entry for entry in found if not _unfinished(entry.name)), key=lambda entry: entry.name)


def _digest_of_all(digests: Sequence[str]) -> str:
    return digests[0] if len(digests) == 1 else sha256("\n".join(digests).encode()).hexdigest()


def _unfinished(name: str) -> bool:
    return name.startswith((".", "_", "~")) or name.lower().endswith(_UNFINISHED)


def _local_entries(folder: Path) -> list[FolderEntry]:
    found = []
    for item in folder.iterdir():
        try:
            status = item.stat()
        except FileNotFoundError:  # taken away while the folder was read, or a link to nothing
            continue
        if stat.S_ISREG(status.st_mode):
            mark = f"{status.st_size} {status.st_mtime_ns}"
            found.append(FolderEntry(item.name, str(item), mark, status.st_size, is_local=True))
    return found


def _remote_entries(folder: str) -> list[FolderEntry]:
    prefix = remote(Place(folder, None))
    with plain_read_errors(folder, "a folder that can be listed"):
        files = [item for item in prefix.iterdir() if item.is_file()] if prefix.exists() else []
        return [
            FolderEntry(item.name, str(item), _mark(facts, str(item)), int(facts.get("size") or 0), is_local=False)
            for item in files
            for facts in [item.fs.info(item.path)]
        ]


def _mark(facts: Mapping[str, Any], uri: str) -> str:
    """Size and what a store calls the content, or else when it was changed."""
    content = next((f"{mark}={facts[mark]}" for mark in _CONTENT_MARKS if facts.get(mark)), None)
    changed = next((f"{mark}={facts[mark]}" for mark in _TIME_MARKS if facts.get(mark)), None)
    if not (content or changed):
        raise StillhouseError(
            "its store gives neither a digest nor a time of change",
            where=uri,
            expected="an ETag, MD5, version or modification time",
            do="Copy the file to a folder or an object store and name that.",
        )
    return json.dumps([facts.get("size"), content or changed])


def _remote_digest(uri: str) -> str:
    with plain_read_errors(uri, "a file that can be looked up"):
        path = remote(Place(uri, None))
        facts = path.fs.info(path.path)
    return sha256(_mark(facts, uri).encode()).hexdigest()
