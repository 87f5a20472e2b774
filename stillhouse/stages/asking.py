"""The teacher as something that can be asked, from the artifact of its stage.

Belongs here: which kind of teacher an artifact holds. Does not: the kinds (stillhouse/teachers/).
"""

from collections.abc import Callable
from pathlib import Path

import polars as pl

from stillhouse.device import Device
from stillhouse.home import Home
from stillhouse.recipe.teacher import TeacherKind, TeacherSpec
from stillhouse.records.artifacts import ArtifactStore
from stillhouse.records.builds import Artifact, BuildStore
from stillhouse.stages.facts import SaidFacts, TeacherFacts
from stillhouse.stages.names import ANSWERS, MEMBERS, MODEL
from stillhouse.teachers.calls import CallLog
from stillhouse.teachers.causal_lm import CausalLmTeacher, LabelPrompt
from stillhouse.teachers.endpoint import EndpointTeacher
from stillhouse.teachers.ensemble import EnsembleTeacher, Member
from stillhouse.teachers.requests import Asking
from stillhouse.teachers.signal import signal_store
from stillhouse.teachers.stored import StoredTeacher
from stillhouse.teachers.teacher import NetworkTeacher, Teacher, share_as_taught


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


def _ensemble(artifact: Artifact, spec: TeacherSpec, builds: BuildStore) -> Teacher:
    assert spec.ensemble is not None
    facts = artifact.facts(TeacherFacts)
    members = [member_of(artifact.folder, name, each, builds.device) for name, each in facts.members.items()]
    return EnsembleTeacher(members, spec.ensemble.combine, facts.task, signal_store(builds))


def member_of(folder: Path, name: str, facts: TeacherFacts, device: Device) -> Member:
    """Open a member of an ensemble.

    Args:
        folder: of the ensemble's artifact.
        name: of the member.
        facts: what was found of it.
        device: where it answers, if it is a model that runs here.
    """
    place = folder / MEMBERS / name
    if facts.said is None:
        accuracy = share_as_taught(facts.validation_right, facts.validation_rows)
        return Member(NetworkTeacher(place / MODEL, facts.fingerprint, device), facts.temperature, accuracy)
    stored = StoredTeacher(pl.read_parquet(place / f"{ANSWERS}.parquet"), facts.said.accuracy, facts.task)
    return Member(stored, facts.temperature, facts.said.accuracy)


def _said(facts: TeacherFacts) -> SaidFacts:
    assert facts.said is not None, "a teacher that students are not cut from has said something"
    return facts.said


TEACHERS: dict[TeacherKind, Callable[[Artifact, TeacherSpec, BuildStore], Teacher]] = {
    TeacherKind.ENCODER: _network,
    TeacherKind.CLASSIFIER: _network,
    TeacherKind.STORED: _stored,
    TeacherKind.ENDPOINT: _endpoint,
    TeacherKind.CAUSAL_LM: _causal_lm,
    TeacherKind.ENSEMBLE: _ensemble,
}
