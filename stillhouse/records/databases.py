"""Opening a database, and what it says when its disk is full, read-only or locked, in one line.

Belongs here: the engine behind a URL, and that translation, for SQLite, whose file lies beside our own files.
Does not: what is stored (ledger.py, outbox.py), disk errors outside a database (files.py).
"""

import sqlite3
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.schema import CreateTable

from stillhouse.errors import StillhouseError

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


def plain_database_error(original: BaseException | None, where: str) -> StillhouseError | None:
    """Say in one line what a driver's error means; None for any error that is not about disk, rights or locks."""
    code = getattr(original, "sqlite_errorcode", None)
    if code is None or code & _PRIMARY not in _PLAIN:
        return None
    what, do = _PLAIN[code & _PRIMARY]
    return StillhouseError(what, where=where, expected="a database that can be read and written", do=do)


def engine_of(url: str) -> sa.Engine:
    """A new engine for a URL, to be kept by whoever asks; SQLite's file gets its folder."""
    parsed = sa.make_url(url)
    if parsed.get_backend_name() == "sqlite" and parsed.database:
        Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
        engine = sa.create_engine(url, connect_args={"timeout": 60})
    else:
        engine = sa.create_engine(url, pool_pre_ping=True)
    tell_plainly(engine)
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


def tell_plainly(engine: sa.Engine) -> None:
    """Have an engine raise a plain error where its disk is full, read-only or locked; nothing was written then."""

    def handle(context: sa.engine.ExceptionContext) -> None:
        plain = plain_database_error(context.original_exception, engine.url.render_as_string(hide_password=True))
        if plain is not None:
            raise plain from context.original_exception

    sa.event.listen(engine, "handle_error", handle)
