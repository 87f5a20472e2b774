"""The state of a watch: what moves it, when it alarms, when drift ends, and when traffic becomes the reference."""

from datetime import date
from itertools import pairwise

import numpy as np
import polars as pl
import pytest

from stillhouse.live.estimate import AgreementPlan, Heard, plan_of
from stillhouse.live.findings import sentence_of
from stillhouse.live.segments import SECONDS_A_DAY, day_at
from stillhouse.live.watch import (
    TeacherHealth,
    WatchState,
    WatchTerms,
    accepted,
    begin,
    day_of,
    held_to_terms,
    live_reference,
    with_agreement,
    with_reference,
    with_rows,
    with_teacher,
    with_truth,
)
from stillhouse.live.watches import WEEKDAYS, WatchKind, weekday_of
from stillhouse.statistics.detector import reference_limit
from stillhouse.statistics.weekly_pattern import WeeklyPattern
from tests.stillhouse.live.made import NOON, OTHER, reference, rows, terms


def fresh(how: WatchTerms) -> WatchState:
    return begin(how, reference(), since=NOON, at=NOON, before=None)


def days(state: WatchState, how: WatchTerms, many: int, *, after: int = 0, shares: tuple[float, ...] = (0.6, 0.3, 0.1)):  # type: ignore[no-untyped-def]
    alarms = []
    for day in range(after, after + many):
        at = NOON + day * SECONDS_A_DAY
        state, found = with_rows(state, how, rows(400, at=at, seed=day, shares=shares), at=at)
        alarms += found
    return state, alarms


@pytest.mark.long
def test_traffic_like_the_reference_is_no_finding_for_a_month() -> None:
    state, alarms = days(fresh(terms()), terms(), 27)
    assert alarms == [] and not state.drifting


def test_a_label_that_became_frequent_is_drift_and_the_teacher_is_asked_ten_times_as_often() -> None:
    state, alarms = days(fresh(terms()), terms(), 3, shares=(0.3, 0.3, 0.4))
    assert {alarm.watch.name for alarm in alarms} >= {"label place rises"}
    assert "label place rises" in state.drifting
    assert [each.share for each in state.budgets] == [0.05, 0.5]
    first = next(alarm for alarm in alarms if alarm.watch.name == "label place rises")
    assert first.number == 1 and first.evidence.log10_worth >= first.evidence.log10_threshold
    assert first.share == pytest.approx(0.4, abs=0.05)


def test_what_drifts_is_found_once_and_ends_with_the_first_whole_day_within_the_limit() -> None:
    state, first = days(fresh(terms()), terms(), 10, shares=(0.3, 0.3, 0.4))
    assert len([alarm for alarm in first if alarm.watch.name == "label place rises"]) == 1
    state, _ = days(state, terms(), 1, after=10)
    assert state.drifting, "the day is not over"
    state, _ = days(state, terms(), 1, after=11)
    assert not state.drifting and state.share_asked == 0.05
    _, again = days(state, terms(), 3, after=12, shares=(0.3, 0.3, 0.4))
    assert [alarm.number for alarm in again if alarm.watch.name == "label place rises"] == [2]


def test_a_day_without_an_answer_ends_no_drift_and_places_no_bet() -> None:
    state, _ = days(fresh(terms()), terms(), 3, shares=(0.3, 0.3, 0.4))
    before = state
    for day in range(3, 6):
        at = NOON + day * SECONDS_A_DAY
        state, alarms = with_rows(state, terms(), rows(0, at=at), at=at)
        assert alarms == []
    assert state.drifting == before.drifting
    assert {name: bets.detector for name, bets in state.bets.items()} == {
        name: bets.detector for name, bets in before.bets.items()
    }


@pytest.mark.parametrize(
    ("columns", "name"),
    [
        ({"status": 500, "label": None, "confidence": None}, "errors"),
        ({"latency_ms": 30.0}, "latency"),
        ({"confidence": 0.3}, "unsure"),
        ({"characters": 200}, "length 4 rises"),
    ],
)
def test_each_share_that_rows_speak_of_is_watched(columns: dict[str, object], name: str) -> None:
    _, alarms = with_rows(fresh(terms()), terms(), rows(400, **columns), at=NOON)
    assert name in {alarm.watch.name for alarm in alarms}


