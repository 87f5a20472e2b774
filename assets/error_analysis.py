"""The asset of why each student is as good as it is.

Belongs here: its declaration, and what is shown of it.
Does not: finding out (stillhouse/stages/error_analysis.py).
"""

from typing import Any

import dagster as dg

from assets import pictures
from assets.stage import StageContext, StageOutput, stage_asset
from assets.tables import table
from stillhouse.error_analysis.rules import read_analyses
from stillhouse.recipe.reading import RecipeFile
from stillhouse.records.builds import Artifact
from stillhouse.report.figures.rows_curve import curve_by_rows
from stillhouse.stages import error_analysis as stage
from stillhouse.stages.names import ERROR_ANALYSIS, EVALUATION, PROMPTS, TEACHER, TRANSFER_SET, candidate, export
from stillhouse.summaries import error_analysis as summary


def define(file: RecipeFile) -> dg.AssetsDefinition:
    """Define the asset."""
    learners = stage.learners_of(file.recipe)
    stages = {f"candidate_{student.name}": candidate(student.name) for student in learners}
    stages |= {f"export_{form.name}": export(form.name) for student in learners for form in student.forms}

    @stage_asset(
        file,
        ERROR_ANALYSIS,
        inputs={"evaluation": EVALUATION},
        beside={"prompts": PROMPTS, "teacher": TEACHER, "transfer_set": TRANSFER_SET, **stages},
        kinds={"pytorch"},
    )
    def examined_students(
        context: StageContext,
        evaluation: Artifact,
        prompts: Artifact,
        teacher: Artifact,
        transfer_set: Artifact,
        **made: Artifact,
    ) -> StageOutput:
        """How each student does on rows it knows and rows it does not; of one that misses, the reason and what next."""
        by_stage = {stages[name]: item for name, item in made.items()}
        plan = stage.plan(file.recipe, evaluation, prompts, teacher, transfer_set, by_stage, context.builds)
        artifact = context.make(plan)
        found = read_analyses(artifact.folder)
        shown: dict[str, Any] = {"students": table(summary.students(found), quotes_rows=False)}
        for name, each in found.items():
            if each.conclusion is not None:
                shown[f"why_{name}"] = each.conclusion.sentence
            if each.more_rows is not None:
                drawn = f"by_rows_{name}"
                shown[drawn] = pictures.picture(context, artifact, drawn, curve_by_rows, each.more_rows)
        return StageOutput(artifact, shown)

    return examined_students
