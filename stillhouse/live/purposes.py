"""What is done with keys that come from the secret of an installation.

Belongs here: the purposes, each with a key of its own. Does not: the keys (stillhouse/serving/ids.py), drawing
(feedback.py, estimate.py), words that are kept as digests (stillhouse/tasks/records.py).
"""

from enum import StrEnum


class Purpose(StrEnum):
    """What is drawn, or compared; the words are what a key is made from, so another wording is another draw."""

    TEACHER_IS_ASKED = "which answers the teacher is asked about"
    TRUTH_IS_ASKED_FOR = "which answers the truth is asked for"
    WORDS_ARE_COMPARED = "whether two records have the same words"
