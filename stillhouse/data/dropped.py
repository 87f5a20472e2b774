"""Reading one file of a drop folder, the way its recipe says.

Belongs here: in which format a dropped file is, and which columns it has to have.
Does not: reading formats (delimited.py, parquet.py, ...), looking at the folder (stillhouse/data/drop_folder.py).
"""

from pathlib import Path, PurePosixPath
from typing import Any

from stillhouse.data.sources import SourceRead, ending_of, every_column_in_a_drop, known_ending, read_rows
from stillhouse.errors import StillhouseError
from stillhouse.recipe.contract import Recipe


def require_known_ending(recipe: Recipe, name: str) -> None:
    """Refuse a dropped file whose name says that it holds no rows, such as a README.

    Raises:
        StillhouseError: if its ending is that of no format of rows, nor of the recipe's own source.
    """
    if not known_ending(name) and not _as_the_source(recipe, name):
        raise StillhouseError(
            f"it is no file of rows: its ending is {PurePosixPath(name).suffix or 'missing'}",
            where=name,
            expected="csv, parquet, JSON, ndjson or xlsx by its ending",
            do="Rename it, or take it out of the drop folder.",
        )


def read_dropped(recipe: Recipe, name: str, kept: Path, *, batch: str) -> SourceRead:
    """Read a dropped file: like the recipe's own source where it has the same ending, otherwise by its ending.

    Args:
        recipe: names the columns; each has to be there unless `data.allow_missing_columns` lists it.
        name: of the file in the drop folder, for its ending and for messages.
        kept: where its bytes are kept.
        batch: what its rows are counted to.

    Raises:
        StillhouseError: if it cannot be read, has no rows, or lacks a column.
    """
    data = recipe.data
    how: dict[str, Any] = reading_of(recipe) if _as_the_source(recipe, name) else {}
    with every_column_in_a_drop(recipe):
        return read_rows(
            name,
            kept={name: kept},
            text=data.text,
            label=data.label,
            classes=data.labels,
            keep=recipe.kept_columns,
            optional=data.allow_missing_columns,
            batch=batch,
            limits=data.limits,
            **how,
        )


def reading_of(recipe: Recipe) -> dict[str, Any]:
    """How the recipe says that its source is read: these options of `read_rows`."""
    data = recipe.data
    return {
        "format": data.format,
        "encoding": data.encoding,
        "pattern": data.pattern,
        "separator": data.separator,
        "quoting": data.quoting,
        "header": data.columns,
    }


def _as_the_source(recipe: Recipe, name: str) -> bool:
    ending = ending_of(recipe.data.source)
    # A name without an ending says nothing, but for lines there is no ending that would.
    return ending_of(name) == ending and (ending != "" or recipe.data.format == "lines")