def test_fallback_is_watched_where_the_recipe_sets_a_limit() -> None:
    how = terms(fallback_share=0.1)
    assert "fallback" not in fresh(terms()).bets
    _, alarms = with_rows(fresh(how), how, rows(400, source="teacher"), at=NOON)
    assert [alarm.watch.name for alarm in alarms] == ["fallback"]
    _, alarms = with_rows(fresh(how), how, rows(400, source="teacher", arm="instead"), at=NOON)
    assert alarms == [], "the student has handed on nothing: somebody has put a slice in quarantine"


BEHIND = reference().model_copy(update={"handed_on": (300, 1000)})
"""The reference of a release that hands 30 % of its golden rows on."""


def behind(how: WatchTerms) -> WatchState:
    return begin(how, BEHIND, since=NOON, at=NOON, before=None)


def handed_on(many: int, place: int, **columns: object) -> pl.DataFrame:
    """Answers of a cascade: the teacher is slow, sure of itself, and says `place` in the place of the student."""
    own = rows(many, seed=place)
    unsure = pl.Series("unsure", np.random.default_rng(place).random(many) < 0.3)
    given = {"source": "teacher", "label": "place", "confidence": 0.99, "latency_ms": 200.0, **columns}
    kept = own.with_columns(unsure, student_label="label", student_confidence="confidence")
    return kept.with_columns(
        *(pl.when("unsure").then(pl.lit(value, own.schema[name])).otherwise(name).alias(name)
          for name, value in given.items()),
        *(pl.when("unsure").then(name).alias(name) for name in ("student_label", "student_confidence")),
    ).drop("unsure")  # fmt: skip


@pytest.mark.long
@pytest.mark.parametrize(
    "columns",
    [{}, {"source": "student", "degraded": True}, {"source": "student", "status": 503, "label": None}],
    ids=["the teacher answers", "the student in its place", "nobody"],
)
def test_a_teacher_behind_the_student_is_no_drift_no_slowness_and_no_error(columns: dict[str, object]) -> None:
    """Regression: each of them was counted as the student's, and a release was taken back for its slow teacher."""
    state, found = behind(terms()), []
    for day in range(10):
        at = NOON + day * SECONDS_A_DAY
        state, alarms = with_rows(state, terms(), handed_on(400, day, **columns), at=at)
        found += alarms
    assert found == [] and not state.drifting


def test_the_limit_of_fallback_is_what_the_release_was_judged_by_unless_the_recipe_names_another() -> None:
    watch = {each.name: each for each in terms().watches(BEHIND)}["fallback"]
    assert watch.reference == 0.3
    assert watch.limit == reference_limit(300, 1000, watches=len(terms().watches(BEHIND)))
    named = {each.name: each for each in terms(fallback_share=0.5).watches(BEHIND)}["fallback"]
    assert (named.limit, named.reference) == (0.5, None)
    _, alarms = with_rows(behind(terms()), terms(), rows(400, source="teacher"), at=NOON)
    assert [alarm.watch.name for alarm in alarms] == ["fallback"]


@pytest.mark.parametrize(
    "by",
    [
        {"release": OTHER},
        {"source": "teacher", "student_label": "person", "student_confidence": 0.9},
    ],
    ids=["the earlier champion", "the teacher"],
)
def test_what_a_quarantine_has_somebody_else_answer_is_no_drift_and_no_fallback(by: dict[str, object]) -> None:
    """Regression: as soon as the watch took a slice from the champion, it found that inputs drift, or a fallback."""
    how = terms(fallback_share=0.1)
    state = fresh(how)
    for day in range(10):
        at = NOON + day * SECONDS_A_DAY
        frame = rows(400, at=at, seed=day)
        others, own = (frame.filter(pl.col("label") == "person"), frame.filter(pl.col("label") != "person"))
        taken = others.with_columns(arm=pl.lit("instead"), **{name: pl.lit(value) for name, value in by.items()})
        state, alarms = with_rows(state, how, pl.concat([own, taken.select(own.columns)]), at=at)
        assert [each.watch.name for each in alarms] == [] and not state.drifting


