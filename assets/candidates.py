"""The assets of students in training, one for each student of the recipe.

Belongs here: their declaration, and what is shown of them.
Does not: making them (stillhouse/stages/candidates.py).
"""

import dagster as dg

from assets.pictures import learning_curve
from assets.stage import StageContext, StageOutput, stage_asset
from stillhouse.recipe.reading import RecipeFile
from stillhouse.recipe.students import StudentSpec
from stillhouse.records.builds import Artifact
from stillhouse.stages import candidates as stage
from stillhouse.stages.facts import CandidateFacts
from stillhouse.stages.names import PROMPTS, TEACHER, TRANSFER_SET, candidate
from stillhouse.summaries.candidates import numbers


def define(file: RecipeFile, student: StudentSpec) -> dg.AssetsDefinition:
    """Define the asset of one student."""
    parent_of_it = {} if student.parent is None else {"parent": candidate(student.parent)}

    @stage_asset(
        file,
        candidate(student.name),
        inputs={"transfer_set": TRANSFER_SET, **parent_of_it},
        beside={"teacher": TEACHER, "prompts": PROMPTS},
        kinds={"pytorch"},
    )
    def trained_student(
        context: StageContext,
        teacher: Artifact,
        prompts: Artifact,
        transfer_set: Artifact,
        parent: Artifact | None = None,
    ) -> StageOutput:
        """Layers of the teacher, or of a larger student, trained on the transfer set or taken as they are."""
        learner = file.recipe.with_layers_named(student)
        plan = stage.plan(file.name, learner, teacher, prompts, transfer_set, context.builds, parent)
        artifact = context.make(plan)
        facts = artifact.facts(CandidateFacts)
        curve = {} if facts.training is None else {"learning_curve": learning_curve(context, artifact, facts.training)}
        return StageOutput(artifact, {**numbers(facts), **curve})

    return trained_student
