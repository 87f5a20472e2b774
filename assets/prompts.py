"""The asset of the prompt set.

Belongs here: its declaration, and what is shown of it.
Does not: making it (stillhouse/stages/prompts.py).
"""

from typing import Any

import dagster as dg

from assets.stage import StageContext, StageOutput, stage_asset
from assets.tables import markdown_table, table_metadata
from stillhouse.data.rejects import count_reasons
from stillhouse.recipe.reading import RecipeFile
from stillhouse.records.builds import Artifact
from stillhouse.stages import prompts as stage
from stillhouse.stages.facts import CoverageFacts, PromptFacts
from stillhouse.stages.names import BASE, PROMPTS, SOURCE


def define(file: RecipeFile) -> dg.AssetsDefinition:
    """Define the asset."""

    @stage_asset(file, PROMPTS, inputs={"source": SOURCE}, kinds={"polars", "parquet"})
    def prompt_set(context: StageContext, source: Artifact) -> StageOutput:
        """Cleaned texts, each once, each on one side of the split for good, and every row not kept, with its reason."""
        base = None if context.batch == BASE else context.read(PROMPTS, BASE)
        artifact = context.make(stage.plan(file, source, base, context.builds))
        kept, facts = artifact.frame("prompts"), artifact.facts(PromptFacts)
        mix = kept.group_by("split", "label").len("rows").pivot("split", index="label", values="rows").sort("label")
        counts = count_reasons(artifact.frame("rejects"))
        return StageOutput(
            artifact,
            {
                **table_metadata(kept),
                "train": facts.train,
                "validation": facts.validation,
                "golden": facts.golden,
                "labelled_train": facts.labelled_train,
                "rejected": facts.rejected,
                "golden_digest": facts.golden_digest,
                "personal_data_redacted": facts.redacted,
                **_what_models_read(facts.coverage),
                "labels_by_split": dg.MetadataValue.md(markdown_table(mix.to_dicts())),
                "rejects_by_reason": dg.MetadataValue.md(markdown_table(counts.to_dicts())),
            },
            headline=f"{facts.train:,} rows train, {facts.validation:,} validate, {facts.golden:,} are golden, "
            f"{facts.rejected:,} rejected",
        )

    return prompt_set


def _what_models_read(coverage: CoverageFacts | None) -> dict[str, Any]:
    if coverage is None:
        return {}
    return {
        "max_tokens": coverage.max_tokens,
        "texts_cut": coverage.cut_share,
        "word_pieces_unknown": coverage.unknown_share,
    }
