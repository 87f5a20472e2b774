"""Which rows of a teacher's signal a student may learn from.

Belongs here: the rule, row by row, and its reject ledger.
Does not: capture (signal.py), whether too much was rejected (checks/transfer_set.py).
"""

from dataclasses import dataclass

import polars as pl

from stillhouse.data.rejects import RejectReason, all_rejects, rejected
from stillhouse.tasks.task import Doubt, Task
from stillhouse.teachers.answers import outputs_for
from stillhouse.teachers.columns import DISAGREEMENT, ERROR, further_columns

REASONS = {
    Doubt.CONTRADICTS_LABEL: RejectReason.CONTRADICTS_LABEL,
    Doubt.NO_PREFERENCE: RejectReason.NO_PREFERENCE,
}
"""What the reject ledger calls a doubt of the task."""


@dataclass(frozen=True)
class Verified:
    """Training rows in two parts that together are the signal of the training rows.

    Args:
        kept: `prompt_id`, `text`, `label` (null = unknown), `batch`, `row_kind`, `logits`, `embedding` and the
            further columns of the signal, sorted by `prompt_id`.
        rejects: a reject ledger.
    """

    kept: pl.DataFrame
    rejects: pl.DataFrame


def verify_signal(
    prompts: pl.DataFrame, signal: pl.DataFrame, task: Task, *, agree_at_least: float | None = None
) -> Verified:
    """Keep a training row if the task has no doubt that the teacher's answer is worth learning.

    Args:
        prompts: `prompt_id`, `text`, `label`, `split`, `batch`, `row_kind`; of a prompt that is in several batches the
            first row with a label, or else the first, is judged and the others are rejected.
        signal: `prompt_id`, `logits`, `embedding`, `failure`, and what only some teachers have (`further_columns`,
            `error`).
        task: what an answer is, and when one is doubtful.
        agree_at_least: share of an ensemble's members that have to give its answer.

    Raises:
        ValueError: if a training row has no signal.
    """
    train, again = _each_once(prompts.filter(pl.col("split") == "train"))
    of_some = further_columns(signal)
    asked = signal.select(
        "prompt_id", "logits", "embedding", _why_silent(signal), *of_some, pl.lit(True).alias("asked")
    )
    everyone = train.join(asked, on="prompt_id", how="left", maintain_order="left")
    if everyone["asked"].null_count():
        raise ValueError(f"{everyone['asked'].null_count()} training rows have no teacher signal")
    rows, silent = everyone.filter(pl.col("failure").is_null()), everyone.filter(pl.col("failure").is_not_null())
    held = task.holds(rows["label"])
    doubts = task.doubts(outputs_for(rows, task), task.targets(rows["label"].zip_with(held, pl.Series([None]))))
    reasons = [None if doubt is None else REASONS[doubt].value for doubt in doubts]
    # No teacher can agree with a label that is not of its task.
    foreign = pl.lit(rows["label"].is_not_null() & ~held)
    judged = rows.with_columns(pl.Series("reason", reasons, dtype=pl.String)).with_columns(
        reason=pl.when(foreign).then(pl.lit(RejectReason.CONTRADICTS_LABEL.value)).otherwise("reason")
    )
    if agree_at_least is not None:
        # A member of several is a share with a rounding error.
        apart = pl.col("reason").is_null() & (pl.col(DISAGREEMENT).cast(pl.Float64) > 1 - agree_at_least + 1e-6)
        judged = judged.with_columns(
            reason=pl.when(apart).then(pl.lit(RejectReason.MEMBERS_DISAGREE.value)).otherwise("reason")
        )
    keep = pl.col("reason").is_null()
    return Verified(
        judged.filter(keep).select("prompt_id", "text", "label", "batch", "row_kind", "logits", "embedding", *of_some),
        all_rejects(
            [
                rejected(silent, RejectReason.NO_ANSWER, pl.col("failure")),
                rejected(judged.filter(~keep), pl.col("reason")),
                rejected(again, pl.col("why")),
            ]
        ),
    )


def _each_once(rows: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """One row of each prompt, sorted, and the others with `why`: a label may come after its text, in a later batch."""
    numbered = rows.with_row_index("at")
    first = numbered.sort(pl.col("label").is_null(), "at").unique("prompt_id", keep="first", maintain_order=True)
    again = numbered.join(first.select("at"), on="at", how="anti", maintain_order="left").join(
        first.select("prompt_id", pl.col("at").alias("of")), on="prompt_id", maintain_order="left"
    )
    why = (
        pl.when(pl.col("of") < pl.col("at"))
        .then(pl.lit(RejectReason.IN_AN_EARLIER_BATCH.value))
        .otherwise(pl.lit(RejectReason.LABELLED_IN_ANOTHER_BATCH.value))
    )
    return first.drop("at").sort("prompt_id"), again.select(pl.exclude("at", "of"), why.alias("why"))


def _why_silent(signal: pl.DataFrame) -> pl.Expr:
    """Why a prompt has no answer, with what was said in the place of one where that is known; else null."""
    parts = ["failure", *([ERROR] if ERROR in signal.columns else [])]
    why = pl.concat_str(parts, separator=": ", ignore_nulls=True)
    return pl.when(pl.col("failure").is_not_null()).then(why).alias("failure")
