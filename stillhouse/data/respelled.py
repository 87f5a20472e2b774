"""Rows whose labels are given one spelling, and rejects for those that have none.

Belongs here: what sets of labels, numbers and records have in common when they are read.
Does not: which cells are one, and how it is spelled (sets_of_labels.py, score_rows.py, record_rows.py).
"""

from collections.abc import Mapping

import polars as pl

from stillhouse.data.quoting import quoted
from stillhouse.data.rejects import RejectReason


def respelled(
    rows: pl.DataFrame,
    spelling: Mapping[str, str | None],
    why: Mapping[str, str],
    reason: RejectReason,
    *,
    may_quote: bool = True,
) -> tuple[pl.DataFrame, list[tuple[str, RejectReason, str]]]:
    """Give labels their spelling.

    Args:
        rows: `text` and `label`, a cell as it came, or null; in the order of the source.
        spelling: by cell, None where it is unlabelled.
        why: of each other cell, as a clause, why it is no label.
        reason: for which those are rejected.
        may_quote: whether a reject says what its cell holds.

    Returns:
        The rows that have a label or nothing, and of the others what they are rejected as, see `Table`.
    """
    is_one = rows["label"].is_null() | rows["label"].is_in(list(spelling))
    rejects = [
        (text or "", reason, f"row {row + 1}{f', {quoted(cell)!r}' if may_quote else ''}: {why[cell]}")
        for row, text, cell in rows.with_row_index("row").filter(~is_one).select("row", "text", "label").iter_rows()
    ]
    known = pl.DataFrame(
        {"label": list(spelling), "spelled": list(spelling.values())},
        schema=dict.fromkeys(("label", "spelled"), pl.String),
    )
    kept = rows.filter(is_one).join(known, on="label", how="left", maintain_order="left")
    return kept.with_columns(pl.col("spelled").alias("label")).select(rows.columns), rejects
