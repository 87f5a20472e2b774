"""Gates on the transfer set: does it hold only what may be learned, and enough of it?"""

from typing import Any

import polars as pl

from checks.gate import Finding, GateContext, gate, gates_of_module, none_of, offenders, passed_if
from stillhouse.data.declared_labels import CLASSES_SHOWN
from stillhouse.data.quoting import quoted
from stillhouse.evaluation.slices.declared import is_member
from stillhouse.stages.facts import TransferSetFacts
from stillhouse.statistics.proportions import wilson_interval
from stillhouse.statistics.verdicts import Verdict
from stillhouse.tasks import one_name_a_row


@gate("a row that was dropped without a line in the ledger cannot be asked about")
def kept_and_rejected_are_all_training_rows(context: GateContext) -> Finding:
    """In = kept + rejected, counted again from the prompt set."""
    train = context.frames_made_from("prompts", "prompts").filter(pl.col("split") == "train").height
    kept, rejected = context.frame("transfer_set").height, context.frame("rejects").height
    said = f"{train:,} training rows = {kept:,} kept + {rejected:,} rejected"
    return passed_if(train == kept + rejected, said, observed=kept + rejected, limit=train)


@gate(
    "a student that has seen the golden rows is judged on its memory",
    waivable=False,
)
def no_golden_or_validation_row_is_inside(context: GateContext) -> Finding:
    """By id, against the prompt set."""
    prompts = context.frames_made_from("prompts", "prompts").filter(pl.col("split") != "train")
    leaked = context.frame("transfer_set").join(prompts, on="prompt_id", how="semi")
    return none_of(leaked.height, f"{leaked.height} rows leaked", rows=offenders(leaked.select("prompt_id", "text")))


@gate("a student never answers a class whose rows were mostly filtered out", about_classes=True)
def no_class_loses_more_than_its_share(context: GateContext) -> Finding:
    """Of the labelled training rows of each class only a part may be rejected."""
    prompts = context.frames_made_from("prompts", "prompts").filter(pl.col("split") == "train")
    train = one_name_a_row(context.recipe.data.answer, prompts)
    kept = context.frame("transfer_set").select("prompt_id", pl.lit(True).alias("kept"))
    loss = (
        train.join(kept, on="prompt_id", how="left")
        .group_by("label")
        .agg((1 - pl.col("kept").fill_null(False).mean()).alias("lost"), pl.len().alias("rows"))
        .sort("lost", descending=True)
    )
    limits, rows = context.recipe.limits, loss.to_dicts()
    if not rows:
        return passed_if(True, "no training row has a label, so no class can lose any")
    limit, enough = limits.lost_share_at_most, limits.lost_share_rows
    large = [row for row in rows if row["rows"] >= enough]
    over = [row for row in rows if row["lost"] > limit]
    shown = [row for row in over if row in large or _is_shown(row["lost"], row["rows"], limit)]
    worst = (shown or large or rows)[0]
    unclear = [f"{quoted(row['label'])} ({row['lost']:.0%} of {row['rows']})" for row in over if row not in shown]
    nobody_can_tell = bool(unclear) and not large
    return Finding(
        Verdict.FAIL if shown else Verdict.INCONCLUSIVE if nobody_can_tell else Verdict.PASS,
        f"class {quoted(worst['label'])} loses most: {worst['lost']:.1%} of {worst['rows']:,} rows, limit {limit:.0%}"
        + (f"; of too few rows to tell: {', '.join(unclear[:CLASSES_SHOWN])}" if unclear else ""),
        {"loss_by_class": rows},
        observed=worst["lost"],
        limit=limit,
    )


def _is_shown(share: float, rows: int, limit: float) -> bool:
    """Whether so many rows show a share above the limit, which a handful does only where nearly all are lost."""
    return wilson_interval(round(share * rows), rows)[0] > limit


@gate("a student does not learn a slice whose rows were mostly filtered out")
def no_slice_loses_more_than_its_share(context: GateContext) -> Finding:
    """Of the training rows of each declared slice that has enough of them to tell, only a part may be rejected."""
    train = context.frames_made_from("prompts", "prompts").filter(pl.col("split") == "train")
    kept, limits = context.frame("transfer_set")["prompt_id"].implode(), context.recipe.limits
    loss: list[dict[str, Any]] = []
    for item in context.recipe.slices:
        rows = train.filter(is_member(item, are_sets=context.recipe.gives_sets)).unique("prompt_id")
        if rows.height >= limits.lost_share_rows:
            lost = 1 - rows["prompt_id"].is_in(kept).sum() / rows.height
            loss.append({"slice": item.name, "lost": lost, "rows": rows.height})
    if not loss:
        return passed_if(True, f"no declared slice has {limits.lost_share_rows} training rows")
    worst = max(loss, key=lambda item: item["lost"])
    return passed_if(
        worst["lost"] <= limits.lost_share_at_most,
        f"slice {worst['slice']} loses most: {worst['lost']:.1%} of {worst['rows']:,} rows, "
        f"limit {limits.lost_share_at_most:.0%}",
        observed=worst["lost"],
        limit=limits.lost_share_at_most,
        loss_by_slice=loss,
    )


@gate("a student trained on a part of what came in should say so", blocking=False)
def every_batch_is_in(context: GateContext) -> Finding:
    """All batches of the recipe, against those whose gates were open."""
    batches = context.artifact.facts(TransferSetFacts).batches
    out = [batch for batch in context.batches if batch not in batches]
    return none_of(
        len(out), f"left out, their gates are closed: {', '.join(out)}" if out else f"{len(batches)} batches"
    )


GATES = gates_of_module(__name__)
