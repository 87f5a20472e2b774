"""What a person is shown of artifacts: numbers that are known, rows, and one line."""

from pathlib import Path
from typing import Any

import polars as pl
import pytest

from stillhouse.live.shadow import ALL, Judged
from stillhouse.stages.facts import AnswersFacts, SaidFacts
from stillhouse.stages.labels import Labelled
from stillhouse.stages.live_report import LiveFacts, MaturedTruth, WatchedShare
from stillhouse.stages.shadow import ShadowFacts
from stillhouse.statistics.betting import anytime_non_inferiority
from stillhouse.statistics.live_agreement import LiveAgreement
from stillhouse.summaries import contract, live_report, shadow, teacher
from tests.small import small_recipe


def a_day(**known: Any) -> LiveFacts:
    falls = WatchedShare(name="sure falls", kind="input", falls=True, events=10, rows=100, limit=0.2, reference=None)
    nothing = dict.fromkeys(("agreement", "agreement_limit", "teacher", "truth_limit", "latency_ms"))
    truth = MaturedTruth(selection="unknown", matured=0, known=0, right=0, low=0.0, high=1.0)
    facts: dict[str, Any] = {
        "day": "2026-11-28", "release": "a", "student": "one", "since": "2026-11-01", "answers": 1200, "of_others": 3,
        "silent": 0, "truth": truth, "shares": (falls,), "origin": "golden rows", **nothing, **known,
    }  # fmt: skip
    return LiveFacts(**facts)


def test_what_is_not_known_of_a_day_is_no_number() -> None:
    assert live_report.numbers(a_day()) == {
        "answers": 1200, "answers_of_other_releases": 3, "matured_truths": 0, "release": "a", "student": "one",
        "selection_of_truth": "unknown", "reference": "golden rows", "teacher": "its canary was not asked yet",
    }  # fmt: skip
    assert live_report.headline(a_day()) == "1,200 answers, none that the teacher could be asked about"


def test_what_is_known_of_a_day_is_shown() -> None:
    agreement = LiveAgreement(
        requests=50, asked=20, alpha=0.05, label_free=0.9, debiased=0.91, half_width=0.02, gap=-0.01, gap_half_width=0.1
    )
    truth = MaturedTruth(selection="complete", matured=9, known=8, right=6, low=0.4, high=0.9)
    day = a_day(agreement=agreement, truth=truth, latency_ms=(1.0, 2.0, 3.0))
    expected = {
        "asked": 20, "agreement_debiased": 0.91, "gap": -0.01, "accuracy_matured": 0.75, "matured_truths": 8,
        "latency_ms_p50": 1.0, "latency_ms_p95": 2.0, "latency_ms_p99": 3.0,
    }  # fmt: skip
    assert expected.items() <= live_report.numbers(day).items()
    assert live_report.headline(day) == "1,200 answers, 91.0% agreement (± 2.0%, 20 asked)"


def test_a_share_that_may_not_fall_is_shown_as_what_is_left_of_it() -> None:
    assert live_report.watched(a_day()) == [
        {"watched": "sure", "share": "90.0%", "limit": "at least 80.0%", "reference": "", "rows": 100}
    ]


def test_a_limit_that_differs_by_weekday_says_so_and_whose_it_is() -> None:
    held = a_day().shares[0].model_copy(update={"weekday": "Monday"})
    assert live_report.watched(a_day(shares=(held,)))[0]["limit"] == "at least 80.0% on Mondays"
    said = "sure: limits differ by weekday (UTC), and these are of Mondays"
    assert (
        live_report.numbers(a_day(shares=(held,)))["by_weekday"]
        == said
        == live_report.by_weekday(a_day(shares=(held,)))
    )
    assert live_report.by_weekday(a_day()) == ""
    assert "weekday" not in a_day().model_dump_json(), "a day without is written as it was"


def test_a_challenger_is_shown_beside_its_champion_part_by_part() -> None:
    def judged(*, critical: bool) -> Judged:
        test = anytime_non_inferiority(2, 3, 1500, margin=0.05)
        return Judged(critical=critical, rows=1500, differ=5, lost=2, won=3, unanswered=0, test=test)

    parts = {ALL: judged(critical=True), "long texts": judged(critical=False)}
    facts = ShadowFacts(
        rollout="salt", champion="a", challenger="b", judge="teacher", days=(), asked=1, left_out=0, parts=parts
    )
    assert shadow.headline(facts) == "1,500 requests replayed, 5 answered otherwise, 2 lost, 3 won"
    assert shadow.headline(facts.model_copy(update={"mode": "live"})).startswith("1,500 requests compared, 5")
    numbers = shadow.numbers(facts)
    assert (numbers["champion"], numbers["challenger"], numbers["requests"]) == ("a", "b", 1500)
    verdict = str(facts.overall.test.verdict)
    assert [row["verdict"] for row in shadow.parts(facts)] == [verdict, f"reported only: {verdict}"]


