"""From source rows to prompts: one spelling of a text, one row for a text, and a reason for each row that is dropped.

Belongs here: normalising, identity of a prompt, rules on a text or a label alone, exact duplicates.
Does not: near-duplicates (near_duplicates.py), which rows train and which evaluate (splits.py).
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256

import polars as pl

from stillhouse.data.provenance import is_synthetic
from stillhouse.data.quoting import quoted
from stillhouse.data.rejects import RejectReason, no_rejects, rejected
from stillhouse.errors import StillhouseError
from stillhouse.recipe.data import NUMBERS, RECORDS, SETS, TaskKind
from stillhouse.tasks import label_names
from stillhouse.tasks.label_sets import LABELS_AT_MOST, names_of

# Control characters other than white space; soft hyphen, zero-width space, word joiner and byte order mark; signs of
# mathematics that are not drawn; the marks that turn the reading direction, of a letter or of a run. Joiners (U+200C,
# U+200D) stay, and so do the tags and selectors behind an emoji: emoji and several scripts need them.
_INVISIBLE = (
    r"[\p{Cc}--\s]"
    r"|[\u{00AD}\u{061C}\u{200B}\u{200E}\u{200F}\u{2060}-\u{2064}\u{2066}-\u{206F}\u{202A}-\u{202E}\u{FEFF}]"
)


@dataclass(frozen=True)
class Cleaned:
    """Rows in two parts that together are the input: in = kept + rejected.

    Args:
        kept: the input's columns (and `prompt_id` after `clean`), in the input's order.
        rejects: a reject ledger.
    """

    kept: pl.DataFrame
    rejects: pl.DataFrame


def normalise(text: pl.Expr) -> pl.Expr:
    """Give a text its one spelling: no invisible characters, single blanks, none at the ends, Unicode form C.

    Form C and not KC: a student should see what people write, and KC turns "m²" into "m2".
    """
    return _single_blanks(text.str.replace_all(_INVISIBLE, "")).str.normalize("NFC")


def prompt_ids(texts: pl.Series) -> pl.Series:
    """Name texts by content: the first 32 hex digits of the SHA-256 of what is the same for upper and lower case.

    Args:
        texts: String, normalised or not, without nulls.
    """
    ids = [sha256(text.encode()).hexdigest()[:32] for text in folded(texts)]
    return pl.Series("prompt_id", ids, dtype=pl.String)


def folded(texts: pl.Series) -> pl.Series:
    """What is the same of texts that differ only in case, white space, invisible characters or Unicode compatibility.

    The last are full-width letters and ligatures, for example.

    Args:
        texts: see `prompt_ids`.
    """
    spelled = texts.to_frame("text").select(_single_blanks(normalise(pl.col("text")).str.normalize("NFKC")))["text"]
    return pl.Series("text", [text.casefold() for text in spelled], dtype=pl.String)


def clean(rows: pl.DataFrame, *, max_characters: int = 20_000, says: pl.Series | None = None) -> Cleaned:
    """Normalise the texts of one batch, drop those that cannot be used, and keep one row for each.

    Of several rows with one `prompt_id` the first is kept, where a labelled row goes before an unlabelled one and then
    a real one before a synthetic one. Where
    labels of the copies conflict the text is ambiguous and every copy is rejected; an unlabelled copy conflicts with
    nothing.

    Args:
        rows: `text`, `label`, `batch` and any further columns.
        max_characters: longest text that is kept.
        says: what each label says, where two that are written otherwise may say the same; null as the label is.

    Returns:
        Rows with `prompt_id` (unique) and normalised `text`; rejects with the text as it came.
    """
    spelled = rows.select(normalise(pl.col("text")))["text"]
    synthetic = is_synthetic(rows.columns).alias("synthetic")
    label = rows["label"] if says is None else says.alias("label")
    numbered = rows.select(label, synthetic, spelled.alias("spelled")).with_row_index("row")
    numbered = numbered.with_columns(_text_fault(pl.col("spelled"), max_characters).alias("text_fault"))
    usable = numbered.filter(pl.col("text_fault").is_null())
    copies = usable.select("row", "label", "synthetic", prompt_ids(usable["spelled"]))
    verdicts = copies.select("row", "prompt_id", _copy_fault(copies).alias("copy_fault"))
    judged = numbered.join(verdicts, on="row", how="left", maintain_order="left")
    reason = judged.select(pl.coalesce("text_fault", "copy_fault").alias("reason"))["reason"]
    kept = rows.with_columns(judged["prompt_id"], spelled.alias("text")).filter(reason.is_null())
    return Cleaned(
        kept.select("prompt_id", pl.exclude("prompt_id")),
        rejected(rows.with_columns(reason).filter(reason.is_not_null()), pl.col("reason")),
    )


def label_problems(rows: pl.DataFrame, answer: TaskKind = "single_label", *, where: str) -> Cleaned:
    """Refuse labels from which nothing can be learnt, and reject rows whose label, or one of whose set, is seen once.

    Of numbers and records none is rejected: one that no other row has is between those of others, or is of other words.

    Call it on the base batch, after `clean`, which removes copies.

    Args:
        rows: `text`, `label`, `batch` and any further columns.
        answer: what a label is.
        where: the source, named in errors.

    Raises:
        StillhouseError: if there is no label, or fewer than two labels have two rows; or more than a set can have.
    """
    if answer in (*NUMBERS, *RECORDS):
        _refuse_one_answer(rows["label"], "numbers" if answer in NUMBERS else "records", where)
        return Cleaned(rows, no_rejects())
    once = (
        _carrying_a_label_seen_once(rows["label"])
        if answer in SETS
        else rows.select((pl.col("label").is_not_null() & (pl.len().over("label") < 2)).alias("once"))["once"]
    )
    kept = rows.filter(~once)
    _refuse_too_few_labels(rows, kept, where)
    if answer in SETS:
        _refuse_unfit_sets(label_names(answer, kept["label"]), where)
    return Cleaned(kept, rejected(rows.filter(once), RejectReason.LABEL_SEEN_ONCE))


def _carrying_a_label_seen_once(labels: pl.Series) -> pl.Series:
    """Which sets have a label that no other row has, also once those rows are left out; Boolean, false where null.

    Args:
        labels: sets in their one spelling, or null.
    """
    held = [() if label is None else names_of(label) for label in labels]
    left = [True] * len(held)
    while True:
        counts = Counter(name for names, is_left in zip(held, left, strict=True) if is_left for name in names)
        rare = {name for name, rows in counts.items() if rows < 2}
        still = [is_left and rare.isdisjoint(names) for names, is_left in zip(held, left, strict=True)]
        if still == left:
            return pl.Series("once", [not is_left for is_left in left], dtype=pl.Boolean)
        left = still


def _refuse_too_few_labels(rows: pl.DataFrame, kept: pl.DataFrame, where: str) -> None:
    labels = rows["label"].drop_nulls().unique().sort()
    if labels.is_empty():
        raise StillhouseError(
            f"none of {rows.height} rows has a label",
            where=where,
            expected="labelled rows of two labels or more, for training the teacher and for the golden set",
            do="Check which column has the labels.",
        )
    if kept["label"].drop_nulls().n_unique() < 2:
        shown = ", ".join(repr(quoted(label)) for label in labels.head(5))
        raise StillhouseError(
            f"every label is {shown}" if len(labels) == 1 else f"fewer than two labels have two rows (labels: {shown})",
            where=where,
            expected="two labels or more, each with two rows or more",
            do="Check which column has the labels, or add rows of the other ones.",
        )


def _refuse_one_answer(labels: pl.Series, called: str, where: str) -> None:
    different = labels.drop_nulls().unique().sort()
    if len(different) < 2:
        raise StillhouseError(
            f"every label is {quoted(different[0])}" if len(different) else f"none of {len(labels)} rows has a label",
            where=where,
            expected=f"different {called}, for training the teacher and for the golden set",
            do=f"Check which column has the {called}.",
        )


def _refuse_unfit_sets(names: Sequence[str], where: str) -> None:
    if 2 <= len(names) <= LABELS_AT_MOST:
        return
    shown = ", ".join(repr(quoted(name)) for name in names[:5]) + (", ..." if len(names) > 5 else "")
    raise StillhouseError(
        f"there are {len(names)} labels in sets with two rows or more each ({shown})",
        where=where,
        expected=f"2 to {LABELS_AT_MOST}, where data.answer is multi_label",
        do="Let several labels be one, or rare ones nothing, by `data.labels`."
        if names[2:]
        else "Check which column has the labels. Of one label alone `data.answer: single_label` learns whether it is "
        "given.",
    )


def _single_blanks(text: pl.Expr) -> pl.Expr:
    return text.str.replace_all(r"\s+", " ").str.strip_chars()


def _text_fault(spelled: pl.Expr, max_characters: int) -> pl.Expr:
    return (
        pl.when(spelled.fill_null("") == "")
        .then(pl.lit(RejectReason.BLANK.value))
        .when(spelled.str.contains("\ufffd", literal=True))
        .then(pl.lit(RejectReason.UNDECODABLE.value))
        .when(spelled.str.len_chars() > max_characters)
        .then(pl.lit(RejectReason.TOO_LONG.value))
        .otherwise(pl.lit(None, pl.String))
    )


def _copy_fault(rows: pl.DataFrame) -> pl.Series:
    """Say why a row is not the one that its text is kept as; null for the one that is.

    Args:
        rows: `row` (its number), `prompt_id`, `label`, `synthetic`.
    """
    ranked = rows.sort(pl.col("label").is_null(), "synthetic", "row")
    # The first of each text now has a label, if any copy has one.
    first = ranked.with_columns(pl.col("row", "label").first().over("prompt_id").name.prefix("first_"))
    differs = (pl.col("label") != pl.col("first_label")).fill_null(False)
    fault = (
        pl.when(differs.any().over("prompt_id"))
        .then(pl.lit(RejectReason.CONFLICTING_LABELS.value))
        .when(pl.col("row") != pl.col("first_row"))
        .then(pl.lit(RejectReason.DUPLICATE.value))
        .otherwise(pl.lit(None, pl.String))
        .alias("fault")
    )
    return first.select("row", fault).sort("row")["fault"]
