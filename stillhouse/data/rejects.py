"""The reject ledger's shape: every row that was not kept, with the reason.

Belongs here: the reasons there are, the columns of a reject, making rejects out of rows, counting them by reason.
Does not: deciding what is rejected (the readers of formats, provenance.py, cleaning.py, splits.py and later stages).
"""

from collections.abc import Iterable
from enum import StrEnum

import polars as pl


class RejectReason(StrEnum):
    """Why a row was not kept; each is compared whole, never by its first words."""

    NOT_A_JSON_OBJECT = "not a JSON object"
    NESTED_VALUE = "a list or object where text belongs"
    NO_SET_OF_LABELS = "no set of labels where one belongs"
    NO_NUMBER = "no number where one belongs"
    NO_RECORD = "no record of the fields where one belongs"
    NO_SUCH_VALUE = "a value of the record is not in the text"
    TOO_MANY_WORDS = "more words than data.words_at_most"
    NO_MATCH = "line does not match the pattern"
    OTHER_FIELDS = "not as many fields as the header"
    NO_DATE = "no date"
    NO_RIGHTS = "no rights"
    RIGHTS_FORBID = "rights do not allow training"
    NO_PRIVACY_CLASS = "no privacy class"
    ABOVE_PRIVACY_CLASS = "privacy class may not reach the teacher"
    NEITHER_REAL_NOR_SYNTHETIC = "neither real nor synthetic"
    NO_GENERATION = "no generation that goes with its kind"
    TOO_MANY_GENERATIONS = "too many models away from people"
    BLANK = "blank text"
    UNDECODABLE = "undecodable character"
    TOO_LONG = "longer than max_characters"
    CONFLICTING_LABELS = "conflicting labels"
    DUPLICATE = "duplicate text"
    LABEL_SEEN_ONCE = "label seen once"
    GOLDEN_WITHOUT_LABEL = "no label in the golden file"
    NEAR_DUPLICATE = "near duplicate"
    HOLDS_A_GOLDEN_TEXT = "contains a golden text"
    HOLDS_A_VALIDATION_TEXT = "contains a validation text"
    GROUP_IS_HELD_OUT = "group is held out"
    CONTRADICTS_LABEL = "the teacher contradicts the known label"
    NO_PREFERENCE = "the teacher prefers no label"
    NO_ANSWER = "the teacher gave no answer"
    MEMBERS_DISAGREE = "the members of the teacher disagree"
    IN_AN_EARLIER_BATCH = "in an earlier batch"
    LABELLED_IN_ANOTHER_BATCH = "in another batch with a label"


COPIES = (RejectReason.DUPLICATE, RejectReason.NEAR_DUPLICATE)
"""What is expected of a good source, too: a row like this adds nothing, and nothing is wrong with it."""

WITHHELD = "(withheld)"
"""Stands for the text of a row that may not be shown to the teacher, or of which that is not known."""

REJECT_SCHEMA = pl.Schema({"text": pl.String(), "batch": pl.String(), "reason": pl.String(), "detail": pl.String()})


def no_rejects() -> pl.DataFrame:
    """An empty reject ledger."""
    return pl.DataFrame(schema=REJECT_SCHEMA)


def rejected(rows: pl.DataFrame, reason: pl.Expr | RejectReason, detail: pl.Expr | None = None) -> pl.DataFrame:
    """Turn `rows` (with at least `text` and `batch`) into rejects.

    Args:
        rows: the rows that are not kept.
        reason: one reason for all of them, or an expression over their columns that gives `RejectReason` values.
        detail: where in its file a row was, or how far it missed a limit; null where there is nothing to add.
    """
    because = pl.lit(reason.value) if isinstance(reason, RejectReason) else reason
    more = pl.lit(None) if detail is None else detail
    return rows.select("text", "batch", because.cast(pl.String).alias("reason"), more.cast(pl.String).alias("detail"))


def all_rejects(ledgers: Iterable[pl.DataFrame]) -> pl.DataFrame:
    """Put reject ledgers of several stages, or none, behind each other."""
    return pl.concat([no_rejects(), *ledgers])


def count_reasons(rejects: pl.DataFrame) -> pl.DataFrame:
    """Count rejects by reason, most frequent first.

    Returns:
        Columns `reason` and `rows`.
    """
    return rejects.group_by("reason").agg(pl.len().alias("rows")).sort(["rows", "reason"], descending=[True, False])
