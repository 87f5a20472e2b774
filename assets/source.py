"""The asset of the rows as they came, batch by batch.

Belongs here: its declaration, and what is shown of it.
Does not: reading them (stillhouse/stages/source.py).
"""

import dagster as dg

from assets.external import source_file_seen
from assets.keys import SOURCE_FILE
from assets.stage import StageContext, StageOutput, stage_asset
from assets.tables import table_metadata
from stillhouse.recipe.reading import RecipeFile
from stillhouse.records.batches import shown
from stillhouse.records.builds import Artifact
from stillhouse.stages import source as stage
from stillhouse.stages.names import BASE, CONTRACT, SOURCE
from stillhouse.stages.source import SourceFacts


def define(file: RecipeFile) -> dg.AssetsDefinition:
    """Define the asset."""

    @stage_asset(file, SOURCE, inputs={"contract": CONTRACT}, outside=[SOURCE_FILE], kinds={"polars", "parquet"})
    def source_rows(context: StageContext, contract: Artifact) -> StageOutput:
        """The rows of one batch as they came; what could not be read or has no provenance is kept as a reject."""
        assert context.batch is not None
        artifact = context.make(stage.plan(file, context.batch, context.builds))
        rows, facts = artifact.frame("rows"), artifact.facts(SourceFacts)
        files = artifact.manifest.external_inputs
        return StageOutput(
            artifact,
            {
                **table_metadata(rows),
                "labelled": rows["label"].count(),
                "unreadable_lines": facts.unreadable,
                "quarantined": facts.quarantined,
                "read_from": ", ".join(shown(name) for name in files),
            },
            headline=f"{rows.height:,} rows read, {facts.unreadable:,} unreadable, {facts.quarantined:,} set aside",
            seen=[source_file_seen(file, files, facts.records)] if context.batch == BASE else [],
        )

    return source_rows
