"""The traffic log of one replica: from the answer that was given to a sealed file on the artifact store.

Belongs here: the queue, the two threads, and what is shown of a log to whoever watches it.
Does not: the rows (requests.py), what of them is written (writing.py), sealing and moving (sealing.py), the tables
of the spool (spool_database.py), which log is whose (traffic_logs.py).

    put -> queue in memory -> writer: redact, one transaction each half second -> spool.db
        -> sealer: a Parquet file each ten minutes or 50,000 rows -> outgoing/ -> the artifact store

Each step can be killed anywhere. A row is in the queue, in the spool or in a sealed file, and moves by one transaction:
a file whose transaction was not committed is removed at the next start, and one whose move was not confirmed is moved
again, under the same digest. What a killed process had received and not stored is counted at the next start, exactly
(counts.py). `received = stored + dropped + lost + thinned + waiting` holds on every day.

Both threads rest between short pieces of work (pauses.py).
"""

import logging
import os
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from fcntl import LOCK_EX, LOCK_NB, flock
from pathlib import Path

from stillhouse.errors import StillhouseError
from stillhouse.files import make_folder
from stillhouse.live.columns import KeptColumns
from stillhouse.live.segments import TrafficStore, day_at
from stillhouse.live.thinning import Room
from stillhouse.serving.counts import Counts
from stillhouse.serving.pauses import Rest
from stillhouse.serving.requests import Row, day_of
from stillhouse.serving.sealing import Sealer, keep_only_outgoing
from stillhouse.serving.spool_database import end_life, last_number, make_tables, opened, settle, transaction
from stillhouse.serving.writing import write

LOG = logging.getLogger("stillhouse.serving")

WRITING, MOVING = "the spool cannot be written", "segments cannot be sealed or moved"

_ROWS_A_TRANSACTION = 2_000
"""So that one takes less than half a second, with numbers in every text to be looked at."""


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
        self.received = self.stored = self.dropped = 0
        """Rows since this process began, for whoever watches it."""
        self._room = room
        self._problems: dict[str, str] = {}
        make_folder(folder)
        folder.chmod(0o700)
        self._lock_file = _locked(folder / "lock")
        outgoing, self._path = folder / "outgoing", folder / "spool.db"
        outgoing.mkdir(exist_ok=True)
        with opened(self._path) as database:
            make_tables(database)
            life = settle(database, folder / "counts")
            self._number = database.execute("SELECT coalesce(sum(received), 0) FROM days").fetchone()[0]
            self._last_written = last_number(database)
            keep_only_outgoing(database, outgoing)
        self._counts = Counts(folder / "counts", life)
        self._queue: deque[tuple[int, Row]] = deque()
        self._numbers = threading.Lock()
        self._closing, self._full, self._written = threading.Event(), threading.Event(), threading.Event()
        self._sealer = Sealer(
            outgoing, replica, store, self._counts,
            room=room, rows_at_most=limits.seal_rows, clock=clock, closing=self._closing,
        )  # fmt: skip
        self._sealed_at = time.monotonic()
        self._threads = [
            threading.Thread(target=work, name=f"traffic-{work.__name__.strip('_')}", daemon=True)
            for work in (self._write, self._seal)
        ]
        for thread in self._threads:
            thread.start()

    @property
    def thinned(self) -> int:
        """Rows that had been stored and were let go, since this process began."""
        return self._sealer.thinned

    @property
    def kept_share(self) -> float:
        """By which answers were kept when rows were sealed last."""
        return self._sealer.kept_share

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
            self._counts.received(day_of(row))
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
        self._counts.dropped(day_of(oldest))
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
                            self._write_down(database, rows)
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

    def _write_down(self, database: sqlite3.Connection, rows: Sequence[tuple[int, Row]]) -> None:
        rest = Rest(self._closing)
        write(database, rows, self._counts, rest, keep_texts=self._keep_texts, columns=self._columns)
        self._last_written = rows[-1][0]
        self.stored += len(rows)

    def _taken(self, at_most: int) -> Iterator[tuple[int, Row]]:
        for _ in range(at_most):
            try:
                yield self._queue.popleft()
            except IndexError:
                return

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
            self._sealer.move(database)
            if everything or self._is_due(database):
                now = time.monotonic()
                self._sealer.seal(database, waited=now - self._sealed_at, up_to=self._last_written)
                self._sealed_at = now  # only now: what could not be sealed stays due, and its problem is seen
            self._sealer.move(database)
            self._sealer.publish(database)
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

    def _has_failed(self, what: str, error: Exception) -> None:
        """Say it once, without what the error says, which may quote a row."""
        if what not in self._problems:
            LOG.error("traffic log of %s: %s (%s)", self._store.recipe, what, type(error).__name__)
        self._problems[what] = type(error).__name__


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
