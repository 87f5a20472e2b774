"""Parts of the traffic: which they are, what golden rows say of each, and that a weak one is found once and alone."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from pydantic import ValidationError

from stillhouse.errors import StillhouseError
from stillhouse.live.baseline import Reference, golden_reference
from stillhouse.live.estimate import AgreementPlan, Heard, plan_of, together
from stillhouse.live.findings import Action, Circumstances, FoundKind, action_on
from stillhouse.live.slices import LiveSlice, rows_asked, slice_references, slices_of
from stillhouse.live.watch import Alarm, TeacherHealth, WatchState, begin, with_agreement, with_teacher, with_truth
from stillhouse.live.watches import WatchKind
from stillhouse.recipe.watch import WatchSpec, lengths_in
from stillhouse.statistics.accuracy_test import rows_needed_for
from stillhouse.statistics.detector import reference_limit
from tests.small import small_recipe
from tests.stillhouse.live.made import LABELS, NOON, SLICES, by_label, reference, rows, terms

SHARES = dict(zip(LABELS, (0.6, 0.3, 0.1), strict=True))
BY_POST = LiveSlice(name="by_post", column="channel", values=("post", "fax"), critical=True, margin=0.1)
SHORT = LiveSlice(name="length=1-20", characters=(1, 20), critical=True, margin=0.1)


def test_slices_are_watched_by_label_by_columns_that_callers_send_and_by_the_lengths_that_are_named(
    tmp_path: Path,
) -> None:
    people = {"name": "people", "column": "label", "values": ["HUM"], "critical": False, "margin": 0.3}
    places = {"name": "places", "column": "label", "values": ["LOC", "NUM"], "critical": True}
    kinds = {"name": "kinds", "column": "kind", "values": ["HUM:ind"], "critical": True, "margin": 0.4}
    others = {"name": "others", "column": "question", "values": ["?"], "critical": True}
    watched = {
        "slices": [people, kinds, places, others], "traffic": {}, "bar": {"margin": 0.2},
        "watch": {"lengths": ["length=1-20", "length=200-"]},
    }  # fmt: skip
    file = small_recipe(tmp_path, **watched, serving={"request_columns": ["kind"]})
    sent = next(each for each in slices_of(file.recipe) if each.column is not None)
    assert (sent.name, sent.column, sent.values, sent.labels) == ("kinds", "kind", ("HUM:ind",), ())
    assert (sent.critical, sent.margin) == (True, 0.4)
    by_cascade = small_recipe(tmp_path, **watched, cascade={"margin": 0.05, "request_columns": ["kind"]})
    assert slices_of(by_cascade.recipe) == slices_of(file.recipe)
    file = small_recipe(tmp_path, **watched)
    found = {each.name: each for each in slices_of(file.recipe)}
    assert list(found) == ["people", "places", "length=1-20", "length=200-"]
    assert (found["people"].labels, found["people"].critical, found["people"].margin) == (("HUM",), False, 0.3)
    assert (found["places"].labels, found["places"].margin) == (("LOC", "NUM"), 0.2)
    assert (found["length=1-20"].characters, found["length=200-"].characters) == ((1, 20), (200, None))


def test_a_watch_that_names_no_length_is_written_as_it_was() -> None:
    assert "lengths" not in WatchSpec().model_dump()
    assert WatchSpec(lengths=("length=1-20",)).model_dump()["lengths"] == ("length=1-20",)
    assert "slices" not in reference().model_dump()
    assert Reference.model_validate_json(reference(slices=SLICES).model_dump_json()).slices == SLICES
    assert {"column", "values"}.isdisjoint(SLICES[0].slice.model_dump())
    assert LiveSlice.model_validate_json(BY_POST.model_dump_json()) == BY_POST
    for wrong in ("1-20", "length=20", "length=a-b"):
        with pytest.raises(ValidationError):
            WatchSpec(lengths=(wrong,))


def test_lengths_that_no_text_has_are_refused_in_the_line_that_names_them(tmp_path: Path) -> None:
    """Regression: they were watched, and no row was ever in them."""
    assert lengths_in("length=30-30") == (30, 30) and lengths_in("length=0-") == (0, None)
    assert lengths_in("label=30-1") is None
    with pytest.raises(StillhouseError) as refused:
        small_recipe(tmp_path, rows=50, traffic={}, watch={"lengths": ["length=1-30", "length=30-1"]})
    said = str(refused.value)
    assert "watch.lengths" in said and "no text has at least 30 and at most 1 characters" in said
    assert f"{tmp_path / 'recipes' / 'small' / 'defs.yaml'}:" in said


def test_a_row_is_in_a_slice_by_what_the_student_answers_or_by_its_length() -> None:
    frame = pl.DataFrame({"label": ["a", "b", None, "a"], "characters": [0, 1, 20, 21]})
    of_a = LiveSlice(name="a", labels=("a",), critical=True, margin=0.1)
    assert of_a.rows_of(frame)["characters"].to_list() == [0, 21]
    assert SHORT.rows_of(frame)["characters"].to_list() == [1, 20]
    assert SHORT.model_copy(update={"characters": (20, None)}).rows_of(frame)["characters"].to_list() == [20, 21]


def test_a_row_is_in_a_slice_of_a_column_by_the_value_that_its_caller_sent() -> None:
    sent = ['{"channel":"post"}', '{"channel":null}', '{"region":"post"}', "{}", None, '{"channel":"fax"}']
    frame = pl.DataFrame({"number": range(6), "columns": sent})
    assert BY_POST.rows_of(frame)["number"].to_list() == [0, 5]
    assert BY_POST.rows_of(frame[:0]).is_empty() and BY_POST.rows_of(frame[4:5]).is_empty()


def test_golden_rows_are_counted_by_the_columns_that_callers_would_send() -> None:
    found = golden_reference(
        "r", ["x", "y"], ["a", "b", "c", "d"], ["x", "x", "x", "y"], [0.5, 0.6, 0.7, 0.8],
        teacher=["y", "y", None, "y"], truth=["x", "y", "y", "x"], slices=[BY_POST],
        columns=['{"channel":"post"}', '{"channel":"app"}', '{"channel":"fax"}', None],
    ).slices  # fmt: skip
    assert [(each.heard, each.disagreed, each.labelled, each.wrong) for each in found] == [(1, 1, 2, 1)]
    (nobody,) = slice_references([BY_POST], ["a"], ["x"], teacher=["x"], truth=["x"], columns=[None])
    assert (nobody.heard, nobody.labelled) == (0, 0), "rows of a recipe that did not name the column yet"


def test_golden_rows_are_counted_by_slice_without_those_that_the_teacher_answers() -> None:
    of_x = LiveSlice(name="x", labels=("x",), critical=True, margin=0.1)
    found = golden_reference(
        "r", ["x", "y"], ["a", "b" * 30, "c", "d"], ["x", "x", "x", "y"], [0.5, 0.6, 0.7, 0.8],
        teacher=["y", "y", None, "y"], truth=["x", "y", "y", "x"], handed_on=[True, False, False, False],
        slices=[of_x, SHORT],
    ).slices  # fmt: skip
    assert [(each.slice.name, each.heard, each.disagreed, each.labelled, each.wrong) for each in found] == [
        ("x", 1, 1, 2, 2), ("length=1-20", 1, 0, 2, 2),
    ]  # fmt: skip
    (nobody,) = slice_references([of_x], [], [], teacher=[], truth=[], columns=[])
    assert (nobody.heard, nobody.labelled) == (0, 0)


def test_as_many_rows_are_asked_for_as_the_test_of_the_bar_needs() -> None:
    place = by_label("place", 100).slice
    asked = rows_asked(place, 0.4, alpha=0.05)
    assert (asked.slice, asked.critical) == ("of_place", True)
    assert asked.rows_needed == rows_needed_for(0.1, 0.4, 0.05)
    narrow = place.model_copy(update={"margin": 0.02})
    assert rows_asked(narrow, 0.0, alpha=0.05).rows_needed == rows_needed_for(0.02, 0.05, 0.05)


def test_all_watches_together_keep_the_budget_and_a_slice_without_golden_rows_is_not_watched() -> None:
    none = by_label("nothing", 0)
    how = terms(truth_binds=True)
    without, with_slices = how.watches(reference()), how.watches(reference(slices=[*SLICES, none]))
    assert len(with_slices) == len(without) + 2 * len(SLICES)
    limits = {each.name: each.limit for each in with_slices}
    many = len(without) + 2 * len(SLICES)  # none of them is left out for a limit of 1
    assert limits["slice_truth of_place"] == reference_limit(12, 100, watches=many, tolerance=0.02)
    assert limits["truth"] == reference_limit(120, 1000, watches=many, tolerance=0.02)
    assert {each.of for each in with_slices if each.kind.is_of_a_slice} == {"of_number", "of_person", "of_place"}
    assert {each.kind.is_of_a_slice for each in terms(asks=False).watches(reference(slices=SLICES))} == {False}
    state = begin(how, reference(slices=SLICES), since=NOON, at=NOON, before=None)
    assert {each.detector.threshold for each in state.bets.values()} == {365 * len(with_slices) / 0.5}
    plan = plan_of(reference().agreement, how.spec.ask_teacher)
    assert plan is not None
    assert {state.bets[name].detector.lowest for name in ("agreement", "slice_agreement of_place")} == {plan.lowest}


def heard(right: Mapping[str, float], many: int, seed: int) -> tuple[AgreementPlan, dict[str, Heard]]:
    """Answers of a day by slice, with how often the teacher agrees with each label."""
    plan = plan_of(reference().agreement, 0.5)
    assert plan is not None
    chance, found = np.random.default_rng(seed), {}
    for label, share in SHARES.items():
        of = round(many * share)
        p = plan.scale.chance(chance.choice([0.5, 0.8, 0.95], of, p=[0.2, 0.3, 0.5]).tolist())
        pi = plan.plan.chance(p)
        found[f"of_{label}"] = Heard(p, pi, chance.random(of) < pi, chance.random(of) < p * right[label] / 0.9)
    return plan, found


def months(right: Mapping[str, float], days: int) -> tuple[WatchState, list[Alarm]]:
    """Days of agreement, and of truth that has matured, as a watch would count them."""
    how = terms(truth_binds=True)
    state = begin(how, reference(slices=SLICES), since=NOON, at=NOON, before=None)
    alarms = []
    for day in range(days):
        state = state.model_copy(update={"day": state.day + 1})
        plan, parts = heard(right, 1000, day)
        of_slices = {name: [(plan, part)] for name, part in parts.items()}
        state, found = with_agreement(state, how, [(plan, together([*parts.values()]))], of_slices=of_slices)
        alarms += found
        chance = np.random.default_rng(1000 + day)
        wrong = {
            f"of_{label}": (int(chance.binomial(round(1000 * share), 1 - right[label] + 0.02)), round(1000 * share))
            for label, share in SHARES.items()
        }
        total = sum(events for events, _ in wrong.values())
        state, found = with_truth(state, how, total, 1000, of_slices=wrong)
        alarms += found
    return state, alarms


ALL_WELL = dict.fromkeys(LABELS, 0.9)


@pytest.mark.long
def test_a_stable_month_finds_no_slice_weak() -> None:
    state, alarms = months(ALL_WELL, 30)
    assert alarms == [] and state.weak == {}


@pytest.mark.long
def test_a_fall_in_one_slice_alone_is_found_once_and_for_that_slice() -> None:
    """Agreement and truth both fell, for a month, and the whole by less than what golden rows can tell from chance."""
    state, alarms = months({**ALL_WELL, "place": 0.45}, 30)
    assert [each.watch.of for each in alarms] == ["of_place"]
    assert alarms[0].watch.kind.is_of_a_slice and [*state.weak] == ["of_place"]
    assert "in the slice 'of_place'" in alarms[0].watch.in_words(alarms[0].share)


def test_a_teacher_that_has_changed_voids_what_was_staked_on_slices_and_not_on_truth() -> None:
    how = terms(truth_binds=True)
    state = begin(how, reference(slices=SLICES), since=NOON, at=NOON, before=None)
    plan, parts = heard(ALL_WELL, 1000, 1)
    state, _ = with_agreement(state, how, [], of_slices={"of_place": [(plan, parts["of_place"])]})
    state, _ = with_truth(state, how, 12, 100, of_slices={"of_place": (12, 100)})
    assert [state.bets[f"{kind} of_place"].rows for kind in ("slice_agreement", "slice_truth")] == [100, 100]
    changed = with_teacher(state, TeacherHealth(at=NOON, day=20_000, as_recorded=False, sentence="other logits"))
    assert [changed.bets[f"{kind} of_place"].rows for kind in ("slice_agreement", "slice_truth")] == [0, 100]


def test_drift_of_inputs_is_not_a_weak_slice_and_another_release_begins_without_any() -> None:
    state, _ = months({**ALL_WELL, "place": 0.1}, 3)
    assert [*state.weak] == ["of_place"] and state.drifting == ()
    assert begin(terms(), reference(slices=SLICES), since=NOON, at=NOON, before=state).weak == {}


@pytest.mark.parametrize(("age_days", "starts"), [(2.0, ()), (90.0, ()), (2.0, ("weak_slice",))])
def test_rows_are_asked_for_whatever_the_age_of_the_release(age_days: float, starts: tuple[str, ...]) -> None:
    now = Circumstances(age_days, True, held_by=None, was_brought_back=False, has_earlier=True, starts=starts)  # type: ignore[arg-type]
    action, because = action_on(FoundKind.WEAK_SLICE, WatchSpec(), now)
    assert action is Action.ASK_FOR_ROWS
    assert because.endswith("when the limits of `refresh` allow" if starts else "does not name `weak_slice`")
    weak = SLICES[2].slice
    assert action_on(FoundKind.WEAK_SLICE, WatchSpec(), replace(now, weak=weak)) == (Action.QUARANTINE, because)
    others = weak.model_copy(update={"critical": False})
    assert action_on(FoundKind.WEAK_SLICE, WatchSpec(), replace(now, weak=others)) == (action, because)
    assert action_on(FoundKind.WEAK_SLICE, WatchSpec(quarantine_days=0), replace(now, weak=weak)) == (action, because)
    held = action_on(FoundKind.WEAK_SLICE, WatchSpec(), replace(now, weak=weak, held_by="Ann Lee"))
    assert held[0] is Action.ASK_FOR_ROWS and "Ann Lee holds the champion" in held[1]
    assert {FoundKind.of(each) for each in (WatchKind.SLICE_AGREEMENT, WatchKind.SLICE_TRUTH)} == {FoundKind.WEAK_SLICE}


def test_traffic_has_the_columns_by_which_slices_are_known() -> None:
    assert SLICES[2].slice.rows_of(rows(400)).height == rows(400).filter(pl.col("label") == "place").height > 0
