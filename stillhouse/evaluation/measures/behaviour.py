"""Behavioural tests: what a model must be able to do, asked case by case.

The three kinds are those of CheckList (Ribeiro et al. 2020, ACL): minimum functionality, invariance, directional
expectation.

Belongs here: judging the cases of a recipe, and refusing those that name a class the task does not have.
Does not: the declarations (recipe/bar.py), golden rows made harder (stress.py), sentences (claims.py).
"""

from collections.abc import Callable, Sequence

import numpy as np
from pydantic import Field

from stillhouse.arrays import FloatArray
from stillhouse.base import Record
from stillhouse.errors import StillhouseError
from stillhouse.evaluation.models import EvaluatedModel, answers_to
from stillhouse.recipe.bar import BehaviourCase, BehaviourKind, BehaviourSpec
from stillhouse.statistics.softmax import apply_temperature, log_softmax
from stillhouse.statistics.verdicts import Verdict
from stillhouse.tasks.task import Task, classes_of

SHOWN = 5
"""Failing cases of a test that the record keeps, in the order of the recipe: enough to see what is wrong."""


class FailedCase(Record):
    """A case that the model did not meet, by the first thing in it that went wrong."""

    text: str
    variant: str | None = Field(description="What the text was changed to; null where the text itself was answered.")
    expected: str
    answered: str
    teacher_fails: bool | None = Field(description="Whether the teacher does not meet it either; null if not asked.")


class BehaviourResult(Record):
    """What came out of one behavioural test."""

    name: str
    kind: BehaviourKind
    critical: bool = Field(description="Whether the test binds the overall verdict.")
    cases: int
    failures_at_most: float = Field(description="Largest acceptable share of failing cases.")
    failures: int | None = Field(description="Failing cases; null if the model cannot be asked new texts.")
    teacher_failures: int | None = Field(description="Those of the teacher; null if it cannot be asked.")
    examples: tuple[FailedCase, ...] = Field(description=f"The first {SHOWN} failing cases.")
    verdict: Verdict = Field(
        description="The cases are chosen and not drawn, so their share is held to the limit as is."
    )


def judge_behaviour(
    specs: Sequence[BehaviourSpec], model: EvaluatedModel, teacher: EvaluatedModel, task: Task
) -> tuple[BehaviourResult, ...]:
    """Ask a model and its teacher every case.

    Args:
        specs: the declared tests.
        model: the model to judge.
        teacher: the teacher, for comparison: what it fails itself a student cannot learn from it.
        task: the classes.

    Returns:
        One result for each test, in the order declared; inconclusive where the model cannot be asked.

    Raises:
        StillhouseError: if a case names a class that does not exist, or answers are malformed.
    """
    for index, spec in enumerate(specs):
        _refuse_unknown_labels(spec, classes_of(task), f"behaviour.{index}")
    texts = list(dict.fromkeys(t for spec in specs for case in spec.cases for t in (case.text, *case.variants)))
    ours, theirs = (_Predictions.by(each, texts, task) for each in (model, teacher))
    return tuple(_judge(spec, ours, theirs) for spec in specs)


def _refuse_unknown_labels(spec: BehaviourSpec, classes: Sequence[str], where: str) -> None:
    for case in spec.cases:
        if case.label is not None and case.label not in classes:
            raise StillhouseError(
                f"the test '{spec.name}' has the label '{case.label}', which is not a class",
                where=where,
                expected=f"one of {', '.join(classes)}",
                do="Correct the label of the case in the recipe.",
            )


class _Predictions:
    """What one model answers to every text of the tests."""

    def __init__(self, texts: Sequence[str], log_probabilities: FloatArray, task: Task) -> None:
        self._row = {text: row for row, text in enumerate(texts)}
        self._log_probabilities = log_probabilities
        self._task = task

    @classmethod
    def by(cls, model: EvaluatedModel, texts: Sequence[str], task: Task) -> "_Predictions | None":
        logits = answers_to(model, texts, task) if texts else None
        if logits is None:
            return None
        return cls(texts, log_softmax(apply_temperature(logits, model.temperature)), task)

    def answer(self, text: str) -> str:
        (answer,) = self._task.written(self._task.answers(self._log_probabilities[[self._row[text]]]))
        return answer

    def log_probability(self, text: str, label: str) -> float:
        return float(self._log_probabilities[self._row[text], classes_of(self._task).index(label)])


Miss = tuple[str | None, str, str]
"""The variant if it is one, what was expected, what was answered."""


def _minimum(case: BehaviourCase, predictions: _Predictions) -> Miss | None:
    answered = predictions.answer(case.text)
    return None if answered == case.label else (None, str(case.label), answered)


def _invariance(case: BehaviourCase, predictions: _Predictions) -> Miss | None:
    before = predictions.answer(case.text)
    answers = ((variant, predictions.answer(variant)) for variant in case.variants)
    return next(((variant, before, answered) for variant, answered in answers if answered != before), None)


def _directional(case: BehaviourCase, predictions: _Predictions) -> Miss | None:
    label, sign = str(case.label), 1 if case.probability == "rises" else -1
    before = predictions.log_probability(case.text, label)
    for variant in case.variants:
        after = predictions.log_probability(variant, label)
        if not sign * (after - before) > 0:
            return variant, f"{label} {case.probability}", f"{label} {np.exp(before):.2%} to {np.exp(after):.2%}"
    return None


_JUDGES: dict[BehaviourKind, Callable[[BehaviourCase, _Predictions], Miss | None]] = {
    "minimum": _minimum,
    "invariance": _invariance,
    "directional": _directional,
}


def _judge(spec: BehaviourSpec, ours: _Predictions | None, theirs: _Predictions | None) -> BehaviourResult:
    judge = _JUDGES[spec.kind]
    teacher = None if theirs is None else [judge(case, theirs) is not None for case in spec.cases]
    missed = None if ours is None else [judge(case, ours) for case in spec.cases]
    failing = [] if missed is None else [(index, miss) for index, miss in enumerate(missed) if miss is not None]
    if missed is None:
        verdict = Verdict.INCONCLUSIVE
    else:
        verdict = Verdict.PASS if len(failing) / len(spec.cases) <= spec.failures_at_most else Verdict.FAIL
    return BehaviourResult(
        name=spec.name,
        kind=spec.kind,
        critical=spec.critical,
        cases=len(spec.cases),
        failures_at_most=spec.failures_at_most,
        failures=None if missed is None else len(failing),
        teacher_failures=None if teacher is None else sum(teacher),
        examples=tuple(
            FailedCase(
                text=spec.cases[index].text,
                variant=variant,
                expected=expected,
                answered=answered,
                teacher_fails=None if teacher is None else teacher[index],
            )
            for index, (variant, expected, answered) in failing[:SHOWN]
        ),
        verdict=verdict,
    )
