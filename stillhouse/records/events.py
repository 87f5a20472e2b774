"""What happened to a recipe and may be a reason for a round: each thing once, until a round has answered it.

Belongs here: a table beside the ledger's, noting an event in it, and which events no round has answered yet.
Does not: which kinds start a round (orchestration/dispatcher.py), when one may start (rounds.py), finding out that
something has happened (whoever notes it).

An event has a key: what it is about, so that the same thing noted again is counted and is no news. A round names in the
ledger the events that it takes, before it reads anything (entry `round_begun`), and when it has ended those that it has
answered (entry `round`). So one that was killed in between has answered nothing, and its events wait on; one that
arrives while a round works waits for the next. There is no cursor: what waits is what the ledger does not name.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from stillhouse.errors import StillhouseError
from stillhouse.recipe.events import EventKind
from stillhouse.records.databases import engine_with
from stillhouse.records.ledger import Ledger

__all__ = ["RUN_ID", "Event", "EventKind", "Fact", "Noted", "answered", "history", "note", "note_once", "pending"]

Fact = str | int | float | bool | None
LONGEST_KEY = 300
RUN_ID = "run_id"
"""The fact that says which run has noted an event that it answers itself."""

_metadata = sa.MetaData()
_events = sa.Table(
    "events",
    _metadata,
    sa.Column("recipe", sa.String(200), primary_key=True),
    sa.Column("kind", sa.String(40), primary_key=True),
    sa.Column("key", sa.String(LONGEST_KEY), primary_key=True),
    sa.Column("first_seen", sa.DateTime(timezone=False), nullable=False),
    sa.Column("last_seen", sa.DateTime(timezone=False), nullable=False),
    sa.Column("times", sa.Integer, nullable=False),
    sa.Column("body", sa.Text, nullable=False),
)
"""Times are in UTC without a zone, which SQLite has not."""


@dataclass(frozen=True)
class Event:
    """One thing that happened.

    Args:
        kind: of which kind it is.
        key: what it is about: once for ever.
        first_seen: when it was noted first, in UTC.
        last_seen: when it was noted last.
        times: how often.
        sentence: what happened, for a person.
        facts: what belongs to it.
    """

    kind: EventKind
    key: str
    first_seen: datetime
    last_seen: datetime
    times: int
    sentence: str
    facts: Mapping[str, Fact]

    @property
    def name(self) -> str:
        """What the ledger and a run call it."""
        return f"{self.kind}:{self.key}"


@dataclass(frozen=True)
class Noted:
    """An event and what became of it.

    Args:
        event: as it is kept.
        answered_by: the run of the round that answered it; None while it waits.
    """

    event: Event
    answered_by: str | None


def note(
    ledger: Ledger,
    recipe: str,
    kind: EventKind,
    key: str,
    sentence: str,
    facts: Mapping[str, Fact] | None = None,
    *,
    at: datetime | None = None,
) -> bool:
    """Keep that something has happened; the same key again is counted, and says what is the case now.

    Args:
        ledger: in whose database it is kept.
        recipe: to which recipe.
        kind: what sort of thing.
        key: what it is about, such as the digest of what was found; of 300 characters at most.
        sentence: what happened, for a person.
        facts: what belongs to it.
        at: when; the ledger's now when left out.

    Returns:
        Whether it is news.

    Raises:
        StillhouseError: if the key is empty or too long.
    """
    if not 0 < len(key) <= LONGEST_KEY:
        raise StillhouseError(
            f"the key has {len(key)} characters",
            where=f"event {kind} of {recipe}",
            expected=f"1 to {LONGEST_KEY}",
            do="Use the digest of what it is about.",
        )
    moment = (at or ledger.now()).astimezone(UTC).replace(tzinfo=None)
    row = {"recipe": recipe, "kind": kind.value, "key": key}
    body = json.dumps({"sentence": sentence, "facts": dict(facts or {})}, sort_keys=True)
    while True:
        if _count(ledger.url, row, body, moment):
            return False
        if _insert(ledger.url, row, body, moment):
            return True
        # Somebody else has just inserted it: now it can be counted.


def note_once(
    ledger: Ledger, recipe: str, kind: EventKind, key: str, sentence: str, facts: Mapping[str, Fact] | None = None
) -> None:
    """Note what goes on being so whenever somebody looks, as one that has happened once."""
    row = (_events.c.recipe == recipe, _events.c.kind == kind.value, _events.c.key == key)
    with engine_with(ledger.url, _events).connect() as connection:
        is_known = connection.execute(sa.select(_events.c.times).where(*row)).first() is not None
    if not is_known:
        note(ledger, recipe, kind, key, sentence, facts)


def pending(ledger: Ledger, recipe: str) -> list[Event]:
    """The events of a recipe that no round has answered, the oldest first."""
    return [noted.event for noted in history(ledger, recipe) if noted.answered_by is None]


def history(ledger: Ledger, recipe: str) -> list[Noted]:
    """Every event of a recipe, the oldest first, and which run has answered it."""
    wanted = sa.select(_events).where(_events.c.recipe == recipe)
    with engine_with(ledger.url, _events).connect() as connection:
        rows = connection.execute(wanted.order_by(_events.c.first_seen, _events.c.kind, _events.c.key)).all()
    by_whom = answered(ledger, recipe) if rows else {}
    return [Noted(event, by_whom.get(event.name)) for event in map(_event, rows)]


def answered(ledger: Ledger, recipe: str) -> dict[str, str]:
    """By the name of each event that a round has answered, the run of the first one that did."""
    found: dict[str, str] = {}
    for entry in ledger.entries(recipe, "round"):
        for name in entry.body.get("events", ()):  # rounds of earlier versions name none
            found.setdefault(name, entry.body["run_id"])
    return found


def _count(url: str, row: Mapping[str, str], body: str, at: datetime) -> bool:
    again = _events.update().where(*(_events.c[name] == value for name, value in row.items()))
    with engine_with(url, _events).begin() as connection:
        return bool(connection.execute(again.values(times=_events.c.times + 1, last_seen=at, body=body)).rowcount)


def _insert(url: str, row: Mapping[str, str], body: str, at: datetime) -> bool:
    try:
        with engine_with(url, _events).begin() as connection:
            connection.execute(_events.insert().values(**row, first_seen=at, last_seen=at, times=1, body=body))
    except sa.exc.IntegrityError:
        return False
    return True


def _event(row: sa.Row[Any]) -> Event:
    body = json.loads(row.body)
    first, last = (moment.replace(tzinfo=UTC) for moment in (row.first_seen, row.last_seen))
    return Event(EventKind(row.kind), row.key, first, last, row.times, body["sentence"], body["facts"])
