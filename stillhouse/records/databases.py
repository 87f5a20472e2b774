"""Opening a database, and what it says when its disk is full, read-only or locked, in one line.

Belongs here: the engine behind a URL, how long anything of it is waited for, its clock, and that translation, for
SQLite, whose file lies beside our own files.
Does not: what is stored (ledger.py, outbox.py), disk errors outside a database (files.py).
"""

import functools
import sqlite3
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.schema import CreateTable

from stillhouse.errors import MachineError

# What is wrong and what to do, by SQLite's primary result code (sqlite.org/rescode.html).
_PLAIN = {
    sqlite3.SQLITE_FULL: ("no space left on the disk", "Free space, then run again."),
    sqlite3.SQLITE_READONLY: ("cannot be written", "Give this account the right to write there."),
    sqlite3.SQLITE_CANTOPEN: (
        "cannot be opened",
        "See that its folder exists and that this account may write there.",
    ),
    sqlite3.SQLITE_BUSY: ("is locked by another process", "Wait until that process ends, or end it, then run again."),
}
_PRIMARY = 0xFF
SECONDS_FOR_A_LOCK = 60

_OF_LIBPQ = ("psycopg2", "psycopg")
_SECONDS_TO_CONNECT = 5
_WITHOUT_AN_ANSWER = {
    "connect_timeout": _SECONDS_TO_CONNECT,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 20_000,
}
"""Left to itself, libpq waits two minutes for a machine that does not answer, and a quarter of an hour for one that is
cut off in the middle of a question."""


def plain_database_error(original: BaseException | None, where: str) -> MachineError | None:
    """Say in one line what a driver's error means; None for any error that is not about disk, rights or locks."""
    code = getattr(original, "sqlite_errorcode", None)
    if code is None or code & _PRIMARY not in _PLAIN:
        return None
    what, do = _PLAIN[code & _PRIMARY]
    return MachineError(what, where=where, expected="a database that can be read and written", do=do)


def plain_connection_error(original: BaseException, where: str) -> MachineError | None:
    """Say in one line that a Postgres cannot be reached or was lost; None for any other error.

    Args:
        original: the driver's error: one that no answer of the server has caused bears no code of the server.
        where: address of the database.
    """
    is_of_the_driver = type(original).__module__.partition(".")[0] in _OF_LIBPQ
    code = getattr(original, "pgcode", None) or getattr(original, "sqlstate", None)
    if not is_of_the_driver or type(original).__name__ != "OperationalError" or code is not None:
        return None
    return MachineError(
        f"the database cannot be reached ({' '.join(str(original).split())})",
        where=where,
        expected="a Postgres that answers, and takes this account",
        do="See to STILLHOUSE_LEDGER_URL and Dagster's `storage`, and to the network; then run again.",
    )


def engine_of(url: str, *, seconds_for_a_lock: int = SECONDS_FOR_A_LOCK, keep_connections: bool = True) -> sa.Engine:
    """A new engine for a URL, to be kept by whoever asks; SQLite's file gets its folder.

    Args:
        url: of the database; what it says itself of how long to wait for a Postgres is followed.
        seconds_for_a_lock: for which a locked SQLite is waited for.
        keep_connections: whether one that was given back is kept open.
    """
    parsed = sa.make_url(url)
    if parsed.get_backend_name() == "sqlite" and parsed.database:
        Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
        engine = sa.create_engine(url, connect_args={"timeout": seconds_for_a_lock})
    else:
        waits = _WITHOUT_AN_ANSWER if parsed.get_driver_name() in _OF_LIBPQ else {}
        engine = sa.create_engine(
            url,
            pool_pre_ping=True,
            connect_args={name: value for name, value in waits.items() if name not in parsed.query},
            poolclass=None if keep_connections else sa.NullPool,
        )
    explain_errors(engine)
    return engine


@functools.cache
def engine_with(url: str, *tables: sa.Table, seconds_for_a_lock: int = SECONDS_FOR_A_LOCK) -> sa.Engine:
    """The engine of this process for some tables in a database, which are made when it is first asked for."""
    engine = engine_of(url, seconds_for_a_lock=seconds_for_a_lock)
    for table in tables:
        make_table(engine, table)
    return engine


def make_table(engine: sa.Engine, table: sa.Table) -> None:
    """Make a table unless it is there; of several who do at one moment Postgres refuses all but one."""
    if sa.inspect(engine).has_table(table.name):
        return
    try:
        with engine.begin() as connection:
            connection.execute(CreateTable(table, if_not_exists=True))
    except sa.exc.DBAPIError:
        if not sa.inspect(engine).has_table(table.name):
            raise


def add_column(engine: sa.Engine, column: sa.Column[Any]) -> None:
    """Give a table of an earlier version a column that it lacks, empty in every row; one that it has stays as it is."""
    table = column.table.name

    def is_there() -> bool:
        return any(known["name"] == column.name for known in sa.inspect(engine).get_columns(table))

    if is_there():
        return
    kind = column.type.compile(engine.dialect)
    try:
        with engine.begin() as connection:
            connection.execute(sa.text(f"ALTER TABLE {table} ADD COLUMN {column.name} {kind}"))
    except sa.exc.DBAPIError:  # another process may have added it at the same moment
        if not is_there():
            raise


def time_of(connection: sa.Connection) -> datetime:
    """What the clock of a database shows: one for all who write there, whatever the clocks of their machines show.

    SQLite has none, so that it is this machine's; several machines need a Postgres anyway.
    """
    shown: datetime = connection.execute(sa.select(sa.func.current_timestamp())).scalar_one()
    return shown.replace(tzinfo=UTC) if shown.tzinfo is None else shown.astimezone(UTC)


def day_of_the_server(url: str) -> date | None:
    """The day, UTC, that the clock of a database server shows; None of SQLite, whose clock is that of this machine.

    Within an hour of a day's end it is the next one: clocks that are kept differ by far less, and what is done once on
    each day is not to be left for another because of them.
    """
    if sa.make_url(url).get_backend_name() == "sqlite":
        return None
    engine = engine_of(url, keep_connections=False)
    with engine.connect() as connection:
        return (time_of(connection) + timedelta(hours=1)).date()


def explain_errors(engine: sa.Engine) -> None:
    """Have an engine raise a plain error where its disk is full, read-only or locked; nothing was written then."""

    def handle(context: sa.engine.ExceptionContext) -> None:
        plain = plain_database_error(context.original_exception, engine.url.render_as_string(hide_password=True))
        if plain is not None:
            raise plain from context.original_exception

    sa.event.listen(engine, "handle_error", handle)
