"""From what the student says to the answer that is given: its own, or the teacher's where there is one behind it.

Belongs here: that step.
Does not: the rule by which it is decided (stillhouse/release/cascade.py), asking the teacher (teacher.py).
"""

from collections.abc import Mapping
from typing import Literal, NamedTuple

from stillhouse.release.cascade import HandedOn
from stillhouse.serving.answer import Given
from stillhouse.serving.teacher import Away


class Final(NamedTuple):
    """What is answered to one text.

    Attributes:
        label: the answer.
        confidence: probability that it is right; None where answers have none.
        source: who gave it.
        why: the teacher was to answer; None where it was not.
        away: why it did not, so that the student's answer stands; None where it did, or was not to.
    """

    label: str
    confidence: float | None
    source: Literal["student", "teacher"] = "student"
    why: HandedOn | None = None
    away: Away | None = None


def why_handed_on(given: Given, columns: Mapping[str, str]) -> HandedOn | None:
    """Why the teacher is to answer in the place of the student of a release; None where it is not.

    Args:
        given: what the student says.
        columns: what the caller says of the text.
    """
    return HandedOn.QUARANTINED if given.to_teacher else given.release.handed_on(given.said, columns)


async def handed_on(given: Given, why: HandedOn, clean: str, seconds: float | None) -> Final:
    """Let the teacher answer.

    Args:
        given: what the student of a release says.
        why: it is not enough.
        clean: the text in its one spelling.
        seconds: that the caller waits at most; None where it did not say.
    """
    said, teacher = given.said, given.release.teacher
    answer = Away.FAILED if teacher is None else await teacher.answer(clean, seconds)
    if isinstance(answer, Away):
        return Final(said.label, said.confidence, why=why, away=answer)
    return Final(answer.label, answer.confidence, "teacher", why)
