"""Keeping a recipe's batches in step with its drop folder, and planning the runs that bring a recipe up to date.

Belongs here: new batches, Dagster's partitions of them, whether a batch is in, and which runs are due.
Does not: starting them (run.py, dispatcher.py, schedules.py), what becomes a batch
(stillhouse/records/batches.py, stillhouse/data/drop_folder.py).
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

import dagster as dg

from assets.keys import batches_name, key_of
from assets.materializations import newest_materialization
from checks.gate_states import AssetState, LedgerSnapshot
from orchestration.runs import DISTIL, INGEST
from stillhouse.data.drop_folder import Look, last_look
from stillhouse.data.outside import FolderEntry, drop_folder_entries
from stillhouse.errors import StillhouseError
from stillhouse.recipe.reading import RecipeFile
from stillhouse.records import batches as recorded
from stillhouse.records.batches import Batch, BatchFile, Folder, next_batch, record, shown, taken_over
from stillhouse.records.builds import BuildStore
from stillhouse.records.events import EventKind, note_once
from stillhouse.records.manifest import Manifest
from stillhouse.stages.names import BASE, BATCHED, SOURCE, TEACHER_SIGNAL
from stillhouse.stages.source import drop_folder, has_other_rows, is_as_it_was


@dataclass(frozen=True)
class PlannedRun:
    """One run: a job and the batch that it is of."""

    job: str
    batch: str


class BatchState(StrEnum):
    """How far a batch is."""

    IN = "in"
    WANTED = "wanted"
    """Something of it is missing or stale: a run would bring it in or find out why not."""
    CLOSED = "closed"
    """A gate has found it wanting: a run would find the same again."""
    AGAIN = "again"
    """A gate has found it wanting, and what it was made from or held against has changed since."""


def batches_in(instance: dg.DagsterInstance, file: RecipeFile) -> list[str]:
    """The batches that a recipe has now."""
    return list(instance.get_dynamic_partitions(batches_name(file.name)))


def sync_batches(instance: dg.DagsterInstance, builds: BuildStore, file: RecipeFile) -> list[str]:
    """Make the partitions of a recipe those of its batches, and return their names, the base first."""
    name = batches_name(file.name)
    known = instance.get_dynamic_partitions(name)
    _take_over(builds, file, [batch for batch in known if batch != BASE])
    wanted = [BASE, *recorded.batches_of(builds.ledger, file.name)]
    missing = [batch for batch in wanted if batch not in known]
    if missing:
        instance.add_dynamic_partitions(name, missing)
    for batch in known:
        if batch not in wanted:
            instance.delete_dynamic_partition(name, batch)
    return wanted


def ingest_what_is_new(
    instance: dg.DagsterInstance, builds: BuildStore, file: RecipeFile, look: Look
) -> tuple[list[str], Batch | None]:
    """Record what a look found as a batch, if there is anything new; return all batches, and the new one or None.

    Call it under the lock of the recipe: two looks at once would each take in the same files.
    """
    sync_batches(instance, builds, file)
    _note_new_rows(builds, file)
    known = recorded.batches_of(builds.ledger, file.name)
    one_look = LedgerSnapshot.of(builds, file.recipe, file.name)
    # Where all files of a batch are there it makes no difference, and each batch that is asked about is a walk.
    not_in = [name for name in _gone(known, look.folder) if not _was_ever_in(one_look, file, name)]
    new = next_batch(known, not_in, look.folder, now=datetime.now(UTC))
    if new is not None:
        record(builds.ledger, file.name, new)
        _note_new_rows(builds, file)
    return sync_batches(instance, builds, file), new


def _note_new_rows(builds: BuildStore, file: RecipeFile) -> None:
    """Note the newest batch as an event if no round has come after it: a look that recorded it may have been killed."""
    newest, decided = (builds.ledger.newest(file.name, kind) for kind in ("batch", "round"))
    if newest is None or (decided is not None and decided.sequence > newest.sequence):
        return
    batch = Batch.model_validate(newest.body)
    sentence, facts = f"batch {batch.batch}: {batch.because}", {"files": len(batch.files)}
    note_once(builds.ledger, file.name, EventKind.NEW_ROWS, batch.batch, sentence, facts)


def plan_runs(
    builds: BuildStore, file: RecipeFile, batches: Iterable[str], known: Iterable[AssetState] = ()
) -> list[PlannedRun]:
    """The runs that bring a recipe up to date: the last batch that is wanted goes the whole way, those before it first.

    So one new batch is one run, and a recipe where nothing is wanted is one run that finds everything again. Later
    batches are held against the base batch: where its own rows have changed they are all wanted, since none of them
    could be read once it is made again. What was closed may close again, so it does not go the whole way itself where
    the recipe can do without it.

    Args:
        builds: where artifacts and ledger are kept.
        file: the recipe.
        batches: all its batches.
        known: what the ledger says of assets that were asked about a moment ago, which are not asked about again.
    """
    look = LedgerSnapshot.of(builds, file.recipe, file.name, known)
    states = {batch: batch_state(look, file, batch) for batch in dict.fromkeys([BASE, *batches])}
    wanted = [batch for batch, state in states.items() if state in (BatchState.WANTED, BatchState.AGAIN)] or [BASE]
    if BASE in wanted and _base_has_other_rows(builds, file):
        wanted = list(states)
    refused = (BatchState.AGAIN, BatchState.CLOSED)
    wanted.sort(key=lambda batch: (batch != BASE, states[batch] not in refused))
    if states[wanted[-1]] in refused and wanted[-1] != BASE and file.recipe.refresh.train_on_open_batches:
        wanted.append(BASE)
    return [
        *(PlannedRun(f"{INGEST}_{file.name}", batch) for batch in wanted[:-1]),
        PlannedRun(f"{DISTIL}_{file.name}", wanted[-1]),
    ]


def drop_folder_lines(builds: BuildStore, file: RecipeFile) -> list[str]:
    """What a person should know of a recipe's drop folder as it was last looked at, one line each."""
    look = last_look(builds, file)
    known = recorded.batches_of(builds.ledger, file.name)
    gone = [
        f"{shown(item.name)} is no longer in the drop folder; its rows stay in batch {batch}"
        for batch, files in _gone(known, look.folder).items()
        for item in files
    ]
    entries = [Batch.model_validate(entry.body) for entry in builds.ledger.entries(file.name, "batch")]
    replaced = [
        f"batch {', '.join(entry.replaces)} counts no longer: {entry.because}" for entry in entries if entry.replaces
    ]
    waiting = [f"{shown(name)} may still grow" for name in look.waiting]
    return [*look.refused, *waiting, *gone, *replaced[-1:]]


