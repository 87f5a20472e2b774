"""Notices that people are to be sent: each kept until it was sent, and not sent again for the same thing.

Belongs here: a table beside the ledger's, what in it is due, and that of two senders one sends.
Does not: what is worth a notice, and how one is sent (orchestration/notices.py).

A notice is about a subject (how the last round ended, a waiver that ends) and has a key for what is the case there. The
same key again is the same thing still being so: it is sent again after some days. Another key takes its place.
A sender takes a notice for two minutes before it sends: one that is killed meanwhile has it sent twice and never lost.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

import sqlalchemy as sa

from stillhouse.digests import digest_of
from stillhouse.records.databases import engine_with

LEASE = timedelta(minutes=2)
"""How long a notice is one sender's alone."""
LONGEST_PAUSE = timedelta(hours=6)
"""Between two attempts at an address that takes nothing; from two minutes on each is twice as long."""
_DOUBLINGS = 8
"""After which a pause is the longest one, however often an address was tried."""

_metadata = sa.MetaData()
_notices = sa.Table(
    "notices",
    _metadata,
    sa.Column("recipe", sa.String(200), primary_key=True),
    sa.Column("subject", sa.String(400), primary_key=True),
    sa.Column("address", sa.String(64), primary_key=True),
    sa.Column("key", sa.String(64), nullable=False),
    sa.Column("title", sa.Text, nullable=False),
    sa.Column("text", sa.Text, nullable=False),
    sa.Column("tone", sa.String(20), nullable=False),
    sa.Column("first_at", sa.DateTime(timezone=False), nullable=False),
    sa.Column("last_at", sa.DateTime(timezone=False), nullable=False),
    sa.Column("sent_at", sa.DateTime(timezone=False)),
    sa.Column("tries", sa.Integer, nullable=False),
    sa.Column("not_before", sa.DateTime(timezone=False), nullable=False),
)
"""Times are in UTC without a zone, which SQLite has not. An address is a digest: the written one may hold a secret."""


class Tone(StrEnum):
    """How a service shows a notice; the values are apprise's."""

    GOOD = "success"
    PLAIN = "info"
    LOOK = "warning"
    BROKEN = "failure"

    @property
    def asks_for_a_person(self) -> bool:
        """Whether it stays worth a reminder while it is so."""
        return self in (Tone.LOOK, Tone.BROKEN)


@dataclass(frozen=True)
class Notice:
    """What people are sent.

    Args:
        title: one line.
        text: the rest.
        tone: how it is meant.
    """

    title: str
    text: str
    tone: Tone


@dataclass(frozen=True)
class Due:
    """A notice that is to be sent to one address, taken by whoever has this.

    Args:
        recipe: whose it is.
        subject: what it is about.
        address: place of the address among those of the recipe.
        notice: as it is to be sent.
        tries: attempts that this address did not take.
        key: of what is the case.
    """

    recipe: str
    subject: str
    address: int
    notice: Notice
    tries: int
    key: str


