"""Numbers that were answered, by the bins in which they are counted.

Belongs here: what bins between edges are called, and in which of them a number is.
Does not: where edges lie (baseline.py, stillhouse/stages/traffic.py), how a number is spelled (tasks/numbers.py).
"""

from collections.abc import Sequence

import polars as pl

from stillhouse.tasks.numbers import written_number


def bin_names(edges: Sequence[float]) -> tuple[str, ...]:
    """What the bins are called that edges part, from the lowest: `below 2`, `2 to 3`, `3 and above`.

    A number on an edge is in the bin above it.

    Args:
        edges: ascending, at least one.
    """
    first, *others = written = [written_number(each) for each in edges]
    between = (f"{low} to {high}" for low, high in zip(written, others, strict=False))
    return (f"below {first}", *between, f"{written[-1]} and above")


def bin_of(label: str, edges: Sequence[float]) -> pl.Expr:
    """The place of each number's bin among `bin_names`; null of what is no number.

    Args:
        label: the column of answers, as they are written.
        edges: as above.
    """
    number = pl.col(label).cast(pl.Float64, strict=False)
    below = pl.sum_horizontal((number >= edge).cast(pl.Int64) for edge in edges)
    return pl.when(number.is_not_null()).then(below)
