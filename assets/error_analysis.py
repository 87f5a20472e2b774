"""The asset of why each student is as good as it is.

Belongs here: its declaration, and what is shown of it.
Does not: finding out (stillhouse/stages/error_analysis.py).
"""

from collections.abc import Callable
from typing import Any

import dagster as dg

from assets.stage import StageContext, StageOutput, picture, stage_asset
from assets.tables import markdown_table
from stillhouse.error_analysis.data_scaling import RowsCurve
from stillhouse.error_analysis.rules import read_analyses
from stillhouse.recipe.reading import RecipeFile
from stillhouse.records.builds import Artifact
from stillhouse.stages import error_analysis as stage
from stillhouse.stages.names import ERROR_ANALYSIS, EVALUATION, PROMPTS, TEACHER, TRANSFER_SET, candidate, export


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
        return StageOutput(artifact, _shown(context, artifact))

    return examined_students


def _shown(context: StageContext, artifact: Artifact) -> dict[str, Any]:
    found = read_analyses(artifact.folder)
    table = [
        {
            "student": name,
            "generalises": str(each.generalisation.regime),
            "on training rows": str(each.generalisation.counts.training_agreement),
            "on new rows": str(each.generalisation.counts.comparable_agreement),
            "reason": str(each.conclusion.cause) if each.conclusion else "clears the bar",
            "next": each.conclusion.change if each.conclusion else "",
        }
        for name, each in found.items()
    ]
    shown: dict[str, Any] = {"students": dg.MetadataValue.md(markdown_table(table, quotes_rows=False))}
    for name, each in found.items():
        if each.conclusion is not None:
            shown[f"why_{name}"] = each.conclusion.sentence
        if each.more_rows is not None:
            shown[f"by_rows_{name}"] = picture(context, artifact, f"by_rows_{name}", _drawing(each.more_rows))
    return shown


def _drawing(curve: RowsCurve) -> Callable[[], bytes]:
    def draw() -> bytes:
        from stillhouse.report.figures.rows_curve import curve_by_rows as drawn

        return drawn(curve)

    return draw
