"""What each advice says of a day of live answers, on both sides of its limit and where it cannot tell."""

from typing import Any

import polars as pl
import pytest

from checks.live_report import (
    agreement_holds,
    errors_are_inside_their_budget,
    fallback_is_inside_its_budget,
    inputs_look_like_the_reference,
    label_free_and_debiased_agree,
    latency_is_inside_its_objective,
    matured_truth_holds,
    memory_is_inside_its_limit,
    the_cascade_holds_its_margin_live,
    the_teacher_answers_as_recorded,
)
from stillhouse.live.feedback import SampledTruth
from stillhouse.live.watch import TeacherHealth
from stillhouse.live.watches import WatchKind, watch_name
from stillhouse.recipe.limits import GateLimits
from stillhouse.stages.live_report import HeldMemory, KeptAnswers, LiveFacts, MaturedTruth, WatchedShare
from stillhouse.statistics.live_agreement import LiveAgreement
from tests.checks.hand_made import FAIL, INCONCLUSIVE, PASS, answer_of, artifact, ask, recipe
from tests.faults.live_report import (
    advice,
    shuffled,
    with_,
    with_a_cascade_that_keeps_everything,
    with_a_server_that_holds_too_much,
    with_a_teacher_that_has_changed,
)

NO_TRUTH = MaturedTruth(selection="unknown", matured=40, known=0, right=0, low=0.0, high=1.0)
RECIPE = recipe(traffic={}, watch={"latency_ms": 20, "agreement_tolerance": 0.02})


def agreement(debiased: float, half: float = 0.02, *, asked: int = 50, gap: float = 0.0, gap_half: float = 0.01) -> Any:
    return LiveAgreement(
        requests=1_000, asked=asked, alpha=0.05, label_free=debiased + gap, debiased=debiased, half_width=half,
        gap=gap, gap_half_width=gap_half,
    )  # fmt: skip


def share(name: str, kind: str, events: int, rows: int, limit: float) -> WatchedShare:
    return WatchedShare(name=name, kind=kind, falls=False, events=events, rows=rows, limit=limit, reference=None)


def teacher(as_recorded: bool | None) -> TeacherHealth:
    return TeacherHealth(at=0.0, day=0, as_recorded=as_recorded, sentence="as it was")


def day(**changes: Any) -> Any:
    facts = {
        "day": "2026-11-27", "release": "r", "student": "one", "since": "2026-11-01", "answers": 1_000, "of_others": 0,
        "agreement": None, "agreement_limit": 0.9, "silent": 0, "teacher": None, "truth": NO_TRUTH, "truth_limit": None,
        "shares": (), "latency_ms": (2.0, 4.0, 8.0), "origin": "golden rows",
    }  # fmt: skip
    return artifact(LiveFacts.model_validate({**facts, **changes}), stage="live_report", batch="2026-11-27")


@pytest.mark.parametrize(
    ("found", "verdict"),
    [
        ({"agreement": agreement(0.92)}, PASS),
        ({"agreement": agreement(0.91)}, INCONCLUSIVE),
        ({"agreement": agreement(0.89)}, INCONCLUSIVE),
        ({"agreement": agreement(0.87)}, FAIL),
        ({"agreement": agreement(0.87), "teacher": teacher(True)}, FAIL),
        ({"agreement": agreement(0.87), "teacher": teacher(None)}, FAIL),
        ({"agreement": agreement(0.87), "teacher": teacher(False)}, INCONCLUSIVE),
        ({"agreement": agreement(0.99, asked=0)}, INCONCLUSIVE),
        ({"agreement": None}, INCONCLUSIVE),
        ({"agreement": agreement(0.5), "answers": 0}, PASS),
        ({"agreement": agreement(0.5), "agreement_limit": None}, PASS),
    ],
)
def test_agreement_is_held_by_its_interval_and_by_no_teacher_that_has_changed(
    found: dict[str, Any], verdict: object
) -> None:
    assert ask(agreement_holds, day(**found), recipe=RECIPE).verdict is verdict


def test_a_teacher_that_leaves_out_what_it_would_disagree_with_confirms_nothing() -> None:
    found = ask(agreement_holds, day(agreement=agreement(0.99), silent=3), recipe=RECIPE)
    assert found.verdict is INCONCLUSIVE and "no answer to 3 of 53 texts" in found.sentence
    assert ask(agreement_holds, day(agreement=agreement(0.99), silent=2), recipe=RECIPE).verdict is PASS


def test_the_sentence_of_agreement_has_its_interval_and_how_many_were_asked() -> None:
    finding = ask(agreement_holds, day(agreement=agreement(0.87)), recipe=RECIPE)
    assert finding.sentence == "87.0% agreement (85.0% to 89.0%, 50 of 1,000 asked), limit 90.0%"
    assert (finding.observed, finding.limit) == (0.87, 0.9)