def test_an_earlier_champion_that_is_slow_fails_or_is_unsure_says_nothing_of_the_one_that_serves() -> None:
    bad = rows(400, release=OTHER, arm="instead", latency_ms=9000.0, confidence=0.1, first=1000)
    failed = rows(400, release=OTHER, arm="instead", status=500, label=None, confidence=None, first=2000)
    _, alarms = with_rows(fresh(terms()), terms(), pl.concat([rows(400), bad, failed]), at=NOON)
    assert alarms == []


def test_rows_of_another_release_say_nothing_of_this_one() -> None:
    state, alarms = with_rows(fresh(terms()), terms(), rows(400, release=OTHER, latency_ms=99.0), at=NOON)
    assert alarms == [] and state.days == ()


def test_rows_may_come_in_any_portions() -> None:
    whole, _ = with_rows(fresh(terms()), terms(), rows(400), at=NOON)
    state = fresh(terms())
    for begin_, end in pairwise((0, 1, 130, 400)):
        state, _ = with_rows(state, terms(), rows(400)[begin_:end], at=NOON)
    assert state.days == whole.days
    for name, bets in whole.bets.items():
        evidence = state.bets[name].detector.log_evidence
        assert evidence == (None if bets.rows == 0 else pytest.approx(bets.detector.log_evidence))


def test_a_clock_that_is_set_back_goes_on_with_the_last_day_and_one_ahead_is_asked_under_the_old_budget() -> None:
    state, _ = days(fresh(terms()), terms(), 2)
    back, _ = with_rows(state, terms(), rows(100, at=NOON - 5 * SECONDS_A_DAY), at=NOON - 5 * SECONDS_A_DAY)
    assert back.day == state.day == day_of(NOON) + 1
    ahead = rows(400, at=NOON + 3 * 3600, shares=(0.0, 0.0, 1.0))
    drifted, _ = with_rows(fresh(terms()), terms(), ahead, at=NOON)
    assert drifted.budgets[-1].after == NOON + 3 * 3600, "no row that was seen is asked about by another chance"


def test_a_watch_that_was_away_for_days_counts_each_on_the_day_it_was() -> None:
    """Regression: all that had come meanwhile was of the day of the look, so that a quiet Sunday was a loud Monday."""
    whole = [rows(400, at=NOON + day * SECONDS_A_DAY, seed=day) for day in range(3)]
    in_time, found = days(fresh(terms()), terms(), 3)
    late, at_once = with_rows(fresh(terms()), terms(), pl.concat(whole), at=NOON + 2 * SECONDS_A_DAY)
    assert at_once == found == []
    assert (late.days, late.bets, late.day) == (in_time.days, in_time.bets, in_time.day)
    assert [each.day for each in late.days] == [20_000, 20_001, 20_002]


def test_what_drifted_and_was_back_while_nobody_looked_is_found_and_over() -> None:
    parts = [rows(400, at=NOON + day * SECONDS_A_DAY, seed=day, shares=shares)
             for day, shares in enumerate([(0.2, 0.3, 0.5), (0.6, 0.3, 0.1), (0.6, 0.3, 0.1)])]  # fmt: skip
    state, alarms = with_rows(fresh(terms()), terms(), pl.concat(parts), at=NOON + 2 * SECONDS_A_DAY)
    assert {alarm.watch.name for alarm in alarms} >= {"label place rises"}
    assert not state.drifting and state.quiet_since > day_of(NOON)


