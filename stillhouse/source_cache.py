"""What was read from our source files, kept from one process to the next beside Python's own bytecode.

Belongs here: the file it is kept in, by the content of the source that it was read from.
Does not: reading source (source_code.py).

Parsing all of our modules takes two seconds, which each run and each command would pay before it does anything. As with
bytecode, a cache that cannot be read or written costs that time and nothing else.
"""

import functools
import importlib.util
import sys
from pathlib import Path

from pydantic import Field, TypeAdapter, ValidationError

from stillhouse.base import Record
from stillhouse.errors import StillhouseError
from stillhouse.files import write_atomically

AT_MOST = 2_000
"""Sources remembered; with more of them those of earlier versions are let go."""


class SourceRead(Record):
    """What one source file says."""

    digest: str = Field(description="Of its syntax tree without docstrings.")
    modules: tuple[str, ...] = Field(description="Dotted names of `import a.b`.")
    names: tuple[tuple[str, str], ...] = Field(description="Module and name of each `from a import b`.")
    uses: tuple[str, ...] = Field(description="Names and attributes in what it runs, these also after a dot.")
    looks_around: bool = Field(description="Whether it reads its own `__path__`.")


_Kept = TypeAdapter(dict[str, SourceRead])
_read_here: dict[str, SourceRead] = {}


def known(content_digest: str) -> SourceRead | None:
    """What was read from a source of this content, in this process or an earlier one."""
    return _read_here.get(content_digest) or _of_earlier_processes().get(content_digest)


def remember(content_digest: str, read: SourceRead) -> None:
    """Keep what was read, in this process; `write` keeps it for others."""
    _read_here[content_digest] = read


def write() -> None:
    """Keep what this process has read for later ones, if that is new."""
    earlier = _of_earlier_processes()
    if sys.dont_write_bytecode or _read_here.keys() <= earlier.keys():
        return
    together = {**earlier, **_read_here}
    earlier.update(_read_here)
    try:
        write_atomically(_file(), _Kept.dump_json(together if len(together) <= AT_MOST else _read_here))
    except StillhouseError:  # an installation that its users may not write to
        return


def _file() -> Path:
    return Path(importlib.util.cache_from_source(__file__)).with_suffix(".json")


@functools.cache
def _of_earlier_processes() -> dict[str, SourceRead]:
    try:
        return _Kept.validate_json(_file().read_bytes())
    except (OSError, ValidationError):
        return {}
