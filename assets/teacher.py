"""The asset of the teacher.

Belongs here: its declaration, and what is shown of it.
Does not: making it (stillhouse/stages/teacher.py).
"""

from typing import Any

import dagster as dg

from assets.found import note_another_teacher
from assets.pictures import learning_curve
from assets.stage import StageContext, StageOutput, stage_asset
from assets.tables import table
from stillhouse.recipe.reading import RecipeFile
from stillhouse.records.builds import Artifact
from stillhouse.stages import teacher as stage
from stillhouse.stages.facts import SaidFacts, TeacherFacts
from stillhouse.stages.names import CONTRACT, PROMPTS, TEACHER
from stillhouse.summaries import teacher as summary


def define(file: RecipeFile) -> dg.AssetsDefinition:
    """Define the asset."""

    # The contract first: where both are closed, its gates are what a person has to hear of.
    @stage_asset(file, TEACHER, inputs={"contract": CONTRACT, "prompts": PROMPTS}, kinds={"pytorch", "huggingface"})
    def calibrated_teacher(context: StageContext, contract: Artifact, prompts: Artifact) -> StageOutput:
        """The teacher: fine-tuned on the base batch so that new files never change it, or taken as it is."""
        with stage.opened(file, context.builds.store) as (base, members):
            artifact = context.make(stage.plan(file, contract, prompts, base, context.builds, members=members))
        note_another_teacher(context, artifact)
        facts = artifact.facts(TeacherFacts)
        shown = {"licence": file.recipe.teacher.licence, **summary.numbers(facts), **_answers(facts.said)}
        for name, each in facts.members.items():
            of_member = {"validation_accuracy": each.validation_accuracy, **_answers(each.said)}
            shown |= {f"{what} of {name}": value for what, value in of_member.items()}
        if facts.training is not None:
            shown["learning_curve"] = learning_curve(context, artifact, facts.training)
        return StageOutput(artifact, shown)

    return calibrated_teacher


def _answers(said: SaidFacts | None) -> dict[str, Any]:
    if said is None:
        return {}
    failures = summary.failures(said)
    return {**summary.answers(said), "without_an_answer": table(failures) if failures else "none"}
