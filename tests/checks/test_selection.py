"""What the gates on the choice make of the judged students and of the report."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import checks.selection
from checks.selection import (
    a_student_clears_the_bar,
    all_seeds_are_within_the_margin,
    distillation_was_worth_it,
    the_challenger_is_not_worse_than_the_champion,
    the_chosen_student_is_no_control,
)
from stillhouse.evaluation.against_champion import AgainstChampion
from stillhouse.evaluation.claims import Claim
from stillhouse.evaluation.models import ModelKind
from stillhouse.stages.names import RELEASE, SELECTION
from stillhouse.stages.selection import SelectionFacts
from tests.checks.hand_made import FAIL, INCONCLUSIVE, PASS, answer_of, artifact, ask, measured
from tests.faults.bench import Fault
from tests.faults.evaluation import (
    LOWER_CASE,
    a_further_seed_is_unlucky,
    control_chosen,
    lost_champion,
    noise,
    probed,
    too_sure_of_itself,
    without_control,
    worse_by_post,
    worse_than_the_champion,
)
from tests.reported import REPORT, SCORE

NO_CHAMPION = AgainstChampion(verdict=PASS, sentence="there is no champion yet")


def chosen(winner: str | None, against: AgainstChampion = NO_CHAMPION, folder: Path = Path("/nowhere")) -> Any:
    facts = SelectionFacts(winner=winner, reported="s", reason="", against_champion=against)
    return artifact(facts, stage="selection", batch=None, folder=folder)


def student(name: str, verdict: object, kind: ModelKind = ModelKind.STUDENT) -> Any:
    test = SimpleNamespace(drop_upper_bound={"a": 0.08, "b": 0.05}.get(name, 0.01), margin=0.04)
    return SimpleNamespace(
        name=name,
        verdict=verdict,
        score=SimpleNamespace(kind=kind),
        summary=f"{name} is {verdict}.",
        metric_test=None,
        non_inferiority=test,
    )


@pytest.mark.parametrize(
    ("winner", "verdicts", "expected", "sentence"),
    [
        ("b", {"a": FAIL, "b": PASS}, PASS, "b is pass."),
        (None, {"a": FAIL, "b": FAIL}, FAIL, "a is fail. b is fail."),
        (None, {"a": FAIL, "b": INCONCLUSIVE}, INCONCLUSIVE, "a is fail. b is inconclusive."),
        ("a", {"a": FAIL, "b": PASS}, FAIL, "a is fail."),
        ("a", {"a": INCONCLUSIVE, "b": FAIL}, INCONCLUSIVE, "a is inconclusive."),
        (None, {"a": PASS, "b": FAIL}, FAIL, "a is pass. b is fail."),
    ],
)
def test_only_the_chosen_student_that_clears_the_bar_opens(
    monkeypatch: pytest.MonkeyPatch, winner: str | None, verdicts: dict[str, Any], expected: object, sentence: str
) -> None:
    control = student("control", INCONCLUSIVE, ModelKind.CONTROL)
    judged = [control, *(student(*each) for each in verdicts.items())]
    monkeypatch.setattr(checks.selection, "read_evaluations", lambda folder: judged)
    made_from = {"evaluation": artifact(stage="evaluation")}
    found = ask(a_student_clears_the_bar, chosen(winner), made_from=made_from)
    assert (found.verdict, found.sentence) == (expected, sentence)
    nearest = 0.08 if winner == "a" else 0.05  # the bound of the chosen one, or of the one that comes nearest
    assert (found.observed, found.limit) == (nearest, 0.04)


def test_neither_a_control_nor_a_stranger_may_be_chosen() -> None:
    gate = the_chosen_student_is_no_control
    named = "candidates that are not controls: five_layers, two_layers"
    assert answer_of(gate, chosen("two_layers")) == (PASS, f"chosen: two_layers; {named}")
    for winner in ("five_layers_labels_only", "another"):
        assert answer_of(gate, chosen(winner)) == (FAIL, f"chosen: {winner}; {named}")
    assert answer_of(gate, chosen(None)) == (FAIL, "no student was chosen: a_student_clears_the_bar says why")


def test_what_the_comparison_with_the_champion_said_is_the_finding() -> None:
    gate = the_challenger_is_not_worse_than_the_champion
    assert ask(gate, chosen("a")).evidence == {}
    claim = Claim(name="champion", group="quality", verdict=FAIL, sentence="it is worse", binding=True)
    against = AgainstChampion(verdict=INCONCLUSIVE, sentence="cannot tell", claims=(claim,))
    finding = ask(gate, chosen("a", against))
    assert (finding.verdict, finding.sentence) == (INCONCLUSIVE, "cannot tell")
    assert finding.evidence == {"claims": ["fail: it is worse"]}, "a cell of a table would cut it"


def reported(folder: Path, **report: Any) -> Any:
    (folder / "report.json").write_text(json.dumps({**REPORT, **report}))
    return chosen("s", folder=folder)


def test_whether_distillation_was_worth_it_is_what_the_report_compares(tmp_path: Path) -> None:
    gate = distillation_was_worth_it
    baseline = {**SCORE, "kind": "baseline"}
    taken = answer_of(gate, reported(tmp_path, student=baseline))
    assert taken == (PASS, "s learned from nothing: nothing was distilled that had to be worth it")
    verdict, sentence = answer_of(gate, reported(tmp_path, comparison=None))
    assert verdict is INCONCLUSIVE and sentence.startswith("the recipe has no control")
    compared = {"verdict": "fail", "sentence": "labels do as well", "gain": -0.01}
    assert answer_of(gate, reported(tmp_path, comparison=compared)) == (FAIL, "labels do as well")
    assert measured(gate, reported(tmp_path, comparison=compared)) == (-0.01, None)


def test_a_seed_that_misses_the_margin_is_a_warning(tmp_path: Path) -> None:
    gate = all_seeds_are_within_the_margin
    verdict, sentence = answer_of(gate, reported(tmp_path, seeds=None))
    assert verdict is INCONCLUSIVE and sentence.endswith("; name more_seeds in the recipe to see")
    for warning, expected in (("", PASS), ("one misses", FAIL)):
        scores = [{"drop": 0.01}, {"drop": 0.03}]
        spread = {"warning": warning, "sentence": "three seeds", "scores": scores, "margin": 0.04}
        assert answer_of(gate, reported(tmp_path, seeds=spread)) == (expected, "s, three seeds")
        assert measured(gate, reported(tmp_path, seeds=spread)) == (0.03, 0.04)


FAULTS = [
    Fault(
        "a student answers at random", SELECTION, "a_student_clears_the_bar", noise, "misses the bar",
        also=("the_chosen_student_is_no_control",), refuses=RELEASE,
    ),
    Fault(
        "a student stumbles over small letters", SELECTION, "a_student_clears_the_bar",
        probed(lambda texts, golden: [text.islower() for text in texts], behaviour=[LOWER_CASE]),
        "behaviour 'small letters' fails", also=("the_chosen_student_is_no_control",), refuses=RELEASE,
    ),
    Fault(
        "a student breaks under typos", SELECTION, "a_student_clears_the_bar",
        probed(
            lambda texts, golden: [text not in golden for text in texts],
            stress={"perturbations": ["typos"], "drop_at_most": 0.3},
        ),
        "accuracy with typos not within 30.0 points", also=("the_chosen_student_is_no_control",),
    ),
    Fault(
        "a student is far too sure of itself", SELECTION, "a_student_clears_the_bar", too_sure_of_itself,
        "confidence not within 10.0 points of accuracy", also=("the_chosen_student_is_no_control",),
    ),
    Fault(
        "a student serves one group of people much worse", SELECTION, "a_student_clears_the_bar", worse_by_post,
        "groups of 'channel' not within 40.0 points of each other: 'app'",
        also=("the_chosen_student_is_no_control",), refuses=RELEASE,
    ),
    Fault(
        "a challenger is worse than the champion", SELECTION, "the_challenger_is_not_worse_than_the_champion",
        worse_than_the_champion, "accuracy not within 7.0 points of the champion one", refuses=RELEASE,
    ),
    Fault(
        "the champion is lost, so that nobody can compare", SELECTION,
        "the_challenger_is_not_worse_than_the_champion", lost_champion, "cannot be asked the golden rows",
        state="inconclusive", refuses=RELEASE,
    ),
    Fault(
        "there is no control", SELECTION, "distillation_was_worth_it", without_control, "has no control", advice=True,
    ),
    Fault(
        "a further seed of the student misses the margin", SELECTION, "all_seeds_are_within_the_margin",
        a_further_seed_is_unlucky, "1 of 2 seeds drops by the margin", advice=True,
    ),
    Fault(
        "the control is chosen", SELECTION, "a_student_clears_the_bar", control_chosen, "one_labels",
        state="inconclusive",
        also=("the_chosen_student_is_no_control",),
    ),
]  # fmt: skip
