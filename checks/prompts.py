"""Gates on the prompt set of a batch: is it fit to teach with and to be judged by?

The expectations on single columns are in expectations/prompts.py.
"""

import math
from collections.abc import Callable, Collection
from dataclasses import asdict
from difflib import get_close_matches
from typing import Any

import polars as pl

from checks.expectations.prompts import SUITE
from checks.gate import (
    OFFENDERS_KEPT,
    Finding,
    GateContext,
    gate,
    gates_of_module,
    none_of,
    offenders,
    passed_if,
    share_at_most,
)
from checks.gate_status import GateStatus
from stillhouse.data.class_rows import class_rows, with_too_few
from stillhouse.data.cleaning import normalise, prompt_ids
from stillhouse.data.declared_labels import CLASSES_TOLD, named_classes, unknown_classes
from stillhouse.data.drift import DistributionShift, distribution_shift, length_shift
from stillhouse.data.leakage import shared_groups, target_proxies
from stillhouse.data.near_duplicates import (
    can_be_compared,
    can_be_looked_for,
    near_duplicate_pairs,
    ngram_overlap,
)
from stillhouse.data.privacy import KINDS, Redacted, personal_columns, personal_values, redact
from stillhouse.data.prompt_set import redacted
from stillhouse.data.quoting import quoted
from stillhouse.data.rejects import COPIES
from stillhouse.data.several_labels import several_in_a_cell
from stillhouse.data.spellings import alike
from stillhouse.evaluation.planning import plan
from stillhouse.recipe.data import GOLDEN_FILE
from stillhouse.stages.facts import CoverageFacts, PromptFacts
from stillhouse.stages.names import BASE, PROMPTS
from stillhouse.statistics.verdicts import Verdict


@gate(
    "a filter that loses rows without saying so hides whatever it was that it removed",
    waivable=False,
)
def kept_and_rejected_are_all_that_came_in(context: GateContext) -> Finding:
    """In = kept + rejected, counted again from the tables and from the source."""
    source = context.made_from("source").frame("rows").height
    kept, rejected = context.frame("prompts").height, context.frame("rejects").height
    return passed_if(
        source == kept + rejected,
        f"{source:,} rows = {kept:,} kept + {rejected:,} rejected",
        observed=kept + rejected,
        limit=source,
    )


@gate("a text that is trained on and judged by makes every student look good")
def no_text_is_on_both_sides_of_a_split(context: GateContext) -> Finding:
    """By the text's own id, after case and white space are set aside; a later batch is held against the base."""
    sides = _beside_base(context).group_by("prompt_id").agg(pl.len().alias("rows"), pl.col("text").first())
    both = sides.filter(pl.col("rows") > 1)
    return none_of(both.height, f"{both.height} texts are there more than once", texts=offenders(both))


@gate("a golden question in other words is as well known to a student as the question itself")
def no_near_duplicate_is_on_two_sides(context: GateContext) -> Finding:
    """Pairs of nearly equal texts, one trained on and one held out."""
    prompts = _beside_base(context)
    held_out = prompts["split"] != "train"
    blank = ~can_be_compared(prompts["text"])
    if blank.all():
        return Finding(
            Verdict.INCONCLUSIVE,
            f"none of {prompts.height:,} texts has a letter, digit or symbol, so none could be compared; see `text` in "
            "the recipe",
        )
    pairs = near_duplicate_pairs(prompts["text"])
    across = pairs.filter(held_out.gather(pairs["first"]) != held_out.gather(pairs["second"]))
    texts = [
        {"one": prompts["text"][first], "other": prompts["text"][second], "similarity": similarity}
        for first, second, similarity in across.head(20).iter_rows()
    ]
    alone = int(blank.sum())
    return none_of(
        across.height,
        f"{across.height:,} pairs of nearly equal texts are on two sides"
        + (f"; {alone:,} texts have no letter, digit or symbol to compare" if alone else ""),
        pairs=texts,
    )


