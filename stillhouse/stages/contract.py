"""The contract: the recipe, frozen by digest, and what is found of the weights or answers that it names.

Belongs here: the frozen copy that every later stage can be traced to, and the bar as it is frozen.
Does not: the fields (stillhouse/recipe/), reading all rows (source.py), training on the weights (teacher.py).
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import JsonValue

from stillhouse.data.outside import read_outside
from stillhouse.digests import digest_of
from stillhouse.errors import MachineError, StillhouseError
from stillhouse.recipe.bar import Terms
from stillhouse.recipe.contract import Recipe
from stillhouse.recipe.reading import RecipeFile
from stillhouse.recipe.teacher import TeacherKind, teacher_part
from stillhouse.recipe.training import TrainingConfig
from stillhouse.recipe.weights import WeightsSpec
from stillhouse.records.artifacts import ArtifactStore
from stillhouse.records.builds import Plan
from stillhouse.stages.facts import AnswersFacts, ContractFacts, WeightsFacts
from stillhouse.stages.names import answers_of
from stillhouse.teachers.stored_answers import read_answers

if TYPE_CHECKING:
    from stillhouse.models.pretrained import BaseModel
    from stillhouse.models.weights import WeightsRecord


def plan(file: RecipeFile, store: ArtifactStore) -> Plan[ContractFacts]:
    """Freeze a recipe.

    Args:
        file: the recipe as it is now.
        store: keeps the weights that everything begins with.
    """
    recipe = file.recipe
    weights, kept = examine_weights(file, store)
    further: dict[str, WeightsFacts] = {}
    for name, member in file.by_member.items():
        if teacher_part(name) in recipe.all_weights.keys() - {recipe.part_of_weights}:
            examine = examine_member if member.recipe.teacher.runs_here else examine_language_model
            further[name], its_files = examine(member, store)
            kept |= its_files
    limits = recipe.data.limits
    outside = {uri: read_outside(uri, store, root=file.root, limits=limits) for uri in recipe.teacher.outside_files}

    def build(folder: Path) -> ContractFacts:
        (folder / "recipe.json").write_text(recipe.model_dump_json(indent=1))
        bar = bar_of(recipe)
        kept_files = {uri: each.kept(store) for uri, each in outside.items()}
        taken = {
            name: _take_answers(each, kept_files, folder / f"{answers_of(name)}.parquet")
            for name, each in file.by_member.items()
            if each.recipe.teacher.kind is TeacherKind.STORED
        }
        return ContractFacts(
            recipe=recipe.digest,
            bar=bar,
            bar_digest=digest_of(bar),
            weights=weights,
            language_model=further.get(""),
            members={name: each for name, each in further.items() if name},
            answers=taken.get(""),
        )

    return Plan(
        build,
        {
            "contract": recipe.digest,
            "weights": weights.model_dump(),
            **{f"teacher {name}".rstrip(): each.model_dump() for name, each in further.items()},
            **{uri: [each.content, each.marks] for uri, each in outside.items()},
        },
        external_inputs=kept | {name: digest for each in outside.values() for name, digest in each.digests.items()},
    )


def _take_answers(file: RecipeFile, kept: Mapping[str, Mapping[str, Path]], out: Path) -> AnswersFacts:
    """Read what a teacher answered elsewhere from the bytes that were kept."""
    read = read_answers(file, kept)
    read.answers.write_parquet(out)
    return AnswersFacts(
        records=read.records,
        unreadable=read.unreadable,
        without_text=read.without_text,
        without_rationale=read.without_rationale,
    )


def examine_weights(file: RecipeFile, store: ArtifactStore) -> tuple[WeightsFacts, dict[str, str]]:
    """Take in the weights that students are cut from and look at them, before anything is spent on them.

    Returns:
        What they are found to be, and the digest of each file that was kept, by its address.
    """
    recipe = file.recipe
    asked = recipe.teacher.longest_text if recipe.teacher.runs_here else 0
    return _examined(file, recipe.weights, store, partial(_to_train, recipe.trainings, asked))


def examine_member(file: RecipeFile, store: ArtifactStore) -> tuple[WeightsFacts, dict[str, str]]:
    """Take in the weights of a member of an ensemble that is an encoder or a classifier; see `examine_weights`."""
    spec = file.recipe.teacher
    needs = _to_ask if spec.training is None else partial(_to_train, (spec.training,), spec.longest_text)
    return _examined(file, spec, store, needs)


def examine_language_model(file: RecipeFile, store: ArtifactStore) -> tuple[WeightsFacts, dict[str, str]]:
    """Take in a language model that is the teacher, before anything is asked of it; see `examine_weights`."""
    from stillhouse.models.weights import verify_language_model

    spec = file.recipe.teacher
    in_bytes = 2 if spec.causal_lm.dtype == "bfloat16" else 4
    return _examined(file, spec, store, partial(_to_ask, in_bytes=in_bytes), verify_language_model)


def _examined(
    file: RecipeFile,
    spec: WeightsSpec,
    store: ArtifactStore,
    needs: "Callable[[BaseModel], float]",
    verify: "Callable[[Path], WeightsRecord] | None" = None,
) -> tuple[WeightsFacts, dict[str, str]]:
    from stillhouse.models.pretrained import base_model

    try:
        with base_model(file.located(spec.source), spec.revision, store, verify) as model:
            found = WeightsFacts(fingerprint=model.record.fingerprint, training_gb=needs(model), problem=None)
            return found, model.external_inputs(spec.address)
    except MachineError:
        raise
    except StillhouseError as error:  # not the end of the contract: the gate on safety says it
        return WeightsFacts(fingerprint=None, training_gb=None, problem=str(error)), {}


def _to_train(trainings: Sequence[TrainingConfig], longest_text: int, model: "BaseModel") -> float:
    """GB that the most texts and tokens of these trainings take, or of what is asked."""
    from stillhouse.models.memory import training_memory_gb

    batch = max((training.batch_size for training in trainings), default=1)
    tokens = max([longest_text, *(training.max_tokens for training in trainings)])
    return training_memory_gb(model.folder, model.record.parameters, batch_size=batch, tokens=tokens)


def _to_ask(model: "BaseModel", in_bytes: int = 4) -> float:
    """GB of what answers and is not trained."""
    from stillhouse.models.memory import asking_memory_gb

    return asking_memory_gb(model.record.parameters, bytes_a_weight=in_bytes)


def bar_of(recipe: Recipe) -> dict[str, JsonValue]:
    """All that a student has to prove, and in how many rounds of candidates it may be tried, as JSON values."""
    bar = bar_values(recipe.terms, recipe.split.golden_rounds_at_most)
    return bar if recipe.cascade is None else {**bar, "cascade": recipe.cascade.model_dump(mode="json")}


def bar_values(terms: Terms, golden_rounds_at_most: int | None) -> dict[str, JsonValue]:
    """A bar as it is frozen and digested.

    How often speed is measured is left out: a better measurement is no other bar, and contracts frozen by 0.1.0, whose
    recipes could not say it, keep their digest.
    """
    asked = terms.model_dump(mode="json", exclude={"budget": {"latency_rounds"}})
    return {**asked, "golden_rounds_at_most": golden_rounds_at_most}
