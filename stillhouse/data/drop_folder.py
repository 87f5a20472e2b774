"""Looking at a drop folder: which files are finished, which of them can be taken in, and what is wrong with the others.

Belongs here: comparing two looks, keeping the bytes of a finished file, reading it once to see whether it has rows.
Does not: what becomes a batch (records/batches.py), listing files (outside.py), reading one (dropped.py).

A file is finished when two looks in a row see the same size and time of change. Each file is treated alone: whatever is
wrong with one is said about that one, and stops no other. What a look has found is remembered beside the installation,
so that a file is read once; the memory may be deleted at any time and costs one more look.
"""

from dataclasses import dataclass, field
from math import inf
from time import monotonic

from pydantic import BaseModel, ValidationError

from stillhouse.base import Record
from stillhouse.data.dropped import read_dropped, require_known_ending
from stillhouse.data.limits import refuse_file
from stillhouse.data.outside import FolderEntry, drop_folder_entries
from stillhouse.digests import digest_of
from stillhouse.errors import MachineError, StillhouseError
from stillhouse.files import write_atomically
from stillhouse.recipe.reading import RecipeFile
from stillhouse.records.batches import BatchFile, Folder, shown
from stillhouse.records.builds import BuildStore

LONGEST_NAME = 200
"""Bytes of a file's name. A file system takes 255, but pages and logs that name it put words of their own around it."""


class SeenFile(Record):
    """What is known of one file of a drop folder.

    Args:
        mark: what the listing showed.
        size: in bytes.
        digest: of its bytes, once they were kept.
        refused: why it is not taken in and what to do, in one line.
        again: whether that was no fault of the file, so that the next look tries it once more.
    """

    mark: str
    size: int
    digest: str | None = None
    refused: str | None = None
    again: bool = False


class _Memory(BaseModel):
    """The last look; `recipe` is a digest of what the recipe says about files."""

    recipe: str
    files: dict[str, SeenFile] = {}


@dataclass(frozen=True)
class Look:
    """What a look found.

    Args:
        folder: what can be taken in, and what is there.
        waiting: names of files that may still grow.
        refused: one line for each file that is not taken in, with what to do.
    """

    folder: Folder
    waiting: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)


def look_at(builds: BuildStore, file: RecipeFile, folder: str, *, seconds: float = inf) -> Look:
    """Look at a drop folder, read what has finished since the last look, and remember what was found.

    Args:
        builds: where bytes are kept and the last look is remembered.
        file: the recipe.
        folder: its drop folder.
        seconds: after so long no further file is read; the next look goes on.

    Raises:
        StillhouseError: if the folder itself cannot be listed.
    """
    before = _remembered(builds, file)
    until = monotonic() + seconds
    seen: dict[str, SeenFile] = {}
    for entry in drop_folder_entries(folder):
        known = before.files.get(entry.name)
        if known is None or known.mark != entry.mark:
            name_is_wrong = _wrong_name(entry.name)
            seen[entry.name] = SeenFile(mark=entry.mark, size=entry.size, refused=name_is_wrong)
        elif known.digest is None and (known.refused is None or known.again) and monotonic() < until:
            seen[entry.name] = _read_once(builds, file, entry)
        else:
            seen[entry.name] = known
    _remember(builds, file, _Memory(recipe=before.recipe, files=seen))
    return _found(seen)


def last_look(builds: BuildStore, file: RecipeFile) -> Look:
    """What the last look found; the folder is not looked at."""
    return _found(_remembered(builds, file).files)


def _found(seen: dict[str, SeenFile]) -> Look:
    ready = {
        name: BatchFile(name=name, digest=one.digest, size=one.size)
        for name, one in seen.items()
        if one.digest is not None and one.refused is None
    }
    waiting = [name for name, one in seen.items() if one.digest is None and one.refused is None]
    refused = [f"{shown(name)} is left out: {one.refused}" for name, one in seen.items() if one.refused]
    return Look(Folder(ready, list(seen)), waiting, refused)


def _wrong_name(name: str) -> str | None:
    try:
        length = len(name.encode())
    except UnicodeEncodeError:
        return "its name is not UTF-8. Rename it."
    if length > LONGEST_NAME:
        return f"its name has {length} bytes, at most {LONGEST_NAME} can be used. Rename it."
    return None


def _read_once(builds: BuildStore, file: RecipeFile, entry: FolderEntry) -> SeenFile:
    """Keep the bytes of a finished file, and read them to see whether it can be taken in.

    What is wrong with its bytes stays wrong until they change. Where they could not be kept, because of rights, a disk
    or a network, each look tries again.
    """
    nothing_yet = SeenFile(mark=entry.mark, size=entry.size)
    if entry.size == 0:
        return nothing_yet.model_copy(update={"refused": "it is empty. Put rows into it, or take it away."})
    try:
        require_known_ending(file.recipe, entry.name)
        refuse_file(file.recipe.data.limits, entry.size, entry.name)
        try:
            digest = entry.keep(builds.store, file.recipe.data.limits)
            kept = builds.store.kept(digest)
        except (OSError, StillhouseError) as error:
            return nothing_yet.model_copy(update={"refused": _in_words(error), "again": True})
        if entry.is_local and kept.stat().st_size != entry.size:
            return nothing_yet  # it grew while it was copied
        read_dropped(file.recipe, entry.name, kept, batch="look")
    except (StillhouseError, OSError, ValueError) as error:
        is_of_the_machine = isinstance(error, MachineError)
        return nothing_yet.model_copy(update={"refused": _in_words(error), "again": is_of_the_machine})
    return nothing_yet.model_copy(update={"digest": digest})


def _in_words(error: Exception) -> str:
    if isinstance(error, StillhouseError):
        return f"{error.what}; expected {error.expected}. {error.do}"
    return f"it cannot be read ({' '.join(str(error).split())}). Check its rights and content."


def _what_decides(file: RecipeFile) -> str:
    return digest_of([file.recipe.data.model_dump(mode="json"), list(file.recipe.kept_columns)])


def _remembered(builds: BuildStore, file: RecipeFile) -> _Memory:
    """The last look, without what it found where the recipe now says something else about files."""
    nothing = _Memory(recipe=_what_decides(file))
    path = builds.home.looks / f"{file.name}.json"
    if not path.exists():
        return nothing
    try:
        memory = _Memory.model_validate_json(path.read_bytes())
    except ValidationError:  # cut or edited: one more look finds it again
        return nothing
    if memory.recipe == nothing.recipe:
        return memory
    again = {
        name: SeenFile(mark=one.mark, size=one.size, refused=_wrong_name(name)) for name, one in memory.files.items()
    }
    return _Memory(recipe=nothing.recipe, files=again)


def _remember(builds: BuildStore, file: RecipeFile, memory: _Memory) -> None:
    write_atomically(builds.home.looks / f"{file.name}.json", memory.model_dump_json(indent=1).encode())
