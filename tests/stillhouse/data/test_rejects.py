"""The shape of the reject ledger."""

import polars as pl

from stillhouse.data.rejects import REJECT_SCHEMA, all_rejects, count_reasons, rejected


def test_ledgers_of_several_stages_fit_behind_each_other() -> None:
    rows = pl.DataFrame({"text": ["a", "b"], "batch": ["base", "may"], "label": ["x", None]})
    ledger = all_rejects([rejected(rows, "one"), rejected(rows.head(0), "two"), rejected(rows, pl.col("batch"))])
    assert ledger.schema == REJECT_SCHEMA
    assert ledger["reason"].to_list() == ["one", "one", "base", "may"]
    assert all_rejects([]).schema == REJECT_SCHEMA


def test_reasons_are_counted_without_their_line() -> None:
    reasons = ["no match (line 3)", "no match (line 14)", "blank text", "no match (at all)"]
    ledger = pl.DataFrame({"text": reasons, "batch": reasons, "reason": reasons})
    assert count_reasons(ledger).rows() == [("no match", 2), ("blank text", 1), ("no match (at all)", 1)]
