"""The teacher: verified weights, fine-tuned on the labelled rows or as they are, or what one says elsewhere; pinned.

Belongs here: which kinds there are, and what all of them keep beside what they say.
Does not: how each kind is made (teacher_kinds/), how it answers (stillhouse/teachers/).
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from stillhouse.recipe.reading import RecipeFile
from stillhouse.recipe.teacher import TeacherKind
from stillhouse.records.artifacts import ArtifactStore
from stillhouse.records.builds import Artifact, BuildStore, Plan
from stillhouse.stages.facts import PromptFacts, TeacherFacts
from stillhouse.stages.names import MODEL
from stillhouse.stages.teacher_kinds import causal_lm, endpoint, ensemble, network, stored
from stillhouse.stages.teacher_kinds.making import Making
from stillhouse.students.examples import labelled_rows
from stillhouse.tasks import task_in

if TYPE_CHECKING:
    from stillhouse.models.pretrained import BaseModel


def plan(
    file: RecipeFile,
    contract: Artifact,
    prompts: Artifact,
    base: "BaseModel",
    builds: BuildStore,
    *,
    members: Mapping[str, "BaseModel"] = MappingProxyType({}),
) -> Plan[TeacherFacts]:
    """Make the teacher of a recipe.

    Of the base batch alone, so that new files never change it unasked.

    Args:
        file: the recipe.
        contract: with stored answers, or a language model, as they were taken in.
        prompts: the prompt set of the base batch.
        base: the weights to begin with, open as long as the plan is used.
        builds: keeps checkpoints.
        members: the weights of an ensemble's members that are encoders, by name, open as well.
    """
    texts = prompts.frame("prompts")
    making = Making(
        file=file,
        contract=contract,
        prompts=texts.select("prompt_id", "text"),
        rows=labelled_rows(texts),
        task=task_in(file.recipe.data, prompts.facts(PromptFacts).labels),
        base=base,
        members=members,
        builds=builds,
    )
    planned = _plan_of(making)
    if file.recipe.teacher.runs_here:
        return planned
    return replace(planned, build=partial(_beside_its_base, planned, making))


@contextmanager
def opened(file: RecipeFile, store: ArtifactStore) -> "Iterator[tuple[BaseModel, dict[str, BaseModel]]]":
    """Open what a teacher is made from: the weights to begin with, and those of an ensemble's members that have any.

    Args:
        file: the recipe.
        store: keeps the weights that were taken in.
    """
    from stillhouse.models.pretrained import base_model

    spec, weights = file.recipe.teacher, file.recipe.weights
    with ExitStack() as stack:
        base = stack.enter_context(base_model(file.located(weights.source), weights.revision, store))
        yield (
            base,
            {
                name: stack.enter_context(base_model(file.located(each.source), each.revision, store))
                for name, each in spec.networks.items()
                if spec.members
            },
        )


def _plan_of(making: Making) -> Plan[TeacherFacts]:
    return KINDS[making.file.recipe.teacher.kind](making)


def _beside_its_base(planned: Plan[TeacherFacts], making: Making, folder: Path) -> TeacherFacts:
    """Keep the base beside the answers, with a head that knows nothing, to cut students from."""
    from stillhouse.teachers.classifier import build_classifier

    facts = planned.build(folder)
    record = making.file.recipe.data.record
    build_classifier(making.base.folder, making.task.names, folder / MODEL, seed=0, record=record)
    return facts


KINDS: dict[TeacherKind, Callable[[Making], Plan[TeacherFacts]]] = {
    TeacherKind.ENCODER: network.plan,
    TeacherKind.CLASSIFIER: network.plan,
    TeacherKind.STORED: stored.plan,
    TeacherKind.ENDPOINT: endpoint.plan,
    TeacherKind.CAUSAL_LM: causal_lm.plan,
    TeacherKind.ENSEMBLE: lambda making: ensemble.plan(making, _plan_of),
}
"""What makes a teacher of each kind."""
