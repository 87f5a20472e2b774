"""The watch over a recipe's live traffic: the same functions in a sensor, in a run, and in a command without Dagster.

Belongs here: looking, asking the teacher, accepting a new reference, and writing down what came of it.
Does not: what a look does to the state (stillhouse/live/watch.py), carrying out what a finding asks for
(watch_actions.py), events and notices of it (watch_findings.py), the sensor (watch_sensor.py).

A look is cheap and decides on what rows say of themselves. Asking loads a teacher or pays for one, so it is done in a
run or a command. What is found is acted on first and written down then: where the ledger says that the watch went back
and no finding does, the next look finds the same and names that entry.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial

import polars as pl

from checks.gate import GateContext
from checks.teacher_signal import the_canary_answers_as_recorded
from orchestration.watch_actions import acted_on, carried_out, circumstances
from stillhouse.errors import StillhouseError
from stillhouse.live import feedback
from stillhouse.live.asking import LiveAnswers
from stillhouse.live.baseline import Reference
from stillhouse.live.estimate import heard_of, of_this_secret
from stillhouse.live.findings import BY, FoundKind, LiveFinding, action_on
from stillhouse.live.kept_records import KeptRecords
from stillhouse.live.memory import over_memory
from stillhouse.live.purposes import Purpose
from stillhouse.live.reader import new_rows, with_texts
from stillhouse.live.segments import HANDED_ON, SECONDS_A_DAY, TrafficStore, day_at, end_of
from stillhouse.live.slices import slices_of
from stillhouse.live.state import WatchBook
from stillhouse.live.traffic import answers
from stillhouse.live.watch import (
    DAYS_KEPT,
    Alarm,
    TeacherHealth,
    WatchState,
    WatchTerms,
    accepted,
    begin,
    day_of,
    held_to_terms,
    live_reference,
    with_agreement,
    with_memory,
    with_reference,
    with_rows,
    with_teacher,
    with_truth,
)
from stillhouse.live.watches import WatchKind
from stillhouse.recipe.reading import RecipeFile
from stillhouse.recipe.traffic import TrafficSpec
from stillhouse.records.builds import BuildStore
from stillhouse.records.deployments import DeployedRelease, Deployment, desired, is_loaded
from stillhouse.records.governance import signed
from stillhouse.records.looks import LookKind, looked
from stillhouse.records.replicas import replicas_up
from stillhouse.serving.ids import RequestIds
from stillhouse.stages.facts import TeacherFacts
from stillhouse.stages.live_reference import base_signal_behind, reference_of, terms_of, watch_of
from stillhouse.stages.live_teacher import ask_live, teacher_behind
from stillhouse.statistics.verdicts import Verdict
from stillhouse.tasks.alike import alike

_TRIES = 20
"""Of a look that others overtake: each time one of them has written."""


@dataclass(frozen=True)
class Looked:
    """What came of a look.

    Args:
        state: what the watch knows now; None while nothing serves.
        findings: that were written down by this look.
    """

    state: WatchState | None
    findings: Sequence[LiveFinding]

    @property
    def sentence(self) -> str:
        """One line for a person."""
        if self.state is None:
            return "nothing serves yet"
        if self.findings:
            return "\n".join(f"{each.sentence}: {each.action}, {each.because}" for each in self.findings)
        short = "" if self.state.short is None else f"; truth says nothing: {self.state.short}"
        drifting = f"; inputs drift: {', '.join(self.state.drifting)}" if self.state.drifting else ""
        weekly = self.state.reference.weekly
        differ = f"; limits differ by weekday: {', '.join(sorted(weekly))}" if weekly else ""
        limits = f"{len(self.state.bets)} limits on live traffic"
        return f"{self.state.release[:12]} is watched: {limits}, nothing found{differ}{drifting}{short}"


def look(builds: BuildStore, file: RecipeFile, *, at: float) -> Looked:
    """Look at what servers have kept since the last look, and act on it.

    Args:
        builds: whose ledger decides.
        file: a recipe with `watch:`.
        at: now, in seconds since 1970.

    Raises:
        StillhouseError: if the reference of the champion cannot be had, or a file of traffic was altered.
    """
    book, terms, store = book_of(builds, file), terms_of(file), _store(builds, file)

    def acted(state: WatchState, seen: Deployment) -> tuple[WatchState, list[LiveFinding]]:
        return _acted_on_memory(builds, file, state, at)

    def moved(state: WatchState, seen: Deployment) -> tuple[WatchState, list[LiveFinding]]:
        state, of_memory = acted(state, seen)
        state = _with_servers(builds, file, terms, state, seen, at)
        new = new_rows(store, state.marks, state.segments, at=at)
        findings, next_state = _with_new(builds, file, terms, state, new.rows, at)
        findings = [*of_memory, *findings]
        now_serves = desired(builds.ledger, file.name)
        if now_serves is not None and now_serves.champion.release != state.release:
            begun = _begun(builds, file, terms, now_serves, at, before=next_state)
            begun = _with_servers(builds, file, terms, begun, now_serves, at)
            more, next_state = _with_new(builds, file, terms, begun, new.rows, at)
            findings += more
        else:
            next_state = _with_live_reference(builds, file, terms, next_state)
        update = {"marks": new.marks, "segments": new.segments}
        return next_state.model_copy(update=update), findings

    found = _written(builds, file, book, terms, moved, at)
    if found.state is not None and found.state.memory is not None and not found.state.memory.written:
        # It was written down before anybody acts on it: once the release is taken back no server holds too much with
        # it any more, and a watch that is killed in between would not find it again.
        of_memory = _written(builds, file, book, terms, acted, at)
        found = Looked(of_memory.state, [*found.findings, *of_memory.findings])
    looked(builds.home.ledger_url, file.name, LookKind.WATCH, datetime.fromtimestamp(at, UTC))
    return found


def ask(builds: BuildStore, file: RecipeFile, *, at: float) -> Looked:
    """Ask the teacher about the live answers that were drawn, once, and act on what it says.

    Its canary prompts come first, once a day, and again before a release is blamed: when those are answered otherwise,
    nothing that the teacher says of live answers counts.

    Args:
        builds: whose ledger decides.
        file: a recipe with `watch:`.
        at: now, in seconds since 1970.

    Raises:
        StillhouseError: if the teacher cannot be asked; the same answers are asked about next time.
    """
    looked = look(builds, file, at=at)
    book, terms, store = book_of(builds, file), terms_of(file), _store(builds, file)
    if looked.state is None or not terms.asks:
        return looked
    key = _drawing_key(builds, Purpose.TEACHER_IS_ASKED)

    def moved(state: WatchState, seen: Deployment) -> tuple[WatchState, list[LiveFinding]]:
        if seen.champion.release != state.release:
            return state, []  # it was changed this very moment: the next look begins with the other one
        ready, texts = with_texts(store, new_rows(store, state.asked, (), at=at))
        findings: list[LiveFinding] = []
        day = max(day_of(at), state.day)
        if state.teacher is None or state.teacher.day < day or not state.teacher.as_recorded:
            state, findings = _with_canary(builds, file, state, seen, at)
        if state.teacher is not None and state.teacher.as_recorded is False:
            return state, findings  # what was drawn waits for a teacher that is what it was
        if state.rests(WatchKind.AGREEMENT):
            return state, findings  # and after an alarm for the next day, on which bets are placed again
        teacher = teacher_behind(builds, seen.champion)
        rows = ready.rows.filter(pl.col("release") == state.release)
        said: list[pl.DataFrame] = []

        def asked(some: Sequence[str]) -> pl.DataFrame:
            said.append(ask_live(builds, file, teacher, some, at=at))
            return said[-1]

        scale = state.reference.agreement
        tolerance = state.reference.tolerance
        records = KeptRecords.of(teacher.facts(TeacherFacts).record, partial(_drawing_key, builds))
        is_ours = RequestIds.of(builds.home.serving).is_ours
        rows = rows if records is None else of_this_secret(rows, is_ours)
        parts = heard_of(rows, texts, scale, state.budgets, key, asked, tolerance=tolerance, records=records)
        # Who is drawn of a slice is drawn of the whole, so that nobody is asked again.
        of_slices = {
            each.slice.name: heard_of(
                each.slice.rows_of(rows),
                texts,
                scale,
                state.budgets,
                key,
                lambda _: pl.concat(said),
                tolerance=tolerance,
                records=records,
            )
            for each in state.reference.slices
        }
        of_cascade = (
            []
            if state.reference.cascade is None
            else heard_of(rows, texts, scale, state.budgets, key, lambda _: pl.concat(said), of_all=True)
        )
        before = state
        state, alarms = with_agreement(state, terms, parts, of_slices=of_slices, of_cascade=of_cascade)
        if alarms:
            # By this moment and not by the day: a server is not asked a second time what it was asked this morning.
            now = datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds")
            state, found = _with_canary(builds, file, state, seen, at, occasion=now)
            findings += found
            if state.teacher is not None and state.teacher.as_recorded is False:
                return with_teacher(before, state.teacher), findings
            findings += acted_on(builds, file, state, alarms, at)
        recent = {each: marks for each, marks in state.asked.items() if each > day_at(at - DAYS_KEPT * SECONDS_A_DAY)}
        return state.model_copy(update={"asked": {**recent, **ready.marks}}), findings

    found = _written(builds, file, book, terms, moved, at)
    assert file.recipe.traffic is not None
    LiveAnswers.of(builds.home).forget(at - file.recipe.traffic.days * SECONDS_A_DAY)
    return Looked(found.state, [*looked.findings, *found.findings])


def accept(builds: BuildStore, file: RecipeFile, *, days: int, by: str, reason: str, at: float) -> Reference:
    """Make what the last whole days were like the reference, because a person says that it is normal.

    Raises:
        StillhouseError: if nobody or no reason is named, nothing is watched yet, or nothing was answered in these days.
    """
    decision, book, terms = signed(by, reason), book_of(builds, file), terms_of(file)
    for _ in range(_TRIES):
        read = book.read()
        if read.state is None:
            raise _nothing_watched(file)
        try:
            state = accepted(read.state, terms, days=days)
        except ValueError as error:
            raise StillhouseError(
                str(error), where=file.name, expected="answers that were counted",
                do=f"`stillhouse watch {file.name}` counts; accept when a whole day has been looked at.",
            ) from error  # fmt: skip
        if book.write(read, state, []):
            _record_baseline(builds, file, state.reference, **decision)
            return state.reference
    raise _overtaken(file)


Moved = Callable[[WatchState, Deployment], tuple[WatchState, list[LiveFinding]]]


def _written(
    builds: BuildStore, file: RecipeFile, book: WatchBook, terms: WatchTerms, moved: Moved, at: float
) -> Looked:
    """Read, move, write in place of what was read; again as long as somebody else was faster."""
    for _ in range(_TRIES):
        read, seen = book.read(), desired(builds.ledger, file.name)
        if seen is None:
            return Looked(None, ())
        state = read.state or _begun(builds, file, terms, seen, at, before=None)
        state = _with_cascade(builds, file, _with_slices(builds, file, state, seen), seen)
        state, findings = moved(held_to_terms(state, terms), seen)
        if book.write(read, state, findings):
            return Looked(state, findings)
    raise _overtaken(file)


def _with_new(
    builds: BuildStore, file: RecipeFile, terms: WatchTerms, state: WatchState, rows: pl.DataFrame, at: float
) -> tuple[list[LiveFinding], WatchState]:
    """Count rows, and the truths of days that have matured, and act on alarms."""
    state, alarms = with_rows(state, terms, rows, at=at)
    state, more = _with_matured(builds, file, terms, state, at)
    return acted_on(builds, file, state, [*alarms, *more], at), state


def _with_servers(
    builds: BuildStore, file: RecipeFile, terms: WatchTerms, state: WatchState, seen: Deployment, at: float
) -> WatchState:
    """Know what servers hold that serve the release alone: beside a challenger the challenger answers for it."""
    if seen.champion.release != state.release or is_loaded(seen.challenger, shadow_is_live=file.recipe.shadow_is_live):
        return state
    up = replicas_up(builds.home.ledger_url, file.name)
    own = [each for each in up if each.deployment == seen.number]
    return with_memory(state, own, over_memory(own, seen.number, terms.spec.memory_mb_at_most), at=at)


def _acted_on_memory(
    builds: BuildStore, file: RecipeFile, state: WatchState, at: float
) -> tuple[WatchState, list[LiveFinding]]:
    """Carry out what follows from servers over the limit that nobody has acted on yet."""
    found = state.memory
    if found is None or found.written:
        return state, []
    decided = carried_out(builds, file, state, FoundKind.MEMORY, found.over.sentence, at)
    finding = LiveFinding(
        key=f"memory@{state.release[:12]}.{int(at)}", kind=FoundKind.MEMORY, watch="memory", release=state.release,
        deployment=decided.seen.number, at=at, sentence=found.over.sentence, evidence=None, action=decided.action,
        because=decided.because, memory=found.over,
    )  # fmt: skip
    return state.model_copy(update={"memory": found.model_copy(update={"written": True})}), [finding]


def _with_matured(
    builds: BuildStore, file: RecipeFile, terms: WatchTerms, state: WatchState, at: float
) -> tuple[WatchState, list[Alarm]]:
    traffic, alarms = file.recipe.traffic, list[Alarm]()
    if traffic is None or not terms.truth_binds:
        return state, alarms
    wait = traffic.matures_after_days * SECONDS_A_DAY
    after = state.matured or day_at(state.since - SECONDS_A_DAY)
    store, today = _store(builds, file), max(day_of(at), state.day)
    tolerance = state.reference.tolerance
    new = [each for each in store.days() if each > after and end_of(each) + wait <= at]
    # Those for which enough of the truth may have come by now; read once a day, as that takes reading files.
    again = [each for each, looked_on in state.waiting.items() if looked_on < today]
    for day in sorted([*again, *new]):
        rows = answers(store, [day], at=at, matures_after_days=traffic.matures_after_days)
        of_release = rows.filter((pl.col("release") == state.release) & pl.col("label").is_not_null())
        own = of_release.filter(~HANDED_ON)
        known, short = _known(builds, traffic, day, own)
        # With the day's own answers, so that both are counted once; of all of them enough has to have come, too.
        of_all = known.clear() if known.is_empty() else _known(builds, traffic, day, of_release)[0]
        of_slices = {
            each.slice.name: _wrong_of(each.slice.rows_of(known), tolerance) for each in state.reference.slices
        }
        waiting = {each: looked_on for each, looked_on in state.waiting.items() if each != day}
        if (
            known.is_empty()
            and not own.is_empty()
            and at < end_of(day) + wait + feedback.LATE_TRUTH_DAYS * SECONDS_A_DAY
        ):
            waiting[day] = today
        said = {"matured": day, "short": short} if day >= (state.matured or "") else {}
        state = state.model_copy(update={"waiting": waiting, **said})
        kept_and_wrong = _wrong_of(of_all.filter(~HANDED_ON), tolerance)[0], of_all.height
        state, found = with_truth(
            state, terms, *_wrong_of(known, tolerance), of_slices=of_slices, of_cascade=kept_and_wrong
        )  # fmt: skip
        alarms += found
    return state, alarms


def _known(builds: BuildStore, traffic: TrafficSpec, day: str, own: pl.DataFrame) -> tuple[pl.DataFrame, str | None]:
    """The answers of a day whose truth decides; and where too little came of what was asked for, that it did."""
    key, short = _drawing_key(builds, Purpose.TRUTH_IS_ASKED_FOR), None
    if traffic.feedback == "sample":
        sample = feedback.sampled_truth(feedback.with_wanted(own, key), traffic.feedback_returned_at_least)
        if sample.wanted and not sample.is_enough:
            short = f"of the answers of {day} {sample.in_words}"
    return feedback.whose_truth_decides(own, traffic, key=key), short


def _wrong_of(known: pl.DataFrame, tolerance: float | None) -> tuple[int, int]:
    right = known.filter(alike(pl.col("truth"), pl.col("label"), tolerance)).height
    return known.height - right, known.height


def _with_live_reference(builds: BuildStore, file: RecipeFile, terms: WatchTerms, state: WatchState) -> WatchState:
    reference = live_reference(state, terms)
    if reference is None:
        return state
    because = f"{terms.spec.baseline_days} days without a finding about inputs"
    _record_baseline(builds, file, reference, **signed(BY, because))
    return with_reference(state, terms, reference)


def _record_baseline(
    builds: BuildStore, file: RecipeFile, reference: Reference, *, by: str, reason: str, account: str
) -> None:
    newest = builds.ledger.newest(file.name, "baseline", content=reference.release)
    body = {"release": reference.release, "reference": reference.model_dump(mode="json")}
    if newest is None or newest.body["reference"] != body["reference"]:  # a look that was overtaken has written it
        builds.ledger.append("baseline", file.name, {**body, "by": by, "reason": reason, "account": account})


def _begun(
    builds: BuildStore, file: RecipeFile, terms: WatchTerms, seen: Deployment, at: float, *, before: WatchState | None
) -> WatchState:
    promotion = builds.ledger.newest(file.name, "promotion")
    assert promotion is not None, "what serves was promoted"
    since = promotion.moment.timestamp()
    return begin(terms, reference_of(builds, file, seen.champion), since=since, at=at, before=before)


def _with_slices(builds: BuildStore, file: RecipeFile, state: WatchState, seen: Deployment) -> WatchState:
    """Watch the slices that the recipe names now: of which columns callers send is no part of what a release fixes."""
    watched = tuple(each.slice for each in state.reference.slices)
    if watched == slices_of(file.recipe) or seen.champion.release != state.release:
        return state
    slices = reference_of(builds, file, seen.champion).slices
    return state.model_copy(update={"reference": state.reference.model_copy(update={"slices": slices})})


def _with_cascade(builds: BuildStore, file: RecipeFile, state: WatchState, seen: Deployment) -> WatchState:
    """Hold a cascade to its margin that was watched before an earlier version knew of it."""
    known = state.reference.handed_on is None or state.reference.cascade is not None
    if known or seen.champion.release != state.release:
        return state
    cascade = reference_of(builds, file, seen.champion).cascade
    return state.model_copy(update={"reference": state.reference.model_copy(update={"cascade": cascade})})


def _with_canary(
    builds: BuildStore, file: RecipeFile, state: WatchState, seen: Deployment, at: float, occasion: str | None = None
) -> tuple[WatchState, list[LiveFinding]]:
    """Ask the teacher its canary prompts again; what was known before decides whether that it changed is news."""
    health = canary(builds, file, seen.champion, at=at, day=max(day_of(at), state.day), occasion=occasion)
    knew = state.teacher is not None and state.teacher.as_recorded is False
    moved = with_teacher(state, health)
    if health.as_recorded is not False or knew:
        return moved, []
    action, because = action_on(FoundKind.TEACHER, watch_of(file), circumstances(builds, file, moved, seen, at))
    finding = LiveFinding(
        key=f"teacher@{int(at)}", kind=FoundKind.TEACHER, watch="teacher", release=state.release,
        deployment=seen.number, at=at, sentence=f"the teacher answers its canary prompts otherwise: {health.sentence}",
        evidence=None, action=action, because=because,
    )  # fmt: skip
    return moved, [finding]


def canary(
    builds: BuildStore,
    file: RecipeFile,
    champion: DeployedRelease,
    *,
    at: float,
    day: int,
    occasion: str | None = None,
) -> TeacherHealth:
    """Ask the teacher behind a release prompts again that it has answered, as the gate on its signal does."""
    signal = base_signal_behind(builds, champion)
    found = the_canary_answers_as_recorded.evaluate(GateContext(file, signal, builds, occasion=occasion))
    verdicts = {Verdict.PASS: True, Verdict.FAIL: False, Verdict.INCONCLUSIVE: None}
    return TeacherHealth(at=at, day=day, as_recorded=verdicts[found.verdict], sentence=found.sentence)


def book_of(builds: BuildStore, file: RecipeFile) -> WatchBook:
    """What the watch over a recipe knows."""
    return WatchBook(builds.ledger.url, file.name)


def _drawing_key(builds: BuildStore, purpose: Purpose) -> bytes:
    return RequestIds.of(builds.home.serving).drawing_key(purpose)


def _store(builds: BuildStore, file: RecipeFile) -> TrafficStore:
    return TrafficStore(builds.home.artifacts, file.name)


def _nothing_watched(file: RecipeFile) -> StillhouseError:
    return StillhouseError(
        "nothing was watched yet", where=file.name, expected="a look at live answers",
        do=f"`stillhouse watch {file.name} --once` looks.",
    )  # fmt: skip


def _overtaken(file: RecipeFile) -> StillhouseError:
    return StillhouseError(
        "several watches run at once, and each time another was faster", where=file.name, expected="one watch",
        do="Stop all but one: the sensor of a running Stillhouse, or `stillhouse watch`.",
    )  # fmt: skip
