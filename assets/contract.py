"""The asset of the contract.

Belongs here: its declaration, and what is shown of it.
Does not: freezing the recipe (stillhouse/stages/contract.py).
"""

import dagster as dg

from assets.external import weights_seen
from assets.keys import PRETRAINED_WEIGHTS
from assets.stage import StageContext, StageOutput, markdown_table, stage_asset
from stillhouse.recipe.reading import RecipeFile
from stillhouse.stages import contract as stage
from stillhouse.stages.facts import ContractFacts
from stillhouse.stages.names import CONTRACT


def define(file: RecipeFile) -> dg.AssetsDefinition:
    """Define the asset."""
    recipe = file.recipe

    @stage_asset(file, CONTRACT, inputs={}, outside=[PRETRAINED_WEIGHTS], kinds={"yaml"})
    def frozen_contract(context: StageContext) -> StageOutput:
        """The one-page contract of this distillation, frozen by digest before any model exists."""
        artifact = context.make(stage.plan(file, context.builds.store))
        bar, budget = recipe.bar, recipe.budget
        terms = [
            {"term": "task", "value": recipe.task},
            {"term": "pain", "value": ", ".join(recipe.pain)},
            {"term": "teacher", "value": recipe.teacher.address},
            {"term": "why this teacher", "value": recipe.teacher.reason},
            {
                "term": "bar",
                "value": f"{bar.metric_in_words} at most {bar.margin:.1%} below the teacher, "
                f"error rate {bar.alpha:.0%}",
            },
            {
                "term": "budget",
                "value": f"{budget.latency_ratio_at_least:g}x faster, {budget.size_ratio_at_least:g}x smaller",
            },
            {"term": "sensitive", "value": ", ".join(item.column for item in recipe.sensitive) or "none"},
            {"term": "candidates", "value": ", ".join(student.name for student in recipe.students)},
            {"term": "refresh", "value": recipe.refresh.cron},
        ]
        return StageOutput(
            artifact,
            {"contract": dg.MetadataValue.md(markdown_table(terms)), "recipe_digest": recipe.digest},
            seen=[weights_seen(file, artifact.facts(ContractFacts).weights)],
        )

    return frozen_contract