def test_rows_that_come_late_are_of_their_day_and_their_bets_of_this_one() -> None:
    state, _ = days(fresh(terms()), terms(), 2)
    late, _ = with_rows(state, terms(), rows(100, at=NOON, replica="r2"), at=NOON + SECONDS_A_DAY)
    assert {each.day: each.counts["errors"][1] for each in late.days} == {20_000: 500, 20_001: 400}
    assert late.bets["errors"].rows == 900 and late.bets["errors"].detector.day == 20_001


def test_limits_follow_from_the_reference() -> None:
    watches = {each.name: each for each in terms().watches(reference())}
    many = 3 * 2 + 5 + 1 + 1 + 2  # labels up and down, lengths, unsure; agreement; errors and latency
    assert len(watches) == many
    place = watches["label place rises"]
    assert place.limit == reference_limit(100, 1000, watches=many)
    assert watches["agreement"].limit == reference_limit(100, 1000, watches=many, tolerance=0.02)
    assert (watches["errors"].limit, watches["latency"].limit) == (0.005, 0.01)
    assert fresh(terms()).bets["errors"].detector.threshold == 365 * many / 0.5


def agreement(share: float, many: int, seed: int) -> tuple[AgreementPlan, Heard]:
    plan = plan_of(reference().agreement, 0.5)
    assert plan is not None
    chance = np.random.default_rng(seed)
    p = plan.scale.chance(chance.choice([0.5, 0.8, 0.95], many, p=[0.2, 0.3, 0.5]).tolist())
    pi = plan.plan.chance(p)
    asked = chance.random(many) < pi
    return plan, Heard(p, pi, asked, chance.random(many) < p * share / 0.9)


def test_agreement_that_fell_is_found_and_agreement_that_holds_is_not() -> None:
    held = fell = fresh(terms())
    alarms, found = [], []
    for day in range(20):
        held, more = with_agreement(held.model_copy(update={"day": held.day + 1}), terms(), [agreement(0.9, 500, day)])
        alarms += more
        fell, some = with_agreement(fell.model_copy(update={"day": fell.day + 1}), terms(), [agreement(0.7, 500, day)])
        found += some
    assert alarms == []
    assert found[0].watch.kind is WatchKind.AGREEMENT
    assert found[0].share == pytest.approx(0.3, abs=0.03), "the debiased share that disagrees"


def test_a_teacher_that_has_changed_voids_what_was_staked_on_agreement() -> None:
    state, _ = with_agreement(fresh(terms()), terms(), [agreement(0.8, 400, 1)])
    assert state.bets["agreement"].rows == 400
    changed = with_teacher(state, TeacherHealth(at=NOON, day=20_000, as_recorded=False, sentence="other logits"))
    assert changed.bets["agreement"].rows == 0 and changed.bets["agreement"].detector.log_evidence is None
    assert changed.rests("agreement") and not state.rests("agreement") and not fresh(terms()).rests("agreement")
    assert not changed.model_copy(update={"day": changed.day + 1}).rests("agreement")
    unknown = with_teacher(state, TeacherHealth(at=NOON, day=20_000, as_recorded=None, sentence="away"))
    assert unknown.bets == state.bets


def test_truth_is_watched_where_feedback_is_complete() -> None:
    how = terms(truth_binds=True)
    assert with_truth(fresh(terms()), terms(), 300, 300)[1] == []
    _, alarms = with_truth(fresh(how), how, 120, 300)
    assert [alarm.watch.kind for alarm in alarms] == [WatchKind.TRUTH]
    assert with_truth(fresh(how), how, 36, 300)[1] == []


@pytest.mark.long
def test_a_quiet_month_becomes_the_reference_once() -> None:
    state, _ = days(fresh(terms()), terms(), 28, shares=(0.57, 0.3, 0.13))
    assert live_reference(state, terms()) is None, "the last day is not over"
    state, _ = days(state, terms(), 1, after=28, shares=(0.57, 0.3, 0.13))
    found = live_reference(state, terms())
    assert found is not None and found.origin == "live" and found.rows == 28 * 400
    counts = pl.concat([rows(400, seed=day, shares=(0.57, 0.3, 0.13)) for day in range(28)])["label"].value_counts()
    assert found.labels == dict(counts.iter_rows())
    assert found.agreement == reference().agreement
    state = with_reference(state, terms(), found)
    assert live_reference(state, terms()) is None


