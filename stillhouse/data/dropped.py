"""Reading a file beside a recipe's own source, such as one of its drop folder, the way its recipe says.

Belongs here: in which format such a file is, and which columns a dropped one has to have.
Does not: reading formats (delimited.py, parquet.py, ...), looking at the folder (stillhouse/data/drop_folder.py).
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from stillhouse.data.sources import (
    BY_ITS_ENDING,
    RowColumns,
    RowFormat,
    SourceRead,
    ending_of,
    known_ending,
    read_rows,
)
from stillhouse.data.table import UnknownColumnError
from stillhouse.errors import StillhouseError
from stillhouse.recipe.contract import Recipe
from stillhouse.recipe.data import DataSpec


def require_known_ending(recipe: Recipe, name: str) -> None:
    """Refuse a dropped file whose name says that it holds no rows, such as a README.

    Raises:
        StillhouseError: if its ending is that of no format of rows, nor of the recipe's own source.
    """
    if not known_ending(name) and not _as_the_source(recipe.data, name):
        raise StillhouseError(
            f"it is not a file of rows: its ending is {PurePosixPath(name).suffix or 'missing'}",
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
    with every_column_in_a_drop(recipe):
        columns = RowColumns(data.text, data.label, recipe.kept_columns, data.allow_missing_columns, query=data.query)
        return read_like_the_source(data, name, columns, kept={name: kept}, batch=batch)


@contextmanager
def every_column_in_a_drop(recipe: Recipe) -> Iterator[None]:
    """Say of a dropped file that lacks a column which field names it, and how a recipe allows that.

    Filled with nulls instead, a renamed label column makes labelled rows unlabelled ones and no gate can tell.

    Raises:
        StillhouseError: in place of an `UnknownColumnError`.
    """
    try:
        yield
    except UnknownColumnError as error:
        allow = (
            ""
            if error.column in (recipe.data.text, recipe.data.query)
            else " `data.allow_missing_columns` lists what files may lack."
        )
        raise StillhouseError(
            f"{error.what}, which `{'.'.join(map(str, recipe.field_naming(error.column)))}` of the recipe names",
            where=error.where,
            expected=error.expected,
            do=f"{error.do if error.is_like_one else 'Call the column so in the file.'}{allow}",
        ) from error


def read_like_the_source(
    data: DataSpec,
    name: str,
    columns: RowColumns,
    *,
    batch: str,
    kept: Mapping[str, Path] | None = None,
    root: Path | None = None,
) -> SourceRead:
    """Read a file beside a recipe's own source: like that where it has the same ending, otherwise by its ending.

    Args:
        data: says how the source is read.
        name: of the file, for its ending and for messages.
        columns: which of its columns.
        batch: see `read_rows`.
        kept: likewise.
        root: likewise.

    Raises:
        StillhouseError: see `read_rows`.
    """
    how = format_of_source(data) if _as_the_source(data, name) else BY_ITS_ENDING
    return read_rows(
        name,
        columns,
        how,
        kept=kept,
        batch=batch,
        root=root,
        classes=data.labels,
        answer=data.answer,
        score=data.score,
        record=data.record,
        limits=data.limits,
    )


def format_of_source(data: DataSpec) -> RowFormat:
    """How a recipe says that the bytes of its source are taken for rows."""
    return RowFormat(data.format, data.encoding, data.pattern, data.separator, data.quoting, data.columns)


def _as_the_source(data: DataSpec, name: str) -> bool:
    ending = ending_of(data.source)
    # A name without an ending says nothing, but for lines there is no ending that would.
    return ending_of(name) == ending and (ending != "" or data.format == "lines")
