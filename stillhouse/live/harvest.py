"""Live texts as rows to learn from: which may be taken, which are drawn and by what chance, and the file of them.

Belongs here: the texts that a release was asked, those that would add nothing, the draw, the content of the file.
Does not: where the file goes and who may write it (orchestration/harvest.py), what becomes of dropped rows
(stillhouse/data/prompt_set.py), asking people for labels (slices.py).

Half of the rows are those of which the student is least sure, and the other half is drawn from all that is left. So
each text that may be taken has a chance above 0 that is known and written down: a mean over the rows, each weighed by
one over its chance, is that of all the texts. The draw is keyed by what it is made from: the same texts give the same
rows, and of two harvests neither makes the other's draw more or less likely.

Texts that two releases answer otherwise are drawn apart: nobody is less sure of them, so half is kept for critical
slices, and the other half drawn from all that are left.
"""

import json
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import polars as pl

from stillhouse.data.cleaning import prompt_ids
from stillhouse.data.near_duplicates import KnownAnswers, near_duplicate_pairs
from stillhouse.data.prompt_set import later_prompt_set
from stillhouse.data.record_rows import in_words, said_of
from stillhouse.data.rejects import RejectReason, count_reasons
from stillhouse.data.sources import ending_of
from stillhouse.data.splits import keyed_uniform
from stillhouse.digests import digest_of
from stillhouse.live.columns import COLUMNS, value_sent
from stillhouse.live.kept_records import KeptRecords
from stillhouse.live.segments import TrafficStore
from stillhouse.live.slices import LiveSlice
from stillhouse.live.traffic import answers, is_meant
from stillhouse.recipe.contract import Recipe

ID, PI, REQUESTS = "harvest_id", "harvest_pi", "harvest_requests"
"""Columns of the file beside those that the recipe names: id of the answer, the chance by which its text was taken, and
how many requests asked this text, those that a full log let go included."""
NEAR_GOLDEN = "near duplicate of a golden row"
DIFFERING_AT_MOST = 200
"""Texts of one rollout that people are given because its two releases answer them otherwise."""
_CONFIDENCE = "harvest_confidence"
_BATCH = "harvest"


@dataclass(frozen=True)
class Pool:
    """Texts that may be taken.

    Args:
        rows: `prompt_id`, `text`, `label` and the columns that the recipe names, as a dropped file has them, and the
            columns of a harvest.
        left_out: how many different texts may not be taken, by reason.
    """

    rows: pl.DataFrame
    left_out: dict[str, int]


def asked_texts(
    store: TrafficStore,
    release: str,
    *,
    at: float,
    matures_after_days: int,
    since: float = 0.0,
    records: KeptRecords | None = None,
) -> pl.DataFrame:
    """The different texts that a release was asked, as far as they are kept, each with the first answer it was given.

    A text that was never answered is there with the first request for it.

    Args:
        store: of the recipe.
        release: whose answers; how sure another student was says nothing of this one.
        at: now, in seconds since 1970.
        matures_after_days: how long after an answer its feedback is waited for.
        since: only what was asked from then on.
        records: how answers that are records are kept; None of any other.

    Returns:
        `prompt_id`, `text`, `day`, `label` (what the student said), `characters`, `columns`, `truth` (what people said
        of mature answers; null where nobody did, or two said otherwise, or the words of a record are not in the text
        as it is kept) and the columns of a harvest.
    """
    days = [day for day in store.days() if store.segments(day, "texts")]
    texts = pl.concat(
        [_NO_TEXTS, *(store.frame(day, "texts").select(pl.lit(day).alias("day"), *_OF_TEXT) for day in days)]
    )
    # Servers and the asset `traffic` carry an erasure out when they next can.
    erased = pl.any_horizontal(pl.lit(False), *(is_meant(each) for each in store.erasures()))
    of_student = pl.col("source") == "student"
    asked = (
        answers(store, days, at=at, matures_after_days=matures_after_days)
        .filter((pl.col("release") == release) & (pl.col("at") >= since) & ~erased)
        .join(texts, on=["day", "replica", "number"], maintain_order="left")
    )
    if records is not None:
        asked = asked.with_columns(records.in_words(asked, "truth"))
    said = pl.col("truth").drop_nulls()
    return (
        asked.with_columns(
            prompt_ids(asked["text"]),
            pl.coalesce("student_label", pl.when(of_student).then("label")).alias("label"),
            pl.coalesce("student_confidence", pl.when(of_student).then("confidence")).alias(_CONFIDENCE),
            pl.when("matured").then("truth").alias("truth"),
        )
        .with_columns(asked["label"].is_null().alias("failed"))
        .group_by("prompt_id", maintain_order=True)
        .agg(
            _first_answered("text", "day", "label", "characters", COLUMNS, _CONFIDENCE),
            pl.when(said.n_unique() == 1).then(said.first()).alias("truth"),
            _first_answered("id").alias(ID),
            (1 / pl.col("kept_share")).sum().alias(REQUESTS),
        )
    )


