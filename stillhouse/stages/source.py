"""The rows as they came, batch by batch: the recipe's source is one, what a look at the drop folder took in another.

Belongs here: what a batch is read from, and whether that is as it was.
Does not: which files are in which batch (stillhouse/records/batches.py), reading one (stillhouse/data/), cleaning
(prompts.py).
"""

from collections.abc import Collection, Mapping, Sequence
from functools import partial
from pathlib import Path

import polars as pl
from pydantic import Field

from stillhouse.base import Record
from stillhouse.data.dropped import format_of_source, read_dropped
from stillhouse.data.golden_file import read_golden_file
from stillhouse.data.outside import Outside, digests_now, read_outside
from stillhouse.data.provenance import with_provenance, without_secrets
from stillhouse.data.rejects import all_rejects
from stillhouse.data.sources import RowColumns, SourceRead, read_rows
from stillhouse.data.table import UnknownColumnError
from stillhouse.errors import StillhouseError
from stillhouse.home import Home
from stillhouse.recipe.reading import RecipeFile
from stillhouse.records.batches import batches_of
from stillhouse.records.builds import BuildStore, Plan
from stillhouse.records.ledger import Ledger
from stillhouse.records.manifest import Manifest
from stillhouse.stages.names import BASE, SOURCE


class SourceFacts(Record):
    """Rows of a batch as they came, counted."""

    records: int = Field(description="Rows, and lines that are none.")
    counted: int | None = Field(
        None, description="Records by another count than the parser's; null where an earlier version read them."
    )
    rows: int = Field(description="Rows that could be read and have their provenance.")
    unreadable: int
    quarantined: int = Field(description="Rows that could be read and have no provenance.")
    marks: dict[str, str] = Field(description="What was seen of each source that is not kept, by address.")


def plan(file: RecipeFile, batch: str, builds: BuildStore) -> Plan[SourceFacts]:
    """Read the rows of a batch; what could not be read or has no provenance is kept as a reject.

    Args:
        file: the recipe.
        batch: the base batch, or a later one.
        builds: keeps the bytes from outside.
    """
    data, store = file.recipe.data, builds.store
    from_outside = partial(read_outside, store=store, root=file.root, limits=data.limits)
    is_base = batch == BASE
    origin = from_outside(data.source) if is_base else taken_in(builds.ledger, file, batch)
    traffic = from_outside(data.traffic_file) if data.traffic_file and is_base else None
    golden = from_outside(data.golden) if data.golden and is_base else None
    beside = {name: found for name, found in (("traffic", traffic), ("golden", golden)) if found is not None}
    read_from = [origin, *beside.values()]
    marks = {uri: mark for found in read_from for uri, mark in found.marks.items()}

    def build(folder: Path) -> SourceFacts:
        kept = origin.kept(store)
        read = read_source(file, kept) if is_base else _read_batch(file, batch, kept)
        if golden:
            read = _together([read, read_golden_file(file, golden.kept(store))])
        if traffic:
            _read_traffic(file, traffic.kept(store)).write_parquet(folder / "traffic.parquet")
        traced = with_provenance(read.rows, data.provenance)
        rejects = all_rejects([without_secrets(read.rejects, data.provenance), traced.rejects])
        traced.rows.write_parquet(folder / "rows.parquet")
        rejects.write_parquet(folder / "rejects.parquet")
        return SourceFacts(
            records=read.rows.height + read.rejects.height,
            counted=read.counted,
            rows=traced.rows.height,
            unreadable=read.rejects.height,
            quarantined=traced.rejects.height,
            marks=marks,
        )

    return Plan(
        build,
        {
            "file": origin.content,
            **{name: found.content for name, found in beside.items()},
            **({"marks": marks} if marks else {}),  # so that the facts hold what was seen last
        },
        config={"data": data.model_dump(mode="json"), "columns": list(file.recipe.kept_columns)},
        external_inputs={uri: digest for found in read_from for uri, digest in found.digests.items()},
    )


def taken_in(ledger: Ledger, file: RecipeFile, batch: str) -> Outside:
    """The files that were taken in together as a later batch; their bytes were kept then.

    Raises:
        StillhouseError: if the batch does not count, or counts no longer.
    """
    counting = batches_of(ledger, file.name)
    if batch not in counting:
        raise StillhouseError(
            f"there is no batch {batch!r}, or another one has taken its place",
            where=f"{file.name}/{SOURCE}",
            expected=f"one of: {', '.join([BASE, *counting])}",
            do=f"`stillhouse status {file.name}` shows the batches.",
        )
    return Outside({item.name: item.digest for item in counting[batch].files}, {})


