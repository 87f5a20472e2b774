"""Gates on the prompt set: is it fit to teach with and to be judged by?

The expectations on single columns are in expectations/prompts.py.
"""

from typing import Any

import polars as pl

from assets.source import BASE
from checks.expectations.prompts import SUITE
from checks.gate import Finding, StageGates, State, Subject, found, gate, offenders
from stillhouse.evaluation.statistics import rows_needed_for

REJECTED_SHARE = 0.2
USUAL_DISCORDANCE = 0.05


@gate("a filter that loses rows without saying so hides whatever it was that it removed")
def kept_and_rejected_are_all_that_came_in(subject: Subject) -> Finding:
    """In = kept + rejected, counted again from the tables and from the source."""
    source = subject.made_from("source").frame("rows").height
    kept, rejected = subject.frame("prompts").height, subject.frame("rejects").height
    return found(source == kept + rejected, f"{source:,} rows = {kept:,} kept + {rejected:,} rejected")


@gate("a text that is trained on and judged by makes every student look good")
def no_text_is_on_both_sides_of_a_split(subject: Subject) -> Finding:
    """By the text's own id, after case and white space are set aside."""
    sides = (
        subject.frame("prompts")
        .group_by("prompt_id")
        .agg(pl.col("split").n_unique().alias("sides"), pl.col("text").first())
    )
    both = sides.filter(pl.col("sides") > 1)
    return found(both.is_empty(), f"{both.height} texts are on more than one side", texts=offenders(both))


@gate("a drop of mostly broken rows means that something is wrong upstream, not that a fifth of the world is")
def few_rows_of_any_batch_were_rejected(subject: Subject) -> Finding:
    """Copies do not count: they are what cleaning is for."""
    rejects = subject.frame("rejects").filter(~pl.col("reason").str.starts_with("duplicate"))
    came = subject.made_from("source").frame("rows").group_by("batch").len("rows")
    share = (
        came.join(rejects.group_by("batch").len("rejected"), on="batch", how="left")
        .with_columns(pl.col("rejected").fill_null(0))
        .with_columns((pl.col("rejected") / pl.col("rows")).alias("share"))
        .sort("share", descending=True)
    )
    worst = share.row(0, named=True)
    return found(
        worst["share"] <= REJECTED_SHARE,
        f"batch {worst['batch']}: {worst['rejected']:,} of {worst['rows']:,} rows rejected ({worst['share']:.0%}), "
        f"limit {REJECTED_SHARE:.0%}",
        rejected=offenders(rejects.filter(pl.col("batch") == worst["batch"])),
    )


@gate("a slice without rows passes every average, and is where the harm is found later")
def every_slice_has_golden_rows(subject: Subject) -> Finding:
    """Slices that the recipe declares, critical or not."""
    golden = subject.frame("prompts").filter(pl.col("split") == "golden")
    counts: list[dict[str, Any]] = [
        {"slice": item.name, "rows": golden.filter(pl.col(item.column).is_in(item.values)).height}
        for item in subject.recipe.slices
    ]
    empty = [count["slice"] for count in counts if count["rows"] == 0]
    return found(not empty, f"empty: {', '.join(empty)}" if empty else f"{len(counts)} slices have rows", slices=counts)


@gate("a new file that brings a class nobody declared would change what the teacher is asked to tell apart")
def no_batch_brings_a_new_label(subject: Subject) -> Finding:
    """The classes are those of the recipe's own source."""
    prompts = subject.frame("prompts")
    known = prompts.filter(pl.col("batch") == BASE)["label"].drop_nulls().unique()
    new = prompts.filter(pl.col("label").is_not_null() & ~pl.col("label").is_in(known.implode()))
    return found(
        new.is_empty(),
        f"{new.height} rows have a label that the source does not have"
        if new.height
        else f"{len(known)} labels, all known",
        rows=offenders(new.select("batch", "label", "text")),
    )


@gate("a golden set that is too small can only ever say that it does not know", blocking=False)
def the_golden_set_can_support_the_margin(subject: Subject) -> Finding:
    """Rows for 80 % power at no true drop, if teacher and student disagree in correctness on 5 % of the rows."""
    bar = subject.recipe.bar
    needed = rows_needed_for(bar.margin, USUAL_DISCORDANCE, alpha=bar.alpha, power=0.8)
    golden = subject.frame("prompts").filter(pl.col("split") == "golden").height
    return Finding(
        State.PASSED if golden >= needed else State.INCONCLUSIVE,
        f"{golden:,} golden rows, {needed:,} needed for a margin of {bar.margin:.1%}",
    )


GATES = StageGates(
    (
        kept_and_rejected_are_all_that_came_in,
        no_text_is_on_both_sides_of_a_split,
        few_rows_of_any_batch_were_rejected,
        every_slice_has_golden_rows,
        no_batch_brings_a_new_label,
        the_golden_set_can_support_the_margin,
    ),
    SUITE,
)
