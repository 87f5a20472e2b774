"""The asset of the contract.

Belongs here: its declaration, and what is shown of it.
Does not: freezing the recipe (stillhouse/stages/contract.py).
"""

import dagster as dg

from assets.external import weights_and_teacher, weights_seen
from assets.stage import StageContext, StageOutput, stage_asset
from assets.tables import table
from stillhouse.recipe.reading import RecipeFile
from stillhouse.stages import contract as stage
from stillhouse.stages.facts import ContractFacts
from stillhouse.stages.names import CONTRACT
from stillhouse.stages.serving_device import serving_device
from stillhouse.summaries import contract as summary


def define(file: RecipeFile) -> dg.AssetsDefinition:
    """Define the asset."""
    recipe, fed_with = file.recipe, weights_and_teacher(file.recipe)

    @stage_asset(file, CONTRACT, inputs={}, outside=fed_with, kinds={"yaml"}, of_version=recipe.digest[:12])
    def frozen_contract(context: StageContext) -> StageOutput:
        """The one-page contract of this distillation, frozen by digest before any model exists."""
        serving_device(file, context.builds)  # one that is not there ends it here, before anything is computed
        artifact = context.make(stage.plan(file, context.builds.store))
        facts = artifact.facts(ContractFacts)
        return StageOutput(
            artifact,
            {
                "contract": table(summary.terms(recipe), quotes_rows=False),
                "changed": table(summary.what_changed(context.builds, artifact), quotes_rows=False),
                "all_that_is_frozen": table(summary.everything_frozen(recipe), quotes_rows=False),
                "recipe_digest": recipe.digest,
                **summary.answers_taken(facts.answers),
            },
            seen=weights_seen(file, facts),
        )

    return frozen_contract