def is_as_it_was(ledger: Ledger, file: RecipeFile, manifest: Manifest) -> bool:
    """Whether what a batch of this stage was read from is the same now; nothing is kept for that.

    The names of later batches' files do not count: version 0.1.0 wrote whole addresses.
    """
    assert manifest.partition is not None
    if manifest.partition != BASE:
        known = taken_in(ledger, file, manifest.partition).digests.values()
        return sorted(known) == sorted(manifest.external_inputs.values())
    data = file.recipe.data
    now = _now(file, data.source, data.golden, data.traffic_file)
    return now == {**manifest.external_inputs, **manifest.facts.get("marks", {})}


def has_other_rows(file: RecipeFile, manifest: Manifest) -> bool:
    """Whether the rows of the base batch would be read from other content now; nothing is kept for that.

    Another sample of traffic alone changes no row, and so no batch that is held against this one.
    """
    data = file.recipe.data
    before = {**manifest.external_inputs, **manifest.facts.get("marks", {})}
    now, traffic = _now(file, data.source, data.golden), _now(file, data.traffic_file)
    return {name: digest for name, digest in before.items() if name in now or name not in traffic} != now


def _now(file: RecipeFile, *addresses: str | None) -> dict[str, str]:
    """Digest of each file behind some addresses as they are now; of those that the recipe does not name, none."""
    return {name: one for uri in addresses if uri for name, one in digests_now(uri, root=file.root).items()}


def drop_folder(file: RecipeFile, home: Home) -> str:
    """Where new files of rows for a recipe arrive; this installation's inbox is made when first looked at."""
    if file.recipe.data.drop_folder is not None:
        return file.located(file.recipe.data.drop_folder)
    inbox = home.inbox(file.name)
    inbox.mkdir(parents=True, exist_ok=True)
    return str(inbox)


def read_base(file: RecipeFile) -> SourceRead:
    """Read all rows of the base batch as they are now, for a look at them: of the source, and of the golden file."""
    source = read_source(file)
    return source if file.recipe.data.golden is None else _together([source, read_golden_file(file)])


def read_source(file: RecipeFile, kept: Mapping[str, Path] | None = None) -> SourceRead:
    """Read the rows of the recipe's own source; of a column that is not there the field is named that asks for it.

    Args:
        file: the recipe.
        kept: where the bytes of the source are kept, by address; None reads the source itself, for a look at it.
    """
    try:
        return _read(file, file.recipe.data.source, kept, keep=file.recipe.kept_columns, batch=BASE)
    except UnknownColumnError as error:
        raise error.at(f"{file.where(*file.recipe.field_naming(error.column))}: {error.where}") from error


def _read_traffic(file: RecipeFile, kept: Mapping[str, Path]) -> pl.DataFrame:
    """Read the sample of traffic that the recipe names, with those of label and slice columns that it has."""
    data = file.recipe.data
    keep = tuple(dict.fromkeys(item.column for item in file.recipe.slices if item.column not in ("label", "text")))
    optional = (*([data.label] if data.label else []), *keep)
    try:
        return _read(file, str(data.traffic_file), kept, keep=keep, optional=optional, batch="traffic").rows
    except StillhouseError as error:
        raise error.at(f"{file.where('data', 'traffic')}: {error.where}") from error


def _read(
    file: RecipeFile,
    uri: str,
    kept: Mapping[str, Path] | None,
    *,
    keep: Sequence[str],
    optional: Collection[str] = (),
    batch: str,
) -> SourceRead:
    """Read rows in the format, with the column names and up to the limits that the recipe gives its source."""
    data = file.recipe.data
    return read_rows(
        uri,
        RowColumns(data.text, data.label, keep, optional, query=data.query),
        format_of_source(data),
        kept=kept,
        batch=batch,
        root=file.root,
        classes=data.labels,
        answer=data.answer,
        score=data.score,
        record=data.record,
        limits=data.limits,
    )


def _read_batch(file: RecipeFile, batch: str, kept: Mapping[str, Path]) -> SourceRead:
    """Read all files of a later batch from the bytes that were kept, one below the other."""
    return _together([read_dropped(file.recipe, name, path, batch=batch) for name, path in kept.items()])


def _together(read: Sequence[SourceRead]) -> SourceRead:
    counted = [one.counted for one in read if one.counted is not None]
    return SourceRead(
        pl.concat([one.rows for one in read], how="diagonal"),
        pl.concat([one.rejects for one in read], how="diagonal"),
        sum(counted) if len(counted) == len(read) else None,
    )
