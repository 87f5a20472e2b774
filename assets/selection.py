"""The asset of the choice, with the report.

Belongs here: its declaration, and what is shown of it.
Does not: choosing (stillhouse/stages/selection.py).
"""

import dagster as dg

from assets import pictures
from assets.links import report_of
from assets.stage import StageContext, StageOutput, stage_asset
from assets.tables import evaluation_table
from stillhouse.recipe.reading import RecipeFile
from stillhouse.records.builds import Artifact
from stillhouse.report.figures.frontier import size_quality
from stillhouse.stages import selection as stage
from stillhouse.stages.names import BASELINES, ERROR_ANALYSIS, EVALUATION, SELECTION
from stillhouse.stages.selection import SelectionFacts, Surroundings


def define(file: RecipeFile) -> dg.AssetsDefinition:
    """Define the asset."""

    @stage_asset(
        file,
        SELECTION,
        inputs={"analyses": ERROR_ANALYSIS},
        beside={"evaluation": EVALUATION, "baselines": BASELINES},
        kinds={"html"},
    )
    def chosen_student(
        context: StageContext, evaluation: Artifact, baselines: Artifact, analyses: Artifact
    ) -> StageOutput:
        """The smallest student that clears both quality and budget, the next one down shown failing, and the report."""
        around = Surroundings(file, context.builds, context.reader)
        artifact = context.make(stage.plan(around, evaluation, baselines, analyses))
        everything, facts = stage.judged_in_order(evaluation, baselines), artifact.facts(SelectionFacts)
        return StageOutput(
            artifact,
            {
                "winner": facts.winner or "none",
                "reason": facts.reason,
                "against_the_champion": facts.against_champion.sentence,
                **report_of(artifact, f"{file.name}.html", context.builds.home.reports),
                "leaderboard": evaluation_table(everything, chosen=facts.winner),
                "size_against_quality": pictures.picture(
                    context, artifact, "size_against_quality", size_quality, everything
                ),
            },
        )

    return chosen_student
