"""Which texts the student of a release answers by itself, and which the teacher behind it.

Belongs here: what a bundle says of it, and the decision about one text, by which calibration rows, golden rows and
requests are treated alike.
Does not: finding the threshold (stillhouse/stages/cascade.py), asking the teacher (stillhouse/serving/teacher.py).
"""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path

from pydantic import Field

from stillhouse.base import Record
from stillhouse.digests import digest_of
from stillhouse.recipe.data import TaskKind
from stillhouse.recipe.teacher import TeacherKind
from stillhouse.statistics.fixed_sequence import CascadeThreshold
from stillhouse.tasks.label_sets import carries
from stillhouse.teachers.asked import Asking

CASCADE = "cascade.json"
LABEL = "label"
"""The column of a slice of classes, which is known of a request as the label that the student answers."""


class HandedOn(StrEnum):
    """Why a text goes to the teacher."""

    UNSURE = "unsure"
    PROTECTED = "protected"
    UNKNOWN_SLICE = "unknown_slice"
    """The caller did not send the column that says whether it is in a protected slice."""
    QUARANTINED = "quarantined"
    """A person took it from the student for a while, and no rule of the release."""


class ProtectedSlice(Record):
    """A slice whose texts the teacher answers always."""

    name: str
    column: str = Field(description="`label`, which is what the student answers, or a column that callers send.")
    values: tuple[str, ...]
    declared: bool = Field(description="By the recipe; else the calibration rows showed that the student fails there.")
    of_sets: bool = Field(
        False,
        exclude_if=lambda given: not given,  # so that a rule about single labels is what it was
        description="Whether its values are labels of the set that the student answers.",
    )


class TeacherOnCall(Record):
    """The teacher that the threshold was found with, and how what it says is read."""

    kind: TeacherKind
    artifact: str = Field(description="Digest of the teacher's artifact.")
    fingerprint: str
    answer: TaskKind
    labels: tuple[str, ...] = Field(description="Name of each output, in their order.")
    temperature: float = Field(description="What its logits are divided by for its confidence.")
    accuracy: float | None = Field(
        description="Of a teacher that gives answers alone: the share that is right, as it was taught. Null of others."
    )
    asking: Asking | None = Field(description="What an endpoint is asked.")


class Rule(Record):
    """By what is decided who answers a text."""

    threshold: CascadeThreshold
    protected: tuple[ProtectedSlice, ...]

    def hands_on(self, label: str, confidence: float, columns: Mapping[str, str]) -> HandedOn | None:
        """Why the teacher is to answer a text; None where the student's answer stands.

        Args:
            label: what the student answers.
            confidence: the student's, calibrated.
            columns: what the caller says of the text, by column.
        """
        if (why := protects(self.protected, label, columns)) is not None:
            return why
        threshold = self.threshold.threshold
        return HandedOn.UNSURE if threshold is None or confidence < threshold else None


class Cascade(Record):
    """A student with its teacher behind it, as a release has it."""

    rule: Rule
    golden_share: float = Field(description="Share of the golden rows that the teacher answered.")
    teacher: TeacherOnCall

    def answers_with(self, export: str) -> str:
        """Digest of what callers are answered by.

        Args:
            export: digest of the student.
        """
        protected = [each.model_dump(mode="json") for each in self.rule.protected]
        return digest_of([export, self.rule.threshold.threshold, protected, self.teacher.fingerprint])


def cascade_in(bundle: Path) -> Cascade | None:
    """The cascade of a release; None where its student answers everything."""
    written = bundle / CASCADE
    return Cascade.model_validate_json(written.read_bytes()) if written.is_file() else None


def protects(slices: Sequence[ProtectedSlice], label: str, columns: Mapping[str, str]) -> HandedOn | None:
    """Why the teacher is to answer a text however sure the student is; see `Rule.hands_on`."""
    for protected in slices:
        value = label if protected.column == LABEL else columns.get(protected.column)
        if value is None:
            return HandedOn.UNKNOWN_SLICE
        if carries(value, protected.values, is_set=protected.of_sets):
            return HandedOn.PROTECTED
    return None
