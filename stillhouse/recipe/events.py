"""What can happen to a recipe that may be a reason for a round.

Belongs here: the kinds of events, and which of them a recipe may choose to start rounds by.
Does not: keeping what happened (stillhouse/records/events.py), starting rounds (orchestration/dispatcher.py).
"""

from enum import StrEnum
from typing import Literal

Startable = Literal["labels", "agreement", "weak_slice", "fallback", "overdue", "webhook"]
"""What a recipe may choose to start rounds by.

New rows, another teacher, recipe or code start one because of what is there then, and the clock and a person always do.
Drifted inputs buy answers of the teacher, and a bad service is rolled back.
"""


class EventKind(StrEnum):
    """What happened."""

    NEW_ROWS = "new_rows"
    LABELS = "labels"
    TEACHER = "teacher"
    TEACHER_DRIFTED = "teacher_drifted"
    RECIPE = "recipe"
    CODE = "code"
    INPUTS = "inputs"
    AGREEMENT = "agreement"
    WEAK_SLICE = "weak_slice"
    FALLBACK = "fallback"
    SERVICE = "service"
    OVERDUE = "overdue"
    CLOCK = "clock"
    PERSON = "person"
    WEBHOOK = "webhook"

    @property
    def in_words(self) -> str:
        """The kind in plain words."""
        return self.value.replace("_", " ")
