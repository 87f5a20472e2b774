"""The spool of a traffic log: the database in which rows wait to be sealed, and the books of what was counted.

Belongs here: its tables, its transactions, and the books of each day through the end of a process, however it ends.
Does not: what is written into it (writing.py), what leaves it (sealing.py), the threads of both (spool.py), counts of a
living process (counts.py).
"""

import os
import sqlite3
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

from stillhouse.live.segments import ADDED, COLUMNS, FILE_KINDS, Erasure, FileKind
from stillhouse.serving.counts import Counts, counted


def names_of(kind: FileKind) -> str:
    """The columns of a kind of row, as SQL lists them."""
    return ", ".join(f'"{name}"' for name in COLUMNS[kind])


_SCHEMA = (
    "CREATE TABLE IF NOT EXISTS life (id BLOB NOT NULL, boot TEXT NOT NULL, open INTEGER NOT NULL)",
    *(
        f"CREATE TABLE IF NOT EXISTS {kind} (day INTEGER NOT NULL, {names_of(kind)}, PRIMARY KEY (day, number)) "
        "WITHOUT ROWID"
        for kind in FILE_KINDS
    ),
    "CREATE TABLE IF NOT EXISTS days (day INTEGER PRIMARY KEY, "
    # Of lives that have ended, of the present one, in segments.
    "received INTEGER NOT NULL DEFAULT 0, dropped INTEGER NOT NULL DEFAULT 0, stored INTEGER NOT NULL DEFAULT 0, "
    "lost INTEGER NOT NULL DEFAULT 0, uncounted INTEGER NOT NULL DEFAULT 0, "
    "received_now INTEGER NOT NULL DEFAULT 0, dropped_now INTEGER NOT NULL DEFAULT 0, "
    "stored_now INTEGER NOT NULL DEFAULT 0, "
    "requests INTEGER NOT NULL DEFAULT 0, feedback INTEGER NOT NULL DEFAULT 0, texts INTEGER NOT NULL DEFAULT 0, "
    "published TEXT)",
    "CREATE TABLE IF NOT EXISTS outgoing (digest TEXT PRIMARY KEY, day INTEGER NOT NULL, kind TEXT NOT NULL)",
)

_ADDED_TO_DAYS = {
    "thinned": "INTEGER NOT NULL DEFAULT 0",
    "kept_share": "REAL NOT NULL DEFAULT 1.0",
    "shadow": "INTEGER NOT NULL DEFAULT 0",
}


@contextmanager
def opened(path: Path) -> Iterator[sqlite3.Connection]:
    """A connection of this thread; what is deleted is overwritten, and what is committed survives a power cut."""
    with closing(sqlite3.connect(path, timeout=30, isolation_level=None)) as database:
        for setting in ("journal_mode = WAL", "synchronous = FULL", "secure_delete = ON"):
            database.execute(f"PRAGMA {setting}")
        yield database


def make_tables(database: sqlite3.Connection) -> None:
    """Make the tables that are not there yet, and the columns that an earlier version did not write."""
    with transaction(database):  # each by itself would wait for the disk
        for statement in _SCHEMA:
            database.execute(statement)
        for kind, columns in ADDED.items():
            known = {row[1] for row in database.execute(f"PRAGMA table_info({kind})")}
            for name, value in columns.items():
                if name not in known:
                    default = "NULL" if value is None else repr(value)
                    database.execute(f'ALTER TABLE {kind} ADD COLUMN "{name}" DEFAULT {default}')
        known = {row[1] for row in database.execute("PRAGMA table_info(days)")}
        for name, of in _ADDED_TO_DAYS.items():
            if name not in known:
                database.execute(f"ALTER TABLE days ADD COLUMN {name} {of}")


def settle(database: sqlite3.Connection, path: Path) -> bytes:
    """Count what the last process lost, if it was killed, and begin a life; gives its id."""
    life, boot = os.urandom(16), _boot()
    with transaction(database):
        before = database.execute("SELECT id, boot, open FROM life").fetchone()
        if before is not None and before[2]:
            _count_lost(database, counted(path, before[0]), went_down=before[1] != boot)
        database.execute("DELETE FROM life")
        database.execute("INSERT INTO life VALUES (?, ?, 1)", (life, boot))
    return life


