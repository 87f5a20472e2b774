"""A file of live texts for the drop folder: `stillhouse harvest`.

Belongs here: what a recipe needs for it, which rows it has already, writing the file once, the entry in the ledger.
Does not: which texts are drawn and what the file holds (stillhouse/live/harvest.py), taking dropped files in
(sensors.py, batches.py).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory

import polars as pl

from assets.keys import key_of
from assets.materializations import newest_artifact, newest_artifact_if_any
from orchestration.runs import lock_of_days
from stillhouse.data.dropped import read_dropped
from stillhouse.data.outside import drop_folder_entries
from stillhouse.data.provenance import with_provenance
from stillhouse.data.rejects import count_reasons
from stillhouse.errors import StillhouseError
from stillhouse.files import make_folder, plain_disk_errors, write_atomically
from stillhouse.live.harvest import (
    DIFFERING_AT_MOST,
    ID,
    Drawn,
    Pool,
    asked_texts,
    content,
    drawn,
    drawn_of_differing,
    ending,
    pool_of,
)
from stillhouse.live.kept_records import KeptRecords
from stillhouse.live.segments import Differing, Harvest, TrafficStore
from stillhouse.live.slices import LiveSlice, slices_of
from stillhouse.names import account
from stillhouse.recipe.reading import RecipeFile
from stillhouse.records.batches import batches_of
from stillhouse.records.builds import BuildStore
from stillhouse.records.deployments import Challenger, serving_now
from stillhouse.records.locks import recipes_locked
from stillhouse.serving.ids import RequestIds
from stillhouse.stages.labels import answered_otherwise, files_of
from stillhouse.stages.names import BASE, PROMPTS
from stillhouse.stages.shadow import both_say, challenger_of
from stillhouse.stages.source import drop_folder
from stillhouse.stores import place_at


@dataclass(frozen=True)
class Harvested:
    """A file of live texts.

    Args:
        file: its address.
        rows: in it.
        labelled: of them, those with a label that people gave.
        of: texts that they were drawn from.
        left_out: texts that were not among those, by reason.
        was_there: whether the same file lay there already.
    """

    file: str
    rows: int
    labelled: int
    of: int
    left_out: dict[str, int]
    was_there: bool


def harvest(
    builds: BuildStore,
    file: RecipeFile,
    rows: int,
    *,
    slice: str | None = None,
    at: float,
    waiting: Callable[[str, str], None],
) -> Harvested:
    """Write texts that the champion was asked into the drop folder, as rows to learn from.

    Two at once are one after the other, and neither sees texts while they are erased.

    Args:
        builds: with ledger, prompts and traffic.
        file: the recipe.
        rows: how many.
        slice: name of a live slice that they are of; of all requests when None.
        at: now, in seconds since 1970.
        waiting: see `recipes_locked`.

    Raises:
        StillhouseError: if no texts are kept, nothing serves, there are fewer rows than asked for, or the recipe would
            not take the file in.
    """
    matures = _require_texts(file)
    of = None if slice is None else _slice_of(file, slice)
    release = serving_now(builds.ledger, file.name).champion.release
    store = TrafficStore(builds.home.artifacts, file.name)
    by = f"harvesting texts of {file.name}"
    with recipes_locked(builds.home, [lock_of_days(file.name)], by=by, waiting=waiting):
        asked = asked_texts(store, release, at=at, matures_after_days=matures, records=_records(builds, file))
        if asked.is_empty():
            raise StillhouseError(
                "there is no text that the champion was asked",
                where=f"the traffic of {file.name}",
                expected=f"answers of release {release[:12]} whose texts are kept",
                do="Wait until it has answered; a server seals what it keeps every ten minutes, and when it ends.",
            )
        base = newest_artifact(builds, key_of(file.name, PROMPTS), BASE).frame("prompts")
        known, unlabelled = _known(builds, file)
        own = asked if of is None else of.rows_of(asked)
        pool = pool_of(own, known, base, file.recipe, unlabelled=unlabelled)
        _require_enough(file, pool, rows, slice)
        return _put_down(builds, file, drawn(pool.rows, rows), pool, {"release": release, "slice": slice})


def harvest_differing(
    builds: BuildStore, file: RecipeFile, rows: int, *, at: float, waiting: Callable[[str, str], None]
) -> Harvested:
    """Write texts that the champion and the release on its way answer otherwise likewise, for people to label.

    Args:
        builds: with ledger, prompts, releases and traffic.
        file: the recipe.
        rows: how many at most; never more than `DIFFERING_AT_MOST`.
        at: now, in seconds since 1970.
        waiting: see `recipes_locked`.

    Raises:
        StillhouseError: as `harvest`; or if no release is on its way, it has such a file already, it answers alike, or
            rows of the recipe have no labels, or numbers.
    """
    matures = _require_texts(file)
    if file.recipe.gives_numbers:
        raise StillhouseError(
            "two releases hardly ever give the same number, so that all texts would be among these",
            where=file.where("data", "answer"), expected="answers that are labels",
            do=f"`stillhouse harvest {file.name} --rows {rows}` draws from all that was asked.",
        )  # fmt: skip
    if file.recipe.data.label is None:
        raise StillhouseError(
            "rows of this recipe have no labels", where=file.where("data"), expected="data.label",
            do="Name the column that people are to fill in.",
        )  # fmt: skip
    store = TrafficStore(builds.home.artifacts, file.name)
    by = f"harvesting texts of {file.name}"
    with recipes_locked(builds.home, [lock_of_days(file.name)], by=by, waiting=waiting):
        deployment = serving_now(builds.ledger, file.name)
        challenger = challenger_of(file, deployment)
        _require_none_is_there(builds, file, store, challenger)
        release, since = deployment.champion.release, datetime.fromisoformat(challenger.offered).timestamp()
        asked = asked_texts(
            store, release, at=at, matures_after_days=matures, since=since, records=_records(builds, file)
        )
        found = answered_otherwise(asked, *both_say(builds, deployment.champion, challenger))
        base = newest_artifact(builds, key_of(file.name, PROMPTS), BASE).frame("prompts")
        known, unlabelled = _known(builds, file)
        pool = pool_of(found.rows, known, base, file.recipe, unlabelled=unlabelled)
        if pool.rows.is_empty():
            out = left_out_line(pool.left_out)
            raise StillhouseError(
                f"of {found.texts:,} texts since the offer the two answer {found.rows.height:,} otherwise, and none of "
                f"them can be given to people{f'; left out: {out}' if out else ''}",
                where=f"the traffic of {file.name}",
                expected="a text that they answer otherwise",
                do="Wait for more traffic; a server seals what it keeps every ten minutes.",
            )
        draw = drawn_of_differing(pool.rows, found.rows, min(rows, DIFFERING_AT_MOST), slices_of(file.recipe))
        differing = Differing(rollout=challenger.salt, texts=found.texts, differ=found.rows.height)
        drawn_from: dict[str, object] = {"release": release, "challenger": challenger.deployed.release, "slice": None}
        drawn_from |= {"differing": differing.model_dump(mode="json"), "handed_on": found.handed_on}
        return _put_down(builds, file, draw, pool, drawn_from, differing)


def _records(builds: BuildStore, file: RecipeFile) -> KeptRecords | None:
    """How its answers are kept where they are records; else None."""
    if not file.recipe.gives_records:
        return None
    return KeptRecords.of(file.recipe.data.record, RequestIds.known(builds.home.serving).drawing_key)


def _put_down(
    builds: BuildStore,
    file: RecipeFile,
    draw: Drawn,
    pool: Pool,
    drawn_from: Mapping[str, object],
    differing: Differing | None = None,
) -> Harvested:
    """Write the file of what was drawn, and what it was drawn from into the ledger."""
    store, found = TrafficStore(builds.home.artifacts, file.name), draw.rows
    written = content(found, file.recipe)
    digest = sha256(written).hexdigest()
    name = f"harvest-{digest[:16]}{ending(file.recipe)}"
    _require_taken_in(builds, file, name, written, found.height)
    # First, so that no file is there of which an erasure does not know.
    store.note_harvest(Harvest(file=name, digest=digest, ids=tuple(found[ID]), differing=differing))
    address, was_there = _write(drop_folder(file, builds.home), name, written)
    labelled = found["label"].count()
    if not builds.ledger.entries(file.name, "harvest", content=digest):
        body = {"file": name, "digest": digest, "rows": found.height, "labelled": labelled, "of": pool.rows.height}
        of = {**drawn_from, "key": draw.key, "left_out": pool.left_out}
        builds.ledger.append("harvest", file.name, {**body, **of, "account": account()})
    return Harvested(address, found.height, labelled, pool.rows.height, pool.left_out, was_there)


def _require_none_is_there(builds: BuildStore, file: RecipeFile, store: TrafficStore, challenger: Challenger) -> None:
    """Refuse a second file of one rollout: people are given so many texts, and labels of two draws are no sample.

    One that was noted and never written, because the command was killed, is none.
    """
    folder = drop_folder(file, builds.home)
    there = {entry.name for entry in drop_folder_entries(folder)}
    there |= {each.name for batch in batches_of(builds.ledger, file.name).values() for each in batch.files}
    if given := [each.file for each in files_of(store, challenger.salt) if each.file in there]:
        raise StillhouseError(
            f"people were given texts of this rollout already: {given[0]}",
            where=folder,
            expected="one such file of a rollout",
            do=f"Fill in {file.recipe.data.label} there and keep the name. `stillhouse rollout {file.name}` says how "
            "many labels have come back.",
        )


def left_out_line(left_out: dict[str, int]) -> str:
    """What was left out, in one clause; nothing where nothing was."""
    return ", ".join(f"{rows:,} {reason}" for reason, rows in sorted(left_out.items(), key=lambda each: -each[1]))


def _require_texts(file: RecipeFile) -> int:
    """After how many days feedback counts, of a recipe whose texts are kept."""
    recipe = file.recipe
    if recipe.traffic is None or not recipe.keeps_texts:
        raise StillhouseError(
            "it keeps no traffic" if recipe.traffic is None else "it keeps no texts",
            where=file.where("data", "provenance") if recipe.traffic is not None else str(file.path),
            expected="`traffic` with keep_texts and text_days, and rows whose privacy class is public or internal",
            do="Texts that were never kept cannot be harvested; docs/traffic.md says how they are kept from now on.",
        )
    return recipe.traffic.matures_after_days


def _slice_of(file: RecipeFile, name: str) -> LiveSlice:
    known = {each.name: each for each in slices_of(file.recipe)}
    if name not in known:
        raise StillhouseError(
            f"{name!r} is not a slice that is known of a live text",
            where="--slice",
            expected=f"one of: {', '.join(known) or 'none, as the recipe has none'}",
            do="Name one. A slice of a column is known only if callers send the column: `serving.request_columns`.",
        )
    return known[name]


def _known(builds: BuildStore, file: RecipeFile) -> tuple[set[str], set[str]]:
    """`prompt_ids` of the prompts of all batches, and of those that only later batches have, all without a label."""
    batches = (BASE, *batches_of(builds.ledger, file.name))
    made = ((batch, newest_artifact_if_any(builds, key_of(file.name, PROMPTS), batch)) for batch in batches)
    found = {batch: each.frame("prompts").select("prompt_id", "label") for batch, each in made if each is not None}
    rows = pl.concat(
        frame.with_columns(final=pl.col("label").is_not_null() | (batch == BASE)) for batch, frame in found.items()
    )
    return {*rows["prompt_id"]}, {*rows["prompt_id"]} - {*rows.filter("final")["prompt_id"]}


def _require_enough(file: RecipeFile, pool: Pool, rows: int, slice: str | None) -> None:
    there = pool.rows.height
    if there >= rows:
        return
    of, out = "" if slice is None else f" of {slice!r}", left_out_line(pool.left_out)
    raise StillhouseError(
        f"{there:,} texts{of} can be harvested{f'; left out: {out}' if out else ''}",
        where=f"the traffic of {file.name}",
        expected=f"at least {rows:,}, as --rows says",
        do=f"Ask for --rows {there}, or wait for more traffic." if there else "Wait for more traffic.",
    )  # fmt: skip


def _require_taken_in(builds: BuildStore, file: RecipeFile, name: str, written: bytes, rows: int) -> None:
    """Read the file as the drop folder will: a file that would be refused there, or set aside, is not written.

    Raises:
        StillhouseError: if the recipe does not take it in.
    """
    with plain_disk_errors(builds.home.workbench):
        make_folder(builds.home.workbench)
        with TemporaryDirectory(dir=builds.home.workbench) as folder:
            path = Path(folder) / name
            path.write_bytes(written)
            read = read_dropped(file.recipe, name, path, batch="harvest")
    traced = with_provenance(read.rows, file.recipe.data.provenance)
    if traced.rows.height < rows:
        reasons = count_reasons(pl.concat([read.rejects, traced.rejects]))
        raise StillhouseError(
            f"{rows - traced.rows.height:,} of {rows:,} rows would be set aside: {', '.join(reasons['reason'])}",
            where=file.where("data", "provenance"),
            expected="a recipe whose rules on provenance a live text can keep: of its day, kind and class it is known",
            do="Label and drop such rows by hand, or change the rule.",
        )


def _write(folder: str, name: str, written: bytes) -> tuple[str, bool]:
    """Put the file there, whole or not at all; one of its name is let be, since people may have put labels into it."""
    address = f"{folder.rstrip('/')}/{name}"
    if any(entry.name == name for entry in drop_folder_entries(folder)):
        return address, True
    if "://" in folder and not folder.startswith("file://"):
        place_at(address).write_bytes(written)  # of an object store, which has all of a file or none of it
    else:
        write_atomically(Path(address.removeprefix("file://")), written)
    return address, False