@pytest.mark.long
def test_a_month_with_a_finding_is_no_reference() -> None:
    state, _ = days(fresh(terms()), terms(), 3, shares=(0.3, 0.3, 0.4))
    state, _ = days(state, terms(), 26, after=3)
    assert live_reference(state, terms()) is None
    state, _ = days(state, terms(), 10, after=29)
    assert live_reference(state, terms()) is not None


def test_a_person_accepts_what_drifted_as_normal() -> None:
    shares = (0.3, 0.3, 0.4)
    state, _ = days(fresh(terms()), terms(), 5, shares=shares)
    normal = accepted(state, terms(), days=2)
    assert not normal.drifting and normal.share_asked == 0.05
    _, alarms = days(normal, terms(), 10, after=5, shares=shares)
    assert alarms == []
    with pytest.raises(ValueError, match="no answers"):
        accepted(fresh(terms()), terms(), days=2)


WORKDAY, WEEKEND = (0.6, 0.3, 0.1), (0.5, 0.2, 0.3)
"""A strong week: places are a tenth of what is asked on workdays, and three tenths at weekends."""


def weeks(state: WatchState, how: WatchTerms, many: int, *, after: int = 0, workday: tuple[float, ...] = WORKDAY):  # type: ignore[no-untyped-def]
    alarms = []
    for day in range(after, after + many):
        weekend = date.fromisoformat(day_at(NOON + day * SECONDS_A_DAY)).weekday() >= 5
        state, found = days(state, how, 1, after=day, shares=WEEKEND if weekend else workday)
        alarms += found
    return state, alarms


@pytest.fixture(scope="module")
def after_four_weeks() -> WatchState:
    """Golden rows know no weekends, so each of them was a finding; then a person accepts the four weeks as normal."""
    state, alarms = weeks(fresh(terms()), terms(), 29)
    assert len([alarm for alarm in alarms if alarm.watch.name == "label place rises"]) >= 3
    assert live_reference(state, terms()) is None
    return accepted(state, terms(), days=28)


@pytest.mark.long
def test_shares_that_go_by_the_weekday_have_a_limit_for_each_and_the_others_one(after_four_weeks: WatchState) -> None:
    assert set(after_four_weeks.reference.weekly) == {"label number", "label person", "label place"}
    watches = {each.name: each for each in terms().watches(after_four_weeks.reference)}
    place, length = watches["label place rises"], watches["length 4 rises"]
    friday, saturday = place.on(weekday_of(20_000)), place.on(weekday_of(20_001))
    assert (friday.weekday, saturday.weekday) == ("Friday", "Saturday")
    assert friday.limit < 0.22 < 0.35 < saturday.limit and friday.reference == pytest.approx(0.1, abs=0.03)
    assert length.on(0) == length.on(6) == length and length.weekday is None
    falls = watches["label place falls"]
    assert 1 - falls.on(weekday_of(20_001)).limit > 0.15 and falls.on(0).limit > falls.on(6).limit
    assert len(after_four_weeks.bets) == len(fresh(terms()).bets), "one that changes with the day is one watch"


@pytest.mark.long
def test_a_week_that_is_normal_is_no_finding_and_a_shift_of_its_workdays_is(after_four_weeks: WatchState) -> None:
    _, alarms = weeks(after_four_weeks, terms(), 28, after=29)
    assert alarms == []
    one = after_four_weeks.reference.model_copy(update={"weekly": {}})
    _, by_one = weeks(with_reference(after_four_weeks, terms(), one), terms(), 28, after=29)
    assert "label place rises" in {alarm.watch.name for alarm in by_one}
    _, shifted = weeks(after_four_weeks, terms(), 7, after=29, workday=(0.5, 0.25, 0.25))
    first = next(alarm for alarm in shifted if alarm.watch.name == "label place rises")
    assert first.watch.weekday in WEEKDAYS[:5] and first.share == pytest.approx(0.25, abs=0.07) and first.rows == 400
    assert first.evidence.limit == first.watch.limit < 0.22
    sentence = sentence_of(first.watch, first.share, first.rows)
    assert f" on {first.watch.weekday}s, " in sentence and sentence.endswith(
        "on those of the reference (400 requests on that day)"
    )


