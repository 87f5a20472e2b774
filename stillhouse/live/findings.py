"""What a watch has found, and what is to be done about it.

Belongs here: a finding as people and programs read it, and which action follows from what is known.
Does not: carrying it out (orchestration/watch_actions.py), keeping it (state.py), what is watched (watches.py).
"""

from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum

from pydantic import Field

from stillhouse.base import Record
from stillhouse.live.baseline import CascadeReference
from stillhouse.live.memory import OverMemory
from stillhouse.live.slices import LiveSlice, RowsAsked
from stillhouse.live.watches import Watch, WatchKind
from stillhouse.recipe.events import Startable
from stillhouse.recipe.watch import WatchSpec


class Action(StrEnum):
    """What a finding leads to."""

    ASK_MORE = "the teacher is asked more often"
    ROLL_BACK = "the release was taken back"
    ROUND = "a round is due"
    ROUND_BY_HAND = "a round is due, and none starts by itself"
    ASK_FOR_ROWS = "rows of the slice are asked for"
    QUARANTINE = "the release answers the slice no more"
    PERSON = "a person has to look"


class FoundKind(StrEnum):
    """What a finding is about."""

    INPUTS = "inputs"
    AGREEMENT = "agreement"
    TRUTH = "truth"
    ERRORS = "errors"
    LATENCY = "latency"
    MEMORY = "memory"
    FALLBACK = "fallback"
    TEACHER = "teacher"
    WEAK_SLICE = "weak_slice"
    CASCADE_AGREEMENT = "cascade_agreement"
    CASCADE_TRUTH = "cascade_truth"

    @classmethod
    def of(cls, kind: WatchKind) -> "FoundKind":
        """What an alarm of a kind of watch is about."""
        if kind.is_of_a_slice:
            return cls.WEAK_SLICE
        return cls.INPUTS if kind.is_of_inputs else cls(kind.value)


BY = "the watch"
"""Whom the ledger names where no person took a release back, or a slice from it."""
STARTED_BY: dict[FoundKind, Startable] = {
    FoundKind.AGREEMENT: "agreement",
    FoundKind.TRUTH: "agreement",
    FoundKind.FALLBACK: "fallback",
    FoundKind.WEAK_SLICE: "weak_slice",
    FoundKind.CASCADE_AGREEMENT: "agreement",
    FoundKind.CASCADE_TRUTH: "agreement",
}
"""By what of `refresh.start` a finding that a round has to answer starts one."""


class Evidence(Record):
    """By what it was found."""

    events: float = Field(
        description="On how many of the rows since counting began it happened; debiased, of agreement."
    )
    rows: int
    limit: float = Field(description="On the day of the alarm.")
    reference: float | None
    log10_worth: float = Field(description="Logarithm to base 10 of what all bets are worth.")
    log10_threshold: float = Field(description="The same of what they have to be worth for an alarm.")
    cascade: CascadeReference | None = Field(
        None,
        exclude_if=lambda cascade: cascade is None,  # so that what has nothing to do with one is written as it was
        description="Of a finding about its margin: what the limit follows from.",
    )


class LiveFinding(Record):
    """One finding; written once."""

    key: str = Field(description="What it is about and which alarm of it: once for ever.")
    kind: FoundKind
    watch: str
    release: str
    deployment: int
    at: float = Field(description="In seconds since 1970.")
    sentence: str
    evidence: Evidence | None = Field(description="Null where no bets were placed, as of a teacher that has changed.")
    action: Action
    because: str = Field(description="Why this is done about it, or what was done.")
    asks: RowsAsked | None = Field(
        None,
        exclude_if=lambda asked: asked is None,  # so that what asks for nothing is written as it was
        description="Rows that are asked for.",
    )
    memory: OverMemory | None = Field(
        None,
        exclude_if=lambda over: over is None,  # likewise
        description="What servers hold, where that was found.",
    )

    @property
    def is_for_people(self) -> bool:
        """Whether anybody is sent it: drift of inputs buys answers of the teacher, and disturbs nobody.

        For rows owners are asked, and reminded, as long as these are wanted, and not for the finding. Where somebody
        else answers the slice meanwhile they are sent that, too.
        """
        return self.action not in (Action.ASK_MORE, Action.ASK_FOR_ROWS)


