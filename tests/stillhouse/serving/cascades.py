"""What a release says of the teacher behind it."""

from stillhouse.recipe.teacher import TeacherKind
from stillhouse.release.cascade import Cascade, ProtectedSlice, Rule, TeacherOnCall
from stillhouse.statistics.fixed_sequence import CascadeThreshold
from tests.stillhouse.conftest import LABELS


def cascade(threshold: float | None = 0.0, *protected: ProtectedSlice, artifact: str = "a" * 64) -> Cascade:
    """One in which the untrained student, never surer than 0.5, answers what is not protected, or nothing."""
    found = CascadeThreshold(
        threshold=threshold, handed_on=0.3, rows=300, margin=0.02, delta=0.1, lost=0, won=0, p_value=0.05,
        next_p_value=None,
    )  # fmt: skip
    teacher = TeacherOnCall(
        kind=TeacherKind.ENCODER, artifact=artifact, fingerprint="f" * 64, answer="single_label",
        labels=tuple(LABELS), temperature=1.0, accuracy=None, asking=None,
    )  # fmt: skip
    return Cascade(rule=Rule(threshold=found, protected=protected), golden_share=0.3, teacher=teacher)
