"""Whether the mix of rows is the one that production asks.

Belongs here: labels, slice columns and lengths held against traffic or the base batch; synthetic rows.
Does not: classes that are new (labels.py), how far apart two mixes are (stillhouse/data/drift.py).
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import polars as pl

from checks.gate import Finding, GateContext, gate, passed_if
from checks.prompts.base_batch import base_of
from stillhouse.data.cleaning import normalise
from stillhouse.data.diversity import diversity
from stillhouse.data.drift import DistributionShift, distribution_shift, length_shift, lengths_shift
from stillhouse.data.provenance import GENERATION, is_synthetic
from stillhouse.data.quoting import quoted
from stillhouse.live.mix import live_mix
from stillhouse.live.purposes import Purpose
from stillhouse.live.segments import TrafficStore
from stillhouse.serving.ids import RequestIds
from stillhouse.statistics.verdicts import Verdict


@gate("a student is as good as promised on what it was taught, and production asks something else")
def the_mix_matches_recent_traffic(context: GateContext) -> Finding:
    """Labels, slice columns and lengths of the base batch against a sample of traffic, or against live traffic."""
    data = context.recipe.data
    if data.traffic is None or not context.is_base:
        return passed_if(
            True, "the recipe names no sample of traffic" if context.is_base else "asked of the base batch"
        )
    source = context.made_from("source")
    if data.traffic_is_live:
        return _like_live_traffic(context, source.frame("rows"))
    return _alike(context, source.frame("traffic"), source.frame("rows"), "traffic", "the source")


@gate("a batch unlike all before it is another task, a broken export or a real change; a person should know")
def the_batch_is_like_the_base(context: GateContext) -> Finding:
    """Labels, slice columns and lengths of a later batch against the base batch."""
    if context.is_base:
        return passed_if(True, "it is the base batch")
    if context.frame("prompts").is_empty():
        return passed_if(True, "no row of it is new")
    return _alike(context, base_of(context), context.frame("prompts"), "the base batch", "this batch")


@gate("a student of mostly invented rows learns what a generator finds likely")
def the_synthetic_share_is_under_its_cap(context: GateContext) -> Finding:
    """Of the rows to train on."""
    kinds = context.frame("prompts").filter(pl.col("split") == "train")["row_kind"]
    share = float((kinds == "synthetic").mean() or 0.0)  # type: ignore[arg-type]
    cap = context.recipe.data.provenance.synthetic_share_at_most
    said = f"{share:.1%} of {len(kinds):,} training rows are synthetic, cap {cap:.0%}"
    return passed_if(share <= cap, said, observed=share, limit=cap)


@gate("models that learn from what models wrote lose what is rare, more in each generation")
def synthetic_rows_are_diverse_enough(context: GateContext) -> Finding:
    """Different pairs of words in as many, of each generation to train on against the real rows of the base batch."""
    rows, base = context.frame("prompts"), base_of(context)
    synthetic = rows.filter(is_synthetic(rows.columns) & (pl.col("split") == "train"))
    if synthetic.is_empty():
        return passed_if(True, "no row to train on is synthetic")
    real = base.filter(~is_synthetic(base.columns))["text"]
    if real.is_empty():
        return passed_if(False, f"the base batch has no real row to hold {synthetic.height:,} synthetic ones against")
    if GENERATION not in synthetic.columns:
        synthetic = synthetic.with_columns(pl.lit(None, pl.Int64).alias(GENERATION))
    limit = context.recipe.data.provenance.synthetic_diversity_at_least
    table = []
    for (generation,), of_it in synthetic.group_by(GENERATION, maintain_order=True):
        found = diversity(of_it["text"], real)
        table.append(
            {
                "generation": generation,
                "rows": of_it.height,
                "pairs": found.pairs,
                "different": found.distinct,
                "different_of_real_rows": found.distinct_of_reference,
                "share": found.share,
            }
        )
    least = min(table, key=lambda line: line["share"])
    which = "synthetic rows" if least["generation"] is None else f"rows of generation {least['generation']}"
    said = (
        f"{least['rows']:,} {which} have {least['share']:.0%} of the different pairs of words that real rows have in "
        f"{least['pairs']:,}, at least {limit:.0%}"
    )
    return passed_if(least["share"] >= limit, said, observed=least["share"], limit=limit, generations=table)


def _alike(context: GateContext, reference: pl.DataFrame, rows: pl.DataFrame, one: str, other: str) -> Finding:
    """Compare the mix of two sets of rows, column by column; columns that either does not fill are left out."""
    shifts: dict[str, DistributionShift] = {}
    # Of numbers and records hardly any is there twice.
    labels = [] if context.recipe.gives_numbers or context.recipe.gives_records else ["label"]
    for column in dict.fromkeys([*labels, *(item.column for item in context.recipe.slices)]):
        filled = [frame[column].drop_nulls() for frame in (reference, rows) if column in frame.columns]
        if len(filled) == 2 and all(len(values) for values in filled):
            shifts[column] = distribution_shift(filled[0], filled[1])
    shifts["length"] = length_shift(reference["text"].drop_nulls(), rows["text"].drop_nulls())
    return _no_shift(context, shifts, one, other)


def _like_live_traffic(context: GateContext, rows: pl.DataFrame) -> Finding:
    """Compare lengths, and labels as far as people gave them, with the last whole days that servers have kept.

    What a student answers is no truth: its mistakes would be taken for a shift, or hide one. So labels are compared
    only where feedback comes for all answers or for drawn ones. Of columns that callers send the log has the words
    that slices named when an answer came: a slice that was added since would be taken for a shift.

    The traffic is read when the gate is asked, and no input of an artifact: each day would make the rows stale, and a
    round of its own. What was read is in the evidence.
    """
    name, traffic, now = context.file.name, context.recipe.traffic, datetime.now(UTC)
    assert traffic is not None, "a recipe without it is refused when it is loaded"
    promotions = context.builds.ledger.entries(name, "promotion")
    if not promotions:
        return passed_if(True, "nothing has served yet, so there is no traffic to hold the rows against")
    days = context.recipe.limits.traffic_days
    store = TrafficStore(context.builds.home.artifacts, name)
    key = RequestIds.of(context.builds.home.serving).drawing_key(Purpose.TRUTH_IS_ASKED_FOR)
    mix = live_mix(store, traffic, key=key, at=now.timestamp(), days=days)
    read: dict[str, Any] = {
        "days": len(mix.days),
        "answers": len(mix.characters),
        "truths": len(mix.truths),
        "read": mix.read,
    }
    if mix.characters.is_empty():
        if (now.date() - promotions[0].moment.date()).days <= 1:
            return passed_if(True, "the first champion has served for no whole day yet", **read)
        said = f"no answer of the last {days} whole days is kept; name a file in data.traffic if none is served here"
        return Finding(Verdict.INCONCLUSIVE, said, read)
    spelled = rows.select(normalise(pl.col("text")))["text"]
    shifts = {"length": lengths_shift(mix.characters, spelled.str.len_chars())}
    labels = rows["label"].drop_nulls()
    if context.recipe.gives_numbers or context.recipe.gives_records:
        why = (
            f"{'numbers' if context.recipe.gives_numbers else 'records'} are not compared, as hardly any is there twice"
        )
    elif traffic.feedback == "unknown":
        why = "labels are not compared, as nobody knows for which answers feedback comes (traffic.feedback)"
    elif mix.truths.is_empty() or labels.is_empty():
        why = "labels are not compared, as people have given none yet"
    else:
        shifts["label"] = distribution_shift(mix.truths, labels)
        why = f"labels are those that people gave to {len(mix.truths):,}"
    over = "1 whole day" if len(mix.days) == 1 else f"{len(mix.days)} whole days"
    of = f"{len(mix.characters):,} answers of {over} up to {mix.days[-1]}, {why}"
    return _no_shift(context, shifts, "live traffic", "the source", of=of, **read)


def _no_shift(
    context: GateContext,
    shifts: Mapping[str, DistributionShift],
    one: str,
    other: str,
    *,
    of: str | None = None,
    **read: Any,
) -> Finding:
    """Whether no column has another mix on one side than on the other."""
    limit = context.recipe.data.drift_limit
    table = [
        {"column": name, "divergence": shift.divergence, "by_chance": shift.chance, "moved_most": shift.worst}
        for name, shift in shifts.items()
    ]
    moved = [
        f"{name} {quoted(shift.worst)!r} is {shift.observed_share:.0%} of {other} and "
        f"{shift.reference_share:.0%} of {one} ({shift.divergence:.3f} bits, limit {limit:g})"
        for name, shift in shifts.items()
        if shift.exceeds(limit)
    ]
    largest = max(shift.divergence for shift in shifts.values())
    sentence = "; ".join(moved) or f"{len(shifts)} columns alike, at most {largest:.3f} bits apart, limit {limit:g}"
    said = sentence if of is None else f"{sentence}; {of}"
    return passed_if(not moved, said, observed=largest, limit=limit, columns=table, **read)