@pytest.mark.parametrize(
    ("gap", "half", "verdict", "observed"),
    [(0.0, 0.01, PASS, 0.0), (0.03, 0.01, PASS, 0.02), (0.04, 0.01, FAIL, 0.03), (-0.04, 0.01, FAIL, 0.03)],
)
def test_confidence_is_held_against_what_the_teacher_confirms(
    gap: float, half: float, verdict: object, observed: float
) -> None:
    found = day(agreement=agreement(0.9, gap=gap, gap_half=half))
    finding = ask(label_free_and_debiased_agree, found, recipe=RECIPE)
    assert finding.verdict is verdict and finding.observed == pytest.approx(observed) and finding.limit == 0.02


def test_of_numbers_golden_rows_promise_and_no_confidence() -> None:
    found = day(agreement=agreement(0.9, gap=0.04))
    of_numbers = RECIPE.model_copy(update={"data": RECIPE.data.model_copy(update={"answer": "score"})})
    said = {each: ask(label_free_and_debiased_agree, found, recipe=each_recipe).sentence.split(" 94")[0]
            for each, each_recipe in (("labels", RECIPE), ("numbers", of_numbers))}  # fmt: skip
    assert said == {"labels": "confidence promises", "numbers": "golden rows promise"}


@pytest.mark.parametrize(
    "found",
    [
        {"agreement": None},
        {"agreement": agreement(0.9, asked=0, gap=0.5)},
        {"agreement": agreement(0.9, gap=0.5), "teacher": teacher(False)},
    ],
)
def test_there_may_be_nothing_to_hold_confidence_against(found: dict[str, Any]) -> None:
    nothing = (PASS, "there is nothing to hold confidence against")
    assert answer_of(label_free_and_debiased_agree, day(**found), recipe=RECIPE) == nothing


def test_an_input_is_beyond_its_limit_only_where_the_rows_show_it() -> None:
    def looked(*shares: WatchedShare) -> Any:
        return ask(inputs_look_like_the_reference, day(shares=shares), recipe=RECIPE)

    more = share("label HUM rises", "label", 300, 1_000, 0.2)
    few = share("label HUM rises", "label", 3, 10, 0.2)
    service = share("errors", "errors", 1_000, 1_000, 0.01)
    assert looked(few, service).verdict is PASS, "three of ten may be chance, and errors are no input"
    found = looked(few, more)
    assert (found.verdict, found.observed, found.sentence) == (FAIL, 1, "label HUM 30.0%, at most 20.0%")
    assert looked().sentence == "0 shares are within their limits"
    hasty = RECIPE.model_copy(update={"limits": GateLimits(input_alarm_chance=0.24)})
    assert ask(inputs_look_like_the_reference, day(shares=[few]), recipe=hasty).verdict is FAIL
    assert "nearest to its limit label HUM 30.0%" in looked(few, share("length 1 rises", "length", 0, 10, 0.5)).sentence


@pytest.mark.parametrize(
    ("gate", "kind", "said"),
    [
        (fallback_is_inside_its_budget, "fallback", "{} of 1,000 answers come from the teacher or stand in for it"),
        (errors_are_inside_their_budget, "errors", "{} of 1,000 requests failed"),
        (latency_is_inside_its_objective, "latency", "{} of 1,000 answers took longer than 20 ms, the median 2 ms"),
    ],
)
def test_a_share_of_answers_is_held_against_its_limit(gate: Any, kind: str, said: str) -> None:
    for events, verdict in ((100, PASS), (110, INCONCLUSIVE), (200, FAIL)):
        finding = ask(gate, day(shares=(share(kind, kind, events, 1_000, 0.1),)), recipe=RECIPE)
        assert finding.verdict is verdict and finding.sentence.startswith(said.format(events))
    if kind != "fallback":
        with pytest.raises(AssertionError, match="always watched"):
            ask(gate, day(), recipe=RECIPE)


def test_without_a_limit_on_answers_of_the_teacher_there_is_nothing_to_ask() -> None:
    assert answer_of(fallback_is_inside_its_budget, day(), recipe=RECIPE)[0] is PASS


@pytest.mark.parametrize(
    ("held", "verdict", "says"),
    [
        (None, PASS, "no server has said"),
        (HeldMemory(most_mb=310.2, limit_mb=None), PASS, "310 MB were held by the server that held most"),
        (HeldMemory(most_mb=300.0, limit_mb=300.0), PASS, "at most 300 MB"),
        (HeldMemory(most_mb=310.2, limit_mb=300.0), FAIL, "310 MB were held by the server that held most, at most 300"),
    ],
)
def test_memory_is_held_against_the_limit_where_there_is_one(
    held: HeldMemory | None, verdict: object, says: str
) -> None:
    found, sentence = answer_of(memory_is_inside_its_limit, day(memory=held), recipe=RECIPE)
    assert found is verdict and says in sentence


