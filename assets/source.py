"""The rows as they came: the recipe's source and every file in the drop folder.

Belongs here: which files are read.
Does not: reading one (stillhouse/data/sources.py), cleaning (prompts.py).
"""

from pathlib import Path, PurePosixPath

import dagster as dg
import polars as pl

from assets.keys import CONTRACT, SOURCE
from assets.stage import Shown, Work, markdown_table, stage_asset, table_metadata
from stillhouse.data.formats import UnknownColumnError
from stillhouse.data.sources import SourceRead, drop_folder_files, read_rows, source_digest
from stillhouse.errors import StillhouseError
from stillhouse.home import CHECKOUT, Home
from stillhouse.recipe import Recipe, RecipeFile
from stillhouse.workshop import Artifact, Facts

BASE = "base"


def source(file: RecipeFile) -> dg.AssetsDefinition:
    """Build the asset."""
    data = file.recipe.data

    @stage_asset(file, SOURCE, inputs={"contract": CONTRACT}, code=("data",), kinds={"polars", "parquet"})
    def source_rows(work: Work, contract: Artifact) -> Shown:
        """Every row as it came, with the file it came from; lines that could not be read are kept as rejects."""
        dropped = drop_folder_files(drop_folder(file, work.workshop.home))
        digests = {uri: source_digest(uri, root=CHECKOUT) for uri in (data.source, *dropped)}

        def build(folder: Path) -> Facts:
            reads = [_base(file), *(_dropped(file, uri) for uri in dropped)]
            rows = pl.concat([read.rows for read in reads])
            rejects = pl.concat([read.rejects for read in reads])
            rows.write_parquet(folder / "rows.parquet")
            rejects.write_parquet(folder / "rejects.parquet")
            return {"records": rows.height + rejects.height, "rows": rows.height, "rejects": rejects.height}

        named = {PurePosixPath(uri).name if uri != data.source else BASE: digest for uri, digest in digests.items()}
        config = {"data": data.model_dump(mode="json"), "columns": list(file.recipe.kept_columns)}
        artifact = work.make(build, depends_on={"files": named}, config=config, external_inputs=digests)
        rows = artifact.frame("rows")
        batches = rows.group_by("batch", maintain_order=True).agg(
            pl.len().alias("rows"), pl.col("label").count().alias("labelled")
        )
        return Shown(
            artifact,
            {
                **table_metadata(rows),
                "unreadable_lines": artifact.facts["rejects"],
                "batches": dg.MetadataValue.md(markdown_table(batches.to_dicts())),
            },
        )

    return source_rows


def drop_folder(file: RecipeFile, home: Home) -> str:
    """Where new files of rows for a recipe arrive; this installation's inbox is made when first looked at."""
    if file.recipe.data.drop_folder is not None:
        return file.recipe.data.drop_folder
    inbox = home.inbox(file.name)
    inbox.mkdir(parents=True, exist_ok=True)
    return str(inbox)


def _base(file: RecipeFile) -> SourceRead:
    data = file.recipe.data
    try:
        return read_rows(
            data.source,
            format=data.format,
            encoding=data.encoding,
            pattern=data.pattern,
            text=data.text,
            label=data.label,
            keep=file.recipe.kept_columns,
            batch=BASE,
            root=CHECKOUT,
        )
    except UnknownColumnError as error:
        where = f"{file.where(*_field_naming(file.recipe, error.column))}: {error.where}"
        raise StillhouseError(error.what, where=where, expected=error.expected, do=error.do) from error


def _field_naming(recipe: Recipe, column: str) -> tuple[str | int, ...]:
    """The field of the recipe that asks for a column."""
    for name in ("text", "label", "group"):
        if getattr(recipe.data, name) == column:
            return "data", name
    return next(("slices", place, "column") for place, item in enumerate(recipe.slices) if item.column == column)


def _dropped(file: RecipeFile, uri: str) -> SourceRead:
    """Read a dropped file: csv, parquet or ndjson with the text column, and label and slice columns if it has them."""
    data, keep = file.recipe.data, file.recipe.kept_columns
    suffix = PurePosixPath(uri).suffix.lower()
    as_the_source = data.format == "lines" and suffix == PurePosixPath(data.source).suffix.lower()
    return read_rows(
        uri,
        format="lines" if as_the_source else None,
        encoding=data.encoding if as_the_source else "utf-8",
        pattern=data.pattern if as_the_source else None,
        text=data.text,
        label=data.label,
        keep=keep,
        optional=(data.label, *keep),
        batch=PurePosixPath(uri).name,
    )
