"""Parts of the prompts that are judged on their own.

Belongs here: which rows are in which slice.
Does not: floors and margins of slices (evaluation/), whether a slice has enough rows (checks/).
"""

from collections.abc import Collection, Iterable

import polars as pl

from stillhouse.data.formats import require_columns
from stillhouse.errors import StillhouseError


def slice_masks(
    prompts: pl.DataFrame, slices: Iterable[tuple[str, str, Collection[str]]], *, where: str = "slices"
) -> dict[str, pl.Series]:
    """Tell for each slice which rows it has.

    Args:
        prompts: the rows, with every column that a slice names.
        slices: name, column and the values of the column that belong to the slice.
        where: file and field of the recipe, named in errors.

    Returns:
        By name, in the order given: Boolean, shape (rows,). A row without a value is in no slice of that column.

    Raises:
        StillhouseError: if a column does not exist, or two slices have one name.
    """
    masks: dict[str, pl.Series] = {}
    for name, column, values in slices:
        if name in masks:
            raise StillhouseError(
                "two slices have this name",
                where=f"{where}.{name}",
                expected="a name for each",
                do="Rename one of them.",
            )
        require_columns(prompts.columns, [column], f"{where}.{name}.column")
        wanted = pl.Series(list(values), dtype=pl.String).implode()
        masks[name] = prompts.select(pl.col(column).is_in(wanted).fill_null(False).alias(name))[name]
    return masks
