"""Reading one file of a drop folder, the way its recipe says.

Belongs here: in which format a dropped file is, and which columns it has to have.
Does not: reading formats (formats.py), looking at the folder (stillhouse/data/drop_folder.py).
"""

from pathlib import Path, PurePosixPath

from stillhouse.data.sources import SourceRead, every_column_in_a_drop, known_ending, read_rows
from stillhouse.errors import StillhouseError
from stillhouse.recipe.contract import Recipe


def require_known_ending(recipe: Recipe, name: str) -> None:
    """Refuse a dropped file whose name says that it holds no rows, such as a README.

    Raises:
        StillhouseError: if it is neither csv, parquet or ndjson by its ending, nor lines like the recipe's own source.
    """
    if not known_ending(name) and not _as_the_source(recipe, name):
        raise StillhouseError(
            f"it is no file of rows: its ending is {PurePosixPath(name).suffix or 'missing'}",
            where=name,
            expected="csv, parquet or ndjson by its ending",
            do="Rename it, or take it out of the drop folder.",
        )


def read_dropped(recipe: Recipe, name: str, kept: Path, *, batch: str) -> SourceRead:
    """Read a dropped file: csv, parquet or ndjson by its ending, or lines like the recipe's own source.

    Args:
        recipe: names the columns; each has to be there unless `data.allow_missing_columns` lists it.
        name: of the file in the drop folder, for its ending and for messages.
        kept: where its bytes are kept.
        batch: what its rows are counted to.

    Raises:
        StillhouseError: if it cannot be read, has no rows, or lacks a column.
    """
    data, as_the_source = recipe.data, _as_the_source(recipe, name)
    with every_column_in_a_drop(recipe):
        return read_rows(
            name,
            kept={name: kept},
            format="lines" if as_the_source else None,
            encoding=data.encoding if as_the_source else "utf-8",
            pattern=data.pattern if as_the_source else None,
            text=data.text,
            label=data.label,
            keep=recipe.kept_columns,
            optional=data.allow_missing_columns,
            batch=batch,
            limits=data.limits,
        )


def _as_the_source(recipe: Recipe, name: str) -> bool:
    ending = PurePosixPath(recipe.data.source).suffix.lower()
    return recipe.data.format == "lines" and PurePosixPath(name).suffix.lower() == ending
