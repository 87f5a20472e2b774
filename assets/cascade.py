"""The asset of the chosen student with its teacher behind it, of a recipe that has a cascade.

Belongs here: its declaration, and what is shown of it.
Does not: finding the threshold and judging (stillhouse/stages/cascade.py).
"""

import dagster as dg

from assets.links import report_of
from assets.stage import StageContext, StageOutput, stage_asset
from assets.tables import evaluation_table, markdown_table
from stillhouse.evaluation.harness import read_evaluations
from stillhouse.recipe.reading import RecipeFile
from stillhouse.records.builds import Artifact
from stillhouse.stages import cascade as stage
from stillhouse.stages.bench import Bench
from stillhouse.stages.cascade import CascadeFacts
from stillhouse.stages.names import CASCADE, EVALUATION, PROMPTS, SELECTION, TEACHER, TEACHER_SIGNAL, export


def define(file: RecipeFile) -> dg.AssetsDefinition:
    """Define the asset."""
    forms = [form.name for form in file.recipe.forms]

    @stage_asset(
        file,
        CASCADE,
        inputs={"selection": SELECTION},
        beside={
            "prompts": PROMPTS,
            "teacher": TEACHER,
            "signal": TEACHER_SIGNAL,
            "evaluation": EVALUATION,
            **{f"export_{name}": export(name) for name in forms},
        },
        kinds={"numpy"},
    )
    def student_with_its_teacher(
        context: StageContext,
        prompts: Artifact,
        teacher: Artifact,
        signal: Artifact,
        evaluation: Artifact,
        selection: Artifact,
        **exported: Artifact,
    ) -> StageOutput:
        """The threshold from which the chosen student answers alone, and what it and the teacher hold together."""
        winner = stage.winner_of(selection)
        chosen = stage.Chosen(winner, exported[f"export_{winner}"], evaluation)
        bench = Bench(file.recipe, context.builds, prompts, teacher)
        artifact = context.make(stage.plan(file, bench, chosen, context.reader))
        facts = artifact.facts(CascadeFacts)
        return StageOutput(
            artifact,
            {
                "found": facts.sentence,
                "share_to_teacher": facts.golden_share,
                "protected": ", ".join(facts.protected) or "no slice",
                **({"cost_of_1000_calls": facts.cost} if facts.cost else {}),
                **report_of(artifact, f"{file.name}.cascade.html", context.builds.home.reports),
                "by_share": markdown_table([each.model_dump(mode="json") for each in facts.sweep]),
                "judged": evaluation_table([*read_evaluations(artifact.folder), chosen.judged]),
            },
            headline=facts.sentence,
        )

    return student_with_its_teacher
