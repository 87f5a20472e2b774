"""Gates on the source: did all of it arrive, and can anything be learned from it?"""

import polars as pl

from assets.source import BASE
from checks.gate import Finding, StageGates, Subject, found, gate, offenders

UNREADABLE_SHARE = 0.01


@gate("a line that vanishes while a file is read is a line nobody will ever look for")
def every_record_is_a_row_or_a_reject(subject: Subject) -> Finding:
    """What was counted while reading is what is there."""
    rows, rejects = subject.frame("rows").height, subject.frame("rejects").height
    records = subject.artifact.facts["records"]
    return found(rows + rejects == records, f"{records:,} records = {rows:,} rows + {rejects:,} rejects")


@gate("a file in another format or encoding than the recipe says reads as noise")
def nearly_every_line_was_readable(subject: Subject) -> Finding:
    """At most one in a hundred lines of any batch may be unreadable."""
    rejects = subject.frame("rejects")
    lost = rejects.group_by("batch").len("unreadable")
    share = (
        subject.frame("rows")
        .group_by("batch")
        .len("rows")
        .join(lost, on="batch", how="full", coalesce=True)
        .with_columns(pl.col("rows", "unreadable").fill_null(0))
        .with_columns((pl.col("unreadable") / (pl.col("rows") + pl.col("unreadable"))).alias("share"))
        .sort("share", descending=True)
    )
    worst = share.row(0, named=True)
    return found(
        worst["share"] <= UNREADABLE_SHARE,
        f"worst batch {worst['batch']}: {worst['share']:.1%} unreadable, limit {UNREADABLE_SHARE:.0%}",
        unreadable=offenders(rejects),
    )


@gate("with one class there is nothing to tell apart, and with no labels nothing to evaluate against")
def two_classes_are_labelled(subject: Subject) -> Finding:
    """Counted in the recipe's own source, which alone feeds the golden set."""
    labels = subject.frame("rows").filter(pl.col("batch") == BASE)["label"].drop_nulls()
    return found(labels.n_unique() >= 2, f"{len(labels):,} labelled rows of {labels.n_unique()} classes")


GATES = StageGates((every_record_is_a_row_or_a_reject, nearly_every_line_was_readable, two_classes_are_labelled))
