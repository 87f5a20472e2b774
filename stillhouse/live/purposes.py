"""What answers are drawn for, by keys that come from the secret of an installation.

Belongs here: the purposes, each with a key of its own. Does not: the keys (stillhouse/serving/ids.py), drawing
(feedback.py, estimate.py).
"""

from enum import StrEnum


class Purpose(StrEnum):
    """What is drawn; the words are what a key is made from, so another wording is another draw."""

    TEACHER_IS_ASKED = "which answers the teacher is asked about"
    TRUTH_IS_ASKED_FOR = "which answers the truth is asked for"