def test_labels_of_texts_on_which_two_releases_differ_are_shown_and_hold_nothing_before_there_are_enough() -> None:
    test = anytime_non_inferiority(2, 3, 1500, margin=0.05)
    parts = {ALL: Judged(critical=True, rows=1500, differ=5, lost=2, won=3, unanswered=0, test=test)}
    facts = ShadowFacts(
        rollout="salt", champion="a", challenger="b", judge="teacher", days=(), asked=1, left_out=0, parts=parts
    )
    assert shadow.truth(facts) is None and "truth" not in shadow.numbers(facts)

    def said(given: int, labelled: int, drop: float | None, low: float, high: float) -> str:
        of = Labelled(
            file="harvest.ndjson", edition="e", given=given, labelled=labelled, champion_right=labelled // 2,
            challenger_right=labelled // 4, texts=1_000, differ=given, drop=drop, low=low, high=high,
            labelled_at_least=0.8,
        )  # fmt: skip
        return str(shadow.truth(facts.model_copy(update={"labelled": of})))

    assert said(200, 0, None, -0.2, 0.2) == (
        "of 200 texts that the two answer otherwise people have labelled 0 (harvest.ndjson): not enough to tell, 160 "
        "more labels are needed"
    )
    assert said(200, 100, 0.01, 0.0, 0.02).endswith("not enough to tell, 60 more labels are needed")
    whole = said(200, 160, 0.01, 0.0, 0.02)
    assert "160: 80 as the champion answers, 40 as the challenger, 40 as neither; a drop of 1.0 points" in whole
    assert whole.endswith("(0.0 to 2.0), margin 5.0: within the margin")
    assert said(200, 160, 0.08, 0.06, 0.1).endswith("beyond the margin")
    assert said(200, 160, 0.05, 0.03, 0.07).endswith("not enough to tell")


def test_texts_without_an_answer_are_shown_by_reason() -> None:
    said = SaidFacts(texts=9, failures={"the answer is empty": 2}, accuracy=0.5, usd_a_prompt=0.1)
    assert teacher.failures(said) == [{"reason": "the answer is empty", "texts": 2}]
    assert teacher.answers(said) == {"texts": 9, "usd_a_prompt": 0.1}


def test_what_answers_took_is_shown_in_all_and_in_the_middle() -> None:
    rows = pl.DataFrame(
        {
            "prompt_id": ["p", "q", "r"], "failure": [None, None, "the teacher refused to answer"], "tokens": [5, 7, 0],
            "usd": [0.1, 0.2, 0.6], "seconds": [None, 2.0, None], "error": [None, None, "status 400"],
        }
    )  # fmt: skip
    assert teacher.took(rows.drop("usd", "seconds")) == {}, "an encoder reads tokens, too"
    assert teacher.took(rows) == pytest.approx({
        "answers_tokens_sum": 12, "answers_tokens_median": 5, "answers_usd_sum": 0.9, "answers_usd_median": 0.2,
        "answers_seconds_sum": 2.0, "answers_seconds_median": 2.0,
    })  # fmt: skip
    (row,) = teacher.unanswered(rows)
    assert row == {"prompt_id": "r", "failure": "the teacher refused to answer", "error": "status 400"}
    assert "error" not in teacher.unanswered(rows.drop("error"))[0]


def test_the_contract_is_a_page_of_terms(tmp_path: Path) -> None:
    budget = {"latency_ratio_at_least": 1.05, "size_ratio_at_least": 6, "size_mb_at_most": 80}
    terms = {row["term"]: row["value"] for row in contract.terms(small_recipe(tmp_path, rows=10, budget=budget).recipe)}
    assert terms["budget"] == "1.05x faster, 6x smaller, at most 80 MB"
    assert terms["floor"] == terms["critical slices"] == "none"
    assert contract.answers_taken(None) == {}
    taken = AnswersFacts(records=5, unreadable=1, without_text=2)
    assert contract.answers_taken(taken) == {"answers": 5, "unreadable_answers": 1, "answers_without_text": 2}
