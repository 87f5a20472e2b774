"""How rows of traffic move the state of a watch: in goes a state and what is new, out come a state and alarms.

Belongs here: the state, advancing it, when drift ends and when traffic becomes the reference. No disk, no clock.
Does not: reading rows (reader.py), keeping the state (state.py), what an alarm leads to (findings.py).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
import polars as pl
from pydantic import Field

from stillhouse.base import Record
from stillhouse.live.baseline import Reference
from stillhouse.live.estimate import AgreementPlan, AskedFrom, Heard, plan_of
from stillhouse.live.findings import Evidence
from stillhouse.live.memory import OverMemory, most_held
from stillhouse.live.segments import SECONDS_A_DAY, day_at
from stillhouse.live.watches import (
    COUNTED,
    DEBIASED,
    Watch,
    WatchKind,
    asked_of,
    counted,
    detectors_of,
    label_kind,
    share_name,
    watch_name,
    watches_of,
    weekday_of,
)
from stillhouse.recipe.watch import WatchSpec
from stillhouse.records.replicas import Heartbeat
from stillhouse.statistics.detector import Detector
from stillhouse.statistics.weekly_pattern import WeeklyPattern, weekly_pattern

Parts = Sequence[tuple[AgreementPlan, Heard]]
"""Answers that the teacher could be asked about, by the budget that was in force."""
NOTHING: Mapping[str, Any] = MappingProxyType({})
DAYS_KEPT = 40
"""Days of counts: the longest baseline is chosen from them."""


class TeacherHealth(Record):
    """What came of asking the teacher its canary prompts again."""

    at: float
    day: int
    as_recorded: bool | None = Field(description="Null where it could not be asked.")
    sentence: str


class WatchedDay(Record):
    """Of the rows that arrived on one day: on how many of how many what is watched happened."""

    day: int = Field(description="Days since 1970.")
    counts: dict[str, tuple[int, int]] = Field(description="Events and rows, by watch.")


class Bets(Record):
    """One watch: its detector, and what it has seen since its bets began."""

    detector: Detector
    events: float = 0.0
    rows: int = 0
    alarms: int = Field(0, description="So far, of this release.")


class MemoryFound(Record):
    """Servers that were found over the limit on memory, once a day at most."""

    over: OverMemory
    day: int
    written: bool = Field(False, description="Whether the finding was written down, what it asks for having been done.")


class WatchState(Record):
    """All that a watch remembers of a recipe."""

    release: str
    since: float = Field(description="When the release was promoted, in seconds since 1970.")
    reference: Reference
    bets: dict[str, Bets]
    standing: dict[str, int] = Field(
        default={},
        description="Of watches that rows speak of: the day of the alarm, until a whole day is within the limit.",
    )
    weak: dict[str, int] = Field(
        default={}, description="Slices that were found weak under this release, and on which day: each once."
    )
    quiet_since: int = Field(description="Day from which on there was no finding about inputs.")
    days: tuple[WatchedDay, ...] = ()
    budgets: tuple[AskedFrom, ...] = Field(description="How much the teacher is asked, by when that began.")
    day: int = Field(description="The last day on which anybody looked; it never goes back.")
    newest: float = Field(description="The latest arrival seen, or look, in seconds since 1970.")
    marks: dict[str, dict[str, int]] = Field(default={}, description="Of each day and replica the last row looked at.")
    asked: dict[str, dict[str, int]] = Field(default={}, description="The same of rows that agreement was asked of.")
    segments: tuple[str, ...] = Field((), description="Beginnings of the digests of files that were looked at.")
    matured: str | None = Field(None, description="The last day of answers whose truth was counted.")
    short: str | None = Field(
        None, description="What is said of that day, where too few of the truths came that were asked for."
    )
    waiting: dict[str, int] = Field(
        default={},
        description="Days that had matured before enough of their truth came for any of it to count, and the day on "
        "which they were last looked at.",
    )
    teacher: TeacherHealth | None = None
    memory_mb: dict[str, float] = Field(default={}, description="Of each day the most that one server held for long.")
    memory: MemoryFound | None = Field(None, description="What stands, as `standing` has it of watches of rows.")

    @property
    def drifting(self) -> tuple[str, ...]:
        """Watches of inputs that stand."""
        service = {kind.value for kind in COUNTED if not kind.is_of_inputs}  # each is a watch of its name
        return tuple(name for name in self.standing if name not in service)

    def rests(self, name: str) -> bool:
        """Whether a watch has no bets before the next day, so that what it would see now would count for nothing."""
        detector = self.bets[name].detector if name in self.bets else None
        return detector is not None and detector.day == self.day and detector.log_evidence is None

    @property
    def share_asked(self) -> float:
        """The share of answers that the teacher is asked about now."""
        return self.budgets[-1].share if self.budgets else 0.0


@dataclass(frozen=True)
class Alarm:
    """A watch whose bets have become worth what the budget asks.

    Args:
        watch: which, as it is on that day.
        number: which alarm of it under this release, from 1.
        share: what was seen since its bets began; on that day, where limits differ by weekday.
        rows: how many.
        evidence: as it is written down.
    """

    watch: Watch
    number: int
    share: float
    rows: int
    evidence: Evidence


@dataclass(frozen=True)
class WatchTerms:
    """What a watch goes by.

    Args:
        spec: of the recipe.
        truth_binds: whether feedback comes for every answer, or for some that were drawn.
        asks: whether the teacher can be asked.
    """

    spec: WatchSpec
    truth_binds: bool
    asks: bool

    def watches(self, reference: Reference) -> tuple[Watch, ...]:
        """Everything that is watched."""
        return watches_of(self.spec, reference, truth_binds=self.truth_binds, asks=self.asks)


def begin(terms: WatchTerms, reference: Reference, *, since: float, at: float, before: WatchState | None) -> WatchState:
    """The state of a release that has just begun to serve.

    Args:
        terms: see `WatchTerms`.
        reference: of the release.
        since: when it was promoted.
        at: now.
        before: the state under the release before it: what was looked at is not looked at again.
    """
    day = max(day_of(at), before.day if before else 0)
    newest = max(at, before.newest) if before else at
    state = WatchState(
        release=reference.release, since=since, reference=reference, bets={}, quiet_since=day, budgets=(), day=day,
        newest=newest,
    )  # fmt: skip
    if before is not None:
        state = _copy(
            state, budgets=before.budgets, marks=before.marks, asked=before.asked, segments=before.segments,
            matured=before.matured, teacher=before.teacher,
        )  # fmt: skip
    state = _with_share(state, terms.spec.ask_teacher if terms.asks else 0.0)
    return _with_bets(state, terms)


def held_to_terms(state: WatchState, terms: WatchTerms) -> WatchState:
    """The state after the recipe was changed: watches with another limit begin again, the others go on."""
    watches, fresh = terms.watches(state.reference), _fresh(state, terms)
    kept = {
        each.name: state.bets[each.name]
        for each in watches
        if each.name in state.bets and _alike(state.bets[each.name].detector, fresh[each.name])
    }
    if kept.keys() == fresh.keys() == state.bets.keys() and _share_wanted(state, terms) == state.share_asked:
        return state
    bets = {name: kept.get(name, _from_the_beginning(state, name, detector)) for name, detector in fresh.items()}
    standing = {name: day for name, day in state.standing.items() if name in bets}
    state = _copy(state, bets=bets, standing=standing)
    return _with_share(state, _share_wanted(state, terms))


def with_rows(state: WatchState, terms: WatchTerms, rows: pl.DataFrame, *, at: float) -> tuple[WatchState, list[Alarm]]:
    """Count rows of traffic by the watched release, day by day as they arrived, however late somebody looks.

    Args:
        state: before.
        terms: see `WatchTerms`.
        rows: that nobody has counted yet; see `asked_of`.
        at: now; on a clock that was set back the last day goes on, and no row arrived on a later day.
    """
    today, newest = max(day_of(at), state.day), max([state.newest, at, *rows["at"]])
    arrived = (pl.col("at") // SECONDS_A_DAY).cast(pl.Int64).clip(upper_bound=today)
    own = asked_of(rows, state.release).with_columns(arrived=arrived)
    found = []
    for day in sorted({*own["arrived"], today}):
        state = _copy(_on_day(state, terms, day), newest=newest)
        state, alarms = _with_rows_of(state, terms, own.filter(pl.col("arrived") == day), day)
        found += alarms
    return state, found


def _with_rows_of(state: WatchState, terms: WatchTerms, rows: pl.DataFrame, day: int) -> tuple[WatchState, list[Alarm]]:
    """Count rows of one day: that of the state, or an earlier one whose rows come late."""
    watches = {each.name: each for each in terms.watches(state.reference)}
    found = counted([*watches.values()], state.reference, terms.spec, rows)
    state, alarms = _with_counts(state, watches, found, day)
    standing = {**state.standing, **{each.watch.name: state.day for each in alarms}}
    drifts = any(each.watch.kind.is_of_inputs for each in alarms)
    state = _copy(state, standing=standing, quiet_since=state.day + 1 if drifts else state.quiet_since)
    return _with_share(state, _share_wanted(state, terms)), alarms


def with_truth(
    state: WatchState,
    terms: WatchTerms,
    wrong: int,
    rows: int,
    *,
    of_slices: Mapping[str, tuple[int, int]] = NOTHING,
    of_cascade: tuple[int, int] = (0, 0),
) -> tuple[WatchState, list[Alarm]]:
    """Count answers of the watched release of which it has turned out whether they were right.

    Args:
        state: before.
        terms: see `WatchTerms`.
        wrong: of the answers.
        rows: answers.
        of_slices: both, by slice.
        of_cascade: kept by the student and wrong, and all requests whose truth is known, whoever answered them.
    """
    counts_of = {WatchKind.TRUTH: (wrong, rows), WatchKind.CASCADE_TRUTH: of_cascade}
    watches = {each.name: each for each in terms.watches(state.reference) if each.kind in counts_of}
    found = {name: counts_of[each.kind] for name, each in watches.items()}
    for each in terms.watches(state.reference):
        if each.kind is WatchKind.SLICE_TRUTH and (counts := of_slices.get(_open(state, each))):
            watches[each.name], found[each.name] = each, counts
    state, alarms = _with_counts(state, watches, found, state.day)
    return _with_weak(state, alarms), alarms


def with_agreement(
    state: WatchState,
    terms: WatchTerms,
    parts: Parts,
    *,
    of_slices: Mapping[str, Parts] = NOTHING,
    of_cascade: Parts = (),
) -> tuple[WatchState, list[Alarm]]:
    """Count answers of the watched release that the teacher was asked about, as each budget had it.

    Args:
        state: before.
        terms: see `WatchTerms`.
        parts: of all answers.
        of_slices: of those of each slice.
        of_cascade: of all requests, those that the teacher was to answer among them; see `heard_of`.
    """
    alarms = []
    for watch in terms.watches(state.reference):
        if watch.kind is WatchKind.AGREEMENT:
            state, alarm = _with_heard(state, watch, parts)
        elif watch.kind is WatchKind.CASCADE_AGREEMENT:
            state, alarm = _with_heard(state, watch, of_cascade)
        elif watch.kind is WatchKind.SLICE_AGREEMENT:
            state, alarm = _with_heard(state, watch, of_slices.get(_open(state, watch), ()))
        else:
            continue
        alarms += [alarm] if alarm else []
    return _with_weak(state, alarms), alarms


def _with_heard(state: WatchState, watch: Watch, parts: Parts) -> tuple[WatchState, Alarm | None]:
    bets = state.bets[watch.name]
    for plan, heard in parts:
        values = heard.disagreement
        # A bet is limited by what one value can cost. It is chosen before the values are seen, so the promise holds.
        detector = bets.detector.model_copy(update={"lowest": plan.lowest})
        detector = detector.advanced(state.day, values, np.ones(len(values)))
        total = bets.events + float(values.sum())
        bets = bets.model_copy(update={"detector": detector, "events": total, "rows": bets.rows + len(values)})
    bets, alarm = _looked(watch, bets)
    return _copy(state, bets={**state.bets, watch.name: bets}), alarm


def _open(state: WatchState, watch: Watch) -> str:
    """The slice of a watch; empty where it is known to be weak."""
    return "" if watch.of is None or watch.of in state.weak else watch.of


def _with_weak(state: WatchState, alarms: Sequence[Alarm]) -> WatchState:
    """Know which slices are weak: no bets are placed on them any more, so that rows are asked for once."""
    weak = {each.watch.of: state.day for each in alarms if each.watch.kind.is_of_a_slice and each.watch.of is not None}
    return _copy(state, weak={**state.weak, **weak}) if weak else state


def with_memory(
    state: WatchState, heartbeats: Sequence[Heartbeat], over: OverMemory | None, *, at: float
) -> WatchState:
    """Know what servers hold. What is over the limit is found once, and again on a later day if it was not meanwhile.

    Args:
        state: before.
        heartbeats: of the servers that serve the watched release.
        over: those over the limit, if any are.
        at: now.
    """
    day, today, most = day_at(at), max(day_of(at), state.day), most_held(heartbeats)
    first = day_at(at - DAYS_KEPT * SECONDS_A_DAY)
    by_day = {each: held for each, held in state.memory_mb.items() if each > first}
    if most is not None:
        by_day[day] = max(most, by_day.get(day, 0.0))
    found = state.memory
    if found is None and over is not None:
        found = MemoryFound(over=over, day=today)
    elif found is not None and over is None and _have_said(heartbeats) and (not found.written or found.day < today):
        found = None
    return _copy(state, memory_mb=by_day, memory=found)


def _have_said(heartbeats: Sequence[Heartbeat]) -> bool:
    """Whether every server has said what it held for long: one that was just started has not, and may hold as much."""
    return bool(heartbeats) and all(each.held_mb is not None for each in heartbeats)


def with_teacher(state: WatchState, health: TeacherHealth) -> WatchState:
    """Know what the canary said. Where the teacher has changed, what was staked on agreement is void."""
    bets = state.bets
    if health.as_recorded is False:
        debiased = tuple(each.value for each in DEBIASED)
        bets = {name: _restarted(each) if name.partition(" ")[0] in debiased else each for name, each in bets.items()}
    return _copy(state, teacher=health, bets=bets)


def live_reference(state: WatchState, terms: WatchTerms) -> Reference | None:
    """A month of traffic without a finding as a reference; None before there is one, or where there is one already."""
    first = state.day - terms.spec.baseline_days
    if state.reference.origin == "live" or state.quiet_since > first or state.drifting:
        return None
    return _reference_from(state, first)


def accepted(state: WatchState, terms: WatchTerms, *, days: int) -> WatchState:
    """The state after a person has accepted what the last whole days were like as the new normal.

    Raises:
        ValueError: if there is no row in them.
    """
    reference = _reference_from(state, state.day - days)
    if reference is None:
        raise ValueError(f"no answers in the last {days} whole days")
    return with_reference(state, terms, reference)


def with_reference(state: WatchState, terms: WatchTerms, reference: Reference) -> WatchState:
    """The state under another reference of the same release: watches of inputs begin again, the others go on."""
    watches = {each.name: each for each in terms.watches(reference)}
    standing = {name: day for name, day in state.standing.items() if name not in state.drifting}
    state = _copy(state, reference=reference, standing=standing, quiet_since=state.day, days=())
    fresh = _fresh(state, terms)
    bets = {
        name: _from_the_beginning(state, name, detector)
        if watches[name].kind.is_of_inputs or name not in state.bets
        else state.bets[name]
        for name, detector in fresh.items()
    }
    return _with_share(_copy(state, bets=bets), _share_wanted(state, terms))


def _reference_from(state: WatchState, first: int) -> Reference | None:
    days = [each for each in state.days if first <= each.day < state.day]
    total = _summed([each.counts for each in days])
    reference = state.reference
    labels = {label: _counts(total, label_kind(reference), label) for label in reference.labels}
    lengths = [_counts(total, WatchKind.LENGTH, str(index)) for index in range(len(reference.lengths))]
    numbers = [_counts(total, WatchKind.NUMBER, name) for name in reference.number_bins]
    known = (each for each in (*labels.values(), *numbers, *lengths) if each is not None)
    rows = max((of for _, of in known), default=0)
    if not rows:
        return None
    unsure = _counts(total, WatchKind.UNSURE, None)
    return reference.model_copy(
        update={
            "origin": "live",
            "until": str(np.datetime64(state.day - 1, "D")),
            "rows": rows,
            # A share that is not watched has no count: it stays what it was.
            "labels": {k: _or_as_before(v, reference.labels[k], reference.rows, rows) for k, v in labels.items()},
            "numbers": tuple(
                _or_as_before(each, before, reference.rows, rows)
                for each, before in zip(numbers, reference.numbers, strict=True)
            ),
            "lengths": tuple(
                _or_as_before(each, before, reference.rows, rows)
                for each, before in zip(lengths, reference.lengths, strict=True)
            ),
            "unsure": _or_as_before(unsure, reference.unsure, reference.rows, rows),
            "weekly": _weekly(reference, days),
        }
    )


def _weekly(reference: Reference, days: Sequence[WatchedDay]) -> dict[str, WeeklyPattern]:
    """The shares that go by the weekday, as far as these days show it."""
    shares: list[tuple[WatchKind, str | None]] = [(label_kind(reference), each) for each in reference.labels]
    shares += [(WatchKind.NUMBER, each) for each in reference.number_bins]
    shares += [(WatchKind.LENGTH, str(index)) for index in range(len(reference.lengths))]
    shares += [(WatchKind.UNSURE, None)]
    weekdays, found = [weekday_of(each.day) for each in days], {}
    for kind, of in shares:
        counts = [_counts(each.counts, kind, of) or (0, 0) for each in days]
        pattern = weekly_pattern(weekdays, *zip(*counts, strict=True), shares=len(shares))
        if pattern is not None:
            found[share_name(kind, of)] = pattern
    return found


def _counts(total: Mapping[str, tuple[int, int]], kind: WatchKind, of: str | None) -> tuple[int, int] | None:
    """Events and rows of a share; None where it was not watched, or there were no rows."""
    rises, falls = (watch_name(kind, of, falls=each) for each in (False, True))
    if rises in total:
        return total[rises]
    if falls in total:
        missing, rows = total[falls]
        return rows - missing, rows
    return None


def _or_as_before(counts: tuple[int, int] | None, before: int, of: int, rows: int) -> int:
    return min(rows, round(before / of * rows)) if counts is None else counts[0]


def _summed(counts: Sequence[Mapping[str, tuple[int, int]]]) -> dict[str, tuple[int, int]]:
    total: dict[str, tuple[int, int]] = {}
    for each in counts:
        for name, (events, rows) in each.items():
            before = total.get(name, (0, 0))
            total[name] = before[0] + events, before[1] + rows
    return total


def _on_day(state: WatchState, terms: WatchTerms, day: int) -> WatchState:
    """Begin a day: what stands has ended if the last day that anybody looked on, now whole, was within its limit."""
    if day <= state.day:
        return state
    limits = {each.name: each.on(weekday_of(state.day)).limit for each in terms.watches(state.reference)}
    last = {each.day: each.counts for each in state.days}.get(state.day, {})
    over = {
        name
        for name, began in state.standing.items()
        if name in last and began < state.day and last[name][0] <= limits.get(name, 1.0) * last[name][1]
    }
    if over:
        bets = {name: _restarted(each) if name in over else each for name, each in state.bets.items()}
        left = {name: began for name, began in state.standing.items() if name not in over}
        drifted = any(name in over for name in state.drifting)
        state = _copy(state, standing=left, bets=bets, quiet_since=day if drifted else state.quiet_since)
    recent = tuple(each for each in state.days if each.day > day - DAYS_KEPT)
    state = _copy(state, day=day, days=recent)
    return _with_share(state, _share_wanted(state, terms))


def _with_counts(
    state: WatchState, watches: Mapping[str, Watch], found: Mapping[str, tuple[int, int]], day: int
) -> tuple[WatchState, list[Alarm]]:
    bets, alarms = dict(state.bets), []
    of_day = _summed([each.counts for each in state.days if each.day == day] + [found])
    for name, (events, rows) in found.items():
        watch = watches[name].on(weekday_of(day))
        if not rows or watch.limit >= 1 or name in state.standing:  # what stands is known, and bets say nothing new
            continue
        before = bets[name]
        counts = np.array([events, rows - events], dtype=np.float64)
        moved = before.model_copy(
            update={
                # Of which weekday a row is was known before it was seen, so the promise holds.
                "detector": before.detector.advanced(state.day, np.array([1.0, 0.0]), counts, limit=watch.limit),
                "events": before.events + events,
                "rows": before.rows + rows,
            }
        )
        bets[name], alarm = _looked(watch, moved, None if watch.weekday is None else of_day[name])
        alarms += [alarm] if alarm else []
    kept = {
        name: of_day[name] for name, of in watches.items() if name in of_day and of_day[name][1] and of.kind in COUNTED
    }
    others = tuple(each for each in state.days if each.day != day)
    days = (*others, WatchedDay(day=day, counts=kept)) if kept else state.days
    return _copy(state, bets=bets, days=days), alarms


def _looked(watch: Watch, bets: Bets, seen: tuple[int, int] | None = None) -> tuple[Bets, Alarm | None]:
    detector = bets.detector
    if not detector.alarmed or not bets.rows:
        return bets, None
    assert detector.log_evidence is not None
    evidence = Evidence(
        events=bets.events,
        rows=bets.rows,
        limit=watch.limit,
        reference=watch.reference,
        log10_worth=detector.log_evidence / math.log(10),
        log10_threshold=math.log10(detector.threshold),
        cascade=watch.cascade,
    )
    events, rows = seen or (bets.events, bets.rows)
    alarm = Alarm(watch, bets.alarms + 1, events / rows, rows, evidence)
    return _restarted(bets).model_copy(update={"alarms": bets.alarms + 1}), alarm


def _from_the_beginning(state: WatchState, name: str, detector: Detector) -> Bets:
    """A watch at its beginning; its alarms go on being numbered."""
    before = state.bets.get(name)
    return Bets(detector=detector, alarms=before.alarms if before else 0)


def _restarted(bets: Bets) -> Bets:
    return bets.model_copy(update={"detector": bets.detector.restarted(), "events": 0.0, "rows": 0})


def _share_wanted(state: WatchState, terms: WatchTerms) -> float:
    if not terms.asks:
        return 0.0
    return terms.spec.ask_when_drifting if state.drifting else terms.spec.ask_teacher


def _with_share(state: WatchState, share: float) -> WatchState:
    """Ask about another share from now on: no request that anybody has seen arrived later than `newest`."""
    if state.budgets and state.budgets[-1].share == share:
        return state
    return _copy(state, budgets=(*state.budgets, AskedFrom(after=state.newest, share=share)))


def _with_bets(state: WatchState, terms: WatchTerms) -> WatchState:
    return _copy(state, bets={name: Bets(detector=each) for name, each in _fresh(state, terms).items()})


def _fresh(state: WatchState, terms: WatchTerms) -> dict[str, Detector]:
    plan = plan_of(state.reference.agreement, terms.spec.ask_teacher)
    return detectors_of(terms.watches(state.reference), terms.spec, plan)


def _alike(one: Detector, other: Detector) -> bool:
    return (one.limit, one.threshold) == (other.limit, other.threshold)


def _copy(state: WatchState, **changes: object) -> WatchState:
    return state.model_copy(update=changes)


def day_of(at: float) -> int:
    """Days since 1970 of a moment, UTC."""
    return int(at // SECONDS_A_DAY)
