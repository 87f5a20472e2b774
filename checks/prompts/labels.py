"""Whether the labels are the classes that are meant, and can be learned.

Belongs here: spellings, lists of labels, misspelt and new classes, classes of few rows, words that give a label away.
Does not: labels of the golden file (golden_rows.py), the mix of labels (mix.py).
"""

from collections.abc import Collection
from dataclasses import asdict

import polars as pl

from checks.gate import OFFENDERS_KEPT, Finding, GateContext, gate, none_of, offenders, passed_if
from checks.prompts.base_batch import base_of, label_counts
from stillhouse.data.class_rows import class_rows, with_too_few
from stillhouse.data.declared_labels import CLASSES_SHOWN, named_classes, unknown_classes
from stillhouse.data.leakage import proxies_of_sets, target_proxies
from stillhouse.data.quoting import quoted
from stillhouse.data.several_labels import several_in_a_cell
from stillhouse.data.spellings import alike, has_unseen, shown
from stillhouse.recipe.data import SETS
from stillhouse.stages.facts import PromptFacts
from stillhouse.tasks import label_names, one_name_a_row


@gate("a student that learns a word which gives the label away fails where the word is missing", about_classes=True)
def nothing_in_a_text_gives_its_label_away(context: GateContext) -> Finding:
    """A word that stands for a label more surely than language does."""
    labelled = context.frame("prompts").filter(pl.col("label").is_not_null())
    if labelled["label"].n_unique() < 2:
        return passed_if(True, "fewer than two labels, so none can be given away")
    proxies = (
        proxies_of_sets(labelled["label"], labelled["text"])
        if context.recipe.data.answer in SETS
        else target_proxies(labelled["label"], labelled["text"])
    )
    detail = [
        f"{quoted(proxy.marker)!r} means {quoted(proxy.label)} in {proxy.right:.1%} of {proxy.rows:,} rows"
        for proxy in proxies
    ]
    return none_of(len(proxies), "; ".join(detail) or "no word stands for a label", markers=detail)


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


@gate(
    "a class that is spelled in two ways is two classes to a student, and each is wrong where the other is meant",
    about_classes=True,
)
def labels_have_one_spelling_each(context: GateContext) -> Finding:
    """Labels that differ only in case, width, blanks, marks or how a number is written, and no map names."""
    here = name_counts(context, context.made_from("source").frame("rows"))
    base = {} if context.is_base else name_counts(context, base_of(context))
    counts = {label: here.get(label, 0) + base.get(label, 0) for label in {**base, **here}}
    found = [
        spellings for spellings in alike(counts, context.recipe.data.labels) if not here.keys().isdisjoint(spellings)
    ]
    detail = [
        " and ".join(f"{_as_yaml(label)} ({rows:,} rows)" for label, rows in spellings.items()) for spellings in found
    ]
    more = len(found) - CLASSES_SHOWN
    return none_of(
        len(found),
        f"one class? {'; '.join(detail[:CLASSES_SHOWN])}{f'; and {more} more' if more > 0 else ''}. "
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


@gate("a class of a few rows is never learned, and no average shows that it is never answered", about_classes=True)
def classes_have_enough_rows(context: GateContext) -> Finding:
    """Classes without enough training, validation or golden rows are named; too many of them close the gate."""
    if not context.is_base:
        return passed_if(True, "asked of the base batch, which alone is split")
    prompts, limits = one_name_a_row(context.recipe.data.answer, context.frame("prompts")), context.recipe.limits
    classes = class_rows(prompts)
    taught = context.recipe.data.label is not None
    few = with_too_few(classes, limits, labels_are_taught=taught)
    unwatched = [quoted(each.label) for each in classes if not each.validation and each not in few]
    beside = f"; without a validation row: {', '.join(unwatched[:CLASSES_SHOWN])}" if unwatched else ""
    if not few:
        had = "rows to learn from and to be judged by" if taught else "rows to be judged by"
        return passed_if(True, f"each of {len(classes):,} classes has {had}{beside}")
    more = len(few) - CLASSES_SHOWN
    wanted = f"{limits.class_training_rows_at_least} training and " if taught else ""
    return passed_if(
        len(few) <= limits.thin_classes_at_most * len(classes),
        f"{len(few):,} of {len(classes):,} classes have too few rows, limit {limits.thin_classes_at_most:.0%}: "
        f"{', '.join(map(str, few[:CLASSES_SHOWN]))}{f', and {more:,} more' if more > 0 else ''}. At least "
        f"{wanted}{limits.class_golden_rows_at_least} golden rows are "
        f"wanted: add rows, or let several classes be one by `data.labels`{beside}",
        observed=len(few) / len(classes),
        limit=limits.thin_classes_at_most,
        classes=[asdict(each) for each in few[:OFFENDERS_KEPT]],
    )


@gate("a model that gives one class of several cannot learn rows that have several", blocking=False, about_classes=True)
def labels_name_one_class_each(context: GateContext) -> Finding:
    """Labels that are lists of other labels; where sets of labels are learned, a label of a set that is one."""
    found = several_in_a_cell(name_counts(context, context.frame("prompts")))
    if found is None:
        return passed_if(True, "no label is a list of labels")
    how = found.in_a_set if context.recipe.data.answer in SETS else found.sentence
    return passed_if(False, how, names=list(found.names[:CLASSES_SHOWN]))


@gate(
    "a new file that brings a class nobody declared would change what the teacher is asked to tell apart",
    about_classes=True,
)
def no_batch_brings_a_new_label(context: GateContext) -> Finding:
    """The classes are those of the recipe's own source."""
    prompts = context.frame("prompts")
    answer = context.recipe.data.answer
    known = pl.Series(label_names(answer, base_of(context)["label"]), dtype=pl.String)
    named = one_name_a_row(answer, prompts.with_row_index("row"))
    new = named.filter(~pl.col("label").is_in(known.implode())).unique("row", keep="first", maintain_order=True)
    return none_of(
        new.height,
        f"{new.height} rows have a label that the source does not have"
        if new.height
        else f"{len(known)} labels, all known",
        rows=offenders(new.select("batch", "label", "text")),
    )


def name_counts(context: GateContext, rows: pl.DataFrame) -> dict[str, int]:
    """How many rows have each label, or have it in their set."""
    return label_counts(one_name_a_row(context.recipe.data.answer, rows.select("label"))["label"])


def _as_map(spellings: Collection[str], *, one_class: bool) -> str:
    """What a recipe says of spellings, as YAML in one line: they are the first one, or each is its own class."""
    first, *others = map(_as_yaml, spellings)
    pairs = {other: first for other in others} if one_class else {label: label for label in (first, *others)}
    return "{" + ", ".join(f"{label}: {name}" for label, name in pairs.items()) + "}"


def _as_yaml(label: str) -> str:
    # Only between double quotes does YAML read an escape.
    return f'"{shown(label)}"' if has_unseen(label) else "'" + shown(label).replace("'", "''") + "'"
