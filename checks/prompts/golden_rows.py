"""Whether the rows that judge are the right ones, enough of them, and the same as before.

Belongs here: the golden file, slices, rows for the margin, golden rows that changed.
Does not: golden texts that were trained on (split.py).
"""

import math
from difflib import get_close_matches
from typing import Any

import polars as pl

from checks.gate import Finding, GateContext, gate, none_of, offenders, passed_if
from checks.prompts.base_batch import label_counts
from stillhouse.data.cleaning import prompt_ids
from stillhouse.data.declared_labels import CLASSES_SHOWN
from stillhouse.data.prompt_set import redacted
from stillhouse.data.quoting import quoted
from stillhouse.evaluation.planning import QUERIES, plan
from stillhouse.evaluation.slices.declared import is_member
from stillhouse.recipe.data import GOLDEN_FILE
from stillhouse.records.gate_status import GateStatus
from stillhouse.stages.names import BASE, PROMPTS
from stillhouse.statistics.verdicts import Verdict
from stillhouse.tasks import one_name_a_row


@gate("a row that judges without a person having labelled it lets a teacher agree with itself")
def golden_rows_are_of_the_golden_file(context: GateContext) -> Finding:
    """Where the recipe names one: each golden and validation row, and its label, as that file has them."""
    if context.recipe.data.golden is None or not context.is_base:
        return passed_if(True, "asked of the base batch, where data.golden names a file")
    rows = context.made_from("source").frame("rows").filter(pl.col("batch") == GOLDEN_FILE).drop_nulls("text")
    said = rows.select(prompt_ids(redacted(rows).rows["text"]), "label").unique()
    held_out = context.frame("prompts").filter(pl.col("split") != "train")
    others = held_out.join(said, on=["prompt_id", "label"], how="anti")
    return none_of(
        others.height,
        f"{others.height:,} of {held_out.height:,} rows that judge or validate are not of {context.recipe.data.golden}"
        if others.height
        else f"{held_out.height:,} rows that judge or validate are of the golden file, with its labels",
        rows=offenders(others.select("batch", "label", "text")),
    )


@gate(
    "a label that golden rows alone have is a misspelling, or a class that nothing is ever learned of",
    about_classes=True,
)
def every_golden_label_is_in_the_source(context: GateContext) -> Finding:
    """Where the recipe names a golden file and a column of labels in the source."""
    data = context.recipe.data
    if data.golden is None or not context.is_base:
        return passed_if(True, "asked of the base batch, where data.golden names a file")
    rows = one_name_a_row(data.answer, context.made_from("source").frame("rows"))
    of_people = rows["batch"] == GOLDEN_FILE
    golden, known = label_counts(rows.filter(of_people)["label"]), set(rows.filter(~of_people)["label"])
    if data.label is None:
        shown = ", ".join(map(quoted, sorted(golden)[:CLASSES_SHOWN]))
        return passed_if(True, f"the source has no labels; the classes are those of the golden file: {shown}")
    unknown = {label: number for label, number in golden.items() if label not in known}
    detail = ", ".join(f"{quoted(label)!r} ({number:,} golden rows)" for label, number in unknown.items())
    close = next((match for label in unknown for match in get_close_matches(label, known, n=1)), None)
    return none_of(
        len(unknown),
        f"no row of {data.source} has {detail}{f'. Did you mean {quoted(close)!r}?' if close else ''}: correct them in "
        f"{data.golden}, let them be another class by `data.labels`, or add rows of them"
        if unknown
        else f"{len(golden)} labels of the golden file, all in the source",
        labels=[{"label": label, "rows": number} for label, number in unknown.items()],
    )


@gate("a slice without rows cannot be judged, and no average shows it")
def every_slice_has_golden_rows(context: GateContext) -> Finding:
    """Slices that the recipe declares, critical or not."""
    if not context.is_base:
        return passed_if(True, "golden rows are those of the base batch")
    counts = _slice_counts(context)
    empty = [count["slice"] for count in counts if count["rows"] == 0]
    return none_of(
        len(empty), f"empty: {', '.join(empty)}" if empty else f"{len(counts)} slices have rows", slices=counts
    )


