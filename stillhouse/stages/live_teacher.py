"""The teacher of a release, opened to be asked about live texts.

Belongs here: which teacher that is, and whether it may see them.
Does not: asking it (stillhouse/live/asking.py), the kinds of teacher (stillhouse/teachers/).
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace

import polars as pl

from stillhouse.errors import StillhouseError
from stillhouse.live.asking import TEXTS_AT_ONCE, LiveAnswers, LiveTeacher, ask_teacher
from stillhouse.recipe.reading import RecipeFile
from stillhouse.records.builds import Artifact, BuildStore
from stillhouse.records.deployments import DeployedRelease
from stillhouse.stages.asking import teacher_of
from stillhouse.stages.facts import TeacherFacts
from stillhouse.stages.names import TEACHER
from stillhouse.teachers.endpoint import EndpointTeacher
from stillhouse.teachers.ensemble import EnsembleTeacher
from stillhouse.teachers.teacher import Teacher


def teacher_behind(builds: BuildStore, release: DeployedRelease) -> Artifact:
    """The very teacher that a release was distilled from and judged against, whatever teachers were made since.

    Raises:
        StillhouseError: if it, or the release, is gone or was altered.
    """
    (found,) = builds.inputs_of(builds.artifact(release.release, release.manifest), TEACHER)
    return found


def ask_live(
    builds: BuildStore, file: RecipeFile, teacher: Artifact, texts: Sequence[str], *, at: float
) -> pl.DataFrame:
    """Ask the teacher behind a release about live texts, each once; see `ask_teacher`.

    For a run or a command, and never for a server or a tick: a teacher that computes here loads torch, and waits for
    whoever trains. Of what it says nothing stays but its answers, which go with the texts: no reply of a server, which
    may quote a text, and nothing that a member of several said.

    Args:
        builds: with the log of calls.
        file: the recipe.
        teacher: see `teacher_behind`.
        texts: redacted, as the traffic log has them.
        at: now, in seconds since 1970.

    Raises:
        StillhouseError: if the texts may not be shown to it, or it cannot be asked.
    """
    _refuse_what_it_may_not_see(file)
    opened, texts_at_once = _in_confidence(teacher_of(teacher, file.recipe.teacher, builds))
    with _in_turn(builds, file):
        asked = LiveTeacher(opened, teacher.facts(TeacherFacts).task, texts_at_once)
        return ask_teacher(asked, LiveAnswers.of(builds.home), texts, at=at)


def _in_confidence(teacher: Teacher) -> tuple[Teacher, int]:
    """The same teacher, which keeps nothing of what it is asked and says, and how many texts it is asked at once.

    Replies that were paid for and are lost with a process, or when a server goes away, are those of one time: of a
    server, therefore, no more texts than it answers at the same time.
    """
    if isinstance(teacher, EndpointTeacher):
        return teacher.in_confidence(), min(TEXTS_AT_ONCE, teacher.limits.concurrency)
    if isinstance(teacher, EnsembleTeacher):
        each = [_in_confidence(member.teacher) for member in teacher.members]
        members = [replace(member, teacher=opened) for member, (opened, _) in zip(teacher.members, each, strict=True)]
        return replace(teacher, members=members, signal=None), min(at_once for _, at_once in each)
    return teacher, TEXTS_AT_ONCE


@contextmanager
def _in_turn(builds: BuildStore, file: RecipeFile) -> Iterator[None]:
    """Nobody has to wait while a server is asked."""
    spec = file.recipe.teacher
    with builds.one_heavy_task() if spec.loads_a_model else nullcontext():
        yield


def _refuse_what_it_may_not_see(file: RecipeFile) -> None:
    provenance = file.recipe.data.provenance
    if provenance.privacy_class not in provenance.teacher_may_see:
        raise StillhouseError(
            f"live texts are {provenance.privacy_class}, and may not be shown to the teacher",
            where=file.where("data", "provenance", "teacher_may_see"),
            expected=f"{provenance.privacy_class} among the classes that it may see",
            do="Name the class there if it may; otherwise leave out `watch.ask_teacher`.",
        )
