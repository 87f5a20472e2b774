"""The shape of the reject ledger."""

import polars as pl

from stillhouse.data.rejects import REJECT_SCHEMA, RejectReason, all_rejects, count_reasons, rejected


def test_ledgers_of_several_stages_fit_behind_each_other() -> None:
    rows = pl.DataFrame({"text": ["a", "b"], "batch": ["base", "may"], "label": ["x", None]})
    blank, long = RejectReason.BLANK, RejectReason.TOO_LONG
    ledger = all_rejects(
        [rejected(rows, blank), rejected(rows.head(0), long), rejected(rows, pl.lit(long.value), pl.col("batch"))]
    )
    assert ledger.schema == REJECT_SCHEMA
    assert ledger["reason"].to_list() == [blank, blank, long, long]
    assert ledger["detail"].to_list() == [None, None, "base", "may"]
    assert all_rejects([]).schema == REJECT_SCHEMA


def test_reasons_are_counted_wherever_the_rows_were() -> None:
    rows = pl.DataFrame({"text": ["a", "b"], "batch": ["base", "base"], "line": ["line 3", "line 14"]})
    ledger = all_rejects(
        [
            rejected(rows.head(1), RejectReason.BLANK),
            rejected(rows, pl.lit(RejectReason.NO_MATCH.value), pl.col("line")),
        ]
    )
    assert count_reasons(ledger).rows() == [(RejectReason.NO_MATCH, 2), (RejectReason.BLANK, 1)]


def test_no_reason_stands_for_two() -> None:
    assert len({reason.value for reason in RejectReason}) == len(RejectReason.__members__)
