"""Whether each miss has a reason, and the reason is of the student that was judged."""

from types import SimpleNamespace
from typing import Any

import pytest

import checks.error_analysis
from checks.error_analysis import every_miss_has_a_reason, no_leak_is_suspected, the_analysis_is_of_the_judged_students
from stillhouse.error_analysis.generalisation import FitRegime
from stillhouse.stages.names import ERROR_ANALYSIS, SELECTION
from tests.checks.hand_made import FAIL, PASS, answer_of, artifact
from tests.faults.bench import Fault
from tests.faults.evaluation import judged_at_random, not_one_reason, of_another_candidate
from tests.faults.plants import patched

FINE = next(regime for regime in FitRegime if regime is not FitRegime.LEAK)


def analysis(name: str, cause: str | None = None, *, candidate: str = "trained", regime: FitRegime = FINE) -> Any:
    return SimpleNamespace(
        student=name,
        candidate=candidate,
        conclusion=cause and SimpleNamespace(cause=cause),
        generalisation=SimpleNamespace(regime=regime, sentence="better than on its own rows"),
    )


@pytest.fixture
def analyses(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """By student."""
    found: dict[str, Any] = {}
    monkeypatch.setattr(checks.error_analysis, "read_analyses", lambda folder: found)
    return found


def test_each_learner_that_misses_has_a_conclusion(monkeypatch: pytest.MonkeyPatch, analyses: dict[str, Any]) -> None:
    def look(**open_claims: int) -> Any:
        judged = [
            SimpleNamespace(
                name=name, open_claims=("claim",) * count, verdict=FAIL if count else PASS, claims=(), size_bytes=1
            )
            for name, count in open_claims.items()
        ]
        monkeypatch.setattr(checks.error_analysis, "read_evaluations", lambda folder: judged)
        return answer_of(every_miss_has_a_reason, made_from={"evaluation": artifact(stage="evaluation")})

    assert look(five_layers=0, two_layers=0) == (PASS, "no student misses the bar")
    nobody_knows = "misses the bar, and nobody knows why: two_layers"
    assert look(five_layers=0, two_layers=2) == (FAIL, nobody_knows), "there is no analysis of it"
    analyses["two_layers"] = analysis("two_layers")
    assert look(five_layers=0, two_layers=2) == (FAIL, nobody_knows), "its analysis has no conclusion"
    analyses |= {"two_layers": analysis("two_layers", "capacity"), "five_layers": analysis("five_layers", "data")}
    assert look(five_layers=1, two_layers=2) == (PASS, "five_layers: data; two_layers: capacity")
    assert look(five_layers=0, two_layers=2, of_no_recipe=1) == (PASS, "two_layers: capacity")


def test_the_analysed_students_are_the_judged_ones(monkeypatch: pytest.MonkeyPatch, analyses: dict[str, Any]) -> None:
    def exported(name: str) -> Any:
        trained = {f"small/candidates/{name}": SimpleNamespace(digest=f"{name} trained")}
        return artifact(digest=f"{name} exported", inputs=trained)

    names = ("five_layers", "two_layers")
    evaluations = [SimpleNamespace(name=name, verdict=PASS, size_bytes=1) for name in names]
    monkeypatch.setattr(checks.error_analysis, "read_evaluations", lambda folder: evaluations)
    judged = {name: f"{name} exported" for name in names}
    evaluation = artifact(SimpleNamespace(judged=judged), stage="evaluation")
    made_from = {"evaluation": evaluation, **{f"exports/{name}": exported(name) for name in names}}
    analyses |= {name: analysis(name, candidate=f"{name} trained") for name in names}

    def look() -> Any:
        return answer_of(the_analysis_is_of_the_judged_students, made_from=made_from)

    assert look() == (PASS, "2 students asked")
    judged["two_layers"] = "another"
    assert look() == (FAIL, "not as judged: two_layers")
    del judged["two_layers"]
    assert look() == (FAIL, "not as judged: two_layers")
    judged["two_layers"] = "two_layers exported"
    analyses["five_layers"].candidate = "another"
    assert look() == (FAIL, "not as judged: five_layers")
    del analyses["five_layers"], judged["two_layers"]
    assert look() == (FAIL, "not as judged: five_layers, two_layers")


def test_a_leak_is_a_warning(analyses: dict[str, Any]) -> None:
    analyses |= {"a": analysis("a"), "b": analysis("b")}
    assert answer_of(no_leak_is_suspected) == (PASS, "none in 2 students")
    analyses["b"] = analysis("b", regime=FitRegime.LEAK)
    verdict, sentence = answer_of(no_leak_is_suspected)
    assert verdict is FAIL and sentence.startswith(
        "b: better than on its own rows. Look for what validation rows share"
    )
    assert "name its column in `data.group`" in sentence


FAULTS = [
    Fault(
        "a student misses and nobody says why", ERROR_ANALYSIS, "every_miss_has_a_reason", not_one_reason,
        "misses the bar, and nobody knows why: one", refuses=SELECTION,
    ),
    Fault(
        "the analysis is of another student", ERROR_ANALYSIS, "the_analysis_is_of_the_judged_students",
        patched("stillhouse.stages.error_analysis:Examination.analysis", of_another_candidate),
        "not as judged: one",
    ),
    Fault(
        "validation rows are known better than golden ones", ERROR_ANALYSIS, "no_leak_is_suspected", judged_at_random,
        "one: leak", advice=True,
    ),
]  # fmt: skip
