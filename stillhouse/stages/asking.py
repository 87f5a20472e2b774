"""The teacher as something that can be asked, from what its stage made.

Belongs here: which kind of teacher an artifact holds. Does not: making one (teacher_kinds/), how it answers
(stillhouse/teachers/).
"""

from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

import polars as pl

from stillhouse.errors import StillhouseError
from stillhouse.home import Home
from stillhouse.recipe.teacher import TeacherKind, TeacherSpec
from stillhouse.records.artifacts import ArtifactStore
from stillhouse.records.builds import Artifact, BuildStore
from stillhouse.records.ledger import Ledger
from stillhouse.stages.facts import SaidFacts, TeacherFacts
from stillhouse.stages.names import ANSWERS, MEMBERS, MODEL, TEACHER
from stillhouse.teachers.asked import Asking, LabelPrompt
from stillhouse.teachers.calls import CallLog
from stillhouse.teachers.causal_lm import CausalLmTeacher
from stillhouse.teachers.endpoint import EndpointTeacher
from stillhouse.teachers.ensemble import EnsembleTeacher, Member
from stillhouse.teachers.signal import CaptureReport, signal_store
from stillhouse.teachers.stored import StoredTeacher
from stillhouse.teachers.teacher import NetworkTeacher, Teacher, share_as_taught


@dataclass(frozen=True)
class Made:
    """A teacher as its stage made it, or a member of one.

    Args:
        folder: with its model or answers.
        facts: what was found of it.
        spec: what the recipe says of it now, such as where its server is; None where it names it no more.
        files: digests of what it was made from, by address.
        recipe: name of the recipe, which pays for its calls.
    """

    folder: Path
    facts: TeacherFacts
    spec: TeacherSpec | None
    files: Mapping[str, str]
    recipe: str

    @property
    def said(self) -> SaidFacts:
        """What one has said that students are not cut from."""
        assert self.facts.said is not None, "a teacher that students are not cut from has said something"
        return self.facts.said

    @property
    def spec_now(self) -> TeacherSpec:
        """What the recipe says of it.

        Raises:
            StillhouseError: if it says nothing of such a teacher any more.
        """
        if self.spec is None or self.spec.kind is not self.facts.kind:
            raise StillhouseError(
                f"the recipe says no more how this teacher of kind {self.facts.kind} is asked",
                where=f"{self.recipe}/{TEACHER}",
                expected="the kind that it was made as, under the same name",
                do="Materialize teacher again, or put back what the recipe said of it.",
            )
        return self.spec

    @property
    def members(self) -> dict[str, "Made"]:
        """The members of an ensemble, by name."""
        specs = {} if self.spec is None else self.spec.members
        return {
            name: replace(self, folder=self.folder / MEMBERS / name, facts=each, spec=specs.get(name))
            for name, each in self.facts.members.items()
        }


def teacher_of(artifact: Artifact, spec: TeacherSpec, builds: BuildStore) -> Teacher:
    """Open a teacher.

    Args:
        artifact: of the stage of the teacher.
        spec: what the recipe says of it now.
        builds: with the log of calls.

    Raises:
        StillhouseError: if what it was made from is gone, or the recipe does not say any more how it is asked.
    """
    return _opened(_made(artifact, spec), builds)


def capture(rows: pl.DataFrame, artifact: Artifact, spec: TeacherSpec, builds: BuildStore) -> CaptureReport:
    """Ask a teacher whatever of these rows it was never asked, and keep what it says.

    Nobody else has to wait while a server is asked; a model of this machine waits for whoever trains.

    Args:
        rows: `prompt_id` and `text`.
        artifact: of the stage of the teacher.
        spec: what the recipe says of it now.
        builds: with the signal.

    Raises:
        StillhouseError: see `SignalStore.capture` and `teacher_of`.
    """
    teacher, store = teacher_of(artifact, spec, builds), signal_store(builds)
    if isinstance(teacher, EnsembleTeacher):
        for server in (each.teacher for each in teacher.members if isinstance(each.teacher, EndpointTeacher)):
            store.capture(rows, server)
    with builds.one_heavy_task() if spec.loads_a_model else nullcontext():
        return store.capture(rows, teacher)


def teachers_of(artifact: Artifact, spec: TeacherSpec, builds: BuildStore) -> dict[str, Teacher]:
    """The members of an ensemble by name, or the one teacher under no name; see `teacher_of`."""
    made = _made(artifact, spec)
    return {name: _opened(each, builds) for name, each in (made.members or {"": made}).items()}


def member_of(made: Made, builds: BuildStore) -> Member:
    """Open a teacher as a member of an ensemble."""
    facts = made.facts
    if facts.said is None:
        taught = share_as_taught(facts.validation_right, facts.validation_rows)
        return Member(_opened(made, builds), facts.temperature, taught)
    return Member(_opened(made, builds), facts.temperature, facts.said.accuracy, facts.said.observed)


def call_log(home: Home) -> CallLog:
    """What the teachers of an installation that are paid have been asked."""
    return CallLog(home.signal / "calls.db", Ledger(home.ledger_url))


def kept_model(files: Mapping[str, str], spec: TeacherSpec, store: ArtifactStore) -> dict[str, Path]:
    """The files of a language model, as they were kept, by their names.

    Args:
        files: digests of what an artifact was made from, by address.
        spec: names the model.
        store: keeps them.

    Raises:
        StillhouseError: if they are not as they were.
    """
    below = f"{spec.address}/"
    return {name.removeprefix(below): store.kept(files[name]) for name in files if name.startswith(below)}


def _made(artifact: Artifact, spec: TeacherSpec) -> Made:
    recipe = artifact.asset.partition("/")[0]
    return Made(artifact.folder, artifact.facts(TeacherFacts), spec, artifact.manifest.external_inputs, recipe)


def _opened(made: Made, builds: BuildStore) -> Teacher:
    return TEACHERS[made.facts.kind](made, builds)


def _network(made: Made, builds: BuildStore) -> Teacher:
    return NetworkTeacher(made.folder / MODEL, made.facts.fingerprint, builds.device)


def _stored(made: Made, builds: BuildStore) -> StoredTeacher:
    return StoredTeacher(pl.read_parquet(made.folder / f"{ANSWERS}.parquet"), made.said.accuracy, made.facts.task)


def _endpoint(made: Made, builds: BuildStore) -> Teacher:
    spec, asking = made.spec_now, made.said.asking
    assert isinstance(asking, Asking) and spec.endpoint is not None
    calls, task = call_log(builds.home), made.facts.task
    pilot = _stored(made, builds)
    return EndpointTeacher(spec.source, spec.endpoint, asking, made.recipe, calls, task, pilot)


def _causal_lm(made: Made, builds: BuildStore) -> Teacher:
    asked = made.said.asking
    assert isinstance(asked, LabelPrompt)
    return CausalLmTeacher(kept_model(made.files, made.spec_now, builds.store), asked, builds.device)


def _ensemble(made: Made, builds: BuildStore) -> Teacher:
    spec = made.spec_now.ensemble
    assert spec is not None
    members = [member_of(each, builds) for each in made.members.values()]
    return EnsembleTeacher(members, spec.combine, made.facts.task, signal_store(builds))


TEACHERS: dict[TeacherKind, Callable[[Made, BuildStore], Teacher]] = {
    TeacherKind.ENCODER: _network,
    TeacherKind.CLASSIFIER: _network,
    TeacherKind.STORED: _stored,
    TeacherKind.ENDPOINT: _endpoint,
    TeacherKind.CAUSAL_LM: _causal_lm,
    TeacherKind.ENSEMBLE: _ensemble,
}
