"""The asset of the rows that a student may learn from.

Belongs here: its declaration, and what is shown of it.
Does not: verifying rows (stillhouse/stages/transfer_set.py).
"""

import dagster as dg

from assets.stage import StageContext, StageOutput, stage_asset
from assets.tables import table, table_metadata
from stillhouse.data.rejects import count_reasons
from stillhouse.recipe.reading import RecipeFile
from stillhouse.records.builds import Artifact
from stillhouse.stages import transfer_set as stage
from stillhouse.stages.facts import TransferSetFacts
from stillhouse.stages.names import PROMPTS, TEACHER_SIGNAL, TRANSFER_SET


def define(file: RecipeFile) -> dg.AssetsDefinition:
    """Define the asset."""

    @stage_asset(
        file,
        TRANSFER_SET,
        inputs={"prompts": PROMPTS, "signal": TEACHER_SIGNAL},
        kinds={"polars", "parquet"},
        every_batch=("prompts", "signal"),
    )
    def verified_rows(context: StageContext, prompts: list[Artifact], signal: list[Artifact]) -> StageOutput:
        """Training rows of all batches whose signal was verified, labelled or not; the others with their reason."""
        ensemble = file.recipe.teacher.ensemble
        agreed = None if ensemble is None else ensemble.agree_at_least
        artifact = context.make(stage.plan(prompts, signal, agree_at_least=agreed))
        facts = artifact.facts(TransferSetFacts)
        counts = count_reasons(artifact.frame("rejects"))
        return StageOutput(
            artifact,
            {
                **table_metadata(artifact.frame("transfer_set").drop("embedding"), sample=6),
                "batches": ", ".join(facts.batches),
                "labelled": facts.labelled,
                "row_kinds": facts.row_kinds,
                "rejected": facts.rejected,
                "rejects_by_reason": table(counts.to_dicts()),
            },
        )

    return verified_rows
