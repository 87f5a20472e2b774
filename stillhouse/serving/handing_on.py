"""From what the student says to the answer that is given: its own, or the teacher's where there is one behind it.

Belongs here: that step.
Does not: the rule by which it is decided (stillhouse/release/cascade.py), asking the teacher (teacher.py).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from stillhouse.release.cascade import HandedOn
from stillhouse.serving.answer import Given
from stillhouse.serving.teacher import Away


@dataclass(frozen=True, slots=True)
class Final:
    """What is answered to one text.

    Args:
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


async def final_answer(given: Given, clean: str, columns: Mapping[str, str], seconds: float | None) -> Final:
    """Let the teacher answer where it should.

    Args:
        given: what the student of a release says.
        clean: the text in its one spelling.
        columns: what the caller says of it.
        seconds: that the caller waits at most; None where it did not say.
    """
    said, teacher = given.said, given.release.teacher
    why = HandedOn.QUARANTINED if given.to_teacher else given.release.handed_on(said, columns)
    if why is None:
        return Final(said.label, said.confidence)
    answer = Away.FAILED if teacher is None else await teacher.answer(clean, seconds)
    if isinstance(answer, Away):
        return Final(said.label, said.confidence, why=why, away=answer)
    return Final(answer.label, answer.confidence, "teacher", why)