@gate("with few rows the verdict on a slice can only be inconclusive", blocking=False)
def no_slice_is_thin(context: GateContext) -> Finding:
    """Fewer rows than this cannot show a difference of ten points."""
    limit = context.recipe.limits.thin_slice_rows
    thin = [f"{count['slice']} ({count['rows']})" for count in _slice_counts(context) if count["rows"] < limit]
    if not context.is_base:
        return passed_if(True, "golden rows are those of the base batch")
    fewest = min((count["rows"] for count in _slice_counts(context)), default=None)
    said = f"fewer than {limit} golden rows: {', '.join(thin)}" if thin else "none is thin"
    return passed_if(not thin, said, observed=fewest, limit=limit)


@gate("results on a changed golden set cannot be compared with earlier ones")
def no_golden_row_has_changed(context: GateContext) -> Finding:
    """Held against the base batch before this one: a golden row may be added, never relabelled, moved or dropped."""
    before = base_before(context) if context.is_base else None
    if before is None:
        return passed_if(True, "there is no golden set before this one under the same split")
    old = before.filter(pl.col("split") == "golden").select("prompt_id", "text", pl.col("label").alias("was"))
    now = context.frame("prompts").select("prompt_id", "label", "split")
    same = (pl.col("split") == "golden").fill_null(False) & (pl.col("label") == pl.col("was")).fill_null(False)
    changed = old.join(now, on="prompt_id", how="left").filter(~same)
    return none_of(
        changed.height,
        f"{changed.height:,} of {old.height:,} golden rows were relabelled, moved or dropped"
        + ("; if the labels were corrected on purpose, waive this once" if changed.height else ""),
        changed=offenders(changed),
    )


@gate("with few golden rows every verdict can only be inconclusive", blocking=False)
def the_golden_set_can_support_the_margin(context: GateContext) -> Finding:
    """Rows for 80 % power at no true drop, overall and on each critical slice; `stillhouse plan` shows all of them."""
    if not context.is_base:
        return passed_if(True, "golden rows are those of the base batch")
    golden = context.frame("prompts").filter(pl.col("split") == "golden")
    planned = plan(
        golden,
        context.recipe.bar,
        context.recipe.slices,
        are_sets=context.recipe.gives_sets,
        queries=context.recipe.queries,
    )
    asked = planned.unsupported or [claim for claim in planned.claims if claim.binding]
    hardest = min(asked, key=lambda claim: claim.rows / claim.rows_needed)
    data, split = context.recipe.data, context.recipe.split
    to_label = math.ceil((hardest.rows_needed - hardest.rows) / split.golden_share)
    more = f"the documents of about {to_label:,} queries" if hardest.name == QUERIES else f"about {to_label:,} rows"
    advice = f"; label {more} more in {data.golden}" if data.golden and planned.unsupported else ""
    return Finding(
        Verdict.INCONCLUSIVE if planned.unsupported else Verdict.PASS,
        "; ".join(
            f"{c.name}: {c.rows:,}{'' if c.name == QUERIES else ' rows'}, {c.rows_needed:,} needed for a margin of "
            f"{c.margin:.1%}"
            for c in asked
        )
        + advice,
        observed=hardest.rows,
        limit=hardest.rows_needed,
    )


def base_before(context: GateContext) -> pl.DataFrame | None:
    """Prompts of the newest base batch before this one whose golden rows were accepted, if the split is the same.

    One that was closed does not count: a change that was refused must not be let in by the next, smaller change.
    """
    recipe, name = context.file.name, f"{context.file.name}/{PROMPTS}[{BASE}]"
    ledger = context.builds.ledger
    accepted = {
        entry.body["digest"]
        for entry in ledger.entries(recipe, "verdict", subject=name, gate=no_golden_row_has_changed.name)
        if entry.body["state"] == GateStatus.PASSED or entry.body["waived"]
    }
    made = [entry.body for entry in ledger.entries(recipe, "materialization", subject=name)]
    before = [body for body in made if body["digest"] in accepted - {context.artifact.digest}]
    if not before:
        return None
    artifact = context.builds.artifact(before[-1]["digest"], before[-1]["manifest"])
    same_rule = artifact.manifest.config["split"] == context.artifact.manifest.config["split"]
    return artifact.frame("prompts") if same_rule else None


def _slice_counts(context: GateContext) -> list[dict[str, Any]]:
    golden = context.frame("prompts").filter(pl.col("split") == "golden")
    return [
        {"slice": item.name, "rows": golden.filter(is_member(item, are_sets=context.recipe.gives_sets)).height}
        for item in context.recipe.slices
    ]
