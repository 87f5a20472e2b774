"""The teacher as something that can be asked, from the artifact of its stage.

Belongs here: which kind of teacher an artifact holds. Does not: the kinds (stillhouse/teachers/).
"""

from collections.abc import Callable

from stillhouse.recipe.teacher import TeacherKind
from stillhouse.records.builds import Artifact
from stillhouse.stages.facts import TeacherFacts
from stillhouse.stages.names import ANSWERS, MODEL
from stillhouse.teachers.stored import StoredTeacher
from stillhouse.teachers.teacher import NetworkTeacher, Teacher


def teacher_of(artifact: Artifact) -> Teacher:
    """Open a teacher."""
    return TEACHERS[artifact.facts(TeacherFacts).kind](artifact)


def _network(artifact: Artifact) -> Teacher:
    return NetworkTeacher(artifact.folder / MODEL, artifact.facts(TeacherFacts).fingerprint)


def _stored(artifact: Artifact) -> Teacher:
    facts = artifact.facts(TeacherFacts)
    assert facts.stored is not None
    return StoredTeacher(artifact.frame(ANSWERS), facts.stored.accuracy, facts.task)


TEACHERS: dict[TeacherKind, Callable[[Artifact], Teacher]] = {
    TeacherKind.ENCODER: _network,
    TeacherKind.CLASSIFIER: _network,
    TeacherKind.STORED: _stored,
}
