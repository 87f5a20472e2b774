"""The batches of a recipe: what one look at its drop folder took in, as the ledger remembers it.

Belongs here: which files are in which batch, and what becomes of the batches when the folder has changed.
Does not: looking at the folder and keeping its bytes (data/drop_folder.py), Dagster's partitions
(orchestration/batches.py).

The rule, in three sentences. What one look takes in is one batch, as it was at that look. What is in stays in: deleting
or renaming its file later takes nothing out, and a file of the same name with other content is a new edition, which
takes the place of the old one. A batch that is not in yet, because a gate is closed or it could not be read, is made
again from what is in the folder as soon as one of its files is put right or taken away.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from stillhouse.base import Record
from stillhouse.digests import digest_of
from stillhouse.records.ledger import Ledger


class BatchFile(Record):
    """One file of rows, as it was when it was taken in."""

    name: str
    digest: str
    size: int


class Batch(Record):
    """What one look took in.

    A batch without files takes the place of others and leaves nothing: their files are gone. Each file has a name of
    its own: by its name it is read.
    """

    batch: str
    files: tuple[BatchFile, ...]
    replaces: tuple[str, ...] = ()
    because: str


@dataclass(frozen=True)
class Folder:
    """What a drop folder holds now.

    Args:
        ready: the files that can be taken in, by name.
        there: names of all files, ready or not.
    """

    ready: Mapping[str, BatchFile]
    there: Collection[str]


def batches_of(ledger: Ledger, recipe: str) -> dict[str, Batch]:
    """The batches that count now, by name, in the order in which they were taken in; without the base batch."""
    counting: dict[str, Batch] = {}
    for entry in ledger.entries(recipe, "batch"):
        batch = Batch.model_validate(entry.body)
        for name in batch.replaces:
            counting.pop(name, None)
        if batch.files:
            counting[batch.batch] = batch
    return counting


def record(ledger: Ledger, recipe: str, batch: Batch) -> None:
    """Enter a batch: from now on it counts, and those that it replaces do not.

    Raises:
        ValueError: if two files have one name. Asked here: a batch that an earlier version entered has to be read.
    """
    twice = [shown(name) for name, times in Counter(file.name for file in batch.files).items() if times > 1]
    if twice:
        raise ValueError(f"two files of one name, of which only one would be read: {', '.join(twice)}")
    ledger.append("batch", recipe, batch.model_dump(mode="json"))


def next_batch(known: Mapping[str, Batch], not_in: Collection[str], folder: Folder, *, now: datetime) -> Batch | None:
    """The batch that brings a recipe in step with its drop folder, or None where it is.

    Args:
        known: the batches that count now, by name.
        not_in: names of those that are not in: a gate of theirs is closed, or their rows could not be read.
        folder: what the drop folder holds.
        now: in UTC; with the content it makes the name of the batch.
    """
    there_by_content = {file.digest: file for _, file in sorted(folder.ready.items(), reverse=True)}
    kept: list[BatchFile] = []
    replaced: list[str] = []
    reasons: list[str] = []
    for batch in known.values():
        left = {
            file: why
            for file in batch.files
            if (why := _why_it_leaves(file, folder, there_by_content, is_in=batch.batch not in not_in))
        }
        if left:
            replaced.append(batch.batch)
            kept += [file for file in batch.files if file not in left]
            reasons += left.values()
    kept = _under_names_of_now(kept, folder, there_by_content)
    counted = {file.digest for batch in known.values() if batch.batch not in replaced for file in batch.files}
    counted |= {file.digest for file in kept}
    new: dict[str, BatchFile] = {}
    for _, file in sorted(folder.ready.items()):
        if file.digest not in counted:
            new.setdefault(file.digest, file)
    if not new and not replaced:
        return None
    files = tuple(sorted([*kept, *new.values()], key=lambda file: file.name))
    if len(new) > 1:
        reasons.insert(0, f"{len(new)} new files")
    else:
        reasons[:0] = [f"new file {shown(file.name)}" for file in new.values()]
    return Batch(batch=_name(files, now), files=files, replaces=tuple(replaced), because="; ".join(reasons))


def taken_over(name: str, file: BatchFile) -> Batch:
    """A batch of version 0.1.0, where each file was a batch of its name: it goes on under that name."""
    return Batch(batch=name, files=(file,), because="it was a batch of its own under version 0.1.0")


def shown(name: str) -> str:
    """The name of a file as it can be printed: whatever is no plain character is written as its code."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in name)


def _why_it_leaves(file: BatchFile, folder: Folder, there_by_content: Collection[str], *, is_in: bool) -> str | None:
    """Why a file of a batch counts no longer, or None while it does."""
    edition = folder.ready.get(file.name)
    if file.digest in there_by_content:
        return None
    if edition is not None:
        return f"{shown(file.name)} has a new edition"
    if not is_in and file.name not in folder.there:
        return f"{shown(file.name)} was taken away before it was in"
    return None


def _under_names_of_now(
    kept: Iterable[BatchFile], folder: Folder, there_by_content: Mapping[str, BatchFile]
) -> list[BatchFile]:
    """Files that stay, by the names that the folder has for their content; what has left it keeps its own.

    A file that was renamed would else share its name with whatever came under it since. Of several of one name that
    have all left the folder, which were once in batches of their own, each but the first has its digest in its name.
    """
    named: dict[str, BatchFile] = {}
    for file in kept:
        now = file if folder.ready.get(file.name) == file else there_by_content.get(file.digest, file)
        if now.name in named:
            now = now.model_copy(update={"name": f"{now.digest[:12]}-{now.name}"})
        named[now.name] = now
    return [*named.values()]


def _name(files: Collection[BatchFile], now: datetime) -> str:
    content = digest_of([[file.name, file.digest] for file in files])
    return f"{now.astimezone(UTC):%Y%m%dT%H%M%SZ}-{content[:8]}"
