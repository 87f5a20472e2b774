"""Whether distillation was worth it: the distilled student against the same student trained on labels only.

Belongs here: the paired comparison of two models that are not the teacher.
Does not: the bar (harness.py); a student may help and still miss it.
"""

from collections.abc import Sequence
from enum import StrEnum

import polars as pl
from pydantic import BaseModel, ConfigDict, Field

from stillhouse.evaluation.claims import points
from stillhouse.evaluation.statistics import McNemar, non_inferiority_from_counts, paired_mcnemar
from stillhouse.evaluation.subjects import Subject, align, golden_digest, golden_labels


class Helped(StrEnum):
    """What the comparison with the control shows."""

    HELPED = "helped"
    DID_NOT = "did_not"
    CANNOT_TELL = "cannot_tell"


class Comparison(BaseModel):
    """The distilled student beside its control."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    golden_digest: str
    student: str
    control: str
    gain: float = Field(description="Student accuracy minus control accuracy.")
    gain_interval: tuple[float, float] = Field(description="Two one-sided 1 - alpha bounds of the gain.")
    test: McNemar = Field(description="First is the student, second is the control.")
    outcome: Helped
    sentence: str


def compare_with_control(
    student: Subject,
    control: Subject,
    golden: pl.DataFrame,
    *,
    classes: Sequence[str],
    alpha: float = 0.05,
    smallest_gain: float = 0.01,
) -> Comparison:
    """Say whether learning from the teacher beat learning from the labels alone, on the same golden rows.

    Args:
        student: the distilled student.
        control: the same architecture, data and steps, trained on labels only.
        golden: `prompt_id`, `label`.
        classes: names in logit order.
        alpha: one-sided error rate of the exact McNemar test.
        smallest_gain: a gain proven to be under this is called none, as a fraction.

    Returns:
        The gain with its bounds, the exact test, and the outcome in words.

    Raises:
        StillhouseError: if the outputs and the golden rows do not line up.
    """
    labels = golden_labels(golden, classes)
    correct = align(student, golden, classes).argmax(axis=1) == labels
    control_correct = align(control, golden, classes).argmax(axis=1) == labels
    test = paired_mcnemar(correct, control_correct)
    # A drop from student to control is a gain of the student; the bounds come from the same score test.
    bounds = non_inferiority_from_counts(
        test.first_only, test.second_only, test.rows, margin=smallest_gain, alpha=alpha
    )
    outcome = _outcome(test, bounds.drop_upper_bound, alpha, smallest_gain)
    said = {
        Helped.HELPED: "distillation helped",
        Helped.DID_NOT: "distillation did not help",
        Helped.CANNOT_TELL: "cannot tell whether distillation helped",
    }
    sentence = (
        f"{said[outcome]}: {student.name} is {points(abs(bounds.drop))} points "
        f"{'above' if bounds.drop >= 0 else 'below'} the control trained on labels only, "
        f"{points(bounds.drop_lower_bound)} to {points(bounds.drop_upper_bound)} "
        f"(exact McNemar, one-sided p = {test.p_first_better:.2g})"
    )
    return Comparison(
        golden_digest=golden_digest(golden),
        student=student.name,
        control=control.name,
        gain=bounds.drop,
        gain_interval=(bounds.drop_lower_bound, bounds.drop_upper_bound),
        test=test,
        outcome=outcome,
        sentence=sentence,
    )


def _outcome(test: McNemar, upper: float, alpha: float, smallest_gain: float) -> Helped:
    if test.p_first_better < alpha:
        return Helped.HELPED
    if test.p_second_better < alpha or upper < smallest_gain:
        return Helped.DID_NOT
    return Helped.CANNOT_TELL