def truth(right: int, low: float, high: float, selection: str = "complete") -> MaturedTruth:
    return MaturedTruth(selection=selection, matured=120, known=100, right=right, low=low, high=high)


def test_truth_decides_where_it_comes_for_every_answer() -> None:
    for right, low, high, verdict in ((90, 0.8, 0.95, PASS), (84, 0.75, 0.9, INCONCLUSIVE), (70, 0.6, 0.8, FAIL)):
        found = day(truth=truth(right, low, high), truth_limit=0.85)
        finding = ask(matured_truth_holds, found, recipe=RECIPE)
        assert (finding.verdict, finding.observed, finding.limit) == (verdict, right / 100, 0.85)
    assert finding.sentence == "70.0% right (60.0% to 80.0%) of 100 with a truth, of 120 mature ones, limit 85.0%"
    assert answer_of(matured_truth_holds, day(), recipe=RECIPE) == (PASS, "no truth is known of 40 mature answers")


@pytest.mark.parametrize(
    ("right", "low", "high", "returned", "verdict"),
    [
        (0.9, 0.86, 0.93, 90, PASS),
        (0.84, 0.8, 0.88, 90, INCONCLUSIVE),
        (0.7, 0.65, 0.75, 90, FAIL),
        (0.9, 0.86, 0.93, 79, INCONCLUSIVE),
        (None, 0.0, 1.0, 0, INCONCLUSIVE),
    ],
)
def test_truth_that_was_asked_for_decides_where_enough_of_it_came(
    right: float | None, low: float, high: float, returned: int, verdict: Any
) -> None:
    sample = SampledTruth(wanted=100, returned=returned, returned_at_least=0.8, right=right, low=low, high=high)
    of_all = MaturedTruth(
        selection="sample", matured=2_000, known=returned + 50, right=0, low=0.0, high=0.02, sample=sample
    )
    finding = ask(matured_truth_holds, day(truth=of_all, truth_limit=0.85), recipe=RECIPE)
    assert finding.verdict is verdict
    assert f"{returned} of 100 truths that were asked for came, {100 - returned} are missing" in finding.sentence
    assert "50 that nobody asked for decide nothing" in finding.sentence


def test_where_truth_was_asked_for_of_nothing_that_is_said() -> None:
    sample = SampledTruth(wanted=0, returned=0, returned_at_least=0.8, right=None, low=0.0, high=1.0)
    of_all = NO_TRUTH.model_copy(update={"selection": "sample", "sample": sample})
    verdict, sentence = answer_of(matured_truth_holds, day(truth=of_all, truth_limit=0.85), recipe=RECIPE)
    assert (verdict, sentence) == (PASS, "truth was asked for of none of 40 mature answers")


@pytest.mark.parametrize(
    ("selection", "whom"), [("unknown", "callers who chose to give feedback"), ("sample", "a sample")]
)
def test_truth_of_callers_who_chose_to_give_it_decides_nothing(selection: str, whom: str) -> None:
    verdict, sentence = answer_of(matured_truth_holds, day(truth=truth(10, 0.05, 0.2, selection)), recipe=RECIPE)
    assert verdict is PASS and sentence.endswith(f"; said by {whom}, which decides nothing")


def kept(differs: float | None, right: int, low: float, high: float, **changes: Any) -> KeptAnswers:
    return KeptAnswers(
        **{
            "margin": 0.02, "threshold": 0.9, "agreement": None if differs is None else agreement(1 - differs),
            "differ_limit": 0.08, "truth": truth(right, low, high), "wrong_limit": 0.07, **changes,
        }
    )  # fmt: skip


@pytest.mark.parametrize(
    ("found", "verdict", "says"),
    [
        (kept(0.04, 96, 0.9, 0.99), PASS, "keeps 4.0% (2.0% to 6.0%) from a teacher that disagrees, at most 8.0%"),
        (kept(0.11, 96, 0.9, 0.99), FAIL, "keeps 11.0% (9.0% to 13.0%) from a teacher that disagrees, at most 8.0%"),
        (kept(0.09, 96, 0.9, 0.99), INCONCLUSIVE, "9.0%"),
        (kept(0.04, 80, 0.72, 0.86), FAIL, "of 100 requests with a truth it keeps 20.0% (14.0% to 28.0%) and is wrong"),
        (kept(0.04, 92, 0.85, 0.96), INCONCLUSIVE, "at most 7.0%"),
        (kept(0.09, 80, 0.72, 0.86), FAIL, "and is wrong"),
        (kept(None, 96, 0.9, 0.99), PASS, "margin 2.0 points, the student answers from a confidence of 0.900 on"),
        (kept(0.11, 80, 0.72, 0.86, differ_limit=None, wrong_limit=None), PASS, "nothing is known yet"),
        (kept(None, 0, 0.0, 1.0, truth=NO_TRUTH), PASS, "nothing is known yet of what the student keeps"),
    ],
)
def test_what_a_student_keeps_from_its_teacher_is_held_to_the_margin(
    found: KeptAnswers, verdict: object, says: str
) -> None:
    said, sentence = answer_of(the_cascade_holds_its_margin_live, day(cascade=found), recipe=RECIPE)
    assert said is verdict and says in sentence


