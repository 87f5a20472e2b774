"""The prompt set of a batch: from rows as they came to prompts that may be taught with and judged by.

Belongs here: the order of the steps, and what a later batch may add to the base batch.
Does not: the steps themselves (privacy.py, cleaning.py, near_duplicates.py, splits.py).
"""

from dataclasses import dataclass

import polars as pl
import polars.selectors as cs

from stillhouse.data.cleaning import Cleaned, clean, folded, label_problems, normalise
from stillhouse.data.near_duplicates import keep_first, near_duplicate_pairs, ngram_overlap
from stillhouse.data.privacy import redact
from stillhouse.data.provenance import is_synthetic
from stillhouse.data.record_rows import in_words, said_of, with_places
from stillhouse.data.rejects import RejectReason, all_rejects, count_reasons, no_rejects, rejected
from stillhouse.data.splits import assign_splits, hide_labels
from stillhouse.errors import StillhouseError
from stillhouse.recipe.contract import Recipe
from stillhouse.recipe.data import GOLDEN_FILE, DataSpec, SplitSpec

# Families of more than eight alike texts need more than one look; each look leaves fewer.
_LOOKS = 8


@dataclass(frozen=True)
class PromptSet:
    """Prompts and rejects of one batch; in = prompts + rejects.

    Args:
        prompts: `prompt_id`, `text`, `label`, `batch`, further columns, `split`, `label_hidden`.
        rejects: a reject ledger; texts are redacted here, too.
        redacted: how many items of personal data of each kind were taken out.
    """

    prompts: pl.DataFrame
    rejects: pl.DataFrame
    redacted: dict[str, int]


def base_prompt_set(rows: pl.DataFrame, recipe: Recipe, *, where: str) -> PromptSet:
    """Make the prompt set of the recipe's own source, and of its golden file: the only rows that are split.

    Args:
        rows: `text`, `label`, `batch` and any further columns, as they came.
        recipe: the contract.
        where: file and field that name the labels, for errors.

    Raises:
        StillhouseError: if there are no two labels to tell apart.
    """
    split = split_rows if recipe.data.golden is None else split_golden_file
    return split(rows, recipe.data, recipe.split, where=where)


def split_rows(rows: pl.DataFrame, data: DataSpec, split: SplitSpec, *, where: str) -> PromptSet:
    """Make the prompt set of a source, with or without a recipe around what is said of it.

    Args:
        rows: `text`, `label`, `batch` and any further columns, as they came.
        data: what is said of the rows.
        split: the rule of the split.
        where: file and field that name the labels, for errors.

    Raises:
        StillhouseError: if there are no two labels to tell apart.
    """
    redaction = redacted(rows, data.query)
    cleaned = _cleaned(redaction.rows, data)
    if cleaned.kept.is_empty():
        reasons = ", ".join(f"{count:,} {reason}" for reason, count in count_reasons(cleaned.rejects).iter_rows())
        raise StillhouseError(
            f"every row is left out: {reasons}",
            where=where,
            expected="rows with a text each, and one label for each text",
            do="Check which columns have texts and labels, and how the file is read.",
        )
    labelled = label_problems(cleaned.kept, data.answer, where=where)
    alone = _without_near_duplicates(labelled.kept, data)
    sided = _sided(alone.prompts, split, data)
    kept = hide_labels(sided.prompts, share=data.hidden_label_share, key=split.key)
    rejects = all_rejects([cleaned.rejects, labelled.rejects, alone.rejects, sided.rejects])
    return PromptSet(kept, rejects, redaction.counts)


def split_golden_file(rows: pl.DataFrame, data: DataSpec, split: SplitSpec, *, where: str) -> PromptSet:
    """Make the prompt set of a golden file and of a source beside it, of which no row ever judges.

    The golden file is made first and alone; the source is then held against it as a later batch is against the base, so
    that what people said of a text stands, and neither the text nor one nearly like it is trained on.

    Args:
        rows: `text`, `label`, `batch` (`golden` in those of the file) and any further columns, as they came.
        data: what is said of the rows.
        split: the rule of the split, for the rows of the file.
        where: file and field that name the labels, for errors.

    Raises:
        StillhouseError: if there are no two labels to tell apart.
    """
    redaction = redacted(rows, data.query)
    of_people = pl.col("batch") == GOLDEN_FILE
    audited = _cleaned(redaction.rows.filter(of_people), data)
    unlabelled = rejected(audited.kept.filter(pl.col("label").is_null()), RejectReason.GOLDEN_WITHOUT_LABEL)
    alone = _without_near_duplicates(audited.kept.filter(pl.col("label").is_not_null()), data)
    sided = _sided(alone.prompts, split, data)
    taught = _beside(redaction.rows.filter(~of_people), sided.prompts, data)
    together = pl.concat([sided.prompts, taught.prompts], how="diagonal")
    labelled = label_problems(together, data.answer, where=where)
    kept = hide_labels(labelled.kept, share=data.hidden_label_share, key=split.key)
    rejects = [audited.rejects, unlabelled, alone.rejects, sided.rejects, taught.rejects, labelled.rejects]
    return PromptSet(kept, all_rejects(rejects), redaction.counts)


