"""A witness remembers heads of the ledger in a place outside the state, which only grows.

Belongs here: writing a head there and reading heads back.
Does not: comparing them with the ledger (audit/), signing (keys.py).

A ledger alone proves order and not history: who can replace it can replace all of it. What somebody else remembers of
it stays. A local witness is a file with one JSON line for each head; on an object store each head is
an object of its own, so that a bucket with object lock keeps them from everybody.
"""

import fcntl
import json
import os
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import platformdirs
import sqlalchemy as sa
from pydantic import ValidationError
from upath import UPath

from stillhouse.base import Record
from stillhouse.digests import digest_of
from stillhouse.errors import StillhouseError
from stillhouse.home import setting
from stillhouse.stores import place_at

FILE = "witness.ndjson"


class WitnessedHead(Record):
    """A head of a ledger, as it was when a release was promoted."""

    place: str
    beginning: str
    sequence: int
    digest: str
    at: str
    recipe: str
    release: str
    key: str | None = None
    signature: str | None = None


@dataclass(frozen=True)
class Memory:
    """What a witness gave back.

    Args:
        heads: in the order in which they were remembered.
        unreadable: names of lines or objects that are no heads.
    """

    heads: tuple[WitnessedHead, ...]
    unreadable: tuple[str, ...] = ()


class Witness:
    """The witness at one address.

    Args:
        address: a local file or folder, or any fsspec URL such as `s3://bucket/prefix`.
        is_default: whether nobody chose the address; such a witness need not know a ledger that was copied here.
    """

    def __init__(self, address: str, *, is_default: bool = False) -> None:
        self.is_default = is_default
        self.name = _without_credentials(address)
        self._address = address

    @classmethod
    def from_environment(cls) -> "Witness":
        """The one at STILLHOUSE_WITNESS, or a file in the user's data folder."""
        chosen = setting("STILLHOUSE_WITNESS")
        if chosen:
            return cls(chosen)
        return cls(str(platformdirs.user_data_path("stillhouse", appauthor=False) / FILE), is_default=True)

    def remember(self, head: WitnessedHead) -> None:
        """Add a head, unless it is remembered already.

        Raises:
            StillhouseError: if the witness cannot be reached or written.
        """
        line = json.dumps(head.model_dump(), sort_keys=True)
        try:
            root = place_at(self._address)
            if _is_local(root):
                _append(_file(root), line)
            else:
                _put(root, head, line)
        except Exception as error:  # each fsspec backend raises errors of its own
            raise self._unreached(error) from error

    def memory(self) -> Memory:
        """Everything that is remembered.

        Raises:
            StillhouseError: if the witness cannot be reached or read.
        """
        try:
            root = place_at(self._address)
            texts = _lines(_file(root)) if _is_local(root) else _objects(root)
        except Exception as error:  # each fsspec backend raises errors of its own
            raise self._unreached(error) from error
        heads, unreadable = [], []
        for name, text in texts:
            try:
                heads.append(WitnessedHead.model_validate_json(text))
            except ValidationError:
                unreadable.append(name)
        if not _is_local(root):  # a file keeps the order in which it grew, names of objects do not
            heads.sort(key=lambda head: head.at)
        return Memory(tuple(heads), tuple(unreadable))

    def _unreached(self, error: Exception) -> StillhouseError:
        return StillhouseError(
            f"the witness cannot be reached ({type(error).__name__}: {' '.join(str(error).split())})",
            where=self.name,
            expected="a place that can be written and read",
            do="Set STILLHOUSE_WITNESS to another place or make this one reachable, then promote again.",
        )


def place_of(url: str) -> str:
    """Name the place of a ledger without the credentials in its URL."""
    parsed = sa.make_url(url)
    query = f"?{digest_of(sorted(map(str, parsed.query.items())))[:8]}" if parsed.query else ""
    bare = sa.URL.create(parsed.drivername, host=parsed.host, port=parsed.port, database=parsed.database)
    return bare.render_as_string() + query


def _is_local(root: UPath) -> bool:
    return root.protocol in ("", "file", "local")


def _file(root: UPath) -> Path:
    path = Path(root.path).expanduser()
    return path / FILE if path.is_dir() else path


def _put(root: UPath, head: WitnessedHead, line: str) -> None:
    ledger = digest_of([head.place, head.beginning])[:16]
    path = root / ledger / f"{head.sequence:012}-{digest_of(line)[:16]}.json"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(line)


def _objects(root: UPath) -> list[tuple[str, str]]:
    return [(path.name, path.read_text()) for path in sorted(root.glob("*/*.json"), key=lambda path: path.path)]


def _append(path: Path, line: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        content = file.read()
        if line.encode() in content.splitlines():
            return
        torn = content and not content.endswith(b"\n")  # a writer was killed in the middle of a line
        file.write((b"\n" if torn else b"") + line.encode() + b"\n")
        file.flush()
        os.fsync(file.fileno())


def _lines(path: Path) -> list[tuple[str, str]]:
    if not path.exists():
        return []
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    return [(f"line {number}", line) for number, line in enumerate(lines, start=1)]


def _without_credentials(address: str) -> str:
    parts = urlsplit(address)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", "")) if parts.scheme else address
