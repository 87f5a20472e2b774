"""The watch that holds a cascade to its margin while it serves: what it counts, its limits, and when it alarms.

The promise is of all requests: what only the teacher would have got right, less what only the student does, is less
than the margin. Worlds here have a share of each outcome that is known, so that their true drop is.
"""

from collections.abc import Sequence

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stillhouse.live.baseline import CascadeReference, Reference, golden_reference
from stillhouse.live.estimate import AskedFrom, Heard, heard_of, plan_of, together
from stillhouse.live.findings import sentence_of
from stillhouse.live.watch import WatchState, WatchTerms, begin, with_agreement, with_truth
from stillhouse.live.watches import Watch, WatchKind
from stillhouse.statistics.detector import reference_bound
from stillhouse.statistics.fixed_sequence import CascadeThreshold
from tests.stillhouse.live.made import NOON, reference, rows, terms

MARGIN = 0.02
KEY = b"secret"
BOTH_KINDS = {WatchKind.CASCADE_AGREEMENT, WatchKind.CASCADE_TRUTH}
HOW = terms(truth_binds=True, agreement_tolerance=0.5)
"""A tolerance by which no fall of agreement or truth itself is a finding."""

World = tuple[float, float, float, float]
"""Shares of all requests that the student keeps, by who is right: only the teacher, only the student, neither and both
say the same, neither and they differ. On all others that it keeps both are right."""
AT_THE_MARGIN: World = (0.03, 0.01, 0.01, 0.01)
BEYOND: World = (0.10, 0.01, 0.01, 0.01)


def golden(world: World, rows: int = 1000, *, seed: int | None = None) -> CascadeReference:
    """Golden rows of a world, as its shares have them or drawn."""
    if seed is None:
        lost, won, alike, otherwise = (round(share * rows) for share in world)
    else:
        counts = np.random.default_rng(seed).multinomial(rows, [*world, 1 - sum(world)])
        lost, won, alike, otherwise = counts[:4].tolist()
    return CascadeReference(
        margin=MARGIN, threshold=0.9, rows=rows, differ=lost + won + otherwise, lost=lost, won=won,
        wrong=lost + alike + otherwise,
    )  # fmt: skip


def behind(cascade: CascadeReference | None) -> Reference:
    return reference().model_copy(update={"handed_on": (300, 1000), "cascade": cascade})


def watch(kind: WatchKind, cascade: CascadeReference, how: WatchTerms = HOW) -> Watch:
    return next(each for each in how.watches(behind(cascade)) if each.kind is kind)


def share_of(kind: WatchKind, world: World) -> float:
    """What the watch counts of a world."""
    lost, won, alike, otherwise = world
    return lost + won + otherwise if kind is WatchKind.CASCADE_AGREEMENT else lost + alike + otherwise


def threshold(confidence: float | None = 0.9) -> CascadeThreshold:
    return CascadeThreshold(
        threshold=confidence, handed_on=0.3, rows=300, margin=MARGIN, delta=0.1, lost=0, won=0, p_value=0.01,
        next_p_value=None,
    )  # fmt: skip


def test_a_reference_counts_what_is_kept_by_who_is_right() -> None:
    """Of seven rows the last three do not count: handed on, without a label, without the teacher's answer."""
    found = golden_reference(
        "r", ["x", "y", "z"], ["text"] * 7, ["x", "x", "x", "x", "x", "x", "x"], [0.95] * 7,
        teacher=["y", "y", "x", "z", "y", "y", None], truth=["y", "x", "y", "y", "y", None, "y"],
        handed_on=[False, False, False, False, True, False, False], threshold=threshold(),
    ).cascade  # fmt: skip
    assert found == CascadeReference(margin=MARGIN, threshold=0.9, rows=5, differ=3, lost=1, won=1, wrong=3)
    assert found.teacher_wrong == 3, "it says y where x is true, x where y is, and z where y is"


def test_limits_are_the_margin_and_what_golden_rows_allow_of_a_teacher_that_is_wrong_itself() -> None:
    cascade = golden(AT_THE_MARGIN)
    many = len(HOW.watches(behind(cascade)))
    truth, agreement = (watch(kind, cascade) for kind in (WatchKind.CASCADE_TRUTH, WatchKind.CASCADE_AGREEMENT))
    assert truth.limit == MARGIN + reference_bound(30, 1000, watches=many)
    others = reference_bound(20, 1000, watches=2 * many) + reference_bound(10, 1000, watches=2 * many)
    assert agreement.limit == MARGIN + others
    assert (truth.reference, agreement.reference) == (0.05, 0.05)
    thresholds = {each.detector(many, HOW.spec).threshold for each in HOW.watches(behind(cascade))}
    assert thresholds == {365 * many / 0.5}, "they share the budget of false alarms with all others"


