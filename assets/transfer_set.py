"""The rows of the teacher's signal that a student may learn from, and the ledger of those that it may not.

Belongs here: bringing signal, prompts and labels together.
Does not: the rule that verifies a row (stillhouse/teachers/verification.py), training (candidates.py).
"""

from pathlib import Path

import dagster as dg

from assets.keys import PROMPTS, TEACHER_SIGNAL, TRANSFER_SET
from assets.stage import Shown, Work, markdown_table, stage_asset, table_metadata
from stillhouse.data.rejects import count_reasons
from stillhouse.recipe import RecipeFile
from stillhouse.teachers.verification import verify_signal
from stillhouse.workshop import Artifact, Facts


def transfer_set(file: RecipeFile) -> dg.AssetsDefinition:
    """Build the asset."""

    @stage_asset(
        file,
        TRANSFER_SET,
        inputs={"prompts": PROMPTS, "signal": TEACHER_SIGNAL},
        code=("teachers/verification",),
        kinds={"polars", "parquet"},
    )
    def verified_rows(work: Work, prompts: Artifact, signal: Artifact) -> Shown:
        """Training rows whose signal was verified, with the label where one is known; the others with their reason."""

        def build(folder: Path) -> Facts:
            verified = verify_signal(prompts.frame("prompts"), signal.frame("signal"), signal.facts["labels"])
            verified.kept.write_parquet(folder / "transfer_set.parquet")
            verified.rejects.write_parquet(folder / "rejects.parquet")
            return {
                "rows_in": verified.kept.height + verified.rejects.height,
                "kept": verified.kept.height,
                "rejected": verified.rejects.height,
                "labelled": verified.kept["label"].count(),
                "labels": signal.facts["labels"],
                "fingerprint": signal.facts["fingerprint"],
            }

        artifact = work.make(build, depends_on={"prompts": prompts.digest, "signal": signal.digest})
        kept = artifact.frame("transfer_set")
        return Shown(
            artifact,
            {
                **table_metadata(kept.drop("embedding"), sample=6),
                "labelled": artifact.facts["labelled"],
                "rejected": artifact.facts["rejected"],
                "rejects_by_reason": dg.MetadataValue.md(
                    markdown_table(count_reasons(artifact.frame("rejects")).to_dicts())
                ),
            },
        )

    return verified_rows
