"""Which process does a piece of work, whether it is still there, and how much of the processor it gets.

Belongs here: naming a process so that no other one is ever taken for it, and asking for it later; a clock that other
processes do not slow down.
Does not: runs (orchestration/dead_runs.py).
"""

import os
import socket
import time
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

_PROC = Path("/proc")


class Life(StrEnum):
    """What is known of a process."""

    ALIVE = "alive"
    GONE = "gone"
    ELSEWHERE = "elsewhere"
    """On another machine or in another container, where this one cannot look."""


@dataclass(frozen=True)
class ProcessName:
    """One process on one machine, for good: a number alone is given to another process later.

    Args:
        host: name of the machine or container.
        boot: which boot of the machine, and which space of process numbers; empty where the system does not say.
        pid: its number.
        started: when it started, in ticks since the boot; empty where the system does not say.
    """

    host: str
    boot: str
    pid: int
    started: str

    @classmethod
    def of_this_process(cls) -> "ProcessName":
        """Name the process that asks."""
        return cls(socket.gethostname(), _boot(), os.getpid(), _started(os.getpid()))

    def __str__(self) -> str:
        return f"{self.host} {self.boot or '-'} {self.pid} {self.started or '-'}"

    @classmethod
    def parse(cls, text: str) -> "ProcessName | None":
        """Read what `str` wrote; None for anything else, such as the bare number that version 0.1.0 wrote."""
        parts = text.split(" ")
        if len(parts) != 4 or not parts[2].isdigit():
            return None
        host, boot, pid, started = parts
        return cls(host, "" if boot == "-" else boot, int(pid), "" if started == "-" else started)

    def life(self) -> Life:
        """Whether it is still there."""
        here = ProcessName.of_this_process()
        if self.boot != here.boot:
            # The same host with another boot id was started again; another host has a boot of its own.
            return Life.GONE if self.host == here.host else Life.ELSEWHERE
        if not self.boot and self.host != here.host:
            return Life.ELSEWHERE
        if not _exists(self.pid):
            return Life.GONE
        return Life.ALIVE if _started(self.pid) == self.started else Life.GONE


class QuietClock:
    """Seconds that work takes where nothing else runs, measured while other processes may.

    Linux counts for each thread how long it ran and how long it was ready and waited for a processor. Where a third of
    that was running, a quiet machine takes a third of the time. A thread that spins while it waits for another one runs
    by that count, so what is left is rather too much. Elsewhere, nothing is known and nothing is taken off.

    As a context it measures what is done inside; when it is over, its fields say what was found.
    """

    wall: float = 0.0
    share: float = 1.0
    """Of the time in which this process was ready to run, the part in which it ran."""

    @property
    def seconds(self) -> float:
        """Of a quiet machine."""
        return self.wall * self.share

    def __enter__(self) -> "QuietClock":
        self._threads, self._begun = _ran_and_waited(), time.perf_counter()
        return self

    def __exit__(self, *_: object) -> None:
        self.wall = time.perf_counter() - self._begun
        now = _ran_and_waited()
        ran = waited = 0
        for thread, (running, waiting) in now.items():
            before = self._threads.get(thread, (0, 0))
            ran, waited = ran + running - before[0], waited + waiting - before[1]
        if ran > 0 and waited >= 0:
            self.share = ran / (ran + waited)


def _ran_and_waited() -> dict[int, tuple[int, int]]:
    """By thread of this process the nanoseconds that it ran, and that it was ready and did not run."""
    found: dict[int, tuple[int, int]] = {}
    for thread in (_PROC / "self/task").glob("*"):
        try:
            ran, waited, _ = (thread / "schedstat").read_text().split()
        except (FileNotFoundError, ProcessLookupError):  # it has ended, or this kernel does not count
            continue
        found[int(thread.name)] = (int(ran), int(waited))
    return found


def _boot() -> str:
    boot = _PROC / "sys/kernel/random/boot_id"
    if not boot.exists():
        return ""
    numbers = os.readlink(_PROC / "self/ns/pid")
    return f"{boot.read_text().strip()}/{numbers.strip('pid:[]')}"


def _started(pid: int) -> str:
    """When a process started; empty for one that has ended and waits for its parent to ask how."""
    try:
        stat = (_PROC / str(pid) / "stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""
    fields = stat.rpartition(")")[2].split()  # the name before them may hold blanks and brackets
    return "" if fields[0] == "Z" else fields[19]


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # somebody else's
        return True
    return True