def batch_state(look: LedgerSnapshot, file: RecipeFile, batch: str) -> BatchState:
    """Whether what the teacher says about a batch is there, open, and made from what files, recipe and code are now.

    Gates of what the batch shares with others, such as the teacher's, are not asked: whichever run comes next looks at
    them, and with many batches it would be a run for each of them that changes nothing.
    """
    for stage in BATCHED:
        way = look.lineage(key_of(file.name, stage), batch)
        state = way[0]
        if state.newest is None:
            return BatchState.WANTED
        is_current = all(each.newest is not None and not each.stale and not each.broken for each in way)
        if is_current and stage == SOURCE:
            assert state.manifest is not None  # what is not broken could be read
            is_current = _is_as_it_was(look.builds, file, state.manifest)
        if any(gate.state.was_decided for gate in state.gates):
            return BatchState.CLOSED if is_current else BatchState.AGAIN
        if not is_current or not all(each.is_open for each in way if each.batch == batch):
            return BatchState.WANTED
    return BatchState.IN


def _is_as_it_was(builds: BuildStore, file: RecipeFile, manifest: Manifest) -> bool:
    try:
        return is_as_it_was(builds.ledger, file, manifest)
    except StillhouseError:  # the source is gone or cannot be read: the run that is asked for says so
        return False


def _base_has_other_rows(builds: BuildStore, file: RecipeFile) -> bool:
    newest = newest_materialization(builds.ledger, key_of(file.name, SOURCE), BASE)
    if newest is None:
        return False
    try:
        return has_other_rows(file, builds.store.read_manifest(newest.digest, newest.manifest))
    except (StillhouseError, ValueError):  # absent or cut, or the source cannot be read: the run of the base says so
        return False


def _gone(known: Mapping[str, Batch], folder: Folder) -> dict[str, list[BatchFile]]:
    """By batch the files that are no longer in the drop folder, under their name or another; of no other batch."""
    there, contents = set(folder.there), {item.digest for item in folder.ready.values()}

    def is_gone(item: BatchFile) -> bool:
        return item.name not in there and item.digest not in contents

    gone = {name: [item for item in batch.files if is_gone(item)] for name, batch in known.items()}
    return {name: files for name, files in gone.items() if files}


def _was_ever_in(look: LedgerSnapshot, file: RecipeFile, batch: str) -> bool:
    """Whether a batch got as far as the teacher and no gate of it is closed now; what is only stale was in."""
    if look.newest(key_of(file.name, TEACHER_SIGNAL), batch) is None:
        return False
    return batch_state(look, file, batch) not in (BatchState.CLOSED, BatchState.AGAIN)


def _take_over(builds: BuildStore, file: RecipeFile, partitions: Collection[str]) -> None:
    """Enter the partitions of version 0.1.0, where a file of the drop folder was a batch of its name, as batches."""
    entered = {entry.body["batch"] for entry in builds.ledger.entries(file.name, "batch")}
    old = [partition for partition in partitions if partition not in entered]
    if not old:
        return
    there = {entry.name: entry for entry in drop_folder_entries(drop_folder(file, builds.home))}
    for partition in old:
        if partition in there:
            record(builds.ledger, file.name, taken_over(partition, _kept(builds, file, there[partition])))
        else:
            record(builds.ledger, file.name, Batch(batch=partition, files=(), because="its file is gone"))


def _kept(builds: BuildStore, file: RecipeFile, entry: FolderEntry) -> BatchFile:
    digest = entry.keep(builds.store, file.recipe.data.limits)
    return BatchFile(name=entry.name, digest=digest, size=entry.size)
