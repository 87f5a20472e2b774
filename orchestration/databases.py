"""Dagster's own databases, where they are SQLite files: how long each event waits for the disk.

Belongs here: what this process asks of connections to files below DAGSTER_HOME.
Does not: the ledger, which decides and waits for the disk at every entry (stillhouse/records/ledger.py).
"""

import os
import sqlite3
import threading
from collections import OrderedDict
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any

import sqlalchemy as sa

HELD_AT_MOST = 8
"""Databases that are held open: three of the instance, and those of the runs that were written to last."""

_held: OrderedDict[str, sqlite3.Connection] = OrderedDict()
_one_at_a_time = threading.Lock()


def wait_less_for_the_disk() -> None:
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