@given(counts=st.lists(st.integers(0, 60), min_size=4, max_size=4), margin=st.sampled_from([0.005, 0.02, 0.1]))
def test_a_cascade_that_holds_its_margin_is_within_its_limits(counts: Sequence[int], margin: float) -> None:
    lost, won, alike, otherwise = counts
    cascade = CascadeReference(
        margin=margin, threshold=0.9, rows=1000, differ=lost + won + otherwise, lost=lost, won=won,
        wrong=lost + alike + otherwise,
    )  # fmt: skip
    for kind in BOTH_KINDS:
        held = watch(kind, cascade)
        assert held.reference is not None
        if (lost - won) / 1000 <= margin:
            assert held.reference < held.limit
        # Golden rows in any number leave nothing but the margin.
        exact = margin + (cascade.teacher_wrong if kind is WatchKind.CASCADE_TRUTH else won + won + otherwise) / 1000
        assert (held.reference <= exact + 1e-12) == ((lost - won) / 1000 <= margin + 1e-12)


def test_only_a_cascade_whose_student_answers_is_held_to_it_and_only_by_what_is_known() -> None:
    def kinds(how: WatchTerms, cascade: CascadeReference | None) -> set[WatchKind]:
        return {each.kind for each in how.watches(behind(cascade))} & BOTH_KINDS

    cascade = golden(AT_THE_MARGIN)
    assert kinds(HOW, cascade) == BOTH_KINDS
    assert kinds(terms(), cascade) == {WatchKind.CASCADE_AGREEMENT}
    assert kinds(terms(truth_binds=True, asks=False), cascade) == {WatchKind.CASCADE_TRUTH}
    assert kinds(HOW, None) == set()
    assert kinds(HOW, cascade.model_copy(update={"threshold": None})) == set(), "the teacher answers always"
    assert kinds(HOW, golden((0, 0, 0, 0), 0)) == set(), "nobody knows how often the teacher is wrong"


def alarms_in_a_year(held: Watch, share: float, watches: int, seed: int, a_day: int = 300) -> int:
    chance, detector, alarms = np.random.default_rng(seed), held.detector(watches, HOW.spec), 0
    values = np.array([1.0, 0.0])
    for day in range(365):
        events = chance.binomial(a_day, share)
        detector = detector.advanced(day, values, np.array([events, a_day - events], float))
        if detector.alarmed:
            alarms, detector = alarms + 1, detector.restarted()
    return alarms


@pytest.mark.long
@pytest.mark.parametrize("kind", sorted(BOTH_KINDS))
def test_at_the_margin_there_is_no_alarm_in_years_whatever_the_golden_rows_were(kind: WatchKind) -> None:
    for seed in range(12):
        held = watch(kind, golden(AT_THE_MARGIN, seed=seed))
        assert alarms_in_a_year(held, share_of(kind, AT_THE_MARGIN), 20, seed) == 0


@pytest.mark.long
@pytest.mark.parametrize("kind", sorted(BOTH_KINDS))
def test_at_the_limit_itself_alarms_stay_within_their_part_of_the_yearly_budget(kind: WatchKind) -> None:
    """The worst that golden rows leave possible: 24 years at 0.5 a year over 20 watches are 0.6 alarms expected."""
    held = watch(kind, golden(AT_THE_MARGIN))
    assert sum(alarms_in_a_year(held, held.limit, 20, seed) for seed in range(24)) <= 2


def fresh(cascade: CascadeReference) -> WatchState:
    return begin(HOW, behind(cascade), since=NOON, at=NOON, before=None)