def test_a_teacher_that_has_changed_or_truth_of_which_too_little_came_breaks_no_margin() -> None:
    changed = day(cascade=kept(0.11, 96, 0.9, 0.99), teacher=teacher(False))
    assert ask(the_cascade_holds_its_margin_live, changed, recipe=RECIPE).verdict is PASS
    for returned, verdict in ((79, PASS), (90, FAIL)):
        sample = SampledTruth(wanted=100, returned=returned, returned_at_least=0.8, right=0.7, low=0.65, high=0.75)
        of_all = truth(70, 0.6, 0.8, "sample").model_copy(update={"sample": sample})
        found = day(cascade=kept(None, 0, 0.0, 1.0, truth=of_all))
        assert ask(the_cascade_holds_its_margin_live, found, recipe=RECIPE).verdict is verdict
    nothing = (PASS, "no student is held to the margin of a cascade")
    assert answer_of(the_cascade_holds_its_margin_live, day(), recipe=RECIPE) == nothing


@pytest.mark.parametrize(("as_recorded", "verdict"), [(True, PASS), (False, FAIL), (None, INCONCLUSIVE)])
def test_a_teacher_that_could_not_be_asked_is_not_taken_for_one_that_is_as_it_was(
    as_recorded: bool | None, verdict: object
) -> None:
    found = answer_of(the_teacher_answers_as_recorded, day(teacher=teacher(as_recorded)), recipe=RECIPE)
    assert found == (verdict, "as it was")
    assert answer_of(the_teacher_answers_as_recorded, day(), recipe=RECIPE)[0] is PASS


def test_what_is_watched_keeps_its_name_where_a_label_ends_as_a_watch_does() -> None:
    label = "temperature falls"
    for falls in (False, True):
        watched = WatchedShare(
            name=watch_name(WatchKind.LABEL, label, falls=falls), kind="label", falls=falls, events=1, rows=10,
            limit=0.5, reference=None,
        )  # fmt: skip
        assert watched.subject == f"label {label}"


FAULTS = [
    advice("answers that the teacher would not give", "agreement_holds", with_(shuffled), "agreement ("),
    advice(
        "confidence that nothing confirms", "label_free_and_debiased_agree",
        with_(lambda frame: shuffled(frame).with_columns(confidence=pl.lit(0.99))), "the teacher confirms",
    ),
    advice(
        "answers of one class alone", "inputs_look_like_the_reference",
        with_(lambda frame: frame.with_columns(label=pl.lit("LOC"))), "label LOC 100.0%, at most",
    ),
    advice(
        "the teacher answers most requests", "fallback_is_inside_its_budget",
        with_(lambda frame: frame.with_columns(source=pl.lit("teacher")), fallback_share=0.3),
        "400 of 400 answers come from the teacher",
    ),
    advice(
        "a server that holds too much", "memory_is_inside_its_limit", with_a_server_that_holds_too_much,
        "900 MB were held by the server that held most, at most 300 MB",
    ),
    advice(
        "a model that fails", "errors_are_inside_their_budget",
        with_(lambda frame: frame.with_columns(status=pl.lit(500, pl.Int32), label=pl.lit(None, pl.String))),
        "400 of 400 requests failed",
    ),
    advice(
        "answers that come too late", "latency_is_inside_its_objective",
        with_(lambda frame: frame.with_columns(latency_ms=pl.lit(2_000.0))), "400 of 400 answers took longer",
    ),
    advice(
        "answers that turn out to be wrong", "matured_truth_holds",
        with_(lambda frame: frame.with_columns(truth=pl.lit("nothing"))), "0.0% right",
    ),
    advice(
        "a student that keeps from its teacher what it gets wrong", "the_cascade_holds_its_margin_live",
        with_a_cascade_that_keeps_everything, "from a teacher that disagrees, at most",
    ),
    advice(
        "a teacher that answers otherwise than recorded, live", "the_teacher_answers_as_recorded",
        with_a_teacher_that_has_changed, "largest change of a logit",
    ),
]  # fmt: skip
