"""The rows of the teacher's signal that a student may learn from, and the ledger of those that it may not.

Belongs here: bringing signal, prompts and labels together.
Does not: the rule that verifies a row (stillhouse/teachers/verification.py), training (candidates.py).
"""

from collections.abc import Sequence
from pathlib import Path

import polars as pl

from stillhouse.records.builds import Artifact, Plan
from stillhouse.stages.facts import SignalFacts, TransferSetFacts
from stillhouse.stages.names import BASE
from stillhouse.teachers.verification import verify_signal


def plan(
    prompts: Sequence[Artifact], signal: Sequence[Artifact], *, agree_at_least: float | None = None
) -> Plan[TransferSetFacts]:
    """Verify the training rows of all batches.

    Args:
        prompts: the prompt set of each batch; those without a signal are left out.
        signal: what the teacher said about each batch, the base batch among them.
        agree_at_least: share of an ensemble's members that have to agree about a row.
    """
    answered = {item.batch: item for item in signal}
    asked = [item for item in prompts if item.batch in answered]
    facts = answered[BASE].facts(SignalFacts)

    def build(folder: Path) -> TransferSetFacts:
        verified = verify_signal(
            pl.concat([item.frame("prompts") for item in asked], how="diagonal"),
            # A batch that was captured by another version has no columns of what its answers took.
            pl.concat([item.frame("signal") for item in signal], how="diagonal").unique("prompt_id", keep="any"),
            facts.task,
            agree_at_least=agree_at_least,
        )
        verified.kept.write_parquet(folder / "transfer_set.parquet")
        verified.rejects.write_parquet(folder / "rejects.parquet")
        return TransferSetFacts(
            rows_in=verified.kept.height + verified.rejects.height,
            kept=verified.kept.height,
            rejected=verified.rejects.height,
            labelled=verified.kept["label"].count(),
            row_kinds=dict(verified.kept["row_kind"].value_counts().iter_rows()),
            answer=facts.answer,
            labels=facts.labels,
            score=facts.score,
            record=facts.record,
            fingerprint=facts.fingerprint,
            batches=tuple(str(item.batch) for item in asked),
        )

    rule = {} if agree_at_least is None else {"agree_at_least": agree_at_least}
    made_of = {"prompts": [item.digest for item in asked], "signal": [item.digest for item in signal]}
    return Plan(build, {**made_of, **rule, **facts.particulars})
