"""What the watch does about what it has found: an action, and the sentence of it.

Belongs here: taking a release back, asking for rows, what is known of a release when it is decided.
Does not: which action follows (stillhouse/live/findings.py), looking and asking (watch.py), how a release is taken back
(promotable.py), who else answers a slice (watch_quarantine.py).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from orchestration.promotable import take_back
from orchestration.watch_quarantine import taken_from_the_champion
from stillhouse.digests import digest_of
from stillhouse.errors import StillhouseError
from stillhouse.live.findings import BY, Action, Circumstances, FoundKind, LiveFinding, action_on, sentence_of
from stillhouse.live.segments import SECONDS_A_DAY
from stillhouse.live.slices import LiveSlice, RowsAsked, SliceReference, rows_asked
from stillhouse.live.watch import Alarm, WatchState
from stillhouse.live.watches import WatchKind
from stillhouse.recipe.reading import RecipeFile
from stillhouse.records.builds import BuildStore
from stillhouse.records.champions import promoted
from stillhouse.records.deployments import Deployment, desired
from stillhouse.records.ledger import Entry, OvertakenError
from stillhouse.stages.live_reference import watch_of

_LONGEST_NAME = 200
"""Of a watch in a key; labels may be longer."""


def went_back_by_itself(builds: BuildStore, recipe: str) -> bool:
    """Whether what serves was brought back by the watch."""
    newest = builds.ledger.newest(recipe, "promotion")
    return newest is not None and _is_by_the_watch(newest)


@dataclass(frozen=True)
class CarriedOut:
    """What was done about a finding.

    Args:
        seen: what served when it was decided.
        action: that was taken.
        because: why.
        was_gone: whether the release served no more by then.
    """

    seen: Deployment
    action: Action
    because: str
    was_gone: bool


def carried_out(
    builds: BuildStore,
    file: RecipeFile,
    state: WatchState,
    kind: FoundKind,
    sentence: str,
    at: float,
    *,
    alarm: Alarm | None = None,
) -> CarriedOut:
    """Do what a finding asks for now; a release that serves no more is taken back by nobody a second time."""
    seen = desired(builds.ledger, file.name)
    assert seen is not None, "what is watched was promoted"
    gone = _already_gone(builds, file, state, seen)
    known = replace(circumstances(builds, file, state, seen, at), weak=None if alarm is None else _weak(state, alarm))
    action, because = gone or action_on(kind, watch_of(file), known)
    if action is Action.ROLL_BACK and seen.champion.release == state.release:
        action, because = _taken_back(builds, file, state, seen, sentence)
    if action is Action.QUARANTINE and alarm is not None:
        action, what = taken_from_the_champion(builds, file, state, alarm, sentence, at=at)
        because = f"{because}; {what}"
    return CarriedOut(seen, action, because, gone is not None)


def acted_on(
    builds: BuildStore, file: RecipeFile, state: WatchState, alarms: Sequence[Alarm], at: float
) -> list[LiveFinding]:
    """Carry out what each alarm asks for, the serious first, and put it into words."""
    findings = []
    for alarm in sorted(alarms, key=lambda each: (each.watch.kind.is_of_inputs, each.watch.kind.is_of_a_slice)):
        kind, sentence = FoundKind.of(alarm.watch.kind), sentence_of(alarm.watch, alarm.share, alarm.rows)
        decided = carried_out(builds, file, state, kind, sentence, at, alarm=alarm)
        if decided.was_gone and kind is FoundKind.WEAK_SLICE:
            continue  # of a release that does not serve any more nobody needs rows
        action, because = decided.action, decided.because
        asks = _rows_asked(file, state, alarm) if kind is FoundKind.WEAK_SLICE else None
        findings.append(
            LiveFinding(
                key=_key(alarm, state, at),
                kind=kind,
                watch=alarm.watch.name,
                release=state.release,
                deployment=decided.seen.number,
                at=at,
                sentence=sentence,
                evidence=alarm.evidence,
                action=action,
                because=because if asks is None else f"{asks.rows_needed:,} more with labels; {because}",
                asks=asks,
            )
        )
    return findings


def _weak(state: WatchState, alarm: Alarm) -> LiveSlice | None:
    """The slice that an alarm is about, if it is about one."""
    return _reference_of(state, alarm).slice if alarm.watch.kind.is_of_a_slice else None


def _reference_of(state: WatchState, alarm: Alarm) -> SliceReference:
    """What golden rows show of the slice that an alarm is about."""
    return next(each for each in state.reference.slices if each.slice.name == alarm.watch.of)


def _rows_asked(file: RecipeFile, state: WatchState, alarm: Alarm) -> RowsAsked:
    of = _reference_of(state, alarm)
    differ = alarm.share if alarm.watch.kind is WatchKind.SLICE_AGREEMENT else of.disagreed / max(of.heard, 1)
    return rows_asked(of.slice, differ, alpha=file.recipe.bar.alpha)


def _key(alarm: Alarm, state: WatchState, at: float) -> str:
    """What a finding is known by: the watch, the release, when it was found, and which alarm.

    Alarms are counted from 1 again where a watch begins again: without the time they would have the keys of others.
    """
    name = alarm.watch.name
    short = name if len(name) <= _LONGEST_NAME else f"{name[:_LONGEST_NAME]}~{digest_of(name)[:12]}"
    return f"{short}@{state.release[:12]}.{int(at)}#{alarm.number}"


def _taken_back(
    builds: BuildStore, file: RecipeFile, state: WatchState, seen: Deployment, sentence: str
) -> tuple[Action, str]:
    try:
        take_back(builds, file.name, seen, by=BY, reason=sentence)
    except OvertakenError:
        pass  # another watch, or a person, has decided meanwhile
    except StillhouseError as error:
        return Action.PERSON, f"it could not be taken back: {error.what}, {error.where}"
    now_serves = desired(builds.ledger, file.name)
    assert now_serves is not None
    return _already_gone(builds, file, state, now_serves) or (
        Action.PERSON,
        f"ledger entry {now_serves.number} was written meanwhile, and it still serves",
    )


def _already_gone(
    builds: BuildStore, file: RecipeFile, state: WatchState, seen: Deployment
) -> tuple[Action, str] | None:
    """What is to be said where the release does not serve any more; None where it does."""
    if seen.champion.release == state.release:
        return None
    withdrawn = builds.ledger.newest(file.name, "withdrawal", content=state.release)
    serves = f"{seen.champion.release[:12]} serves"
    if withdrawn is not None and withdrawn.body["by"] == BY:
        return Action.ROLL_BACK, f"ledger entry {withdrawn.sequence} withdrew it, {serves}"
    return Action.PERSON, f"it does not serve any more: {serves} since {seen.at[:10]}"


def circumstances(
    builds: BuildStore, file: RecipeFile, state: WatchState, seen: Deployment, at: float
) -> Circumstances:
    """What is known of the release that is watched, though another watch may have gone back from it this moment."""
    promotion = builds.ledger.newest(file.name, "promotion", content=state.release)
    return Circumstances(
        age_days=(at - state.since) / SECONDS_A_DAY,
        teacher_answers_as_recorded=state.teacher.as_recorded if state.teacher else None,
        held_by=seen.hold.by if seen.hold else None,
        was_brought_back=promotion is not None and _is_by_the_watch(promotion),
        has_earlier=len({each.release for each in promoted(builds.ledger, file.name)}) > 1,
        starts=file.recipe.refresh.start,
    )


def _is_by_the_watch(promotion: Entry) -> bool:
    return promotion.body.get("because") == "rollback" and promotion.body["by"] == BY