def _first_answered(*columns: str) -> pl.Expr:
    return pl.col(columns).sort_by("failed", maintain_order=True).first()


_OF_TEXT = ("replica", "number", "text")
_NO_TEXTS = pl.DataFrame(schema={"day": pl.String, "replica": pl.String, "number": pl.Int64, "text": pl.String})


def pool_of(
    asked: pl.DataFrame,
    known: Collection[str],
    base: pl.DataFrame,
    recipe: Recipe,
    *,
    unlabelled: Collection[str] = (),
) -> Pool:
    """Leave out what the recipe has, and what would not be taken in as a dropped row.

    Args:
        asked: as `asked_texts` gives them.
        known: `prompt_ids` of the prompts of all batches.
        base: the prompts of the base batch.
        recipe: the contract.
        unlabelled: those of the known ones that have a label in no batch, and may be given one: what people said of
            such a text since it was taken in brings it in again, with its label.
    """
    left_out = Counter[str]()
    is_known = pl.col("prompt_id").is_in(list(known))
    if recipe.data.label is not None:
        is_known &= ~(pl.col("prompt_id").is_in(list(unlabelled)) & pl.col("truth").is_not_null())
    left_out[RejectReason.DUPLICATE.value] = asked.filter(is_known).height
    new = asked.filter(~is_known)
    golden, record = base.filter(pl.col("split") == "golden"), recipe.data.record
    golden_says = said_of(golden, record)
    known_answers = None
    if golden_says is not None:  # where in its text a truth is, is found below
        known_answers = KnownAnswers(
            pl.concat([golden_says.answers, new["truth"].cast(pl.String)]),
            pl.concat([golden_says.values, pl.Series([[]] * new.height, dtype=pl.List(pl.String))]),
        )
    pairs = near_duplicate_pairs(pl.concat([golden["text"], new["text"]]), known=known_answers)
    many = golden.height
    near = pairs.filter((pl.col("first") < many) & (pl.col("second") >= many))["second"] - many
    is_near = pl.int_range(pl.len(), dtype=pl.UInt32).is_in(near.implode())
    left_out[NEAR_GOLDEN] = new.filter(is_near).height
    # By the rules for dropped rows themselves, so that what is drawn is what will be trained on.
    made = later_prompt_set(_as_dropped(new.filter(~is_near), recipe), base, recipe)
    left_out.update(dict(count_reasons(made.rejects).iter_rows()))
    rows = made.prompts if record is None else made.prompts.with_columns(in_words(made.prompts, record))
    return Pool(rows, dict(+left_out))


def _as_dropped(asked: pl.DataFrame, recipe: Recipe) -> pl.DataFrame:
    """Rows with the columns that the recipe names: what is known of a live text, and null for what is not."""
    provenance = recipe.data.provenance
    # A value that no slice names is kept by no server, and is empty here as one is that was not sent.
    known: dict[str | None, pl.Expr] = {
        **{column: value_sent(column) for column in recipe.request_columns},
        provenance.date_column: pl.col("day"),
        provenance.kind_column: pl.lit("real"),
        provenance.generation_column: pl.lit("0"),
    }
    named = [known.get(column, pl.lit(None, pl.String)).alias(column) for column in recipe.kept_columns]
    label = pl.lit(None, pl.String) if recipe.data.label is None else pl.col("truth")
    of_harvest = pl.col(ID, REQUESTS, _CONFIDENCE)
    return asked.select("text", label.alias("label"), pl.lit(_BATCH).alias("batch"), of_harvest, *named)


@dataclass(frozen=True)
class Drawn:
    """Rows that were drawn.

    Args:
        rows: of the pool, with the chance of each in `harvest_pi`, by the id of their answers.
        key: what the draw was keyed with.
    """

    rows: pl.DataFrame
    key: str


