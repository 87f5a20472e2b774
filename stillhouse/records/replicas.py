"""Which servers are up, and what each serves: a heartbeat beside the ledger, and no part of its chain.

Belongs here: saying it, and reading what was said.
Does not: what should be served (deployments.py). A row may be deleted at any time; its server writes it again.

When a server was heard is by the clock of the database and not by its own: one whose clock is behind would seem to be
away for as long as it serves, and one whose clock is ahead to be up long after its end.
"""

import functools
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import sqlalchemy as sa

from stillhouse.records.databases import add_column, engine_of, make_table, time_of

AWAY_AFTER = timedelta(seconds=60)
"""A server says every ten seconds what it serves; one that has said nothing for so long is not among those that do."""
CLOCK_IS_OFF_BY = timedelta(seconds=10)
"""From which on a clock is said to be off: one that is kept is off by far less, and saying it takes some seconds."""
BEATS = 12
"""Heartbeats in a row, two minutes, through which memory has to be held to count. Loading a release, or one request of
many long texts, takes more for some seconds; what a process has for two minutes it has while the watch looks twice."""

_SECONDS_FOR_A_LOCK = 5
_metadata = sa.MetaData()
_replicas = sa.Table(
    "replicas",
    _metadata,
    sa.Column("replica", sa.String(200), primary_key=True),
    sa.Column("recipe", sa.String(200), primary_key=True),
    sa.Column("deployment", sa.Integer),
    sa.Column("release", sa.String(64)),
    sa.Column("refused", sa.Integer),
    sa.Column("seen_at", sa.String(40), nullable=False),
    sa.Column("memory_mb", sa.Float),
    sa.Column("held_mb", sa.Float),
    sa.Column("heard_at", sa.String(40)),
    sa.Column("challenger_stopped", sa.Boolean),
)


@dataclass(frozen=True)
class Heartbeat:
    """What one server says of one recipe.

    Args:
        replica: name of the server's process.
        recipe: which recipe.
        deployment: number of the deployment that it applied; None where it serves nothing.
        release: digest of the release that answers.
        refused: number of the deployment that should serve and cannot.
        seen_at: when it was said by the clock of the server, ISO 8601, UTC.
        memory_mb: that the whole process holds at this moment, with all that it serves and keeps warm, in 1e6 bytes;
            None where its system does not say.
        held_mb: the least of its last `BEATS` heartbeats, all under one deployment; None before there were so many.
        heard_at: when it was said by the clock of the database, which `beat` asks; None of a server of an earlier
            version.
        challenger_stopped: whether it asks the challenger of its deployment no more, because that failed too often;
            None where it has none loaded, and of a server of an earlier version.
    """

    replica: str
    recipe: str
    deployment: int | None
    release: str | None
    refused: int | None
    seen_at: str
    memory_mb: float | None = None
    held_mb: float | None = None
    heard_at: str | None = None
    challenger_stopped: bool | None = None

    @property
    def moment(self) -> datetime:
        """When it was said."""
        return datetime.fromisoformat(self.heard_at or self.seen_at)

    @property
    def clock_is_ahead_by(self) -> timedelta:
        """How far the server's clock is off, negative where it is behind; zero where that is little or not known."""
        ahead = datetime.fromisoformat(self.seen_at) - self.moment
        return ahead if abs(ahead) >= CLOCK_IS_OFF_BY else timedelta()


def now() -> str:
    """This moment by the clock of this machine, as a heartbeat has it."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def beat(ledger_url: str, heartbeat: Heartbeat) -> None:
    """Say what a server serves, in place of what it said before."""
    same = (_replicas.c.replica == heartbeat.replica) & (_replicas.c.recipe == heartbeat.recipe)
    with _engine(ledger_url).begin() as connection:
        heard = replace(heartbeat, heard_at=time_of(connection).isoformat(timespec="milliseconds"))
        connection.execute(_replicas.delete().where(same))
        connection.execute(_replicas.insert().values(**heard.__dict__))


def replicas(ledger_url: str, recipe: str) -> list[Heartbeat]:
    """What each server said last of a recipe, however long ago, by the name of the server."""
    with _engine(ledger_url).connect() as connection:
        return _said(connection, recipe)


def replicas_up(ledger_url: str, recipe: str) -> list[Heartbeat]:
    """Those of them that have said something within `AWAY_AFTER`, by the clock of the database.

    One of an earlier version whose last word is in the future is not among them: its own clock alone dates it.
    """
    with _engine(ledger_url).connect() as connection:
        at = time_of(connection)
        return [each for each in _said(connection, recipe) if abs(at - each.moment) < AWAY_AFTER]


def _said(connection: sa.Connection, recipe: str) -> list[Heartbeat]:
    asked = sa.select(_replicas).where(_replicas.c.recipe == recipe).order_by(_replicas.c.replica)
    return [Heartbeat(**row._mapping) for row in connection.execute(asked)]


@functools.cache
def _engine(url: str) -> sa.Engine:
    """Of its own, since a server must not wait for a lock as long as a writer of the ledger does."""
    engine = engine_of(url, seconds_for_a_lock=_SECONDS_FOR_A_LOCK)
    make_table(engine, _replicas)
    # Tables of earlier versions have none of these.
    newer = _replicas.c.memory_mb, _replicas.c.held_mb, _replicas.c.heard_at, _replicas.c.challenger_stopped
    for column in newer:
        add_column(engine, column)
    return engine
