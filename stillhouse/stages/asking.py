"""The teacher as something that can be asked, from the artifact of its stage.

Belongs here: which kind of teacher an artifact holds. Does not: the kinds (stillhouse/teachers/).
"""

from collections.abc import Callable
from pathlib import Path

from stillhouse.home import Home
from stillhouse.recipe.teacher import TeacherKind, TeacherSpec
from stillhouse.records.artifacts import ArtifactStore
from stillhouse.records.builds import Artifact, BuildStore
from stillhouse.stages.facts import SaidFacts, TeacherFacts
from stillhouse.stages.names import ANSWERS, MODEL
from stillhouse.teachers.calls import CallLog
from stillhouse.teachers.causal_lm import CausalLmTeacher, LabelPrompt
from stillhouse.teachers.endpoint import EndpointTeacher
from stillhouse.teachers.requests import Asking
from stillhouse.teachers.stored import StoredTeacher
from stillhouse.teachers.teacher import NetworkTeacher, Teacher


def teacher_of(artifact: Artifact, spec: TeacherSpec, builds: BuildStore) -> Teacher:
    """Open a teacher.

    Args:
        artifact: of the stage of the teacher.
        spec: what the recipe says of it now, such as where its server is.
        builds: with the log of calls.
    """
    return TEACHERS[artifact.facts(TeacherFacts).kind](artifact, spec, builds)


def call_log(home: Home) -> CallLog:
    """What the teachers of an installation that are paid have been asked."""
    return CallLog(home.signal / "calls.db")


def _network(artifact: Artifact, spec: TeacherSpec, builds: BuildStore) -> Teacher:
    return NetworkTeacher(artifact.folder / MODEL, artifact.facts(TeacherFacts).fingerprint, builds.device)


def _stored(artifact: Artifact, spec: TeacherSpec, builds: BuildStore) -> Teacher:
    facts = artifact.facts(TeacherFacts)
    return StoredTeacher(artifact.frame(ANSWERS), _said(facts).accuracy, facts.task)


def _endpoint(artifact: Artifact, spec: TeacherSpec, builds: BuildStore) -> Teacher:
    facts = artifact.facts(TeacherFacts)
    said, recipe = _said(facts), artifact.asset.partition("/")[0]
    assert said.asking is not None and spec.endpoint is not None
    pilot = StoredTeacher(artifact.frame(ANSWERS), said.accuracy, facts.task)
    return EndpointTeacher(
        spec.source, spec.endpoint, Asking(**said.asking), recipe, call_log(builds.home), facts.task, pilot
    )


def _causal_lm(artifact: Artifact, spec: TeacherSpec, builds: BuildStore) -> Teacher:
    asking = _said(artifact.facts(TeacherFacts)).asking
    assert asking is not None
    return CausalLmTeacher(kept_model(artifact, spec, builds.store), LabelPrompt(**asking), builds.device)


def kept_model(artifact: Artifact, spec: TeacherSpec, store: ArtifactStore) -> dict[str, Path]:
    """The files of a language model that an artifact was made from, as they were kept, by their names.

    Raises:
        StillhouseError: if they are not as they were.
    """
    below = f"{spec.address}/"
    inputs = artifact.manifest.external_inputs
    return {name.removeprefix(below): store.kept(inputs[name]) for name in inputs if name.startswith(below)}


def _said(facts: TeacherFacts) -> SaidFacts:
    assert facts.said is not None, "a teacher that students are not cut from has said something"
    return facts.said


TEACHERS: dict[TeacherKind, Callable[[Artifact, TeacherSpec, BuildStore], Teacher]] = {
    TeacherKind.ENCODER: _network,
    TeacherKind.CLASSIFIER: _network,
    TeacherKind.STORED: _stored,
    TeacherKind.ENDPOINT: _endpoint,
    TeacherKind.CAUSAL_LM: _causal_lm,
}
