"""Who answers a text: the student where it is sure and may, else the teacher."""

import pytest

from stillhouse.recipe.teacher import TeacherKind
from stillhouse.release.cascade import Cascade, HandedOn, ProtectedSlice, Rule, TeacherOnCall
from stillhouse.statistics.fixed_sequence import CascadeThreshold

PEOPLE = ProtectedSlice(name="people", column="label", values=("HUM",), declared=True)
BY_POST = ProtectedSlice(name="by_post", column="channel", values=("post", "fax"), declared=False)


def rule(threshold: float | None, *protected: ProtectedSlice) -> Rule:
    found = CascadeThreshold(
        threshold=threshold, handed_on=0.3, rows=300, margin=0.02, delta=0.1, lost=1, won=0, p_value=0.05,
        next_p_value=0.2,
    )  # fmt: skip
    return Rule(threshold=found, protected=protected)


@pytest.mark.parametrize(
    ("threshold", "confidence", "why"),
    [(0.8, 0.8, None), (0.8, 0.79, HandedOn.UNSURE), (None, 1.0, HandedOn.UNSURE), (0.8, 1.0, None)],
)
def test_a_student_answers_from_the_threshold_on(threshold: float | None, confidence: float, why: object) -> None:
    assert rule(threshold).hands_on("HUM", confidence, {}) is why


def test_a_protected_slice_is_the_teachers_however_sure_the_student_is() -> None:
    both = rule(0.5, PEOPLE, BY_POST)
    assert both.hands_on("HUM", 1.0, {"channel": "app"}) is HandedOn.PROTECTED
    assert both.hands_on("LOC", 1.0, {"channel": "fax"}) is HandedOn.PROTECTED
    assert both.hands_on("LOC", 1.0, {"channel": "app"}) is None


def test_a_text_of_which_nobody_says_whether_it_is_protected_is_the_teachers() -> None:
    assert rule(0.5, BY_POST).hands_on("LOC", 1.0, {}) is HandedOn.UNKNOWN_SLICE
    assert rule(0.5, PEOPLE).hands_on("LOC", 1.0, {"label": "HUM"}) is None, "its label is what the student answers"


def cascade(rule: Rule, *, golden_share: float = 0.3, fingerprint: str = "f") -> Cascade:
    teacher = TeacherOnCall(
        kind=TeacherKind.ENCODER, artifact="a", fingerprint=fingerprint, answer="single_label", labels=("a", "b"),
        temperature=1.0, accuracy=None, asking=None,
    )  # fmt: skip
    return Cascade(rule=rule, golden_share=golden_share, teacher=teacher)


def test_callers_get_other_answers_from_another_model_threshold_slice_or_teacher_and_from_nothing_else() -> None:
    known = cascade(rule(0.5)).answers_with("e")
    assert cascade(rule(0.5), golden_share=0.9).answers_with("e") == known, "what was measured of it is no part of it"
    others = [
        cascade(rule(0.5)).answers_with("another"),
        cascade(rule(0.6)).answers_with("e"),
        cascade(rule(None)).answers_with("e"),
        cascade(rule(0.5, PEOPLE)).answers_with("e"),
        cascade(rule(0.5), fingerprint="another").answers_with("e"),
    ]
    assert len({known, "e", *others}) == 7
