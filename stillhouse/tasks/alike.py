"""When two answers, as they are written, count as one: so it is known of live answers which are right, and who agrees.

Belongs here: that rule for texts of answers, such as the traffic log has.
Does not: the same rule for outputs of a model (each kind of answer beside it), measuring how often it holds.

Labels and sets of labels are alike where their texts are. Numbers are where they are within the tolerance of each
other, by which a golden answer is right: so a live figure and a golden one are of one kind.
"""

from collections.abc import Sequence

import polars as pl

from stillhouse.tasks.numbers import reach


def alike(first: pl.Expr, second: pl.Expr, tolerance: float | None) -> pl.Expr:
    """Which rows have two answers that count as one; null where there is none.

    Args:
        first: answers as they are written.
        second: likewise.
        tolerance: of numbers (`data.score.tolerance`); None of labels. What is no number then is null, too.
    """
    if tolerance is None:
        return first == second
    apart = first.cast(pl.Float64, strict=False) - second.cast(pl.Float64, strict=False)
    return apart.abs() <= reach(tolerance)


def which_alike(first: Sequence[str | None], second: Sequence[str | None], tolerance: float | None) -> list[bool]:
    """The same of two lists; False where there is none."""
    rows = pl.DataFrame({"first": first, "second": second}, schema={"first": pl.String, "second": pl.String})
    return rows.select(alike(pl.col("first"), pl.col("second"), tolerance).fill_null(False)).to_series().to_list()
