"""The reject ledger's shape: every row that was not kept, with the reason.

Belongs here: the three columns of a reject, making rejects out of rows, counting them by reason.
Does not: deciding what is rejected (formats.py, cleaning.py, splits.py and later stages).
"""

from collections.abc import Iterable

import polars as pl

REJECT_SCHEMA = pl.Schema({"text": pl.String(), "batch": pl.String(), "reason": pl.String()})


def no_rejects() -> pl.DataFrame:
    """An empty reject ledger."""
    return pl.DataFrame(schema=REJECT_SCHEMA)


def rejected(rows: pl.DataFrame, reason: pl.Expr | str) -> pl.DataFrame:
    """Turn `rows` (with at least `text` and `batch`) into rejects.

    Args:
        rows: the rows that are not kept.
        reason: one reason for all of them, or an expression over their columns.
    """
    because = pl.lit(reason, dtype=pl.String) if isinstance(reason, str) else reason.cast(pl.String)
    return rows.select("text", "batch", because.alias("reason"))


def all_rejects(ledgers: Iterable[pl.DataFrame]) -> pl.DataFrame:
    """Put reject ledgers of several stages, or none, behind each other."""
    return pl.concat([no_rejects(), *ledgers])


def count_reasons(rejects: pl.DataFrame) -> pl.DataFrame:
    """Count rejects by reason, most frequent first.

    A reason may end in a place, as in `line does not match the pattern (line 12)`; the place is left out here.

    Returns:
        Columns `reason` and `rows`.
    """
    kind = pl.col("reason").str.replace(r" \([^()]* \d+\)$", "")
    return rejects.group_by(kind).agg(pl.len().alias("rows")).sort(["rows", "reason"], descending=[True, False])
