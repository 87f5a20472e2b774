"""Which servers are up, and what each serves: a heartbeat beside the ledger, and no part of its chain.

Belongs here: saying it, and reading what was said.
Does not: what should be served (deployments.py). A row may be deleted at any time; its server writes it again.
"""

import functools
from dataclasses import dataclass
from datetime import UTC, datetime

import sqlalchemy as sa

from stillhouse.records.databases import engine_of, make_table

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
        seen_at: when it was said, ISO 8601, UTC.
    """

    replica: str
    recipe: str
    deployment: int | None
    release: str | None
    refused: int | None
    seen_at: str

    @property
    def moment(self) -> datetime:
        """When it was said."""
        return datetime.fromisoformat(self.seen_at)


def now() -> str:
    """This moment, as a heartbeat has it."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def beat(ledger_url: str, heartbeat: Heartbeat) -> None:
    """Say what a server serves, in place of what it said before."""
    same = (_replicas.c.replica == heartbeat.replica) & (_replicas.c.recipe == heartbeat.recipe)
    with _engine(ledger_url).begin() as connection:
        connection.execute(_replicas.delete().where(same))
        connection.execute(_replicas.insert().values(**heartbeat.__dict__))


def replicas(ledger_url: str, recipe: str) -> list[Heartbeat]:
    """What each server said last of a recipe, however long ago, by the name of the server."""
    asked = sa.select(_replicas).where(_replicas.c.recipe == recipe).order_by(_replicas.c.replica)
    with _engine(ledger_url).connect() as connection:
        return [Heartbeat(**row._mapping) for row in connection.execute(asked)]


@functools.cache
def _engine(url: str) -> sa.Engine:
    """Of its own, since a server must not wait for a lock as long as a writer of the ledger does."""
    engine = engine_of(url, seconds_for_a_lock=_SECONDS_FOR_A_LOCK)
    make_table(engine, _replicas)
    return engine
