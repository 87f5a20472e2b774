"""Having somebody else answer a critical slice that the watch has found weak, for a while.

Belongs here: who that is, that it is done once, and the sentence of it.
Does not: which action follows (stillhouse/live/findings.py), which requests a slice means and what is recorded
(quarantine.py), other actions (watch_actions.py).

An earlier champion is chosen while the release is young, since later it is the world that has changed; and only if it
was good there: it holds the limit on golden rows, and no watch has found it weak while it served.
"""

from datetime import timedelta

from orchestration.quarantine import champion_before, quarantine_slice, require_teacher
from stillhouse.errors import StillhouseError
from stillhouse.live.findings import BY, Action, FoundKind
from stillhouse.live.segments import SECONDS_A_DAY
from stillhouse.live.state import WatchBook
from stillhouse.live.watch import Alarm, WatchState
from stillhouse.live.watches import WatchKind
from stillhouse.recipe.reading import RecipeFile
from stillhouse.records.builds import BuildStore
from stillhouse.records.deployments import Deployment, Quarantine, deployment_of, desired
from stillhouse.records.ledger import Entry, OvertakenError
from stillhouse.records.rollouts import counting
from stillhouse.stages.live_reference import reference_of, watch_of

_TRIES = 5
"""Of a quarantine that others overtake, such as a rollout that goes on."""


class _NobodyError(Exception):
    """That nobody can answer instead, and why."""


def taken_from_the_champion(
    builds: BuildStore, file: RecipeFile, state: WatchState, alarm: Alarm, reason: str, *, at: float
) -> tuple[Action, str]:
    """Have somebody else answer a weak slice, if anybody can.

    Args:
        builds: with ledger and releases.
        file: the recipe.
        state: of the watch over the release.
        alarm: of a critical slice.
        reason: what was found.
        at: now, in seconds since 1970.

    Returns:
        What was done, and what is to be said of it.
    """
    for _ in range(_TRIES):
        seen = desired(builds.ledger, file.name)
        if seen is None or seen.champion.release != state.release:
            return Action.ASK_FOR_ROWS, "the release does not serve any more"
        try:
            found = _known(builds, file, state, seen, alarm)
            return found or _written(builds, file, state, seen, alarm, reason, at=at)
        except _NobodyError as why:
            return Action.ASK_FOR_ROWS, f"the release answers the slice on: {why}"
        except OvertakenError:
            continue
    return Action.ASK_FOR_ROWS, "the release answers the slice on: each time something else was decided meanwhile"


def _known(
    builds: BuildStore, file: RecipeFile, state: WatchState, seen: Deployment, alarm: Alarm
) -> tuple[Action, str] | None:
    """What is said where the slice was taken from this release already: by a person, or by a look that was killed."""
    slice, today = alarm.watch.of, builds.ledger.now().date()
    now = next((each for each in counting(seen, today) if each.slice == slice), None)
    if now is not None and now.by != BY:
        return Action.ASK_FOR_ROWS, f"{now.in_words} by the word of {now.by}"
    first = _first_of(builds, file, state, slice)
    if first is None:
        return None
    entry, given = first
    if now is not None:
        return Action.QUARANTINE, f"by ledger entry {entry.sequence} {given.in_words}"
    return Action.ASK_FOR_ROWS, f"ledger entry {entry.sequence} had it answered by another, once under this release"


def _first_of(
    builds: BuildStore, file: RecipeFile, state: WatchState, slice: str | None
) -> tuple[Entry, Quarantine] | None:
    """The entry by which the watch took a slice from the release since it serves."""
    promotion = builds.ledger.newest(file.name, "promotion", content=state.release)
    since = 0 if promotion is None else promotion.sequence
    for entry in builds.ledger.entries(file.name, "deployment"):
        if entry.sequence > since and entry.body["because"] == "quarantine":
            for each in deployment_of(entry).quarantine:
                if (each.slice, each.by) == (slice, BY):
                    return entry, each
    return None


def _written(
    builds: BuildStore,
    file: RecipeFile,
    state: WatchState,
    seen: Deployment,
    alarm: Alarm,
    reason: str,
    *,
    at: float,
) -> tuple[Action, str]:
    to_teacher = _is_for_the_teacher(builds, file, state, seen, alarm, at)
    days = min(watch_of(file).quarantine_days, file.recipe.waiver_days_at_most)
    until = builds.ledger.now().date() + timedelta(days=days)
    assert alarm.watch.of is not None
    try:
        given = quarantine_slice(
            builds, file, alarm.watch.of, by=BY, reason=reason, until=until, to_teacher=to_teacher, seen=seen
        )
    except OvertakenError:
        raise
    except StillhouseError as error:
        raise _NobodyError(f"{error.what}, {error.where}") from error
    return Action.QUARANTINE, given.in_words


def _is_for_the_teacher(
    builds: BuildStore, file: RecipeFile, state: WatchState, seen: Deployment, alarm: Alarm, at: float
) -> bool:
    """Whether the teacher is to answer; else the champion before does.

    Raises:
        _NobodyError: if neither can, or may be thought better.
    """
    if (
        alarm.watch.kind is WatchKind.SLICE_AGREEMENT
        and state.teacher is not None
        and state.teacher.as_recorded is None
    ):
        raise _NobodyError("whether the teacher is what it was could not be asked, so the release is not blamed")
    why_not_before = _why_not_the_one_before(builds, file, state, alarm, at)
    if why_not_before is None:
        return False
    if state.teacher is not None and state.teacher.as_recorded is False:
        raise _NobodyError(f"{why_not_before}; the teacher does not answer as recorded")
    try:
        require_teacher(builds, file, seen.champion)
    except StillhouseError as error:
        raise _NobodyError(f"{why_not_before}; {error.what}") from error
    return True


def _why_not_the_one_before(
    builds: BuildStore, file: RecipeFile, state: WatchState, alarm: Alarm, at: float
) -> str | None:
    age = (at - state.since) / SECONDS_A_DAY
    if age >= watch_of(file).blame_days:
        return f"the release serves for {age:.0f} days, and what has changed is the world"
    try:
        before = champion_before(builds, file)
        slices = {each.slice.name: each for each in reference_of(builds, file, before).slices}
    except StillhouseError as error:
        return f"{error.what}, {error.where}"
    golden = slices.get(alarm.watch.of or "")
    of_truth = alarm.watch.kind is WatchKind.SLICE_TRUTH
    wrong, of = (
        (0, 0) if golden is None else (golden.wrong, golden.labelled) if of_truth else (golden.disagreed, golden.heard)
    )
    if not of or wrong / of > alarm.watch.limit:
        return f"the champion before, {before.release[:12]}, was not good there on golden rows either"
    found = WatchBook(builds.ledger.url, file.name).findings()
    weak = (each for each in found if each.kind is FoundKind.WEAK_SLICE and each.release == before.release)
    if any(each.asks is not None and each.asks.slice == alarm.watch.of for each in weak):
        return f"the champion before, {before.release[:12]}, was found weak there, too"
    return None
