"""What the gates on a shadow say of a challenger, on both sides of each limit and where it cannot be told."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

import checks.shadow
from checks.shadow import (
    no_critical_slice_is_worse,
    the_challenger_answers_as_judged,
    the_challenger_is_not_worse,
    the_judge_answered_where_they_differ,
)
from stillhouse.live.shadow import ALL, Judged
from stillhouse.records.deployments import Challenger, DeployedRelease, Stage
from stillhouse.stages.names import SHADOW
from stillhouse.stages.shadow import BesideTruth, ShadowFacts
from stillhouse.statistics.betting import anytime_non_inferiority
from tests.checks.hand_made import FAIL, INCONCLUSIVE, PASS, answer_of, artifact, ask, recipe
from tests.faults.bench import Fault
from tests.faults.shadow import (
    AS_JUDGED,
    JUDGE,
    SLICE,
    TEXTS,
    WORSE,
    beside,
    of_a_teacher_that_says_nothing,
    unchanged,
    with_another_probe,
    with_every_class_renamed,
    with_people_for_the_champion,
    with_people_renamed,
)

NOW = datetime(2026, 11, 28, tzinfo=UTC)
RECIPE = recipe(traffic={}, rollout={"shadow": {"days_at_most": 14, "margin": 0.05}})


def judged(rows: int, lost: int, won: int, *, critical: bool = True, unanswered: int = 0) -> Judged:
    test = anytime_non_inferiority(lost, won, rows, margin=0.05)
    differ = lost + won + unanswered
    return Judged(critical=critical, rows=rows, differ=differ, lost=lost, won=won, unanswered=unanswered, test=test)


def looked_at(overall: Judged, rollout: str = "salt", truth: BesideTruth | None = None, **parts: Judged) -> Any:
    facts = ShadowFacts(
        rollout=rollout, champion="a", challenger="b", judge="teacher", days=("2026-11-27",), asked=1, left_out=0,
        parts={ALL: overall, **parts}, truth=truth,
    )  # fmt: skip
    return artifact(facts, stage="shadow", batch=None)


@pytest.fixture
def on_its_way(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Who is on the way, and since when."""

    def offered(days: int = 1, salt: str = "salt") -> dict[str, Any]:
        since = (NOW - timedelta(days=days)).isoformat()
        challenger = Challenger(
            deployed=DeployedRelease(release="b", manifest="m", student="one"), export="e", stage=Stage.SHADOW,
            share=0.0, salt=salt, offered=since, since=since, run_id="run", gates="g",
        )  # fmt: skip
        monkeypatch.setattr(checks.shadow, "desired", lambda *_: SimpleNamespace(challenger=challenger))
        return {"recipe": RECIPE, "ledger": SimpleNamespace(now=lambda: NOW)}

    return offered


@pytest.mark.parametrize(("lost", "won", "verdict"), [(5, 5, PASS), (45, 5, INCONCLUSIVE), (200, 0, FAIL)])
def test_a_challenger_is_held_against_the_margin_by_an_e_value(lost: int, won: int, verdict: object) -> None:
    finding = ask(the_challenger_is_not_worse, looked_at(judged(1_000, lost, won)), recipe=RECIPE)
    assert finding.verdict is verdict
    assert (finding.observed, finding.limit) == (pytest.approx((lost - won) / 1_000), 0.05)
    assert finding.sentence.startswith(f"1,000 requests, {lost + won} answered otherwise, {lost} lost, {won} won")
    assert ("more requests are needed" in finding.sentence) is (verdict is INCONCLUSIVE)


def test_before_anything_was_asked_nobody_knows_how_much_is_missing() -> None:
    found = answer_of(the_challenger_is_not_worse, looked_at(judged(0, 0, 0)), recipe=RECIPE)
    assert found[0] is INCONCLUSIVE and "nothing was asked" in found[1]
    assert found[1].endswith("how many requests are missing shows once there are some")


def test_each_critical_slice_binds_and_no_other(on_its_way: Any) -> None:
    asked, well, ill = on_its_way(), judged(1_000, 2, 2), judged(1_000, 300, 0)
    aside = ill.model_copy(update={"critical": False})
    assert answer_of(no_critical_slice_is_worse, looked_at(ill), **asked)[0] is PASS, "there is none"
    assert answer_of(no_critical_slice_is_worse, looked_at(well, people=well, other=aside), **asked) == (
        PASS, "1 critical slices show no loss beyond their margin",
    )  # fmt: skip
    verdict, sentence = answer_of(no_critical_slice_is_worse, looked_at(well, people=ill, places=well), **asked)
    assert verdict is FAIL and sentence.startswith("people: 1,000 requests") and "places" not in sentence