@pytest.mark.parametrize(("world", "alarms"), [(AT_THE_MARGIN, False), (BEYOND, True)])
def test_wrong_answers_that_are_kept_are_found_beyond_the_margin_and_not_at_it(world: World, alarms: bool) -> None:
    cascade, chance = golden(AT_THE_MARGIN), np.random.default_rng(3)
    state, found = fresh(cascade), []
    for _ in range(30):
        wrong = int(chance.binomial(300, share_of(WatchKind.CASCADE_TRUTH, world)))
        # Of the 210 that are kept, which the watch of truth looks at.
        state, some = with_truth(state, HOW, wrong, 210, of_cascade=(wrong, 300))
        state = state.model_copy(update={"day": state.day + 1})
        found += some
    assert {each.watch.kind for each in found} == ({WatchKind.CASCADE_TRUTH} if alarms else set())
    if not alarms:
        assert (state.bets["cascade_truth"].rows, state.bets["truth"].rows) == (30 * 300, 30 * 210)
    else:
        first = found[0]
        assert first.evidence.cascade == cascade and first.evidence.limit == first.watch.limit
        said = sentence_of(first.watch, first.share, first.rows)
        assert said == (
            f"the student keeps {first.share:.1%} of requests and is wrong; at most {first.watch.limit:.1%}, 5.0% on "
            "the reference: the cascade's margin of 2.0 points, with the student answering from a confidence of 0.900 "
            f"on, and at most {first.watch.limit - MARGIN:.1%} by 1,000 golden rows on which the teacher is wrong "
            f"itself ({first.evidence.events:.0f} of {first.rows:,} requests since counting for this limit began)"
        )


def asked(world: World, many: int, seed: int) -> Heard:
    """Requests of a cascade of which the teacher answers three in ten, and is asked about some of the others."""
    plan = plan_of(reference().agreement, 0.5)
    assert plan is not None
    chance, kept = np.random.default_rng(seed), round(many * 0.7)
    differ = share_of(WatchKind.CASCADE_AGREEMENT, world) * many / kept
    p = plan.scale.chance(chance.choice([0.5, 0.8, 0.95], kept, p=[0.2, 0.3, 0.5]).tolist())
    pi = plan.plan.chance(p)
    handed_on = many - kept
    sure = Heard(np.ones(handed_on), np.ones(handed_on), np.ones(handed_on, bool), np.ones(handed_on, bool))
    return together([Heard(p, pi, chance.random(kept) < pi, chance.random(kept) >= differ), sure])


@pytest.mark.parametrize(("world", "alarms"), [(AT_THE_MARGIN, False), (BEYOND, True)])
def test_the_teacher_that_is_asked_tells_a_broken_margin_from_one_that_holds(world: World, alarms: bool) -> None:
    plan = plan_of(reference().agreement, 0.5)
    assert plan is not None
    state, found = fresh(golden(AT_THE_MARGIN)), []
    for day in range(40):
        state, some = with_agreement(state, HOW, [], of_cascade=[(plan, asked(world, 600, day))])
        state = state.model_copy(update={"day": state.day + 1})
        found += some
    assert {each.watch.kind for each in found} == ({WatchKind.CASCADE_AGREEMENT} if alarms else set())


def test_what_the_teacher_answers_is_kept_from_nobody_and_counts_as_agreeing() -> None:
    """One that has lost its text is left out as it is among the student's own; one that was refused has no answer."""
    own = rows(100, seed=1)
    given = rows(40, seed=2, first=101, source="teacher", student_label="person", student_confidence=0.4)
    instead = rows(10, seed=3, first=141, student_label="person", student_confidence=0.4, degraded=True)
    refused = rows(5, seed=4, first=151, status=503, label=None, student_label="person", student_confidence=0.4)
    frame = pl.concat([own, given, instead, refused])
    texts = frame.select("replica", "number", "id", pl.format("text {}", "id").alias("text"))
    forgotten = texts.filter(~pl.col("number").is_in([1, 2, 101]))

    def heard(of_all: bool) -> Heard:
        nobody = pl.DataFrame(schema={"prompt_id": pl.String, "answer": pl.String})
        scale, budgets = reference().agreement, [AskedFrom(after=0.0, share=0.5)]
        ((_, found),) = heard_of(frame, forgotten, scale, budgets, KEY, lambda _: nobody, of_all=of_all)
        return found

    assert len(heard(of_all=False)) == 98 and len(heard(of_all=True)) == 98 + 39 + 10
    assert heard(of_all=True).disagreement[98:].tolist() == [0.0] * 49
    assert heard(of_all=True).disagreement.sum() == pytest.approx(heard(of_all=False).disagreement.sum())
