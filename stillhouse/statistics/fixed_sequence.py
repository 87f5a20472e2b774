"""From what confidence on a student may answer by itself, so that student and teacher together hold a margin.

Belongs here: the search for the threshold of a cascade, with the chance that it breaks its bound.
Does not: the test of one threshold (accuracy_test.py), the judgement on the cascade as a model (evaluation/).
"""

import numpy as np
from pydantic import Field

from stillhouse.arrays import BoolArray, FloatArray
from stillhouse.base import Record
from stillhouse.statistics.accuracy_test import non_inferiority_p_value
from stillhouse.statistics.proportions import paired_outcomes
from stillhouse.statistics.verdicts import check_alpha, check_margin

THRESHOLDS: FloatArray = 1 / (1 + np.exp(-np.arange(80, -51, -1) / 10))
"""Confidences from 0.9997 down to 0.007, even in log-odds: fixed before any row was seen, as the bound demands."""


class CascadeThreshold(Record):
    """The lowest confidence from which the student may answer by itself, with the evidence."""

    threshold: float | None = Field(description="Student answers from this confidence on; null: the teacher, always.")
    handed_on: float = Field(description="Share of the rows that then go to the teacher.")
    rows: int
    margin: float = Field(description="Largest acceptable drop of the cascade's accuracy below the teacher's.")
    delta: float = Field(description="Chance that the true drop is the margin or more all the same.")
    lost: int = Field(description="Rows that the student would answer and only the teacher got right.")
    won: int = Field(description="Rows that the student would answer and only the student got right.")
    p_value: float | None = Field(description="At the threshold: of a drop of the margin or more.")
    next_p_value: float | None = Field(description="At the next threshold, which ended the search; null if none did.")


def cascade_threshold(
    confidence: FloatArray,
    teacher_correct: BoolArray,
    student_correct: BoolArray,
    *,
    margin: float,
    delta: float = 0.10,
) -> CascadeThreshold:
    """Lower the threshold from "everything to the teacher" while it is proven that the margin is held.

    Each threshold is a hypothesis, that the cascade drops by the margin or more over ALL rows, and they are tested in
    an order that was fixed beforehand, each at all of delta, up to the first that is not rejected. So the chance that
    one that is too low is accepted is at most delta, however many there are (Learn then Test, Angelopoulos, Bates,
    Candès, Jordan and Lei 2021, by fixed-sequence testing). The lowest threshold whose *measured* drop is below the
    margin breaks it in 34 to 42 of 100 calibrations (`make bench-alarms`).

    Args:
        confidence: shape (n,), of the student, on rows that chose nothing about it; live rows must be like these.
        teacher_correct: shape (n,), True where the teacher is right.
        student_correct: shape (n,), True where the student is right.
        margin: largest acceptable drop, as a fraction in (0, 1).
        delta: error rate of the threshold.

    Returns:
        The lowest threshold that was proven, or none.

    Raises:
        ValueError: if the shapes differ, there are no rows, a confidence is no probability, or margin or delta is out
            of range.
    """
    teacher, student = paired_outcomes(teacher_correct, student_correct)
    if confidence.shape != teacher.shape or not ((confidence >= 0) & (confidence <= 1)).all():
        raise ValueError("need a confidence in [0, 1] for each row")
    check_margin(margin)
    check_alpha(delta)
    # Where each row is first kept: thresholds fall, so it stays kept.
    kept_from = np.searchsorted(-THRESHOLDS, -confidence)
    steps = len(THRESHOLDS)
    lost, won, kept = (
        np.bincount(kept_from[which], minlength=steps + 1)[:steps].cumsum().tolist()
        for which in (teacher & ~student, student & ~teacher, np.ones_like(teacher))
    )
    rows, accepted, p_value, next_p_value = len(teacher), -1, None, None
    for step in range(steps):
        p = non_inferiority_p_value(lost[step], won[step], rows, margin=margin)
        if p >= delta:
            next_p_value = p
            break
        accepted, p_value = step, p
    none = accepted < 0
    return CascadeThreshold(
        threshold=None if none else float(THRESHOLDS[accepted]),
        handed_on=1.0 if none else 1 - kept[accepted] / rows,
        rows=rows,
        margin=margin,
        delta=delta,
        lost=0 if none else lost[accepted],
        won=0 if none else won[accepted],
        p_value=p_value,
        next_p_value=next_p_value,
    )
