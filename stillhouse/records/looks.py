"""When a daemon last looked at a recipe: a heartbeat beside the ledger, and no part of its chain.

Belongs here: saying it, and reading what was said.
Does not: looking (orchestration/sensors.py, orchestration/watch.py). A row may be deleted at any time; the next look
writes it again.

Dagster notices no daemon that died. Servers do, by what is said here, and Prometheus by them.
"""

from contextlib import suppress
from datetime import UTC, datetime
from enum import StrEnum

import sqlalchemy as sa

from stillhouse.records.databases import engine_with

_SECONDS_OF_A_DAEMON, _SECONDS_OF_A_SERVER = 60, 5
"""A locked SQLite is waited for as long: a good look may not end for it, and a server has the ledger to follow."""
_metadata = sa.MetaData()
_looks = sa.Table(
    "looks",
    _metadata,
    sa.Column("recipe", sa.String(200), primary_key=True),
    sa.Column("kind", sa.String(20), primary_key=True),
    sa.Column("at", sa.DateTime(timezone=False), nullable=False),
)
"""Times are in UTC without a zone, which SQLite has not."""


class LookKind(StrEnum):
    """What is looked at again and again."""

    ROUNDS = "rounds"
    """The drop folder, and what has happened: whatever starts a round."""
    WATCH = "watch"
    """The champion on live answers."""


def looked(ledger_url: str, recipe: str, kind: LookKind, at: datetime) -> None:
    """Say that a look has come to its end.

    Args:
        ledger_url: in whose database it is said.
        recipe: that was looked at.
        kind: what of it.
        at: when, with a zone.
    """
    naive = at.astimezone(UTC).replace(tzinfo=None)
    same = (_looks.c.recipe == recipe) & (_looks.c.kind == kind.value)
    engine = engine_with(ledger_url, _looks, seconds_for_a_lock=_SECONDS_OF_A_DAEMON)
    with engine.begin() as connection:
        is_there = connection.execute(_looks.update().where(same).values(at=naive)).rowcount
    if not is_there:
        with suppress(sa.exc.IntegrityError), engine.begin() as connection:  # another look has just said so
            connection.execute(_looks.insert().values(recipe=recipe, kind=kind.value, at=naive))


def last_looks(ledger_url: str, recipe: str) -> dict[LookKind, datetime]:
    """When a recipe was last looked at, in UTC; without a kind of which none ever did."""
    asked = sa.select(_looks.c.kind, _looks.c.at).where(_looks.c.recipe == recipe)
    with engine_with(ledger_url, _looks, seconds_for_a_lock=_SECONDS_OF_A_SERVER).connect() as connection:
        return {LookKind(row.kind): row.at.replace(tzinfo=UTC) for row in connection.execute(asked)}
