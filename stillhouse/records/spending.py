"""What the calls of servers to a paid teacher cost in a month: a table beside the ledger, and no part of its chain.

Belongs here: reserving money before a call, giving back what it did not cost, reading what is spent.
Does not: calls of runs (stillhouse/teachers/calls.py), what a call costs (stillhouse/teachers/endpoint.py).

All servers of an installation share it. The most that a call can cost is taken before it is made, and a process that
dies leaves it taken: no kill lets more be spent than the limit.
"""

from datetime import UTC, datetime

import sqlalchemy as sa

from stillhouse.records.databases import engine_with

_SECONDS_FOR_A_LOCK = 5
_metadata = sa.MetaData()
_spending = sa.Table(
    "teacher_spending",
    _metadata,
    sa.Column("recipe", sa.String(200), primary_key=True),
    sa.Column("month", sa.String(7), primary_key=True),
    sa.Column("usd", sa.Float, nullable=False),
)


def month_now() -> str:
    """The calendar month of this moment, UTC, as `2026-11`."""
    return datetime.now(UTC).strftime("%Y-%m")


def reserve(ledger_url: str, recipe: str, month: str, *, usd: float, usd_at_most: float) -> float | None:
    """Take money for a call that is going to be made.

    Args:
        ledger_url: of the database.
        recipe: who pays.
        month: from which.
        usd: the most that the call can cost.
        usd_at_most: that all calls of the month may cost together.

    Returns:
        What is spent or taken then; None where it would be more than the limit, and nothing was taken.
    """
    engine, ours = engine_with(ledger_url, _spending, seconds_for_a_lock=_SECONDS_FOR_A_LOCK), _row(recipe, month)
    with engine.begin() as connection:
        if not connection.execute(sa.select(_spending.c.usd).where(ours)).first():
            _begin(connection, recipe, month)
        # One statement, so that of two servers which see the last cent only one takes it.
        taken = connection.execute(
            _spending.update().where(ours, _spending.c.usd + usd <= usd_at_most).values(usd=_spending.c.usd + usd)
        )
        if taken.rowcount == 0:
            return None
        return float(connection.execute(sa.select(_spending.c.usd).where(ours)).scalar_one())


def settle(ledger_url: str, recipe: str, month: str, *, reserved: float, cost: float) -> None:
    """Put what a call cost in the place of what was reserved for it; a server may count more."""
    with engine_with(ledger_url, _spending, seconds_for_a_lock=_SECONDS_FOR_A_LOCK).begin() as connection:
        connection.execute(
            _spending.update().where(_row(recipe, month)).values(usd=_spending.c.usd - (reserved - cost))
        )


def spent(ledger_url: str, recipe: str, month: str) -> float:
    """USD that the calls of a month have cost, those under way at the most that they can."""
    with engine_with(ledger_url, _spending, seconds_for_a_lock=_SECONDS_FOR_A_LOCK).connect() as connection:
        found = connection.execute(sa.select(_spending.c.usd).where(_row(recipe, month))).first()
    return 0.0 if found is None else float(found[0])


def _row(recipe: str, month: str) -> sa.ColumnElement[bool]:
    return sa.and_(_spending.c.recipe == recipe, _spending.c.month == month)


def _begin(connection: sa.Connection, recipe: str, month: str) -> None:
    """The row of a month; another server may have written it meanwhile."""
    try:
        with connection.begin_nested():
            connection.execute(_spending.insert().values(recipe=recipe, month=month, usd=0.0))
    except sa.exc.IntegrityError:
        return
