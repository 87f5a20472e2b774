"""Reading the file of rows that people have labelled and that judge, the way its recipe says.

Belongs here: how it is read, and which field names a column that it lacks.
Does not: reading formats (delimited.py, parquet.py, ...), which of its rows judge (splits.py), what the rows of the
source may be beside them (prompt_set.py).
"""

from collections.abc import Mapping
from pathlib import Path

from stillhouse.data.dropped import read_like_the_source
from stillhouse.data.sources import RowColumns, SourceRead
from stillhouse.data.table import UnknownColumnError
from stillhouse.errors import StillhouseError
from stillhouse.recipe.data import GOLDEN_FILE
from stillhouse.recipe.reading import RecipeFile


def read_golden_file(file: RecipeFile, kept: Mapping[str, Path] | None = None) -> SourceRead:
    """Read the rows of `data.golden`: like the recipe's own source where it has the same ending, else by its ending.

    Args:
        file: the recipe, which names such a file.
        kept: where its bytes are kept, by address; None reads the file itself, for a look at it.

    Raises:
        StillhouseError: if it cannot be read, has no rows, or lacks a column.
    """
    data = file.recipe.data
    assert data.golden is not None
    try:
        return read_like_the_source(
            data,
            data.golden,
            RowColumns(
                data.golden_text or data.text,
                data.golden_label or data.label,
                file.recipe.kept_columns,
                query=data.query,
            ),
            kept=kept,
            root=file.root,
            batch=GOLDEN_FILE,
        )
    except UnknownColumnError as error:
        raise StillhouseError(
            f"{error.what}, which `{_field_naming(file, error.column)}` of the recipe names",
            where=f"{file.where('data', 'golden')}: {error.where}",
            expected=error.expected,
            do=f"{error.do} `data.golden_text` and `data.golden_label` name columns that are called otherwise there.",
        ) from error
    except StillhouseError as error:
        raise error.at(f"{file.where('data', 'golden')}: {error.where}") from error


def _field_naming(file: RecipeFile, column: str) -> str:
    for name in ("golden_text", "golden_label"):
        if getattr(file.recipe.data, name) == column:
            return f"data.{name}"
    return ".".join(map(str, file.recipe.field_naming(column)))