def drawn(pool: pl.DataFrame, rows: int) -> Drawn:
    """Take the half of which the student is least sure, and draw the other half from what is left.

    Where several are equally unsure and not all of them can be taken, which of them are is drawn, too, and what is not
    is left for the other half; their chance counts both.

    Args:
        pool: as `pool_of` gives it.
        rows: how many; not more than there are.
    """
    if rows > pool.height:
        raise ValueError(f"{rows} rows of {pool.height}")
    ids = pool["prompt_id"]
    key = digest_of([sorted(ids), rows])
    doubt, chance = (keyed_uniform(ids, key=key, purpose=purpose).alias(purpose) for purpose in ("doubt", "chance"))
    # A text without a confidence is never among the unsure ones while another is there.
    sure = pl.col(_CONFIDENCE).fill_null(float("inf")).alias("sure")
    ordered = pool.with_columns(doubt, chance, sure).sort("sure", "doubt")
    many = rows // 2
    unsure, rest = ordered.head(many), ordered.tail(ordered.height - many)
    of_rest = (rows - many) / max(rest.height, 1)
    pi = pl.lit(of_rest)
    if many:
        last = pl.lit(unsure["sure"][-1])
        taken = many - ordered.filter(pl.col("sure") < last).height
        alike = ordered.filter(pl.col("sure") == last).height
        of_alike = taken / alike + (1 - taken / alike) * of_rest
        pi = pl.when(pl.col("sure") < last).then(1.0).when(pl.col("sure") == last).then(of_alike).otherwise(of_rest)
    at_random = rest.sort("chance").head(rows - many)
    return Drawn(pl.concat([unsure, at_random]).with_columns(pi.alias(PI)).sort(ID), key)


def drawn_of_differing(pool: pl.DataFrame, asked: pl.DataFrame, rows: int, slices: Sequence[LiveSlice]) -> Drawn:
    """Draw texts that two releases answer otherwise: half for critical slices alike, the other half from all left.

    A text that is in several slices is counted to the one that has the fewest.

    Args:
        pool: as `pool_of` gives it.
        asked: the same texts as `asked_texts` gives them, by which slices are known.
        rows: how many at most.
        slices: see `slices_of`.
    """
    ids, many = pool["prompt_id"], min(rows, pool.height)
    key = digest_of([sorted(ids), many])
    of_slice, of_all = (keyed_uniform(ids, key=key, purpose=f"differing {what}").alias(what) for what in ("own", "all"))
    left = pool.with_columns(of_slice, of_all, pl.lit(0.0).alias("kept"))
    there = asked.join(pool, on="prompt_id", how="semi")
    parts = sorted(((each.rows_of(there)["prompt_id"], each.name) for each in slices if each.critical), key=_by_size)
    kept = list[pl.DataFrame]()
    for inside, _ in parts:
        is_inside = pl.col("prompt_id").is_in(inside.implode()) & (pl.col("kept") == 0)
        own = left.filter(is_inside).sort("own")
        taken = min(own.height, many // (2 * len(parts)))
        if taken:
            left = left.with_columns(pl.when(is_inside).then(taken / own.height).otherwise("kept").alias("kept"))
            kept.append(own.head(taken).with_columns(pl.lit(taken / own.height).alias("kept")))
            left = left.join(kept[-1], on="prompt_id", how="anti", maintain_order="left")
    rest = many - sum(each.height for each in kept)
    by_chance = left.sort("all").head(rest)
    pi = pl.col("kept") + (1 - pl.col("kept")) * (rest / max(left.height, 1))
    return Drawn(pl.concat([*kept, by_chance]).with_columns(pi.alias(PI)).drop("own", "all", "kept").sort(ID), key)


def _by_size(part: tuple[pl.Series, str]) -> tuple[int, str]:
    return len(part[0]), part[1]


def ending(recipe: Recipe) -> str:
    """The ending of the file: lines of JSON, and never the source's own, whose format may say something else."""
    return ".jsonl" if ending_of(recipe.data.source) == ".ndjson" else ".ndjson"


def content(rows: pl.DataFrame, recipe: Recipe) -> bytes:
    """The file of some rows, with the names that the recipe gives their columns."""
    names = {recipe.data.text: "text", **({recipe.data.label: "label"} if recipe.data.label is not None else {})}
    names |= {column: column for column in (*recipe.kept_columns, ID, PI, REQUESTS)}
    lines = [json.dumps({name: row[column] for name, column in names.items()}, ensure_ascii=False)
             for row in rows.iter_rows(named=True)]  # fmt: skip
    return "".join(f"{line}\n" for line in lines).encode()
