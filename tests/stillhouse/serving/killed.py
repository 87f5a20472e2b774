"""A process that keeps a traffic log and is killed again and again: `python -m tests.stillhouse.serving.killed`.

Each life is a fork that kills itself at a random point of its work, while its threads are wherever they are.
"""

import mmap
import os
import random
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from stillhouse.live.segments import TrafficStore
from stillhouse.live.thinning import Room
from stillhouse.serving import spool
from stillhouse.serving.requests import ServedRequest
from stillhouse.serving.spool import SpoolLimits, TrafficLog

QUICK = SpoolLimits(capacity=500, write_seconds=0.002, seal_seconds=0.005, seal_rows=40)
DAY = 20_000 * 86_400.0


PLACES = ("row", "sync_folder", "put", "unlink", "publish")
"""Right after a row was put; after a sealed file is on the disk; after it is on the store; after it is removed here;
after a tally was written."""


def main(folder: Path, seed: int, lives: int, bytes_at_most: int = 10**12) -> None:
    """Print of each life how many rows it has put at least and at most before it was killed."""
    chance, put = random.Random(seed), mmap.mmap(-1, 16)
    for life in range(lives):
        place, times, rows = PLACES[life % len(PLACES)], chance.randrange(1, 4), chance.randrange(1, 600)
        put[:] = bytes(16)
        if (child := os.fork()) == 0:
            _live(folder, life, rows, memoryview(put).cast("Q"), place, times, bytes_at_most)
        assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGKILL
        after, before = memoryview(put).cast("Q")
        print(after, before, flush=True)


def _live(folder: Path, life: int, rows: int, put: memoryview, place: str, times: int, bytes_at_most: int) -> None:
    store = TrafficStore(str(folder / "store"), "small")
    room = Room(store, bytes_at_most, days=30)
    if place in ("put", "publish"):
        setattr(store, place, _then_killed(getattr(store, place), times))
    elif place == "sync_folder":
        spool.sync_folder = _then_killed(spool.sync_folder, times)  # type: ignore[attr-defined]
    elif place == "unlink":
        Path.unlink = _then_killed(Path.unlink, times)  # type: ignore[method-assign]
    log = TrafficLog(folder / "spool", "r1", store, keep_texts=True, room=room, limits=QUICK, clock=lambda: DAY)
    for number in range(1, rows + 1):
        put[1] = number
        log.put(served(f"{life}-{number}", at=DAY + (number % 2) * 86_400, text=f"question {number}"))
        put[0] = number
        if number % 20 == 0:
            os.sched_yield()
    if place != "row":
        log.close()  # where the place was not come to before, it is now, or never
    os.kill(os.getpid(), signal.SIGKILL)


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
    main(Path(sys.argv[1]), *(int(each) for each in sys.argv[2:5]))