def test_a_rare_slice_that_shows_no_harm_is_enough_once_there_was_time(on_its_way: Any) -> None:
    def look(days: int, lost: int, salt: str = "salt") -> tuple[Any, str]:
        well, rare = judged(1_000, 2, 2), judged(20, lost, 0)
        return answer_of(no_critical_slice_is_worse, looked_at(well, people=rare), **on_its_way(days, salt))

    assert look(13, 0)[0] is INCONCLUSIVE
    assert look(14, 0) == (
        PASS, "too rare to prove it, and no harm was seen: people; their golden rows stand for them",
    )  # fmt: skip
    assert look(14, 1)[0] is PASS and look(14, 2)[0] is INCONCLUSIVE, "one of twenty is the margin, two are more"
    assert look(14, 0, salt="of another rollout")[0] is INCONCLUSIVE


@pytest.mark.parametrize(("unanswered", "verdict"), [(1, PASS), (60, FAIL)])
def test_a_judge_that_says_nothing_compares_nothing(unanswered: int, verdict: object) -> None:
    found = looked_at(judged(1_000, 20, 20, unanswered=unanswered))
    finding = ask(the_judge_answered_where_they_differ, found, recipe=RECIPE)
    assert finding.verdict is verdict
    said = f"{unanswered} of {40 + unanswered} requests that they answer otherwise have no answer to go by"
    assert finding.sentence.startswith(said)


def test_of_a_release_that_is_no_longer_on_its_way_nothing_is_said(on_its_way: Any) -> None:
    found = answer_of(the_challenger_answers_as_judged, looked_at(judged(9, 0, 0)), **on_its_way(salt="another"))
    assert found == (INCONCLUSIVE, "the release that this is about is no longer on its way")


def test_what_people_said_is_in_the_evidence_of_the_gate_and_does_not_decide_it() -> None:
    lost = judged(1_000, 300, 0).model_copy(update={"both_right": 600})
    said = BesideTruth(selection="complete", days=("2026-11-20",), waiting=2, left_out=0, parts={ALL: lost})
    without = ask(the_challenger_is_not_worse, looked_at(judged(1_000, 5, 5)), recipe=RECIPE)
    assert not {"truth", "parts_by_truth"} & {*without.evidence}
    finding = ask(the_challenger_is_not_worse, looked_at(judged(1_000, 5, 5), truth=said), recipe=RECIPE)
    assert finding.verdict is PASS and finding.sentence == without.sentence
    assert "the challenger 60.0%, 300 lost, 0 won" in str(finding.evidence["truth"])
    assert "of 2 days no truth counts yet" in str(finding.evidence["truth"])
    (row,) = finding.evidence["parts_by_truth"]
    assert (row["champion right"], row["challenger right"]) == ("90.0%", "60.0%")
    assert str(row["verdict"]) == "reported only: fail"


FAULTS = [
    Fault(
        "a challenger whose classes have other names", SHADOW, WORSE, beside(with_every_class_renamed),
        "answered otherwise", also=(SLICE, AS_JUDGED),
    ),
    Fault(
        "a challenger that calls people something else", SHADOW, SLICE, beside(with_people_renamed),
        "people: ", also=(AS_JUDGED,),
    ),
    Fault(
        "a challenger of which hardly anything was asked", SHADOW, WORSE, beside(unchanged, TEXTS[:3]),
        "more requests are needed if they go on like these", state="inconclusive", also=(SLICE,),
    ),
    Fault(
        "a teacher that says nothing where two releases differ", SHADOW, JUDGE, of_a_teacher_that_says_nothing,
        "have no answer to go by", also=(SLICE, AS_JUDGED),
    ),
    Fault(
        "a challenger that people find wrong, whatever the teacher would say", SHADOW, WORSE,
        with_people_for_the_champion, "answered otherwise", also=(SLICE, AS_JUDGED),
    ),
    Fault(
        "a challenger that answers otherwise here than where it was judged", SHADOW, AS_JUDGED,
        beside(with_another_probe), "",
    ),
]  # fmt: skip
