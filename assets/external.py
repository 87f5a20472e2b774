"""What comes from outside: the file of rows, pretrained weights, and answers that a teacher gave elsewhere.

Belongs here: their nodes in the graph, with licence, revision and digest, and what a run finds of them.
Does not: reading them (stillhouse/data/, stillhouse/models/weights.py), whether they may be used (checks/).
"""

from collections.abc import Mapping

import dagster as dg

from assets.keys import PRETRAINED_WEIGHTS, SOURCE_FILE, TEACHER_ELSEWHERE, group_of, outside
from stillhouse.recipe.reading import RecipeFile
from stillhouse.recipe.teacher import TeacherKind
from stillhouse.records.batches import shown
from stillhouse.stages.facts import WeightsFacts
from stillhouse.stages.names import CONTRACT


def external_assets(file: RecipeFile) -> list[dg.AssetSpec]:
    """What a recipe is fed with, which nobody can materialize here."""
    teacher, weights, data = file.recipe.teacher, file.recipe.weights, file.recipe.data
    return [
        dg.AssetSpec(
            outside(file.name, SOURCE_FILE),
            description="The rows of the recipe's own source, as they lie outside. A run copies them before it reads.",
            metadata={
                "address": data.source,
                "licence": data.licence,
                **({"golden_file": data.golden} if data.golden else {}),
            },
            group_name=group_of(file.name, CONTRACT),
            owners=list(file.recipe.owners),
            tags={"stillhouse/recipe": file.name},
            kinds={"file"},
        ),
        dg.AssetSpec(
            outside(file.name, PRETRAINED_WEIGHTS),
            description="The weights that everything begins with. A run holds them against the pin before it trains.",
            metadata={
                "address": weights.source,
                "revision": weights.revision,
                "licence": weights.licence,
                **({"training_on_outputs": teacher.training_on_outputs} if teacher.runs_here else {}),
                "pinned_fingerprint": weights.fingerprint or "none: those of the first round are trusted",
            },
            group_name=group_of(file.name, CONTRACT),
            owners=list(file.recipe.owners),
            tags={"stillhouse/recipe": file.name},
            kinds={"huggingface"},
        ),
        *([] if teacher.runs_here else [_said_elsewhere(file)]),
    ]


def _said_elsewhere(file: RecipeFile) -> dg.AssetSpec:
    teacher = file.recipe.teacher
    stored = "What the teacher was asked elsewhere, and answered. A run copies the file before it reads."
    asked = "The server that is asked. A run keeps each answer before it asks the next question."
    return dg.AssetSpec(
        outside(file.name, TEACHER_ELSEWHERE),
        description=stored if teacher.kind is TeacherKind.STORED else asked,
        metadata={
            "address": teacher.source,
            "revision": teacher.revision,
            "licence": teacher.licence,
            "training_on_outputs": teacher.training_on_outputs,
        },
        group_name=group_of(file.name, CONTRACT),
        owners=list(file.recipe.owners),
        tags={"stillhouse/recipe": file.name},
        kinds={"file"},
    )


def source_file_seen(file: RecipeFile, files: Mapping[str, str], records: int) -> dg.AssetObservation:
    """What a run found of the file of rows.

    Args:
        file: the recipe.
        files: digest of each file that was read, by address.
        records: that are in them.
    """
    digests = {"digest" if len(files) == 1 else f"digest of {shown(name)}": digest for name, digest in files.items()}
    return dg.AssetObservation(
        outside(file.name, SOURCE_FILE), metadata={"licence": file.recipe.data.licence, "records": records, **digests}
    )


def weights_seen(file: RecipeFile, found: WeightsFacts) -> dg.AssetObservation:
    """What a run found of the weights."""
    weights = file.recipe.weights
    return dg.AssetObservation(
        outside(file.name, PRETRAINED_WEIGHTS),
        metadata={
            "licence": weights.licence,
            "revision": weights.revision,
            "digest": found.fingerprint or "refused",
            **({"problem": found.problem} if found.problem else {}),
        },
    )
