"""The assets of students as they ship, one for each precision of each student of the recipe.

Belongs here: their declaration, and what is shown of them.
Does not: exporting them (stillhouse/stages/exports.py).
"""

import dagster as dg

from assets.stage import StageContext, StageOutput, stage_asset
from stillhouse.recipe.reading import RecipeFile
from stillhouse.recipe.students import StudentForm
from stillhouse.records.builds import Artifact
from stillhouse.stages import exports as stage
from stillhouse.stages.facts import ExportFacts
from stillhouse.stages.names import PROMPTS, candidate, export


def define(file: RecipeFile, form: StudentForm) -> dg.AssetsDefinition:
    """Define the asset of one student in one precision."""

    @stage_asset(
        file,
        export(form.name),
        inputs={"candidate": candidate(form.student.name)},
        beside={"prompts": PROMPTS},
        kinds={"onnx"},
    )
    def exported_student(context: StageContext, candidate: Artifact, prompts: Artifact) -> StageOutput:
        """The student in ONNX in one precision, its parity and its temperature measured on validation rows."""
        artifact = context.make(stage.plan(form, candidate, prompts, context.builds))
        return StageOutput(artifact, artifact.facts(ExportFacts).model_dump(exclude={"fp32", "shipped", "seeds"}))

    return exported_student