def later_prompt_set(rows: pl.DataFrame, base: pl.DataFrame, recipe: Recipe) -> PromptSet:
    """Make the prompt set of a later batch: training rows that add something to the base batch and leak nothing.

    Args:
        rows: `text`, `label`, `batch` and any further columns, as they came.
        base: the prompts of the base batch.
        recipe: the contract.
    """
    redaction = redacted(rows, recipe.data.query)
    taught = _beside(redaction.rows, base, recipe.data)
    return PromptSet(taught.prompts.with_columns(label_hidden=False), taught.rejects, redaction.counts)


@dataclass(frozen=True)
class Redaction:
    """Rows whose texts hold no personal data, and how many items of each kind were taken out."""

    rows: pl.DataFrame
    counts: dict[str, int]


def redacted(rows: pl.DataFrame, query: str | None = None) -> Redaction:
    """Take personal data out of the texts, normalised first: an invisible character must not hide an address.

    Args:
        rows: with `text`, without nulls.
        query: a column with the first part of the texts, where they are pairs; it may be absent. Where it travels along
            to say which rows are of one query it gets one spelling, so that no two sides have one query in two.
    """
    redacted = redact(rows.select(normalise(pl.col("text")))["text"])
    changed = redacted.found["row"].unique().implode()
    touched = pl.int_range(pl.len()).is_in(changed)
    texts = rows.select(pl.when(touched).then(redacted.texts.alias("redacted")).otherwise(pl.col("text")).alias("text"))
    counts = redacted.found.group_by("kind").agg(pl.col("count").sum()).sort("kind")
    queries = [_queries_by_name(rows[query])] if query in rows.columns else []
    return Redaction(rows.with_columns(texts["text"], *queries), dict(counts.iter_rows()))


def _queries_by_name(queries: pl.Series) -> pl.Series:
    """Queries without personal data, those alike that make texts with one id; null stays."""
    known = queries.unique().drop_nulls()
    without = folded(redact(known.to_frame().select(normalise(pl.col(known.name)))[known.name]).texts)
    return queries.replace(known, redact(without).texts)  # what was in capitals may be found only now


def _cleaned(rows: pl.DataFrame, data: DataSpec) -> Cleaned:
    """Clean rows; of records it is said before where the text has their values.

    Copies of a text then conflict where they mean other words of it, and not where one spells them otherwise, or has
    three full stops, which are three words, in the place of an ellipsis.
    """
    elsewhere, says = no_rejects(), None
    if data.record is not None:
        rows, elsewhere = with_places(rows, data.record)
        words = in_words(rows.with_columns(normalise(pl.col("text"))), data.record)
        says = words.str.normalize("NFKC").str.to_lowercase()
    cleaned = clean(rows, max_characters=data.max_characters, says=says)
    return Cleaned(cleaned.kept, all_rejects([elsewhere, cleaned.rejects]))


@dataclass(frozen=True)
class _Parted:
    """Prompts that stay and rejects: together what came in."""

    prompts: pl.DataFrame
    rejects: pl.DataFrame


def _sided(prompts: pl.DataFrame, split: SplitSpec, data: DataSpec) -> _Parted:
    """Send each row to its side; training rows that hold a held-out text, or are of a held-out group, are rejected."""
    sided = assign_splits(
        prompts,
        golden_share=split.golden_share,
        validation_share=split.validation_share,
        key=split.key,
        group=data.group,
    )
    held_text = sided.prompts.select(
        pl.when(pl.col("split") == "train").then(_held_text(sided.prompts, sided.prompts, data)).alias("reason")
    )["reason"]
    leaks = held_text.is_not_null()
    held = rejected(sided.prompts.with_columns(held_text).filter(leaks), pl.col("reason"))
    return _Parted(sided.prompts.filter(~leaks), all_rejects([sided.rejects, held]))


