"""The asset of the release.

Belongs here: its declaration, and what is shown of it.
Does not: making it (stillhouse/stages/release.py).
"""

import dagster as dg

from assets.stage import StageContext, StageOutput, stage_asset
from stillhouse.recipe.reading import RecipeFile
from stillhouse.records.builds import Artifact
from stillhouse.release.bundle import ReleaseRecord
from stillhouse.stages import release as stage
from stillhouse.stages.names import CASCADE, CONTRACT, PROMPTS, RELEASE, SELECTION, TEACHER, TRANSFER_SET, export
from stillhouse.stages.release import Evidence
from stillhouse.stages.selection import SelectionFacts


def define(file: RecipeFile) -> dg.AssetsDefinition:
    """Define the asset."""
    forms = [form.name for form in file.recipe.forms]
    has_cascade = file.recipe.cascade is not None

    @stage_asset(
        file,
        RELEASE,
        inputs={"cascade": CASCADE} if has_cascade else {"selection": SELECTION},
        beside={
            **({"selection": SELECTION} if has_cascade else {}),
            "contract": CONTRACT,
            "prompts": PROMPTS,
            "teacher": TEACHER,
            "transfer_set": TRANSFER_SET,
            **{f"export_{name}": export(name) for name in forms},
        },
        kinds={"onnx"},
    )
    def published_bundle(
        context: StageContext,
        contract: Artifact,
        prompts: Artifact,
        teacher: Artifact,
        transfer_set: Artifact,
        selection: Artifact,
        cascade: Artifact | None = None,
        **exported: Artifact,
    ) -> StageOutput:
        """The chosen student as it ships, with contract, evaluation and the digest of everything that made it."""
        by_form = {name: exported[f"export_{name}"] for name in forms}
        evidence = Evidence(contract, prompts, teacher, transfer_set, selection, by_form, cascade)
        artifact = context.make(stage.plan(file, evidence, context.builds.ledger))
        record = artifact.facts(ReleaseRecord)
        return StageOutput(
            artifact,
            {
                "student": record.student,
                "against_the_champion": selection.facts(SelectionFacts).against_champion.sentence,
                "export_digest": record.export,
                "teacher_digest": record.teacher,
            },
        )

    return published_bundle
