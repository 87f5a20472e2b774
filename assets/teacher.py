"""The asset of the teacher.

Belongs here: its declaration, and what is shown of it.
Does not: making it (stillhouse/stages/teacher.py).
"""

from contextlib import ExitStack
from typing import Any

import dagster as dg

from assets.found import note_another_teacher
from assets.stage import StageContext, StageOutput, learning_curve, stage_asset
from assets.tables import markdown_table
from stillhouse.recipe.reading import RecipeFile
from stillhouse.records.builds import Artifact
from stillhouse.stages import teacher as stage
from stillhouse.stages.facts import TeacherFacts, TrainingFacts
from stillhouse.stages.names import CONTRACT, PROMPTS, TEACHER


def define(file: RecipeFile) -> dg.AssetsDefinition:
    """Define the asset."""
    spec, weights = file.recipe.teacher, file.recipe.weights

    # The contract first: where both are closed, its gates are what a person has to hear of.
    @stage_asset(file, TEACHER, inputs={"contract": CONTRACT, "prompts": PROMPTS}, kinds={"pytorch", "huggingface"})
    def calibrated_teacher(context: StageContext, contract: Artifact, prompts: Artifact) -> StageOutput:
        """The teacher: fine-tuned on the base batch so that new files never change it, or taken as it is."""
        from stillhouse.models.weights import base_model

        store = context.builds.store
        with ExitStack() as opened:
            base = opened.enter_context(base_model(file.located(weights.source), weights.revision, store))
            members = {
                name: opened.enter_context(base_model(file.located(each.source), each.revision, store))
                for name, each in spec.networks.items()
                if spec.members
            }
            artifact = context.make(stage.plan(file, contract, prompts, base, context.builds, members=members))
        note_another_teacher(context, artifact)
        facts = artifact.facts(TeacherFacts)
        return StageOutput(
            artifact,
            {
                "fingerprint": facts.fingerprint,
                "licence": spec.licence,
                **({} if facts.parameters is None else {"parameters": facts.parameters}),
                **_answers(facts),
                "validation_accuracy": facts.validation_accuracy,
                **{
                    f"{what} of {name}": value
                    for name, each in facts.members.items()
                    for what, value in (("validation_accuracy", each.validation_accuracy), *_answers(each).items())
                },
                "temperature": facts.temperature,
                **({} if facts.neighbours is None else {"neighbours_kept": facts.neighbours.kept}),
                **({} if facts.training is None else _learning(context, artifact, facts.training)),
            },
        )

    return calibrated_teacher


def _answers(facts: TeacherFacts) -> dict[str, Any]:
    said = facts.said
    if said is None:
        return {}
    failures = [{"reason": reason, "texts": texts} for reason, texts in said.failures.items()]
    return {
        "texts": said.texts,
        "without_an_answer": dg.MetadataValue.md(markdown_table(failures)) if failures else "none",
        **({} if said.usd_a_prompt is None else {"usd_a_prompt": said.usd_a_prompt}),
        **({} if said.without_rationale is None else {"answers_without_rationale": said.without_rationale}),
        **({} if said.observed is None else {"answered_by": said.observed}),
        **({} if said.label_mass is None else {"probability_on_labels": said.label_mass}),
    }


def _learning(context: StageContext, artifact: Artifact, training: TrainingFacts) -> dict[str, Any]:
    return {"labelled_rows": training.examples, "learning_curve": learning_curve(context, artifact, training)}
