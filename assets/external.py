"""What comes from outside: the file of rows, pretrained weights, and a teacher that is no encoder.

Belongs here: their nodes in the graph, with licence, revision and digest, and what a run finds of them.
Does not: reading them (stillhouse/data/, stillhouse/models/pretrained.py), whether they may be used (checks/).
"""

from collections.abc import Mapping

import dagster as dg

from assets.keys import CALLS, LANGUAGE_MODEL, PRETRAINED_WEIGHTS, SOURCE_FILE, TEACHER_ELSEWHERE, group_of, outside
from stillhouse.recipe.contract import Recipe
from stillhouse.recipe.events import EventKind
from stillhouse.recipe.reading import RecipeFile
from stillhouse.recipe.teacher import TeacherKind
from stillhouse.recipe.weights import WeightsSpec
from stillhouse.records.batches import shown
from stillhouse.stages.facts import ContractFacts, WeightsFacts
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
        *([] if teacher.runs_here else [_apart_from_the_base(file)]),
        *([_calls(file)] if EventKind.WEBHOOK in file.recipe.refresh.start else []),
    ]


def _calls(file: RecipeFile) -> dg.AssetSpec:
    """What others report a materialization of, where they may ask for a round."""
    return dg.AssetSpec(
        outside(file.name, CALLS),
        description="Calls from outside. Each materialization that is reported of this asset is one event of the kind "
        "webhook, and the same again is none; docs/events.md has the line of curl.",
        group_name=group_of(file.name, CONTRACT),
        owners=list(file.recipe.owners),
        tags={"stillhouse/recipe": file.name},
    )


def weights_and_teacher(recipe: Recipe) -> list[str]:
    """What a contract is made from beside the recipe, by the last part of its key."""
    return [PRETRAINED_WEIGHTS] if recipe.teacher.runs_here else [PRETRAINED_WEIGHTS, _teacher_key(recipe)]


def _teacher_key(recipe: Recipe) -> str:
    return LANGUAGE_MODEL if recipe.teacher.kind is TeacherKind.CAUSAL_LM else TEACHER_ELSEWHERE


_APART = {
    TeacherKind.STORED: "What the teacher was asked elsewhere, and answered. A run copies the file before it reads.",
    TeacherKind.ENDPOINT: "The server that is asked. A run keeps each answer before it asks the next question.",
    TeacherKind.ENSEMBLE: "The members of the teacher. A run copies what they are made of before it reads.",
    TeacherKind.CAUSAL_LM: "The language model that is asked. A run keeps its files and holds them against the pin.",
}


def _apart_from_the_base(file: RecipeFile) -> dg.AssetSpec:
    teacher = file.recipe.teacher
    return dg.AssetSpec(
        outside(file.name, _teacher_key(file.recipe)),
        description=_APART[teacher.kind],
        metadata={
            "address": teacher.source,
            "revision": teacher.revision,
            "licence": teacher.licence,
            "training_on_outputs": teacher.training_on_outputs,
        },
        group_name=group_of(file.name, CONTRACT),
        owners=list(file.recipe.owners),
        tags={"stillhouse/recipe": file.name},
        kinds={"huggingface" if teacher.computes_here else "file"},
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


def weights_seen(file: RecipeFile, found: ContractFacts) -> list[dg.AssetObservation]:
    """What a run found of the weights, of a language model, and of each member of an ensemble that computes here."""
    seen = [_seen(file, PRETRAINED_WEIGHTS, file.recipe.weights, found.weights)]
    for name, each in found.beside_weights.items():
        seen.append(_seen(file, _teacher_key(file.recipe), file.recipe.teacher.by_member[name], each))
    return seen


def _seen(file: RecipeFile, key: str, weights: WeightsSpec, found: WeightsFacts) -> dg.AssetObservation:
    return dg.AssetObservation(
        outside(file.name, key),
        metadata={
            "licence": weights.licence,
            "revision": weights.revision,
            "digest": found.fingerprint or "refused",
            **({"problem": found.problem} if found.problem else {}),
        },
    )
