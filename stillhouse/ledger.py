"""The append-only, hash-chained record of everything that happened.

Belongs here: appending, reading and verifying entries in a SQL table.
Does not: deciding anything; the ledger remembers what assets, gates and people did, and outlives Dagster's event log.

Each entry's digest covers the digest before it, and no two entries may name the same predecessor: the database itself
refuses a fork, on SQLite and on Postgres alike, so that a writer that lost a race reads the new head and tries again.
"""

import functools
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import sqlalchemy as sa
from sqlalchemy.schema import CreateTable

from stillhouse.digests import digest_of

Kind = Literal["materialization", "verdict", "promotion", "waiver", "approval", "amendment", "golden_read"]

GENESIS = "0" * 64

_metadata = sa.MetaData()
_entries = sa.Table(
    "ledger",
    _metadata,
    sa.Column("sequence", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("at", sa.String(40), nullable=False),
    sa.Column("kind", sa.String(40), nullable=False),
    sa.Column("recipe", sa.String(200), nullable=False),
    sa.Column("body", sa.Text, nullable=False),
    sa.Column("previous", sa.String(64), nullable=False, unique=True),
    sa.Column("digest", sa.String(64), nullable=False, unique=True),
)


@dataclass(frozen=True)
class Entry:
    """One thing that happened."""

    sequence: int
    at: str
    kind: str
    recipe: str
    body: dict[str, Any]
    previous: str
    digest: str

    def expected_digest(self) -> str:
        """Digest this entry's content together with the entry before it."""
        return _digest(self.sequence, self.at, self.kind, self.recipe, self.body, self.previous)


class Ledger:
    """The ledger behind one SQLAlchemy URL."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._engine = _engine(url)

    def append(self, kind: Kind, recipe: str, body: dict[str, Any]) -> Entry:
        """Add one entry, whole or not at all.

        Args:
            kind: what sort of thing happened.
            recipe: the recipe it happened to.
            body: its content, JSON values only.
        """
        while True:
            try:
                with self._engine.begin() as connection:
                    entry = _next_entry(connection, kind, recipe, body)
                    row = {**entry.__dict__, "body": json.dumps(entry.body, sort_keys=True)}
                    connection.execute(_entries.insert().values(**row))
                return entry
            except sa.exc.IntegrityError:
                if not self._taken(entry.previous):
                    raise

    def _taken(self, previous: str) -> bool:
        with self._engine.connect() as connection:
            found = connection.execute(sa.select(_entries.c.sequence).where(_entries.c.previous == previous))
            return found.first() is not None

    def entries(self, recipe: str | None = None, kind: Kind | None = None, *, naming: str | None = None) -> list[Entry]:
        """Entries in the order in which they happened.

        Args:
            recipe: of this recipe only.
            kind: of this kind only.
            naming: only those whose body holds this digest or other word.
        """
        query = sa.select(_entries).order_by(_entries.c.sequence)
        if recipe is not None:
            query = query.where(_entries.c.recipe == recipe)
        if kind is not None:
            query = query.where(_entries.c.kind == kind)
        if naming is not None:
            query = query.where(_entries.c.body.contains(naming, autoescape=True))
        with self._engine.connect() as connection:
            return [_entry(row) for row in connection.execute(query)]

    def champion(self, recipe: str) -> dict[str, Any] | None:
        """The newest promotion of a recipe: the release that serves."""
        promotions = self.entries(recipe, "promotion")
        return promotions[-1].body if promotions else None

    def problems(self) -> list[str]:
        """Walk the chain from its beginning and say, one line each, where it does not hold."""
        found, previous = [], GENESIS
        for position, entry in enumerate(self.entries(), start=1):
            if entry.sequence != position:
                found.append(f"ledger entry {position} is missing: the next one is numbered {entry.sequence}")
                return found
            if entry.previous != previous:
                found.append(f"ledger entry {entry.sequence} does not follow the entry before it")
            if entry.expected_digest() != entry.digest:
                found.append(f"ledger entry {entry.sequence} ({entry.kind} of {entry.recipe}) was altered")
            previous = entry.digest
        return found


@functools.cache
def _engine(url: str) -> sa.Engine:
    parsed = sa.make_url(url)
    if parsed.get_backend_name() == "sqlite" and parsed.database:
        Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
        engine = sa.create_engine(url, connect_args={"timeout": 60})
    else:
        engine = sa.create_engine(url, pool_pre_ping=True)
    with engine.begin() as connection:
        connection.execute(CreateTable(_entries, if_not_exists=True))
    return engine


def _next_entry(connection: sa.Connection, kind: str, recipe: str, body: dict[str, Any]) -> Entry:
    head = connection.execute(
        sa.select(_entries.c.sequence, _entries.c.digest).order_by(_entries.c.sequence.desc()).limit(1)
    ).first()
    sequence, previous = (head.sequence + 1, head.digest) if head else (1, GENESIS)
    at = datetime.now(UTC).isoformat(timespec="milliseconds")
    return Entry(sequence, at, kind, recipe, body, previous, _digest(sequence, at, kind, recipe, body, previous))


def _digest(sequence: int, at: str, kind: str, recipe: str, body: dict[str, Any], previous: str) -> str:
    return digest_of([sequence, at, kind, recipe, body, previous])


def _entry(row: Any) -> Entry:
    return Entry(row.sequence, row.at, row.kind, row.recipe, json.loads(row.body), row.previous, row.digest)