@gate("a training text that contains an evaluation text gives its answer away")
def no_golden_text_is_inside_a_training_text(context: GateContext) -> Finding:
    """Thirteen words in a row, or all of a text of eight to twelve; without blanks two characters for a word."""
    prompts = _beside_base(context)
    golden, train = (prompts.filter(pl.col("split") == side) for side in ("golden", "train"))
    looked_for = int(can_be_looked_for(golden["text"]).sum())
    if not looked_for:
        return Finding(
            Verdict.INCONCLUSIVE,
            f"none of {golden.height:,} golden texts has eight words, or 16 characters without blanks, so none could "
            "be looked for; waive this if the texts are short by nature, since shorter ones stand in others by chance",
        )
    inside = ngram_overlap(golden["text"], train["text"])
    texts = [
        {"golden": golden["text"][one], "training": train["text"][other]} for one, other in inside.head(20).iter_rows()
    ]
    short = golden.height - looked_for
    return none_of(
        inside.height,
        f"{inside.height:,} golden texts are inside training texts"
        + (f"; {short:,} of {golden.height:,} are too short to be looked for" if short else ""),
        texts=texts,
    )


@gate("a group on both sides of a split is recognised by what was learned of it in training")
def no_group_is_on_two_sides(context: GateContext) -> Finding:
    """Where the recipe names a group column."""
    group = context.recipe.data.group
    if group is None:
        return passed_if(True, "the recipe names no group")
    prompts = _beside_base(context)
    both = shared_groups(prompts[group], prompts["split"])
    return none_of(both.height, f"{both.height:,} groups are on more than one side", groups=offenders(both))


@gate(
    "a teacher that has read an address has it, and so has whoever runs it",
    waivable=False,
)
def no_personal_data_is_left(context: GateContext) -> Finding:
    """The same search that redacted texts finds no more in them, in rejects, labels and columns that travel along."""
    prompts, recipe = context.frame("prompts"), context.recipe
    texts = pl.concat([prompts["text"], context.frame("rejects")["text"]])
    values = {recipe.data.text: _rows_by_kind(redact(texts))} | {
        name: personal_values(prompts.select(normalise(pl.col(column)))[column])
        for name, column in {recipe.data.label_column: "label", **{name: name for name in recipe.kept_columns}}.items()
        if column in prompts.columns
    }
    detail = [
        f"column {name!r} holds {', '.join(f'{kind} in {count:,} rows' for kind, count in kinds.items())}"
        for name, kinds in values.items()
        if kinds
    ]
    gone = (
        ", ".join(f"{count} {kind}" for kind, count in context.artifact.facts(PromptFacts).redacted.items())
        or "nothing"
    )
    return none_of(
        sum(sum(kinds.values()) for kinds in values.values()),
        f"{'; '.join(detail)}: take it out or hash it where the rows come from"
        if detail
        else f"none of {', '.join(KINDS)} in {len(values)} columns; {gone} was redacted",
        left=[{"column": name, "kind": kind, "rows": n} for name, kinds in values.items() for kind, n in kinds.items()],
    )


@gate("a column that names people goes wherever the rows go")
def no_column_names_people(context: GateContext) -> Finding:
    """By the names of the columns that travel with the rows."""
    personal = personal_columns(context.frame("prompts").columns)
    said = f"personal by name: {', '.join(personal)}" if personal else "no column is personal"
    return none_of(len(personal), said)


@gate("a student that learns a word which gives the label away fails where the word is missing")
def nothing_in_a_text_gives_its_label_away(context: GateContext) -> Finding:
    """A word that stands for a label more surely than language does."""
    labelled = context.frame("prompts").filter(pl.col("label").is_not_null())
    if labelled["label"].n_unique() < 2:
        return passed_if(True, "fewer than two labels, so none can be given away")
    proxies = target_proxies(labelled["label"], labelled["text"])
    detail = [
        f"{quoted(proxy.marker)!r} means {quoted(proxy.label)} in {proxy.right:.1%} of {proxy.rows:,} rows"
        for proxy in proxies
    ]
    return none_of(len(proxies), "; ".join(detail) or "no word stands for a label", markers=detail)


@gate("many rejected rows in one batch usually mean a broken export")
def few_rows_of_the_batch_were_rejected(context: GateContext) -> Finding:
    """Copies do not count: they are what cleaning is for."""
    rejects = context.frame("rejects").filter(~pl.col("reason").is_in(COPIES))
    came = context.made_from("source").frame("rows").height
    share = rejects.height / max(came, 1)
    limit = context.recipe.limits.rejected_rows_at_most
    return share_at_most(
        rejects.height,
        came,
        limit,
        f"batch {context.artifact.batch}: {rejects.height:,} of {came:,} rows rejected ({share:.0%}), "
        f"limit {limit:.0%}",
        rejected=offenders(rejects),
    )