def _count_lost(database: sqlite3.Connection, counts: dict[int, tuple[int, int]] | None, *, went_down: bool) -> None:
    for day, (received, dropped) in (counts or {}).items():
        database.execute("INSERT OR IGNORE INTO days (day) VALUES (?)", (day,))
        # Where the file is older than the spool, as after a power cut, the spool knows better.
        database.execute(
            "UPDATE days SET received_now = max(received_now, ?), dropped_now = max(dropped_now, ?) WHERE day = ?",
            (received, dropped, day),
        )
    if went_down or counts is None:
        database.execute("UPDATE days SET uncounted = 1 WHERE day = (SELECT max(day) FROM days WHERE received_now > 0)")
    _close_days(database)


def erase(database: sqlite3.Connection, erasure: Erasure) -> None:
    """Carry out an erasure on rows that are not sealed yet."""
    if erasure.id is not None:
        database.execute("DELETE FROM texts WHERE id = ?", (erasure.id,))
        return
    asked = (erasure.key, erasure.at)
    database.execute(
        "DELETE FROM texts WHERE (day, number) IN (SELECT day, number FROM requests WHERE key = ? AND at <= ?)", asked
    )
    database.execute("UPDATE requests SET key = NULL WHERE key = ? AND at <= ?", asked)


def thin(database: sqlite3.Connection, gone: Sequence[tuple[int, int]], share: float, *, up_to: int) -> None:
    """Let answers go with their texts, and what a challenger said, and write down by which share others were kept.

    In one transaction.

    Args:
        database: the spool.
        gone: day and number of each of them.
        share: by which the others are kept; rows that were kept by a smaller one stay at that.
        up_to: number of the last row that was looked at.
    """
    with transaction(database):
        for kind in ("requests", "texts", "shadow"):
            database.executemany(f"DELETE FROM {kind} WHERE day = ? AND number = ?", gone)
        database.execute("UPDATE requests SET kept_share = min(kept_share, ?) WHERE number <= ?", (share, up_to))
        for day, rows in Counter(day for day, _ in gone).items():
            # Of those that were stored, in whichever life.
            database.execute(
                "UPDATE days SET stored = stored - ?, thinned = thinned + ?, kept_share = min(kept_share, ?) "
                "WHERE day = ?",
                (rows, rows, share, day),
            )


def end_life(database: sqlite3.Connection, counts: Counts) -> None:
    """Close the books of a process that ends by itself; what it could not write down is lost, and counted."""
    for day in counts.days():
        received, dropped = counts.of(day)
        database.execute("INSERT OR IGNORE INTO days (day) VALUES (?)", (day,))
        database.execute("UPDATE days SET received_now = ?, dropped_now = ? WHERE day = ?", (received, dropped, day))
    _close_days(database)
    database.execute("UPDATE life SET open = 0")


def is_closed(database: sqlite3.Connection) -> bool:
    """Whether a process of this version has ended its life in this spool by itself, and no file waits to be moved."""
    if not {*_ADDED_TO_DAYS} <= {row[1] for row in database.execute("PRAGMA table_info(days)")}:
        return False
    lives = database.execute("SELECT open FROM life").fetchall()
    return lives == [(0,)] and database.execute("SELECT count(*) FROM outgoing").fetchone() == (0,)


def _close_days(database: sqlite3.Connection) -> None:
    database.execute(
        "UPDATE days SET received = received + received_now, dropped = dropped + dropped_now, "
        "stored = stored + stored_now, lost = lost + received_now - dropped_now - stored_now, "
        "received_now = 0, dropped_now = 0, stored_now = 0"
    )


@contextmanager
def transaction(database: sqlite3.Connection) -> Iterator[None]:
    """All of it or nothing."""
    database.execute("BEGIN IMMEDIATE")
    try:
        yield
        database.execute("COMMIT")
    except BaseException:
        if database.in_transaction:  # a full disk rolls back by itself, or does not
            database.execute("ROLLBACK")
        raise


def insertion(kind: FileKind) -> str:
    """The statement that adds a row of a kind, with a place for its day and each column."""
    return f"INSERT INTO {kind} (day, {names_of(kind)}) VALUES (?{', ?' * len(COLUMNS[kind])})"


def last_number(database: sqlite3.Connection) -> int:
    """Number of the last row that waits to be sealed; 0 where none does."""
    of_each = " UNION ALL ".join(f"SELECT max(number) AS number FROM {kind}" for kind in FILE_KINDS)
    (number,) = database.execute(f"SELECT coalesce(max(number), 0) FROM ({of_each})").fetchone()
    return int(number)


def _boot() -> str:
    """Id of the machine's present run: another one means that it was down in between."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