@dataclass(frozen=True)
class Circumstances:
    """What an action depends on beside the alarm.

    Args:
        age_days: since the promotion of the release.
        teacher_answers_as_recorded: whether its canary prompts were answered as before; None where nobody knows.
        held_by: who holds the champion, if anybody does.
        was_brought_back: whether the watch itself has gone back to this release: then it is not the release.
        has_earlier: whether there is a release to go back to.
        starts: what starts a round by itself, `refresh.start` of the recipe.
        weak: the slice that was found weak, if one was.
    """

    age_days: float
    teacher_answers_as_recorded: bool | None
    held_by: str | None
    was_brought_back: bool
    has_earlier: bool
    starts: Collection[Startable]
    weak: LiveSlice | None = None


def action_on(kind: FoundKind, spec: WatchSpec, now: Circumstances) -> tuple[Action, str]:
    """What is done about a finding, and why.

    For errors, slowness and memory a release is taken back whatever its age; for lost agreement and accuracy while it
    is young enough to be blamed, and for agreement only against a teacher that is what it was. A critical slice is
    taken from it, if anybody else can answer that.
    """
    if kind is FoundKind.INPUTS:
        return Action.ASK_MORE, f"up to {spec.ask_when_drifting:.0%} of answers, until the share is back for a day"
    if kind is FoundKind.TEACHER:
        return Action.PERSON, "a teacher that has changed measures nothing; agreement is not counted meanwhile"
    if kind is FoundKind.FALLBACK:
        return _round(kind, now, "what the student is unsure of is what it has to learn")
    if kind is FoundKind.WEAK_SLICE:
        return _on_weak_slice(spec, now)
    is_of_service = kind in (FoundKind.ERRORS, FoundKind.LATENCY, FoundKind.MEMORY)
    by_the_teacher = kind in (FoundKind.AGREEMENT, FoundKind.CASCADE_AGREEMENT)
    if by_the_teacher and now.teacher_answers_as_recorded is None:
        return _round(kind, now, "whether the teacher is what it was could not be asked, so the release is not blamed")
    if not is_of_service and now.age_days >= spec.blame_days:
        return _round(kind, now, f"the release serves for {now.age_days:.0f} days, and what has changed is the world")
    if now.held_by is not None:
        return Action.PERSON, f"{now.held_by} holds the champion, so only a person changes who serves"
    if now.was_brought_back:
        return Action.PERSON, "the watch has brought this release back once already, so that it is not the cause"
    if not now.has_earlier:
        return Action.PERSON, "nothing served before it"
    return Action.ROLL_BACK, "an earlier release that held its bar takes its place"


def _on_weak_slice(spec: WatchSpec, now: Circumstances) -> tuple[Action, str]:
    _, because = _round(FoundKind.WEAK_SLICE, now, "rows with labels show whether it holds the bar")
    if now.weak is None or not now.weak.critical or not spec.quarantine_days:
        return Action.ASK_FOR_ROWS, because
    if now.held_by is not None:
        return Action.ASK_FOR_ROWS, f"{because}; {now.held_by} holds the champion, so that it answers the slice on"
    return Action.QUARANTINE, because


def _round(kind: FoundKind, now: Circumstances, because: str) -> tuple[Action, str]:
    name = STARTED_BY[kind]
    if name in now.starts:
        return Action.ROUND, f"{because}; it starts when the limits of `refresh` allow"
    return Action.ROUND_BY_HAND, f"{because}; `refresh.start` does not name `{name}`"


def sentence_of(watch: Watch, share: float, rows: int) -> str:
    """What an alarm says, for a person."""
    seen = "since counting for this limit began" if watch.weekday is None else "on that day"
    counts = f"{rows:,}" if watch.cascade is None else f"{share * rows:,.0f} of {rows:,}"
    return f"{watch.in_words(share)} ({counts} requests {seen})"