@gate("a misspelt class would be found only after the teacher was paid for")
def every_named_class_is_in_the_rows(context: GateContext) -> Finding:
    """The class whose recall the bar compares, and any other that the recipe names by hand."""
    if not context.is_base:
        return passed_if(True, "asked of the base batch, whose classes are all there are")
    classes = context.artifact.facts(PromptFacts).labels
    unknown = unknown_classes(context.recipe, classes)
    detail = [f"{'.'.join(map(str, one.field))}: {one.what}. {one.hint}" for one in unknown]
    return none_of(
        len(unknown),
        f"{' '.join(detail)} There are {unknown[0].there_are}"
        if unknown
        else f"{len(named_classes(context.recipe))} named, {len(classes)} in the rows",
        classes=classes,
    )


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


@gate("a label that golden rows alone have is a misspelling, or a class that nothing is ever learned of")
def every_golden_label_is_in_the_source(context: GateContext) -> Finding:
    """Where the recipe names a golden file and a column of labels in the source."""
    data = context.recipe.data
    if data.golden is None or not context.is_base:
        return passed_if(True, "asked of the base batch, where data.golden names a file")
    rows = context.made_from("source").frame("rows").drop_nulls("label")
    of_people = rows["batch"] == GOLDEN_FILE
    golden, known = _label_counts(rows.filter(of_people)["label"]), set(rows.filter(~of_people)["label"])
    if data.label is None:
        shown = ", ".join(map(quoted, sorted(golden)[:CLASSES_TOLD]))
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


@gate("a class that is spelled in two ways is two classes to a student, and each is wrong where the other is meant")
def labels_have_one_spelling_each(context: GateContext) -> Finding:
    """Labels that differ only in case, width, blanks, marks or how a number is written, and no map names."""
    here = _label_counts(context.made_from("source").frame("rows")["label"])
    base = {} if context.is_base else _label_counts(_base_of(context)["label"])
    counts = {label: here.get(label, 0) + base.get(label, 0) for label in {**base, **here}}
    found = [
        spellings for spellings in alike(counts, context.recipe.data.labels) if not here.keys().isdisjoint(spellings)
    ]
    detail = [
        " and ".join(f"{quoted(label)!r} ({rows:,} rows)" for label, rows in spellings.items()) for spellings in found
    ]
    more = len(found) - CLASSES_TOLD
    return none_of(
        len(found),
        f"one class? {'; '.join(detail[:CLASSES_TOLD])}{f'; and {more} more' if more > 0 else ''}. "
        f"If it is one, set `data.labels: {_as_map(found[0], one_class=True)}` in the recipe; "
        f"if not, `data.labels: {_as_map(found[0], one_class=False)}`"
        if found
        else f"{len(counts)} labels, none like another"
        + (
            f", or distinguished by `data.labels` ({len(context.recipe.data.labels)})"
            if context.recipe.data.labels
            else ""
        ),
        spellings=[{"label": label, "rows": rows} for spellings in found for label, rows in spellings.items()],
    )


@gate("no model reads what is cut off, even where the answer stands there", blocking=False)
def few_texts_are_cut(context: GateContext) -> Finding:
    """Texts longer than `max_tokens` of the teacher or of a student."""
    limit = context.recipe.limits.cut_texts_at_most
    return _coverage(context, limit, lambda read: (read.cut_share, read.length_sentence, read.length_remedy))


@gate("a teacher that does not know the signs of a language reads its texts as blanks", blocking=False)
def few_word_pieces_are_unknown(context: GateContext) -> Finding:
    """Word pieces of the kept texts that the teacher's tokenizer has no entry for."""
    limit = context.recipe.limits.unknown_pieces_at_most
    return _coverage(context, limit, lambda read: (read.unknown_share, read.unknown_sentence, read.unknown_remedy))