@pytest.mark.long
def test_a_quiet_month_with_a_strong_week_becomes_a_reference_by_weekday() -> None:
    """Golden rows prove little, and let a week pass that has 53 % of numbers on workdays and 66 % at weekends."""
    state, alarms = fresh(terms()), []
    for day in range(29):
        weekend = date.fromisoformat(day_at(NOON + day * SECONDS_A_DAY)).weekday() >= 5
        shares = (0.66, 0.24, 0.1) if weekend else (0.53, 0.37, 0.1)
        state, found = days(state, terms(), 1, after=day, shares=shares)
        alarms += found
    found_reference = live_reference(state, terms())
    assert alarms == [] and found_reference is not None
    assert set(found_reference.weekly) == {"label number", "label person"}
    _, later = days(with_reference(state, terms(), found_reference), terms(), 1, after=29, shares=(0.95, 0.03, 0.02))
    assert {alarm.watch.weekday for alarm in later} == {"Saturday"}


def test_a_reference_without_a_pattern_is_written_and_read_as_before() -> None:
    state, _ = days(fresh(terms()), terms(), 16)
    normal = accepted(state, terms(), days=14)
    assert normal.reference.weekly == {} and "weekly" not in normal.model_dump_json()
    assert all(each.on(3) is each for each in terms().watches(normal.reference))
    assert WatchState.model_validate_json(normal.model_dump_json()) == normal


def test_a_weekday_on_which_nothing_is_watched_places_no_bets_and_ends_none() -> None:
    """On workdays a place is so rare that it may vanish; at weekends it is most of what is asked."""
    counts = {"events": (20,) * 5 + (960,) * 2, "rows": (1600,) * 7, "effective_rows": (1600.0,) * 7}
    pattern = WeeklyPattern(**counts, degrees_of_freedom=21)  # type: ignore[arg-type]
    held = reference().model_copy(update={"weekly": {"label place": pattern}})
    state = begin(terms(), held, since=NOON, at=NOON, before=None)
    watch = {each.name: each for each in terms().watches(held)}["label place falls"]
    assert watch.on(4).limit == 1 > watch.on(5).limit
    state, _ = days(state, terms(), 1)
    assert state.bets["label place falls"].rows == 0 and state.days[0].counts["label place falls"][1] == 400
    state, alarms = days(state, terms(), 1, after=1)
    assert "label place falls" in {alarm.watch.name for alarm in alarms}, "a weekend like a workday"
    assert WatchState.model_validate_json(state.model_dump_json()) == state


def test_another_limit_begins_its_watch_again_and_leaves_the_others() -> None:
    state, _ = days(fresh(terms()), terms(), 2)
    moved = held_to_terms(state, terms(latency_share=0.1))
    assert moved.bets["latency"].rows == 0
    assert moved.bets["errors"] == state.bets["errors"]
    assert held_to_terms(state, terms()) is state
    assert held_to_terms(state, terms(asks=False)).share_asked == 0.0


def test_another_release_begins_anew_and_looks_at_no_row_again() -> None:
    state, _ = days(fresh(terms()), terms(), 2)
    state = state.model_copy(update={"marks": {"2024-10-04": {"r1": 7}}})
    begun = begin(terms(), reference(OTHER), since=NOON, at=NOON, before=state)
    assert (begun.release, begun.marks, begun.day) == (OTHER, state.marks, state.day)
    assert all(bets.rows == 0 for bets in begun.bets.values())


def test_a_state_is_the_same_after_it_was_written_and_read() -> None:
    state, _ = days(fresh(terms()), terms(), 3, shares=(0.3, 0.3, 0.4))
    assert WatchState.model_validate_json(state.model_dump_json()) == state
