"""The rows as they came, batch by batch: the recipe's source is one, each file in the drop folder another.

Belongs here: which file is which batch.
Does not: reading one (stillhouse/data/sources.py), cleaning (prompts.py).
"""

from collections.abc import Mapping
from functools import partial
from pathlib import Path, PurePosixPath

import dagster as dg
import polars as pl

from assets.keys import BASE, CONTRACT, SOURCE
from assets.stage import Shown, Work, stage_asset, table_metadata
from stillhouse.data.formats import UnknownColumnError
from stillhouse.data.provenance import with_provenance, without_secrets
from stillhouse.data.rejects import all_rejects
from stillhouse.data.sources import (
    SourceRead,
    digests_now,
    drop_folder_files,
    every_column_in_a_drop,
    read_outside,
    read_rows,
)
from stillhouse.errors import StillhouseError
from stillhouse.home import CHECKOUT, Home
from stillhouse.manifest import Manifest
from stillhouse.recipe import RecipeFile
from stillhouse.workshop import Artifact, Facts


def source(file: RecipeFile) -> dg.AssetsDefinition:
    """Build the asset."""
    data = file.recipe.data

    @stage_asset(
        file,
        SOURCE,
        inputs={"contract": CONTRACT},
        kinds={"polars", "parquet"},
    )
    def source_rows(work: Work, contract: Artifact) -> Shown:
        """The rows of one batch as they came; what could not be read or has no provenance is kept as a reject."""
        assert work.batch is not None
        store = work.workshop.store
        uri = batch_uri(file, work.workshop.home, work.batch)
        from_outside = partial(read_outside, store=store, root=CHECKOUT, limits=data.limits)
        origin = from_outside(uri)
        traffic = from_outside(data.traffic) if data.traffic and work.batch == BASE else None
        marks = {**origin.marks, **(traffic.marks if traffic else {})}

        def build(folder: Path) -> Facts:
            kept = origin.kept(store)
            read = read_base(file, kept) if work.batch == BASE else _dropped(file, uri, kept)
            if traffic:
                _read_traffic(file, traffic.kept(store)).write_parquet(folder / "traffic.parquet")
            traced = with_provenance(read.rows, data.provenance)
            rejects = all_rejects([without_secrets(read.rejects, data.provenance), traced.rejects])
            traced.rows.write_parquet(folder / "rows.parquet")
            rejects.write_parquet(folder / "rejects.parquet")
            return {
                "records": read.rows.height + read.rejects.height,
                "rows": traced.rows.height,
                "unreadable": read.rejects.height,
                "quarantined": traced.rejects.height,
                "marks": marks,
            }

        artifact = work.make(
            build,
            depends_on={
                "file": origin.content,
                **({"traffic": traffic.content} if traffic else {}),
                **({"marks": marks} if marks else {}),  # so that the facts hold what was seen last
            },
            config={"data": data.model_dump(mode="json"), "columns": list(file.recipe.kept_columns)},
            external_inputs={**origin.digests, **(traffic.digests if traffic else {})},
        )
        rows = artifact.frame("rows")
        return Shown(
            artifact,
            {
                **table_metadata(rows),
                "labelled": rows["label"].count(),
                "unreadable_lines": artifact.facts["unreadable"],
                "quarantined": artifact.facts["quarantined"],
                "read_from": uri,
            },
        )

    return source_rows


def batch_uri(file: RecipeFile, home: Home, batch: str) -> str:
    """Where the rows of a batch are: the recipe's source, or the file of that name in the drop folder.

    Raises:
        StillhouseError: if the file is no longer there.
    """
    if batch == BASE:
        return file.recipe.data.source
    folder = drop_folder(file, home)
    found = {PurePosixPath(uri).name: uri for uri in drop_folder_files(folder)}
    if batch not in found:
        raise StillhouseError(
            f"the file of batch {batch!r} is gone",
            where=folder,
            expected=f"one of: {', '.join([BASE, *found])}",
            do="Put it back, or leave this batch out: the next run forgets batches without a file.",
        )
    return found[batch]


def is_as_it_was(file: RecipeFile, home: Home, manifest: Manifest) -> bool:
    """Whether the files that a batch of this stage was read from are the same now; nothing is kept for that."""
    assert manifest.partition is not None
    addresses = [batch_uri(file, home, manifest.partition)]
    if manifest.partition == BASE and file.recipe.data.traffic:
        addresses.append(file.recipe.data.traffic)
    now = {name: digest for uri in addresses for name, digest in digests_now(uri, root=CHECKOUT).items()}
    return now == {**manifest.external_inputs, **manifest.facts.get("marks", {})}


def drop_folder(file: RecipeFile, home: Home) -> str:
    """Where new files of rows for a recipe arrive; this installation's inbox is made when first looked at."""
    if file.recipe.data.drop_folder is not None:
        return file.recipe.data.drop_folder
    inbox = home.inbox(file.name)
    inbox.mkdir(parents=True, exist_ok=True)
    return str(inbox)


def read_base(file: RecipeFile, kept: Mapping[str, Path] | None = None) -> SourceRead:
    """Read the rows of the recipe's own source; a column that is not there is told by the field that asks for it.

    Args:
        file: the recipe.
        kept: where the bytes of the source are kept, by address; None reads the source itself, for a look at it.
    """
    data = file.recipe.data
    try:
        return read_rows(
            data.source,
            kept=kept,
            format=data.format,
            encoding=data.encoding,
            pattern=data.pattern,
            text=data.text,
            label=data.label,
            keep=file.recipe.kept_columns,
            batch=BASE,
            root=CHECKOUT,
            limits=data.limits,
        )
    except UnknownColumnError as error:
        where = f"{file.where(*file.recipe.field_naming(error.column))}: {error.where}"
        raise StillhouseError(error.what, where=where, expected=error.expected, do=error.do) from error


def _read_traffic(file: RecipeFile, kept: Mapping[str, Path]) -> pl.DataFrame:
    """Read the sample of traffic that the recipe names, with those of label and slice columns that it has."""
    data = file.recipe.data
    keep = tuple(dict.fromkeys(item.column for item in file.recipe.slices if item.column not in ("label", "text")))
    try:
        return read_rows(
            str(data.traffic),
            kept=kept,
            format=data.format,
            encoding=data.encoding,
            pattern=data.pattern,
            text=data.text,
            label=data.label,
            keep=keep,
            optional=(data.label, *keep),
            batch="traffic",
            limits=data.limits,
        ).rows
    except StillhouseError as error:
        where = f"{file.where('data', 'traffic')}: {error.where}"
        raise StillhouseError(error.what, where=where, expected=error.expected, do=error.do) from error


def _dropped(file: RecipeFile, uri: str, kept: Mapping[str, Path]) -> SourceRead:
    """Read a dropped file: csv, parquet or ndjson by its ending, or lines like the recipe's own source."""
    data, keep = file.recipe.data, file.recipe.kept_columns
    suffix = PurePosixPath(uri).suffix.lower()
    as_the_source = data.format == "lines" and suffix == PurePosixPath(data.source).suffix.lower()
    with every_column_in_a_drop(file.recipe):
        return read_rows(
            uri,
            kept=kept,
            format="lines" if as_the_source else None,
            encoding=data.encoding if as_the_source else "utf-8",
            pattern=data.pattern if as_the_source else None,
            text=data.text,
            label=data.label,
            keep=keep,
            optional=data.allow_missing_columns,
            batch=PurePosixPath(uri).name,
            limits=data.limits,
        )