def _coverage(context: GateContext, limit: float, of: Callable[[CoverageFacts], tuple[float, str, str]]) -> Finding:
    """Hold a share of what models do not read against its limit; `of` gives it with its sentence and a remedy."""
    coverage = context.artifact.facts(PromptFacts).coverage
    if coverage is None:
        return Finding(Verdict.INCONCLUSIVE, "the teacher's weights were refused, so its tokens could not be counted")
    share, sentence, remedy = of(coverage)
    advice = "" if share <= limit else f". {remedy}"
    return passed_if(share <= limit, f"{sentence}, limit {limit:.0%}{advice}", observed=share, limit=limit)


@gate("a class of a few rows is never learned, and no average shows that it is never answered")
def classes_have_enough_rows(context: GateContext) -> Finding:
    """Classes without enough training, validation or golden rows are named; too many of them close the gate."""
    if not context.is_base:
        return passed_if(True, "asked of the base batch, which alone is split")
    classes, limits = class_rows(context.frame("prompts")), context.recipe.limits
    taught = context.recipe.data.label is not None
    few = with_too_few(classes, limits, labels_are_taught=taught)
    unwatched = [quoted(each.label) for each in classes if not each.validation and each not in few]
    beside = f"; without a validation row: {', '.join(unwatched[:CLASSES_TOLD])}" if unwatched else ""
    if not few:
        had = "rows to learn from and to be judged by" if taught else "rows to be judged by"
        return passed_if(True, f"each of {len(classes):,} classes has {had}{beside}")
    more = len(few) - CLASSES_TOLD
    wanted = f"{limits.class_training_rows_at_least} training and " if taught else ""
    return passed_if(
        len(few) <= limits.thin_classes_at_most * len(classes),
        f"{len(few):,} of {len(classes):,} classes have too few rows, limit {limits.thin_classes_at_most:.0%}: "
        f"{', '.join(map(str, few[:CLASSES_TOLD]))}{f', and {more:,} more' if more > 0 else ''}. At least "
        f"{wanted}{limits.class_golden_rows_at_least} golden rows are "
        f"wanted: add rows, or let several classes be one by `data.labels`{beside}",
        observed=len(few) / len(classes),
        limit=limits.thin_classes_at_most,
        classes=[asdict(each) for each in few[:OFFENDERS_KEPT]],
    )


@gate("a model that gives one class of several cannot learn rows that have several", blocking=False)
def labels_name_one_class_each(context: GateContext) -> Finding:
    """Labels that are lists of other labels."""
    found = several_in_a_cell(_label_counts(context.frame("prompts")["label"]))
    if found is None:
        return passed_if(True, "no label is a list of labels")
    return passed_if(False, found.sentence, names=list(found.names[:CLASSES_TOLD]))


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


@gate("a new file that brings a class nobody declared would change what the teacher is asked to tell apart")
def no_batch_brings_a_new_label(context: GateContext) -> Finding:
    """The classes are those of the recipe's own source."""
    prompts = context.frame("prompts")
    known = _base_of(context)["label"].drop_nulls().unique()
    new = prompts.filter(pl.col("label").is_not_null() & ~pl.col("label").is_in(known.implode()))
    return none_of(
        new.height,
        f"{new.height} rows have a label that the source does not have"
        if new.height
        else f"{len(known)} labels, all known",
        rows=offenders(new.select("batch", "label", "text")),
    )


@gate("a student is as good as promised on what it was taught, and production asks something else")
def the_mix_matches_recent_traffic(context: GateContext) -> Finding:
    """Labels, slice columns and lengths of the base batch against the recipe's sample of traffic."""
    data = context.recipe.data
    if data.traffic is None or not context.is_base:
        return passed_if(
            True, "the recipe names no sample of traffic" if context.is_base else "asked of the base batch"
        )
    source = context.made_from("source")
    return _alike(context, source.frame("traffic"), source.frame("rows"), "traffic", "the source")


@gate("a batch unlike all before it is another task, a broken export or a real change; a person should know")
def the_batch_is_like_the_base(context: GateContext) -> Finding:
    """Labels, slice columns and lengths of a later batch against the base batch."""
    if context.is_base:
        return passed_if(True, "it is the base batch")
    if context.frame("prompts").is_empty():
        return passed_if(True, "no row of it is new")
    return _alike(context, _base_of(context), context.frame("prompts"), "the base batch", "this batch")


