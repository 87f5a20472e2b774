"""Which batches a recipe has, which of them have to be taken in, and the rounds that do it.

Belongs here: keeping Dagster's partitions and the drop folder in step, and planning runs.
Does not: starting them (run.py, sensors.py, schedules.py), what a batch is made of (assets/source.py).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import PurePosixPath

import dagster as dg

from assets.current import newest_materialization
from assets.keys import BASE, BATCHED, SOURCE, TEACHER_SIGNAL, batches_name, key_of
from assets.source import drop_folder, is_as_it_was
from checks.gatekeeper import hand_over
from stillhouse.data.sources import drop_folder_files
from stillhouse.recipe import RecipeFile
from stillhouse.workshop import Workshop


@dataclass(frozen=True)
class Round:
    """One run: a job and the batch that it is of."""

    job: str
    batch: str


def sync_batches(instance: dg.DagsterInstance, workshop: Workshop, file: RecipeFile) -> list[str]:
    """Make the partitions of a recipe those of its source and its drop folder, and return them, the base first.

    A batch whose file is gone is forgotten; what was made of it stays in store and ledger.
    """
    files = drop_folder_files(drop_folder(file, workshop.home))
    wanted = [BASE, *(PurePosixPath(uri).name for uri in files)]
    name = batches_name(file.name)
    known = instance.get_dynamic_partitions(name)
    instance.add_dynamic_partitions(name, [batch for batch in wanted if batch not in known])
    for batch in known:
        if batch not in wanted:
            instance.delete_dynamic_partition(name, batch)
    return wanted


def rounds(workshop: Workshop, file: RecipeFile, batches: Iterable[str]) -> list[Round]:
    """The runs that bring a recipe up to date: take in each batch that is not, then distil.

    Where no later batch waits there is one run, the whole way.
    """
    later = [batch for batch in batches if batch != BASE]
    waiting = [batch for batch in ([BASE, *later] if later else []) if not _is_taken_in(workshop, file, batch)]
    return [*(Round(f"take_in_{file.name}", batch) for batch in waiting), Round(f"distil_{file.name}", BASE)]


def _is_taken_in(workshop: Workshop, file: RecipeFile, batch: str) -> bool:
    """Whether what the teacher says about a batch is there, open, and made from what file, recipe and code are now."""
    for stage in BATCHED:
        newest = newest_materialization(workshop.ledger, key_of(file.name, stage), batch)
        if newest is None:
            return False
        manifest = workshop.store.read_manifest(newest.digest, newest.manifest)
        if stage == SOURCE and not is_as_it_was(file, workshop.home, manifest):
            return False
    try:
        hand_over(workshop, file.recipe, key_of(file.name, TEACHER_SIGNAL), batch)
    except dg.Failure:  # a closed or stale gate: the next round looks again
        return False
    return True
