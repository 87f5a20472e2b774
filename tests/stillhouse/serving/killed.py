"""A process that keeps a traffic log and is killed again and again: `python -m tests.stillhouse.serving.killed`.

Each life is a fork that kills itself at a point of its own, while its other threads are wherever they are.
"""

import mmap
import os
import signal
import sqlite3
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from stillhouse.live.segments import TrafficStore
from stillhouse.live.thinning import Room
from stillhouse.serving import sealing
from stillhouse.serving.requests import ServedRequest
from stillhouse.serving.spool import SpoolLimits, TrafficLog

QUICK = SpoolLimits(capacity=500, write_seconds=0.002, seal_seconds=0.005, seal_rows=40)
DAY = 20_000 * 86_400.0


WRITE = "write"
"""Before something is written or committed to the spool; rows that one statement writes are one write."""
PLACES = ("row", "sync_folder", "put", "unlink", "publish")
"""Right after a row was put; after a sealed file is on the disk; after it is on the store; after it is removed here;
after a tally was written."""


def main(folder: Path, lives: int, bytes_at_most: int = 10**12) -> None:
    """Print of each life how many rows it has put at least and at most before it was killed.

    Of each three lives two are killed before a write: the first, the second and so on, to the twentieth of thirty
    lives. The one before them is killed at one of the places, when it comes there for the first time, later ones for
    the second. No two put as many rows.
    """
    put = mmap.mmap(-1, 16)
    for life in range(lives):
        three, at_a_write = divmod(life, 3)
        place = WRITE if at_a_write else PLACES[three % len(PLACES)]
        times = 2 * three + at_a_write if at_a_write else 1 + three // len(PLACES)
        rows = 1 + 149 * (life + 1) % 599
        put[:] = bytes(16)
        if (child := os.fork()) == 0:
            _live(folder, life, rows, memoryview(put).cast("Q"), place, times, bytes_at_most)
        assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGKILL
        after, before = memoryview(put).cast("Q")
        print(after, before, flush=True)


def _live(folder: Path, life: int, rows: int, put: memoryview, place: str, times: int, bytes_at_most: int) -> None:
    store = TrafficStore(str(folder / "store"), "small")
    room = Room(store, bytes_at_most, days=30)
    if place == WRITE:
        sqlite3.connect = _killed_before_a_write(sqlite3.connect, times)  # type: ignore[assignment]
    elif place in ("put", "publish"):
        setattr(store, place, _then_killed(getattr(store, place), times))
    elif place == "sync_folder":
        sealing.sync_folder = _then_killed(sealing.sync_folder, times)  # type: ignore[attr-defined]
    elif place == "unlink":
        Path.unlink = _then_killed(Path.unlink, times)  # type: ignore[method-assign]
    log = TrafficLog(folder / "spool", "r1", store, keep_texts=True, room=room, limits=QUICK, clock=lambda: DAY)
    for number in range(1, rows + 1):
        put[1] = number
        log.put(served(f"{life}-{number}", at=DAY + (number % 2) * 86_400, text=f"question {number}"))
        put[0] = number
        if number % 20 == 0:
            time.sleep(0.001)  # so that what was put is written while more comes
    if place != "row":
        log.close()  # where the place was not come to before, it is now, or never
    os.kill(os.getpid(), signal.SIGKILL)


def _killed_before_a_write(connect: Callable[..., sqlite3.Connection], times: int) -> Callable[..., sqlite3.Connection]:
    """Connecting; once a spool is about to be written to for so many times, the end."""
    left = [times]
    last = ""

    def about_to(statement: str) -> None:
        nonlocal last
        before, last = last, " ".join(statement.split()[:3])
        if last.startswith(("INSERT", "UPDATE", "DELETE", "COMMIT")) and last != before:
            left[0] -= 1
            if not left[0]:
                os.kill(os.getpid(), signal.SIGKILL)

    def connected(*arguments: Any, **named: Any) -> sqlite3.Connection:
        connection = connect(*arguments, **named)
        connection.set_trace_callback(about_to)
        return connection

    return connected


def _then_killed(function: Callable[..., Any], times: int) -> Callable[..., Any]:
    """The function; once it has been called so many times, the end."""
    left = [times]

    def called(*arguments: Any, **named: Any) -> Any:
        found = function(*arguments, **named)
        left[0] -= 1
        if not left[0]:
            os.kill(os.getpid(), signal.SIGKILL)
        return found

    return called


def served(id: str, *, at: float = DAY, text: str | None = "a question", key: str | None = None) -> ServedRequest:
    """A row as a server puts it."""
    return ServedRequest(
        id=id, at=at, recipe="small", release="r" * 64, deployment=3, source="student", label="location",
        confidence=0.9, degraded=False, status=200, latency_ms=1.5, characters=10, tokens=5, key=key, text=text,
    )  # fmt: skip


if __name__ == "__main__":
    main(Path(sys.argv[1]), *(int(each) for each in sys.argv[2:4]))
