"""The asset of the prompt set.

Belongs here: its declaration, and what is shown of it.
Does not: making it (stillhouse/stages/prompts.py).
"""

import dagster as dg

from assets.stage import StageContext, StageOutput, stage_asset
from assets.tables import table, table_metadata
from stillhouse.data.rejects import count_reasons
from stillhouse.recipe.reading import RecipeFile
from stillhouse.records.builds import Artifact
from stillhouse.stages import prompts as stage
from stillhouse.stages.facts import PromptFacts
from stillhouse.stages.names import BASE, PROMPTS, SOURCE
from stillhouse.summaries import prompts as summary


def define(file: RecipeFile) -> dg.AssetsDefinition:
    """Define the asset."""

    @stage_asset(file, PROMPTS, inputs={"source": SOURCE}, kinds={"polars", "parquet"})
    def prompt_set(context: StageContext, source: Artifact) -> StageOutput:
        """Cleaned texts, each once, each on one side of the split for good, and every row not kept, with its reason."""
        base = None if context.batch == BASE else context.read(PROMPTS, BASE)
        artifact = context.make(stage.plan(file, source, base, context.builds))
        kept, facts = artifact.frame("prompts"), artifact.facts(PromptFacts)
        return StageOutput(
            artifact,
            {
                **table_metadata(kept),
                **summary.numbers(facts),
                "labels_by_split": table(summary.labels_by_split(kept)),
                "rejects_by_reason": table(count_reasons(artifact.frame("rejects")).to_dicts()),
            },
            headline=summary.headline(facts),
        )

    return prompt_set
