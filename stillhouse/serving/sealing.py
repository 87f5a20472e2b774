"""From the spool to the artifact store: what is sealed there, moved, and said of each day.

Belongs here: sealing rows, letting go of those that do not fit, moving sealed files, and the tally of each day.
Does not: when that is done (spool.py), tables and books of the spool (spool_database.py), where segments are and how
they look (stillhouse/live/segments.py), which answers are kept (stillhouse/live/thinning.py).
"""

import hashlib
import logging
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path

from stillhouse.files import sync_file, sync_folder
from stillhouse.live.segments import (
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
from stillhouse.serving.counts import Counts
from stillhouse.serving.pauses import Rest
from stillhouse.serving.spool_database import erase, names_of, thin, transaction

LOG = logging.getLogger("stillhouse.serving")

_ROWS_WEIGHED = 2_000
"""Of each kind, to know what a row takes once it is sealed."""
_SETTLED_AFTER_SECONDS = 60
"""After a day has ended; a request that came in its last second may be answered in the next one's first."""


class Sealer:
    """Brings the rows of one spool to the store; of one thread, which hands in its connection.

    Args:
        folder: in which sealed files wait to be moved; there already.
        replica: whose rows these are.
        store: where they go.
        counts: of this process.
        room: what is left on the store to the traffic of the recipe; None where it has no limit.
        rows_at_most: in one file.
        clock: seconds since 1970, UTC.
        closing: set when the process ends, and nothing rests any more.
    """

    def __init__(
        self,
        folder: Path,
        replica: str,
        store: TrafficStore,
        counts: Counts,
        *,
        room: Room | None,
        rows_at_most: int,
        clock: Callable[[], float],
        closing: threading.Event,
    ) -> None:
        self._folder, self._replica, self._store, self._counts = folder, replica, store, counts
        self._room, self._rows_at_most, self._clock, self._closing = room, rows_at_most, clock, closing
        self.thinned, self.kept_share = 0, 1.0

    def seal(self, database: sqlite3.Connection, *, waited: float, up_to: int) -> None:
        """Seal what is in the spool, after erasing what was asked for and letting go of what does not fit.

        Args:
            database: the spool.
            waited: seconds since that was done last.
            up_to: number of the last row that is written whole: an answer that is written while others are sealed
                waits with its text, so that no text is sealed of an answer that is let go the next time.
        """
        erasures = self._store.erasures()
        with transaction(database):
            for erasure in erasures:
                erase(database, erasure)
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
            rest, gone = Rest(self._closing), []
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
            kind, self._replica, database.execute(f"SELECT {names_of(kind)} {rows} LIMIT ?", (up_to, _ROWS_WEIGHED))
        )
        return (len(sealed(some)) - len(sealed(some.clear()))) * many / some.height if many else 0.0

    def _seal_some(self, database: sqlite3.Connection, day: int, kind: FileKind, up_to: int) -> bool:
        """Seal rows of one day and kind, and whether there were any; the file is whole before they leave the spool."""
        found = database.execute(
            f"SELECT {names_of(kind)} FROM {kind} WHERE day = ? AND number <= ? ORDER BY number LIMIT ?",
            (day, up_to, self._rows_at_most),
        )
        frame = columns_of(kind, self._replica, found)
        if frame.is_empty():
            return False
        content = sealed(frame)
        digest = hashlib.sha256(content).hexdigest()
        path = self._folder / digest
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

    def move(self, database: sqlite3.Connection) -> None:
        """Move every file that is sealed; one that is on the store already is there once, under its digest."""
        # Answers after texts: whose a text is stands in them alone, so that whoever erases an answer finds its text
        # beside it. What a challenger said comes last, so that whoever reads it finds the answer.
        waiting = "SELECT digest, day, kind FROM outgoing ORDER BY kind = 'shadow', kind = 'requests'"
        found = database.execute(waiting).fetchall()
        for digest, day, kind in found:
            path = self._folder / digest
            if path.exists():  # else it was moved, and that was not written down any more
                self._store.put(day_at(day * SECONDS_A_DAY), kind, path.read_bytes())
                path.unlink()  # before that is written down: to write needs room, which a full disk has only then
        if found:
            with transaction(database):
                database.executemany("DELETE FROM outgoing WHERE digest = ?", [(digest,) for digest, _, _ in found])
            database.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # what has left the spool leaves its log, too

    def publish(self, database: sqlite3.Connection) -> None:
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
        tally = tally_of_ended(row, self._replica)
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


def keep_only_outgoing(database: sqlite3.Connection, folder: Path) -> None:
    """Remove sealed files whose transaction was never committed: their rows are in the spool."""
    known = {digest for (digest,) in database.execute("SELECT digest FROM outgoing")}
    for path in folder.iterdir():
        if path.name not in known:
            path.unlink()


def tally_of_ended(row: sqlite3.Row, replica: str) -> Tally:
    """What the books of a process that has ended say of a day."""
    stored = row["stored"] + row["stored_now"]
    return Tally(
        replica=replica,
        day=day_at(row["day"] * SECONDS_A_DAY),
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