def _beside(rows: pl.DataFrame, base: pl.DataFrame, data: DataSpec) -> _Parted:
    """Clean rows and keep those that add something to the base and leak nothing: all of them train."""
    cleaned = _cleaned(rows, data)
    alone = _without_near_duplicates(cleaned.kept, data)
    fault = _fault_beside(alone.prompts, base, data)
    kept = alone.prompts.filter(fault.is_null()).with_columns(pl.lit("train").alias("split"))
    beside = rejected(alone.prompts.with_columns(fault).filter(fault.is_not_null()), pl.col("fault"))
    return _Parted(kept, all_rejects([cleaned.rejects, alone.rejects, beside]))


def _without_near_duplicates(prompts: pl.DataFrame, data: DataSpec) -> _Parted:
    """Keep one of each family of nearly equal texts: a labelled one before others, then a real one, then the first.

    Letters of one template, whose records differ, are no family.
    """
    # Of other columns one may be called as ours is.
    synthetic = is_synthetic(prompts.columns).alias("synthetic")
    kept, dropped = prompts.select("prompt_id", "text", "label", synthetic).with_row_index("index"), []
    for _ in range(_LOOKS):
        kept = kept.sort(pl.col("label").is_null(), "synthetic", "index")
        pairs = near_duplicate_pairs(
            kept["text"], with_queries=data.query is not None, known=said_of(kept, data.record)
        )
        if pairs.is_empty():
            break
        doomed = keep_first(pairs, pl.Series(range(kept.height)))["row"]
        indices = kept["index"].gather(doomed)
        dropped.append(indices)
        kept = kept.filter(~pl.col("index").is_in(indices.implode()))
    gone = pl.concat(dropped).implode() if dropped else pl.Series([], dtype=pl.UInt32).implode()
    is_gone = pl.int_range(pl.len()).is_in(gone)
    return _Parted(prompts.filter(~is_gone), rejected(prompts.filter(is_gone), RejectReason.NEAR_DUPLICATE))


def _held_text(prompts: pl.DataFrame, base: pl.DataFrame, data: DataSpec) -> pl.Series:
    """Of which side of the base a prompt holds a long run of words, or a whole text; null where of neither.

    Validation rows are kept as clean as golden ones: known from training they would promise more than golden rows hold.
    """
    said, holds = said_of(prompts, data.record), dict[str, pl.Series]()
    for side in ("golden", "validation"):
        of_side = base.filter(pl.col("split") == side)
        side_says = said_of(of_side, data.record)
        found = ngram_overlap(of_side["text"], prompts["text"], golden_says=side_says, pool_says=said)
        holds[side] = found["pool"].unique().implode()
    row = pl.int_range(pl.len(), dtype=pl.UInt32)
    reason = (
        pl.when(row.is_in(holds["golden"]))
        .then(pl.lit(RejectReason.HOLDS_A_GOLDEN_TEXT.value))
        .when(row.is_in(holds["validation"]))
        .then(pl.lit(RejectReason.HOLDS_A_VALIDATION_TEXT.value))
    )
    return prompts.select(reason.alias("held_text"))["held_text"]


def _fault_beside(prompts: pl.DataFrame, base: pl.DataFrame, data: DataSpec) -> pl.Series:
    """Why a row adds nothing to the rows that were split before it, or leaks; null when it may stay."""
    known = prompts.join(
        base.select("prompt_id", pl.col("label").alias("base_label"), pl.lit(True).alias("known")),
        on="prompt_id", how="left", maintain_order="left",
    )  # fmt: skip
    compared = cs.by_name("prompt_id", "text", "label", "label_hidden", require_all=False)
    both = pl.concat([base.select(compared), prompts.select(compared)], how="diagonal_relaxed")
    group = data.group
    found = near_duplicate_pairs(both["text"], with_queries=data.query is not None, known=said_of(both, data.record))
    pairs = found.filter((pl.col("first") < base.height) & (pl.col("second") >= base.height))
    near = pl.int_range(pl.len(), dtype=pl.UInt32).is_in((pairs["second"] - base.height).implode())
    held_out = base.filter(pl.col("split") != "train")
    groups = held_out[group].drop_nulls() if group else pl.Series([], dtype=pl.String)
    in_group = pl.col(group).is_in(groups.implode()).fill_null(False) if group else pl.lit(False)
    held_text = _held_text(prompts, base, data)
    fault = (
        pl.when(pl.col("known") & (pl.col("label") != pl.col("base_label")).fill_null(False))
        .then(pl.lit(RejectReason.CONFLICTING_LABELS.value))
        .when(pl.col("known"))
        .then(pl.lit(RejectReason.DUPLICATE.value))
        .when(in_group)
        .then(pl.lit(RejectReason.GROUP_IS_HELD_OUT.value))
        .when(near)
        .then(pl.lit(RejectReason.NEAR_DUPLICATE.value))
        .otherwise(held_text)
    )
    return known.select(fault.alias("fault"))["fault"]
