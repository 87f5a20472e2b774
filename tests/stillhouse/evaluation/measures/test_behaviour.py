"""Behavioural tests hold or fail case by case, and a model that cannot be asked is not taken at its word."""

import numpy as np
import pytest
from pydantic import ValidationError

from stillhouse.errors import StillhouseError
from stillhouse.evaluation.measures.behaviour import SHOWN, judge_behaviour
from stillhouse.evaluation.models import EvaluatedModel, ModelKind
from stillhouse.recipe.bar import BehaviourSpec
from stillhouse.statistics.verdicts import Verdict
from stillhouse.tasks.single_label import SingleLabel

CLASSES = ("a", "b")
MINIMUM = {"text": "one", "label": "a"}


def model(b_minus_a: dict[str, float] | None, kind: ModelKind = ModelKind.STUDENT, temperature=1.0) -> EvaluatedModel:
    """A model by its log-odds of class 'b', 0.5 for every other text; None cannot be asked."""

    def ask(texts):
        assert b_minus_a is not None
        return np.array([[0.0, b_minus_a.get(text, 0.5)] for text in texts], dtype=np.float32)

    return EvaluatedModel("m", kind, {}, 1, temperature=temperature, predict_logits=None if b_minus_a is None else ask)


def judged(kind: str, cases: list, student: EvaluatedModel, teacher: EvaluatedModel | None = None, **spec):
    test = BehaviourSpec.model_validate({"name": "test", "kind": kind, "cases": cases, "critical": True, **spec})
    (result,) = judge_behaviour([test], student, teacher or model({}, ModelKind.TEACHER), SingleLabel(tuple(CLASSES)))
    return result


def test_a_minimum_case_fails_by_the_label() -> None:
    result = judged("minimum", [MINIMUM, {"text": "two", "label": "b"}], model({"one": 2.0}))
    assert (result.cases, result.failures, result.verdict) == (2, 1, Verdict.FAIL)
    (case,) = result.examples
    assert (case.text, case.variant, case.expected, case.answered) == ("one", None, "a", "b")


def test_a_text_that_is_always_wrong_is_still_invariant() -> None:
    cases = [{"text": "one", "variants": ["one!", "one?"]}]
    assert judged("invariance", cases, model({})).verdict is Verdict.PASS
    result = judged("invariance", cases, model({"one?": -1.0}))
    assert (result.failures, result.verdict) == (1, Verdict.FAIL)
    (case,) = result.examples
    assert (case.variant, case.expected, case.answered) == ("one?", "b", "a")


@pytest.mark.parametrize(
    ("direction", "after", "verdict"),
    [("rises", 1.0, Verdict.PASS), ("rises", 0.0, Verdict.FAIL), ("falls", 0.0, Verdict.PASS),
     ("falls", 1.0, Verdict.FAIL), ("rises", 0.5, Verdict.FAIL), ("falls", 0.5, Verdict.FAIL)],
)  # fmt: skip
def test_a_probability_has_to_move_the_declared_way_and_not_stand_still(direction, after, verdict) -> None:
    cases = [{"text": "before", "variants": ["after"], "label": "b", "probability": direction}]
    result = judged("directional", cases, model({"after": after}))
    assert result.verdict is verdict
    if verdict is Verdict.FAIL:
        # sigmoid(0.5) = 62.25 %
        assert result.examples[0].answered.startswith("b 62.25% to ")


def test_probabilities_are_those_that_are_served() -> None:
    cases = [{"text": "before", "variants": ["after"], "label": "b", "probability": "rises"}]
    result = judged("directional", cases, model({"after": 0.0}, temperature=0.25))
    # sigmoid(0.5 / 0.25) = 88.08 %
    assert result.examples[0].answered == "b 88.08% to 50.00%"


def test_a_share_may_be_allowed_to_fail() -> None:
    cases = [{"text": str(number), "label": "a"} for number in range(10)]
    three_fail = model({str(number): -1.0 for number in range(7)})
    assert judged("minimum", cases, three_fail, failures_at_most=0.3).verdict is Verdict.PASS
    assert judged("minimum", cases, three_fail, failures_at_most=0.29).verdict is Verdict.FAIL


def test_the_first_failing_cases_are_kept_with_the_teacher_beside_them() -> None:
    cases = [{"text": str(number), "label": "a"} for number in range(8)]
    result = judged("minimum", cases, model({}), model({"0": -1.0}, ModelKind.TEACHER))
    assert (result.failures, result.teacher_failures) == (8, 7)
    assert [(case.text, case.teacher_fails) for case in result.examples] == [
        (str(number), number > 0) for number in range(SHOWN)
    ]


def test_a_model_that_cannot_be_asked_is_inconclusive_and_a_teacher_that_cannot_is_left_out() -> None:
    result = judged("minimum", [MINIMUM], model(None))
    assert (result.verdict, result.failures, result.teacher_failures) == (Verdict.INCONCLUSIVE, None, 1)
    result = judged("minimum", [MINIMUM], model({}), model(None, ModelKind.TEACHER))
    assert (result.verdict, result.teacher_failures, result.examples[0].teacher_fails) == (Verdict.FAIL, None, None)


def test_answers_of_another_shape_are_refused() -> None:
    crooked = EvaluatedModel("m", ModelKind.STUDENT, {}, 1, predict_logits=lambda texts: np.zeros((len(texts), 3)))
    with pytest.raises(StillhouseError, match="1 texts were answered by 1x3 logits"):
        judged("minimum", [MINIMUM], crooked)
    with pytest.raises(StillhouseError, match="all of them finite: False"):
        judged("minimum", [MINIMUM], model({"one": float("nan")}))


def test_a_label_that_is_no_class_is_refused() -> None:
    with pytest.raises(StillhouseError, match=r"behaviour.0: the test 'test' has the label 'c'.*one of a, b"):
        judged("minimum", [{"text": "one", "label": "c"}], model({}))


@pytest.mark.parametrize(
    ("kind", "case", "message"),
    [
        ("minimum", {"text": "one"}, "of kind minimum has text, label"),
        ("minimum", {"text": "one", "label": "a", "variants": ["two"]}, "of kind minimum has text, label"),
        ("invariance", {"text": "one", "label": "a"}, "of kind invariance has text, variants"),
        ("invariance", {"text": "one", "variants": ["one"]}, "the text itself"),
        ("directional", {"text": "one", "variants": ["two"], "label": "a"}, "variants, label, probability"),
        ("minimum", {"text": "", "label": "a"}, "at least 1 character"),
    ],
)
def test_a_case_that_is_not_of_its_kind_is_refused(kind: str, case: dict, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        BehaviourSpec.model_validate({"name": "test", "kind": kind, "cases": [case], "critical": True})
