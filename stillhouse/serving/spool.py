"""The traffic log of one replica: from the answer that was given to a sealed file on the artifact store.

Belongs here: the queue, the spool on this machine's disk, sealing and moving, and counting every row on the way.
Does not: the rows (requests.py), the spool's tables and books (spool_database.py), where segments are and how they look
(stillhouse/live/segments.py).

    put -> queue in memory -> writer: redact, one transaction each half second -> spool.db
        -> sealer: a Parquet file each ten minutes or 50,000 rows -> outgoing/ -> the artifact store

Each step can be killed anywhere. A row is in the queue, in the spool or in a sealed file, and moves by one transaction:
a file whose transaction was not committed is removed at the next start, and one whose move was not confirmed is moved
again, under the same digest. What a killed process had received and not stored is counted at the next start, exactly
(counts.py). `received = stored + dropped + lost + thinned + waiting` holds on every day.

No text, truth or name of who said it touches the disk before it was redacted, and of the columns that a caller sent no
value that the recipe does not name. Both threads rest between short pieces of work, because a request waits as long as
they hold the interpreter.
"""

import hashlib
import logging
import os
import re
import sqlite3
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from fcntl import LOCK_EX, LOCK_NB, flock
from operator import attrgetter
from pathlib import Path

import polars as pl
from sqlalchemy.exc import SQLAlchemyError

from stillhouse.data.one_text import spelled
from stillhouse.data.privacy import may_be_personal, redact_text
from stillhouse.errors import StillhouseError
from stillhouse.files import make_folder, sync_file, sync_folder
from stillhouse.home import Home
from stillhouse.live.columns import KeptColumns
from stillhouse.live.segments import (
    COLUMNS,
    FILE_KINDS,
    SECONDS_A_DAY,
    FileKind,
    Tally,
    TrafficStore,
    columns_of,
    day_at,
    end_of,
    sealed,
)
from stillhouse.live.thinning import Room, is_kept
from stillhouse.live.traffic import day_for_all, expire
from stillhouse.recipe.reading import RecipeFile
from stillhouse.serving.counts import Counts
from stillhouse.serving.requests import Feedback, ServedRequest, Shadowed
from stillhouse.serving.spool_database import (
    end_life,
    erase,
    insertion,
    is_closed,
    last_number,
    make_tables,
    names_of,
    opened,
    settle,
    thin,
    transaction,
)

LOG = logging.getLogger("stillhouse.serving")

Row = ServedRequest | Feedback | Shadowed
WRITING, MOVING = "the spool cannot be written", "segments cannot be sealed or moved"
REPLICA_PATTERN = r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}"

_WORK_SECONDS, _REST_SECONDS = 0.001, 0.001
_ROWS_A_TRANSACTION = 2_000
"""So that one takes less than half a second, with numbers in every text to be looked at."""
_ROWS_WEIGHED = 2_000
"""Of each kind, to know what a row takes once it is sealed."""
_SETTLED_AFTER_SECONDS = 60
"""After a day has ended; a request that came in its last second may be answered in the next one's first."""


class LogInUseError(StillhouseError):
    """Another process keeps this log."""


@dataclass(frozen=True)
class SpoolLimits:
    """How a log works.

    Args:
        capacity: rows that wait in memory; beyond it the oldest is dropped and counted.
        write_seconds: between two transactions, and so the most that a kill loses.
        seal_seconds: after which written rows are sealed.
        seal_rows: number of rows that are sealed earlier, and the most in one file.
    """

    capacity: int = 20_000
    write_seconds: float = 0.5
    seal_seconds: float = 600.0
    seal_rows: int = 50_000


