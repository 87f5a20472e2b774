"""The rows of the teacher's signal that a student may learn from, and the ledger of those that it may not.

Belongs here: bringing signal, prompts and labels together.
Does not: the rule that verifies a row (stillhouse/teachers/verification.py), training (candidates.py).
"""

from pathlib import Path

import dagster as dg
import polars as pl

from assets.stage import Shown, Work, markdown_table, stage_asset, table_metadata
from stillhouse.data.rejects import count_reasons
from stillhouse.recipe.reading import RecipeFile
from stillhouse.records.builds import Artifact, Facts
from stillhouse.stages.names import BASE, PROMPTS, TEACHER_SIGNAL, TRANSFER_SET
from stillhouse.teachers.verification import verify_signal


def transfer_set(file: RecipeFile) -> dg.AssetsDefinition:
    """Build the asset."""

    @stage_asset(
        file,
        TRANSFER_SET,
        inputs={"prompts": PROMPTS, "signal": TEACHER_SIGNAL},
        kinds={"polars", "parquet"},
        every_batch=("prompts", "signal"),
    )
    def verified_rows(work: Work, prompts: list[Artifact], signal: list[Artifact]) -> Shown:
        """Training rows of all batches whose signal was verified, labelled or not; the others with their reason."""
        answered = {item.batch: item for item in signal}
        asked = [item for item in prompts if item.batch in answered]
        facts_of_signal = answered[BASE].facts

        def build(folder: Path) -> Facts:
            verified = verify_signal(
                pl.concat([item.frame("prompts") for item in asked], how="diagonal"),
                pl.concat([item.frame("signal") for item in signal]).unique("prompt_id", keep="any"),
                facts_of_signal["labels"],
            )
            verified.kept.write_parquet(folder / "transfer_set.parquet")
            verified.rejects.write_parquet(folder / "rejects.parquet")
            return {
                "rows_in": verified.kept.height + verified.rejects.height,
                "kept": verified.kept.height,
                "rejected": verified.rejects.height,
                "labelled": verified.kept["label"].count(),
                "row_kinds": dict(verified.kept["row_kind"].value_counts().iter_rows()),
                "labels": facts_of_signal["labels"],
                "fingerprint": facts_of_signal["fingerprint"],
                "batches": [item.batch for item in asked],
            }

        artifact = work.make(
            build,
            depends_on={"prompts": [item.digest for item in asked], "signal": [item.digest for item in signal]},
        )
        kept = artifact.frame("transfer_set")
        return Shown(
            artifact,
            {
                **table_metadata(kept.drop("embedding"), sample=6),
                "batches": ", ".join(artifact.facts["batches"]),
                "labelled": artifact.facts["labelled"],
                "row_kinds": artifact.facts["row_kinds"],
                "rejected": artifact.facts["rejected"],
                "rejects_by_reason": dg.MetadataValue.md(
                    markdown_table(count_reasons(artifact.frame("rejects")).to_dicts())
                ),
            },
        )

    return verified_rows
