"""What has happened to a recipe: each event, what it started, and what a person adds.

Belongs here: the events as people and scripts are shown them, and noting one by name and reason.
Does not: keeping them (stillhouse/records/events.py), printing (tables/), finding out that something has happened
(new_events.py), rows that are asked for (assets/requested_rows.py).
"""

from collections.abc import Mapping

from pydantic import Field

from stillhouse.base import Record
from stillhouse.digests import digest_of
from stillhouse.names import clean_reason
from stillhouse.recipe.reading import RecipeFile
from stillhouse.records.events import EventKind, Fact, Noted, history, note
from stillhouse.records.governance import signed
from stillhouse.records.ledger import Ledger
from stillhouse.records.rounds import starting


class EventShown(Record):
    """One event."""

    kind: EventKind
    key: str = Field(description="What it is about: the same again is the same event.")
    sentence: str = Field(description="What happened.")
    first_seen: str = Field(description="ISO 8601, UTC.")
    last_seen: str = Field(description="ISO 8601, UTC.")
    times: int = Field(description="How often it was noted.")
    facts: Mapping[str, Fact]
    starts_a_round: bool = Field(description="Whether the recipe wants a round for it, now that it waits.")
    answered_by: str | None = Field(description="Run of the round that has answered it; null while it waits.")


class Events(Record):
    """The events of a recipe, the oldest first."""

    recipe: str
    events: tuple[EventShown, ...]


def events_of(ledger: Ledger, file: RecipeFile) -> Events:
    """List the events of a recipe."""
    kept = history(ledger, file.name)
    waiting = [noted.event for noted in kept if noted.answered_by is None]
    starts = {event.name for event in starting(file.recipe.refresh, waiting)}
    shown = tuple(_shown(noted, starts_a_round=noted.event.name in starts) for noted in kept)
    return Events(recipe=file.name, events=shown)


def waiting_events(ledger: Ledger, file: RecipeFile) -> tuple[EventShown, ...]:
    """Those that no round has answered."""
    return tuple(event for event in events_of(ledger, file).events if event.answered_by is None)


def note_by_person(ledger: Ledger, recipe: str, happened: str, *, by: str, reason: str) -> bool:
    """Note what a person says has happened, so that a round starts; the same by the same person again is counted.

    Args:
        ledger: in whose database it is kept.
        recipe: name of the recipe.
        happened: what.
        by: who says so.
        reason: why a round is wanted.

    Returns:
        Whether it is news.

    Raises:
        StillhouseError: if nobody, nothing or no reason is named.
    """
    what, decision = clean_reason(happened, where="--note"), signed(by, reason)
    key = f"{ledger.now():%Y-%m-%d} {digest_of([what, decision])[:32]}"
    return note(ledger, recipe, EventKind.PERSON, key, f"{decision['by']}: {what}", decision)


def _shown(noted: Noted, *, starts_a_round: bool) -> EventShown:
    event = noted.event
    return EventShown(
        kind=event.kind,
        key=event.key,
        sentence=event.sentence,
        first_seen=event.first_seen.isoformat(timespec="seconds"),
        last_seen=event.last_seen.isoformat(timespec="seconds"),
        times=event.times,
        facts=event.facts,
        starts_a_round=starts_a_round,
        answered_by=noted.answered_by,
    )