class TrafficLog:
    """The log of one recipe in one serving process.

    Args:
        folder: of this replica and recipe, on a local disk; made if it is not there.
        replica: its name, which no other replica has at the same time.
        store: where sealed files go.
        keep_texts: whether texts are kept, redacted.
        columns: what is kept of the columns that callers send; None keeps nothing of them.
        room: what is left on the store to the traffic of the recipe; None where it has no limit.
        limits: how it works.
        clock: seconds since 1970, UTC.
        each_day: called when the log begins and once on each further day, such as to remove what has expired.

    Raises:
        LogInUseError: if another process keeps it.
    """

    def __init__(
        self,
        folder: Path,
        replica: str,
        store: TrafficStore,
        *,
        keep_texts: bool,
        columns: KeptColumns | None = None,
        room: Room | None = None,
        limits: SpoolLimits = SpoolLimits(),
        clock: Callable[[], float] = time.time,
        each_day: Callable[[date], None] = lambda today: None,
    ) -> None:
        self.replica, self._store, self._keep_texts, self._columns = replica, store, keep_texts, columns
        self._limits, self._clock, self._each_day, self._today = limits, clock, each_day, ""
        self._at_once = min(_ROWS_A_TRANSACTION, max(1, limits.capacity // 2))
        self.received = self.stored = self.dropped = self.thinned = 0
        """Rows since this process began, for whoever watches it; those that were thinned had been stored."""
        self.kept_share = 1.0
        """By which answers were kept when rows were sealed last."""
        self._room = room
        self._problems: dict[str, str] = {}
        make_folder(folder)
        folder.chmod(0o700)
        self._folder = folder
        self._lock_file = _locked(folder / "lock")
        (folder / "outgoing").mkdir(exist_ok=True)
        self._path = folder / "spool.db"
        with opened(self._path) as database:
            make_tables(database)
            life = settle(database, folder / "counts")
            self._number = database.execute("SELECT coalesce(sum(received), 0) FROM days").fetchone()[0]
            self._last_written = last_number(database)
            self._outgoing_only(database)
        self._counts = Counts(folder / "counts", life)
        self._queue: deque[tuple[int, Row]] = deque()
        self._numbers = threading.Lock()
        self._closing, self._full, self._written = threading.Event(), threading.Event(), threading.Event()
        self._sealed_at = time.monotonic()
        self._threads = [
            threading.Thread(target=work, name=f"traffic-{work.__name__.strip('_')}", daemon=True)
            for work in (self._write, self._seal)
        ]
        for thread in self._threads:
            thread.start()

    @property
    def depth(self) -> int:
        """Rows that wait in memory."""
        return len(self._queue)

    @property
    def problem(self) -> str | None:
        """Why rows cannot be written or moved at the moment; None where all is well."""
        return "; ".join(f"{what} ({error})" for what, error in list(self._problems.items())) or None

    @property
    def is_writable(self) -> bool:
        """Whether the last rows were written; where the store is away, rows wait on this disk."""
        return WRITING not in self._problems

    def put(self, row: Row) -> None:
        """Take a row, without waiting or raising; where the queue is full the oldest is dropped and counted."""
        with self._numbers:
            self._counts.received(_day(row))
            self.received += 1
            self._number += 1
            if len(self._queue) >= self._limits.capacity:
                self._drop()
            self._queue.append((self._number, row))
        if len(self._queue) >= self._at_once:
            self._full.set()

    def _drop(self) -> None:
        try:
            _, oldest = self._queue.popleft()
        except IndexError:  # the writer has just taken all of them
            return
        self._counts.dropped(_day(oldest))
        self.dropped += 1

    def close(self) -> None:
        """Write down what is queued, seal it, move it, and say that nothing more will come; no row may be put any more.

        What cannot be written or moved stays where it is, for the next start.
        """
        self._closing.set()
        self._full.set()
        for thread in self._threads:
            thread.join()
        self._counts.close()
        os.close(self._lock_file)

    # The writer: from the queue into the spool.

    def _write(self) -> None:
        rows: list[tuple[int, Row]] = []
        try:
            with opened(self._path) as database:
                while not (self._closing.is_set() and not rows and not self._queue):
                    if len(self._queue) < self._at_once:
                        self._full.wait(self._limits.write_seconds)
                    if not self._closing.is_set():
                        self._full.clear()
                    rows += self._taken(self._at_once - len(rows))
                    if rows:
                        try:
                            self._store_rows(database, rows)
                        # Whatever it is, the next rows are counted, and the problem is seen.
                        except Exception as error:
                            self._has_failed(WRITING, error)
                            if self._closing.is_set():
                                return
                            time.sleep(self._limits.write_seconds)
                        else:
                            rows.clear()
                            self._problems.pop(WRITING, None)
        finally:
            self._written.set()

    def _taken(self, at_most: int) -> Iterator[tuple[int, Row]]:
        for _ in range(at_most):
            try:
                yield self._queue.popleft()
            except IndexError:
                return

    def _store_rows(self, database: sqlite3.Connection, rows: Sequence[tuple[int, Row]]) -> None:
        """Write rows in one transaction, redacted."""
        requests, answered, said, shadow = [], [], [], []
        stored: Counter[int] = Counter()
        for number, row in rows:
            day = _day(row)
            stored[day] += 1
            if isinstance(row, ServedRequest):
                sent = None if self._columns is None else self._columns.written(row.columns)
                requests.append((day, number, *_as_it_is(row), 1.0, sent))
                if self._keep_texts and row.text is not None:
                    answered.append((day, number, row))
            elif isinstance(row, Shadowed):
                shadow.append((day, number, *_as_a_challenger_said(row)))
            else:
                said.append((day, number, row))
        rest = _Rest(self._closing)
        texts = redacted([row.text for _, _, row in answered], rest)
        truths = redacted([row.truth for _, _, row in said], rest)
        who = redacted([row.by for _, _, row in said], rest)
        with transaction(database):
            database.executemany(insertion("requests"), requests)
            database.executemany(
                insertion("texts"),
                [(day, number, row.id, text) for (day, number, row), text in zip(answered, texts, strict=True)],
            )
            database.executemany(
                insertion("feedback"),
                [
                    (day, number, row.id, row.at, truth, by)
                    for (day, number, row), truth, by in zip(said, truths, who, strict=True)
                ],
            )
            database.executemany(insertion("shadow"), shadow)
            for day, rows_of_day in stored.items():
                received, dropped = self._counts.of(day)
                database.execute(
                    "INSERT INTO days (day, received_now, dropped_now, stored_now) VALUES (?, ?, ?, ?) "
                    "ON CONFLICT (day) DO UPDATE SET received_now = excluded.received_now, "
                    "dropped_now = excluded.dropped_now, stored_now = stored_now + excluded.stored_now",
                    (day, received, dropped, rows_of_day),
                )
        self._last_written = rows[-1][0]
        self.stored += len(rows)

    # The sealer: from the spool to the store.

    def _seal(self) -> None:
        with opened(self._path) as database:
            while not self._closing.wait(self._limits.write_seconds):
                self._forward(database, everything=False)
            self._written.wait()
            for _ in range(2):
                try:
                    with transaction(database):
                        end_life(database, self._counts)
                    break
                except sqlite3.Error as error:  # as of a full disk, on which there is room once something was moved
                    self._has_failed(WRITING, error)
                    self._forward(database, everything=False)
            self._forward(database, everything=True)

    def _forward(self, database: sqlite3.Connection, *, everything: bool) -> None:
        """Seal what is due, move what is sealed, say what was counted; what fails is tried again."""
        try:
            if (today := day_at(self._clock())) != self._today:
                self._each_day(date.fromisoformat(today))
                self._today = today
                if self._room is not None:
                    self._room.look_again()
            # First, since what was moved leaves room on a disk that is full: without it nothing could be sealed.
            self._move_all(database)
            if everything or self._is_due(database):
                now = time.monotonic()
                self._seal_all(database, waited=now - self._sealed_at)
                self._sealed_at = now  # only now: what could not be sealed stays due, and its problem is seen
            self._move_all(database)
            self._publish_tallies(database)
        # Each fsspec backend raises errors of its own; nothing is lost, and the problem is seen.
        except Exception as error:
            self._has_failed(MOVING, error)
        else:
            self._problems.pop(MOVING, None)

    def _is_due(self, database: sqlite3.Connection) -> bool:
        (unsealed,) = database.execute(
            "SELECT coalesce(sum(stored + stored_now - requests - feedback - shadow), 0) FROM days"
        ).fetchone()
        waited = time.monotonic() - self._sealed_at
        return unsealed >= self._limits.seal_rows or (unsealed > 0 and waited >= self._limits.seal_seconds)

    def _seal_all(self, database: sqlite3.Connection, waited: float) -> None:
        erasures = self._store.erasures()
        with transaction(database):
            for erasure in erasures:
                erase(database, erasure)
        # An answer that is written while others are sealed waits with its text, so that no text is sealed of an answer
        # that is let go the next time.
        up_to = self._last_written
        if self._room is not None:
            self._thin(database, self._room, waited, up_to)
        for (day,) in database.execute("SELECT day FROM days").fetchall():
            for kind in FILE_KINDS:
                while self._seal_some(database, day, kind, up_to):
                    pass

    def _thin(self, database: sqlite3.Connection, room: Room, waited: float, up_to: int) -> None:
        """Let answers go that are more than fit; killed before the transaction ends, it let go of none."""
        size = sum(self._size_of(database, kind, up_to) for kind in FILE_KINDS)
        (span,) = database.execute("SELECT max(at) - min(at) FROM requests WHERE number <= ?", (up_to,)).fetchone()
        share = room.share_of(size, seconds=max(waited, span or 0.0), at=self._clock())
        if share < 1 == self.kept_share:
            LOG.warning(
                "traffic log of %s: bytes_at_most is near, %.3g of the answers are kept", self._store.recipe, share
            )
        if share < 1 and span is not None:
            rest, gone = _Rest(self._closing), []
            rows = " UNION ALL ".join(
                f"SELECT day, number, id FROM {kind} WHERE number <= :up_to" for kind in ("requests", "shadow")
            )
            for day, number, id in database.execute(rows, {"up_to": up_to}):
                if not is_kept(id, share):
                    gone.append((day, number))
                rest()
            thin(database, gone, share, up_to=up_to)
            self.thinned += len(gone)
        self.kept_share = share

    def _size_of(self, database: sqlite3.Connection, kind: FileKind, up_to: int) -> float:
        """What the rows of a kind that wait would take, sealed: by some of them, beyond what an empty file takes."""
        rows = f"FROM {kind} WHERE number <= ?"
        (many,) = database.execute(f"SELECT count(*) {rows}", (up_to,)).fetchone()
        some = columns_of(
            kind, self.replica, database.execute(f"SELECT {names_of(kind)} {rows} LIMIT ?", (up_to, _ROWS_WEIGHED))
        )
        return (len(sealed(some)) - len(sealed(some.clear()))) * many / some.height if many else 0.0

    def _seal_some(self, database: sqlite3.Connection, day: int, kind: FileKind, up_to: int) -> bool:
        """Seal rows of one day and kind, and whether there were any; the file is whole before they leave the spool."""
        found = database.execute(
            f"SELECT {names_of(kind)} FROM {kind} WHERE day = ? AND number <= ? ORDER BY number LIMIT ?",
            (day, up_to, self._limits.seal_rows),
        )
        frame = columns_of(kind, self.replica, found)
        if frame.is_empty():
            return False
        content = sealed(frame)
        digest = hashlib.sha256(content).hexdigest()
        path = self._folder / "outgoing" / digest
        try:
            path.write_bytes(content)
            sync_file(path)
            sync_folder(path.parent)
            with transaction(database):
                database.execute("INSERT INTO outgoing VALUES (?, ?, ?)", (digest, day, kind))
                database.execute(f"DELETE FROM {kind} WHERE day = ? AND number <= ?", (day, frame["number"][-1]))
                database.execute(f"UPDATE days SET {kind} = {kind} + ? WHERE day = ?", (frame.height, day))
        except (OSError, sqlite3.Error):  # its rows are still in the spool, and a full disk has no room for both
            path.unlink(missing_ok=True)
            raise
        return True

    def _move_all(self, database: sqlite3.Connection) -> None:
        # Answers after texts: whose a text is stands in them alone, so that whoever erases an answer finds its text
        # beside it. What a challenger said comes last, so that whoever reads it finds the answer.
        waiting = "SELECT digest, day, kind FROM outgoing ORDER BY kind = 'shadow', kind = 'requests'"
        found = database.execute(waiting).fetchall()
        for digest, day, kind in found:
            path = self._folder / "outgoing" / digest
            if path.exists():  # else it was moved, and that was not written down any more
                self._store.put(_day_name(day), kind, path.read_bytes())
                path.unlink()  # before that is written down: to write needs room, which a full disk has only then
        if found:
            with transaction(database):
                database.executemany("DELETE FROM outgoing WHERE digest = ?", [(digest,) for digest, _, _ in found])
            database.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # what has left the spool leaves its log, too

    def _publish_tallies(self, database: sqlite3.Connection) -> None:
        """Replace each tally that has changed, as long as none of its rows is under way to the store."""
        if database.execute("SELECT count(*) FROM outgoing").fetchone()[0]:
            return
        database.row_factory = sqlite3.Row
        days = database.execute("SELECT * FROM days").fetchall()
        database.row_factory = None
        (is_open,) = database.execute("SELECT open FROM life").fetchone()
        for row in days:
            tally = self._tally(row, is_open=bool(is_open))
            content = tally.model_dump_json()
            if content != row["published"] and _is_news(tally, row["published"]):
                self._store.publish(tally)
                with transaction(database):
                    database.execute("UPDATE days SET published = ? WHERE day = ?", (content, row["day"]))

    def _tally(self, row: sqlite3.Row, *, is_open: bool) -> Tally:
        received, dropped = self._counts.of(row["day"]) if is_open else (0, 0)
        tally = _tally_of_ended(row, self.replica)
        received, dropped = received + tally.received, dropped + tally.dropped
        waiting = received - dropped - tally.stored - tally.lost - tally.thinned
        has_ended = self._clock() >= end_of(tally.day) + _SETTLED_AFTER_SECONDS
        return tally.model_copy(
            update={
                "received": received,
                "dropped": dropped,
                "waiting": waiting,
                "final": not is_open or (has_ended and waiting == 0),
            }
        )

    def _outgoing_only(self, database: sqlite3.Connection) -> None:
        """Remove sealed files whose transaction was never committed: their rows are in the spool."""
        known = {digest for (digest,) in database.execute("SELECT digest FROM outgoing")}
        for path in (self._folder / "outgoing").iterdir():
            if path.name not in known:
                path.unlink()

    def _has_failed(self, what: str, error: Exception) -> None:
        """Say it once, without what the error says, which may quote a row."""
        if what not in self._problems:
            LOG.error("traffic log of %s: %s (%s)", self._store.recipe, what, type(error).__name__)
        self._problems[what] = type(error).__name__


def _tally_of_ended(row: sqlite3.Row, replica: str) -> Tally:
    """What the books of a process that has ended say of a day."""
    stored = row["stored"] + row["stored_now"]
    return Tally(
        replica=replica,
        day=_day_name(row["day"]),
        received=row["received"],
        stored=stored,
        dropped=row["dropped"],
        lost=row["lost"],
        thinned=row["thinned"],
        kept_share=row["kept_share"],
        waiting=row["received"] - row["dropped"] - stored - row["lost"] - row["thinned"],
        requests=row["requests"],
        feedback=row["feedback"],
        texts=row["texts"],
        shadow=row["shadow"],
        uncounted=bool(row["uncounted"]),
        final=True,
    )


def _is_news(tally: Tally, published: str | None) -> bool:
    """Whether more has changed than how many rows are on their way, which it does all the time."""
    if published is None or tally.unsealed == 0:
        return True
    before = Tally.model_validate_json(published)
    settled = {"requests", "feedback", "texts", "shadow", "lost", "thinned", "uncounted", "final"}
    return tally.model_dump(include=settled) != before.model_dump(include=settled)


_as_it_is = attrgetter(*(name for name in COLUMNS["requests"] if name not in ("number", "kept_share", "columns")))
"""All of a row but for what the log adds, its text, and what its caller said of that."""
_as_a_challenger_said = attrgetter(*(name for name in COLUMNS["shadow"] if name != "number"))


class _Rest:
    """A pause after each short piece of work, but for a process that ends.

    Args:
        closing: set when it does.
    """

    def __init__(self, closing: threading.Event) -> None:
        self._closing, self._since = closing, time.perf_counter()

    def __call__(self) -> None:
        """Rest if it is time to."""
        if time.perf_counter() - self._since > _WORK_SECONDS and not self._closing.is_set():
            time.sleep(_REST_SECONDS)
            self._since = time.perf_counter()


def redacted(texts: Sequence[str | None], rest: Callable[[], None] = lambda: None) -> list[str | None]:
    """Texts in their one spelling and without personal data; `rest` is called between those that have to be read."""
    clean = [None if text is None else spelled(text) for text in texts]
    for index in may_be_personal(pl.Series(clean, dtype=pl.String)).fill_null(False).arg_true():
        clean[index] = redact_text(clean[index] or "")
        rest()
    return clean


def _day(row: Row) -> int:
    return int(row.at // SECONDS_A_DAY)


def _day_name(day: int) -> str:
    return day_at(day * SECONDS_A_DAY)


def _locked(path: Path) -> int:
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        flock(handle, LOCK_EX | LOCK_NB)
    except BlockingIOError as error:
        os.close(handle)
        raise LogInUseError(
            "another process keeps this traffic log",
            where=str(path.parent),
            expected="one process for each replica and recipe",
            do="End it, or give this one another name with --replica.",
        ) from error
    return handle


def log_of(home: Home, file: RecipeFile, replica: str) -> TrafficLog:
    """The log of a recipe in a serving process of this installation.

    Raises:
        StillhouseError: if the name cannot be one of a folder, or as `TrafficLog`.
    """
    if re.fullmatch(REPLICA_PATTERN, replica) is None:
        raise StillhouseError(
            f"{replica[:100]!r} cannot be the name of a replica",
            where="--replica",
            expected="letters, digits, dots, dashes and underscores, at most 100",
            do="Choose another name.",
        )
    spec, store = file.recipe.traffic, TrafficStore(home.artifacts, file.name)
    assert spec is not None  # a recipe that keeps nothing has no log

    def remove_what_has_expired(today: date) -> None:
        try:
            day = day_for_all(home.ledger_url, today)
        except (StillhouseError, SQLAlchemyError, OSError) as error:  # rows are sealed and moved without the ledger
            LOG.warning(
                "traffic log of %s: nothing expires today, the ledger's clock cannot be read (%s)",
                file.name, type(error).__name__,
            )  # fmt: skip
            return
        if day < today:
            LOG.error("traffic log of %s: the clock here says %s and the ledger's %s", file.name, today, day)
        expire(store, spec, day)

    return TrafficLog(
        _spools(home, file) / replica,
        replica,
        store,
        keep_texts=file.recipe.keeps_texts,
        columns=KeptColumns.of(file.recipe),
        room=None if spec.bytes_at_most is None else Room(store, spec.bytes_at_most, spec.days),
        each_day=remove_what_has_expired,
    )


def forward_left(home: Home, file: RecipeFile) -> list[str]:
    """Count, seal and move what ended processes of this machine have left, and give the names of their replicas.

    Spools stay, since a replica of the same name counts on from them, and this is done with each report: one of which
    nothing is left is only looked into.
    """
    found = []
    for path in sorted(_spools(home, file).glob("*/spool.db")):
        replica = path.parent.name
        if nothing_is_left(path, replica):
            continue
        with suppress(LogInUseError):  # a process that works forwards its own
            log_of(home, file, replica).close()
            found.append(replica)
    return found


def nothing_is_left(path: Path, replica: str) -> bool:
    """Whether a process has closed its spool, and all that was in it is on the store, with what was counted."""
    with opened(path) as database:
        if not is_closed(database):
            return False
        database.row_factory = sqlite3.Row
        for row in database.execute("SELECT * FROM days"):
            tally = _tally_of_ended(row, replica)
            if tally.unsealed or row["published"] != tally.model_dump_json():
                return False
    return True


def _spools(home: Home, file: RecipeFile) -> Path:
    return home.serving / "traffic" / file.name
