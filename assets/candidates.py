"""The assets of students in training, one for each student of the recipe.

Belongs here: their declaration, and what is shown of them.
Does not: making them (stillhouse/stages/candidates.py).
"""

import dagster as dg

from assets.stage import StageContext, StageOutput, learning_curve, stage_asset
from stillhouse.recipe.reading import RecipeFile
from stillhouse.recipe.students import StudentSpec
from stillhouse.records.builds import Artifact
from stillhouse.stages import candidates as stage
from stillhouse.stages.facts import CandidateFacts
from stillhouse.stages.names import PROMPTS, TEACHER, TRANSFER_SET, candidate


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
        plan = stage.plan(file.name, student, teacher, prompts, transfer_set, context.builds, parent)
        artifact = context.make(plan)
        facts = artifact.facts(CandidateFacts)
        training, vocabulary = facts.training, facts.vocabulary
        shown = {
            "rows_learned_from": training.examples if training else 0,
            "validation_accuracy": facts.validation_accuracy,
            "vocabulary_kept": vocabulary and vocabulary.kept,
        }
        if training is None:
            return StageOutput(artifact, shown)
        return StageOutput(
            artifact,
            {
                **shown,
                "train_loss": training.epochs[-1].train_loss,
                "examples_per_second": training.examples_per_second,
                "learning_curve": learning_curve(context, artifact, training),
            },
        )

    return trained_student