@gate("a student of mostly invented rows learns what a generator finds likely")
def the_synthetic_share_is_under_its_cap(context: GateContext) -> Finding:
    """Of the rows to train on."""
    kinds = context.frame("prompts").filter(pl.col("split") == "train")["row_kind"]
    share = float((kinds == "synthetic").mean() or 0.0)  # type: ignore[arg-type]
    cap = context.recipe.data.provenance.synthetic_share_at_most
    said = f"{share:.1%} of {len(kinds):,} training rows are synthetic, cap {cap:.0%}"
    return passed_if(share <= cap, said, observed=share, limit=cap)


@gate("results on a changed golden set cannot be compared with earlier ones")
def no_golden_row_has_changed(context: GateContext) -> Finding:
    """Held against the base batch before this one: a golden row may be added, never relabelled, moved or dropped."""
    before = _base_before(context) if context.is_base else None
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
    planned = plan(golden, context.recipe.bar, context.recipe.slices)
    asked = planned.unsupported or [claim for claim in planned.claims if claim.binding]
    hardest = min(asked, key=lambda claim: claim.rows / claim.rows_needed)
    data, split = context.recipe.data, context.recipe.split
    to_label = math.ceil((hardest.rows_needed - hardest.rows) / split.golden_share)
    advice = f"; label about {to_label:,} rows more in {data.golden}" if data.golden and planned.unsupported else ""
    return Finding(
        Verdict.INCONCLUSIVE if planned.unsupported else Verdict.PASS,
        "; ".join(f"{c.name}: {c.rows:,} rows, {c.rows_needed:,} needed for a margin of {c.margin:.1%}" for c in asked)
        + advice,
        observed=hardest.rows,
        limit=hardest.rows_needed,
    )


def _rows_by_kind(redacted: Redacted) -> dict[str, int]:
    return dict(redacted.found.group_by("kind").len().sort("kind").iter_rows())


def _base_of(context: GateContext) -> pl.DataFrame:
    """Prompts of the base batch: this one, or the one that a later batch was held against."""
    return context.frame("prompts") if context.is_base else context.made_from(PROMPTS).frame("prompts")


def _beside_base(context: GateContext) -> pl.DataFrame:
    """This batch and, for a later one, the base batch above it."""
    prompts = context.frame("prompts")
    return prompts if context.is_base else pl.concat([_base_of(context), prompts], how="diagonal")


def _base_before(context: GateContext) -> pl.DataFrame | None:
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


def _label_counts(labels: pl.Series) -> dict[str, int]:
    return dict(labels.drop_nulls().value_counts().iter_rows())


def _as_map(spellings: Collection[str], *, one_class: bool) -> str:
    """What a recipe says of spellings, as YAML in one line: they are the first one, or each is its own class."""
    first, *others = ("'" + quoted(label).replace("'", "''") + "'" for label in spellings)
    pairs = {other: first for other in others} if one_class else {label: label for label in (first, *others)}
    return "{" + ", ".join(f"{label}: {name}" for label, name in pairs.items()) + "}"


def _slice_counts(context: GateContext) -> list[dict[str, Any]]:
    golden = context.frame("prompts").filter(pl.col("split") == "golden")
    return [
        {"slice": item.name, "rows": golden.filter(pl.col(item.column).is_in(item.values)).height}
        for item in context.recipe.slices
    ]


def _alike(context: GateContext, reference: pl.DataFrame, rows: pl.DataFrame, one: str, other: str) -> Finding:
    """Compare the mix of two sets of rows, column by column; columns that either does not fill are left out."""
    limit = context.recipe.data.drift_limit
    shifts: dict[str, DistributionShift] = {}
    for column in dict.fromkeys(["label", *(item.column for item in context.recipe.slices)]):
        filled = [frame[column].drop_nulls() for frame in (reference, rows) if column in frame.columns]
        if len(filled) == 2 and all(len(values) for values in filled):
            shifts[column] = distribution_shift(filled[0], filled[1])
    shifts["length"] = length_shift(reference["text"].drop_nulls(), rows["text"].drop_nulls())
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
    return passed_if(not moved, sentence, observed=largest, limit=limit, columns=table)


GATES = gates_of_module(__name__, SUITE)