class Outbox:
    """The notices behind one SQLAlchemy URL.

    Args:
        url: of the ledger's database.
    """

    def __init__(self, url: str) -> None:
        self._engine = engine_with(url, _notices)

    def put(self, recipe: str, subject: str, key: str, notice: Notice, *, to: Sequence[str], at: datetime) -> None:
        """Have a notice sent to each address, unless the same was sent there lately.

        Args:
            recipe: whose it is.
            subject: what it is about.
            key: of what is the case; another one than before is news.
            notice: what is said.
            to: addresses as the recipe has them.
            at: now, in UTC.
        """
        for written in dict.fromkeys(to):
            row = _key(recipe, subject, written)
            while not (self._update(row, key, notice, _naive(at)) or self._insert(row, key, notice, _naive(at))):
                pass  # somebody else has just inserted it: now it can be updated

    def _update(self, row: dict[str, str], key: str, notice: Notice, now: datetime) -> bool:
        with self._engine.begin() as connection:
            here = _notices.update().where(*_at(row))
            said = {**_said(notice), "last_at": now}
            same = here.where(_notices.c.key == digest_of(key)).values(**said)
            if connection.execute(same).rowcount:
                return True
            return bool(connection.execute(here.values(**said, **_first(key, now))).rowcount)

    def _insert(self, row: dict[str, str], key: str, notice: Notice, now: datetime) -> bool:
        try:
            with self._engine.begin() as connection:
                new = {**row, **_said(notice), "last_at": now, **_first(key, now)}
                connection.execute(_notices.insert().values(**new))
        except sa.exc.IntegrityError:
            return False
        return True

    def settle(self, recipe: str, subjects: str, still: Mapping[str, Sequence[str]]) -> None:
        """Forget notices whose cause is gone, or that go to somebody else, so that they are news if that comes back.

        Args:
            recipe: whose they are.
            subjects: what their subjects begin with.
            still: subjects that still are so, and the addresses that hear of each.
        """
        kept = [(subject, digest_of(written)) for subject, to in still.items() for written in to]
        with self._engine.begin() as connection:
            connection.execute(
                _notices.delete().where(
                    _notices.c.recipe == recipe,
                    _notices.c.subject.startswith(subjects, autoescape=True),
                    sa.tuple_(_notices.c.subject, _notices.c.address).not_in(kept),
                )
            )

    def take_due(self, recipe: str, addresses: Sequence[str], *, remind: timedelta, at: datetime) -> list[Due]:
        """Take what is to be sent now; whoever calls sends it and says how that went.

        Args:
            recipe: whose notices.
            addresses: those that the recipe has now; what was for others is left alone.
            remind: after how long the same is sent again, if it still asks for a person or has happened again.
            at: now, in UTC.
        """
        now = _naive(at)
        index_of = {digest_of(written): index for index, written in reversed(list(enumerate(addresses)))}
        again = sa.or_(
            _notices.c.last_at > _notices.c.sent_at,
            _notices.c.tone.in_([tone.value for tone in Tone if tone.asks_for_a_person]),
        )
        wanted = (
            _notices.c.recipe == recipe,
            _notices.c.not_before <= now,
            sa.or_(_notices.c.sent_at.is_(None), sa.and_(_notices.c.sent_at <= now - remind, again)),
        )
        with self._engine.connect() as connection:
            rows = connection.execute(sa.select(_notices).where(*wanted)).all()
        found = [row for row in rows if row.address in index_of]
        return [
            Due(recipe, row.subject, index_of[row.address], _notice(row), row.tries, row.key)
            for row in sorted(found, key=lambda row: (row.subject, index_of[row.address]))
            if self._take(row, now)
        ]

    def waits_since(self, recipe: str, addresses: Sequence[str]) -> datetime | None:
        """Since when the oldest notice waits that an address was never sent, in UTC; None where none waits.

        Args:
            recipe: whose notices.
            addresses: those that the recipe has now.
        """
        unsent = sa.select(sa.func.min(_notices.c.first_at)).where(
            _notices.c.recipe == recipe,
            _notices.c.sent_at.is_(None),
            _notices.c.address.in_([digest_of(written) for written in addresses]),
        )
        with self._engine.connect() as connection:
            oldest: datetime | None = connection.execute(unsent).scalar()
        return None if oldest is None else oldest.replace(tzinfo=UTC)

    def _take(self, row: sa.Row[Any], now: datetime) -> bool:
        """Whether this sender was the first to ask for it."""
        taken = _notices.update().where(
            *_at({"recipe": row.recipe, "subject": row.subject, "address": row.address}),
            _notices.c.key == row.key,
            _notices.c.not_before == row.not_before,
        )
        with self._engine.begin() as connection:
            return connection.execute(taken.values(not_before=now + LEASE)).rowcount == 1

    def sent(self, due: Due, written: str, at: datetime) -> None:
        """Remember that an address has taken a notice."""
        self._ended(due, written, sent_at=_naive(at), tries=0, not_before=_naive(at))

    def not_taken(self, due: Due, written: str, at: datetime) -> None:
        """Have it tried again after a pause that doubles."""
        pause = min(LEASE * 2 ** min(due.tries, _DOUBLINGS), LONGEST_PAUSE)
        self._ended(due, written, tries=due.tries + 1, not_before=_naive(at) + pause)

    def _ended(self, due: Due, written: str, **values: datetime | int) -> None:
        where = (*_at(_key(due.recipe, due.subject, written)), _notices.c.key == due.key)
        with self._engine.begin() as connection:
            connection.execute(_notices.update().where(*where).values(**values))


def _key(recipe: str, subject: str, written: str) -> dict[str, str]:
    return {"recipe": recipe, "subject": subject, "address": digest_of(written)}


def _at(row: dict[str, str]) -> list[sa.ColumnElement[bool]]:
    return [_notices.c[name] == value for name, value in row.items()]


def _said(notice: Notice) -> dict[str, str]:
    return {"title": notice.title, "text": notice.text, "tone": notice.tone.value}


def _first(key: str, now: datetime) -> dict[str, Any]:
    """Of a notice that was not sent yet."""
    return {"key": digest_of(key), "first_at": now, "sent_at": None, "tries": 0, "not_before": now}


def _notice(row: sa.Row[Any]) -> Notice:
    since = "" if row.sent_at is None else f"\nSo since {row.first_at:%Y-%m-%d}."
    return Notice(row.title, row.text + since, Tone(row.tone))


def _naive(at: datetime) -> datetime:
    return at.replace(tzinfo=None)
