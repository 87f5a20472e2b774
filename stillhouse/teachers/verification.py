"""Which rows of a teacher's signal a student may learn from.

Belongs here: the rule, row by row, and its reject ledger.
Does not: capture (signal.py), whether too much was rejected (checks/transfer_set.py).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from stillhouse.data.rejects import RejectReason, all_rejects, rejected
from stillhouse.teachers.answers import with_answers

PREFERENCE_NEEDED = 0.5


@dataclass(frozen=True)
class Verified:
    """Training rows in two parts that together are the signal of the training rows.

    Args:
        kept: `prompt_id`, `text`, `label` (null = unknown), `batch`, `row_kind`, `logits`, `embedding`, sorted by
            `prompt_id`.
        rejects: a reject ledger.
    """

    kept: pl.DataFrame
    rejects: pl.DataFrame


def verify_signal(prompts: pl.DataFrame, signal: pl.DataFrame, labels: Sequence[str]) -> Verified:
    """Keep a training row if the teacher agrees with its label or, where none is known, gives one label most weight.

    A known label verifies the teacher outright. Without one, a teacher that puts less than half of its probability on
    its best answer is guessing between classes, and a student would learn the guess as if it were knowledge.

    Args:
        prompts: `prompt_id`, `text`, `label`, `split`, `batch`, `row_kind`; of a prompt that is in several batches the
            first row is judged and the others are rejected.
        signal: `prompt_id`, `logits`, `embedding`.
        labels: class names in the order of the logits.

    Raises:
        ValueError: if a training row has no signal.
    """
    everything = prompts.filter(pl.col("split") == "train").with_columns(
        (~pl.col("prompt_id").is_first_distinct()).alias("again")
    )
    train = everything.filter(~pl.col("again")).sort("prompt_id")
    rows = train.join(
        signal.select("prompt_id", "logits", "embedding"), on="prompt_id", how="left", maintain_order="left"
    )
    if rows["logits"].null_count():
        raise ValueError(f"{rows['logits'].null_count()} training rows have no teacher signal")
    judged = with_answers(rows, labels).with_columns(
        pl.when(pl.col("label").is_not_null() & (pl.col("label") != pl.col("answer")))
        .then(pl.lit(RejectReason.CONTRADICTS_LABEL.value))
        .when(pl.col("label").is_null() & (pl.col("confidence") < PREFERENCE_NEEDED))
        .then(pl.lit(RejectReason.NO_PREFERENCE.value))
        .alias("reason")
    )
    keep = pl.col("reason").is_null()
    return Verified(
        judged.filter(keep).select("prompt_id", "text", "label", "batch", "row_kind", "logits", "embedding"),
        all_rejects(
            [
                rejected(judged.filter(~keep), pl.col("reason")),
                rejected(everything.filter("again"), RejectReason.IN_AN_EARLIER_BATCH),
            ]
        ),
    )
