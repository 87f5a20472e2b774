"""Dagster's own databases, where they are SQLite files: what each event waits for.

Belongs here: what this process asks of connections to files below DAGSTER_HOME, and how often it prepares for one.
Does not: the ledger, which decides and waits for the disk at every entry (stillhouse/records/ledger.py).
"""

import os
import sqlite3
import threading
from collections import OrderedDict
from collections.abc import Mapping
from contextlib import suppress
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from types import MappingProxyType
from typing import Any

import sqlalchemy as sa

from orchestration.dagster_internals import SQLITE_STORAGES

HELD_AT_MOST = 8
"""Databases that are held open: three of the instance, and those of the runs that were written to last."""

_held: OrderedDict[str, sqlite3.Connection] = OrderedDict()
_one_at_a_time = threading.Lock()


def make_events_quick() -> None:
    """Spare Dagster what it does again for every event that it writes to SQLite or reads from it."""
    _wait_less_for_the_disk()
    _keep_engines()


def _keep_engines() -> None:
    """Let Dagster ask each of its files by one engine of SQLAlchemy.

    It makes one for each query, which compiles every statement again: a fifth of a round in which nothing is made. An
    engine of these holds no connection, so that nothing else is kept and a process that is forked can use it.
    """
    for storage in SQLITE_STORAGES:
        setattr(import_module(storage), "create_engine", _engine_of)  # noqa: B010 - nothing for a type checker there


def _engine_of(
    url: str, *, poolclass: type[sa.Pool], connect_args: Mapping[str, float] = MappingProxyType({})
) -> sa.Engine:
    if poolclass is not sa.NullPool:
        return sa.create_engine(url, poolclass=poolclass, connect_args=dict(connect_args))
    return _engine_without_connections(url, tuple(connect_args.items()))


@lru_cache(maxsize=64)
def _engine_without_connections(url: str, connect_args: tuple[tuple[str, float], ...]) -> sa.Engine:
    return sa.create_engine(url, poolclass=sa.NullPool, connect_args=dict(connect_args))


def _wait_less_for_the_disk() -> None:
    """Let Dagster's SQLite files wait for the disk when their log is written back, and not at every event.

    Dagster opens and closes a file for each event. SQLite waits for the disk at each commit, and as the last connection
    to a file closes it writes the log back and waits again: on a busy disk half the time of a round in which nothing is
    made. With the log that Dagster uses, `synchronous=NORMAL` cannot damage a file; a power cut may cost the last
    events that the UI shows, and nothing of the ledger (sqlite.org/pragma.html#pragma_synchronous). One idle connection
    to each file is held, so that no other is the last.
    """
    if not sa.event.contains(sa.Engine, "connect", _relaxed):
        sa.event.listen(sa.Engine, "connect", _relaxed)


def _relaxed(connection: Any, _: Any) -> None:
    if not isinstance(connection, sqlite3.Connection):
        return
    path = next((row[2] for row in connection.execute("PRAGMA database_list") if row[1] == "main"), "")
    if not _is_below(path, os.environ.get("DAGSTER_HOME", "")):
        return
    connection.execute("PRAGMA synchronous=NORMAL")
    with _one_at_a_time:
        _hold_open(path, is_logged=connection.execute("PRAGMA journal_mode").fetchone() == ("wal",))


@lru_cache(maxsize=64)
def _is_below(path: str, home: str) -> bool:
    return bool(path and home) and Path(path).is_relative_to(Path(home).resolve())


def _hold_open(path: str, *, is_logged: bool) -> None:
    if path in _held:
        _held.move_to_end(path)
    elif is_logged:
        # What is wrong with the file, the connection of whoever asked will say.
        with suppress(sqlite3.Error):
            held = sqlite3.connect(path, check_same_thread=False)
            held.execute("SELECT count(*) FROM sqlite_schema").fetchone()  # else it has not opened the log
            _held[path] = held
        if len(_held) > HELD_AT_MOST:
            _, oldest = _held.popitem(last=False)
            oldest.close()
