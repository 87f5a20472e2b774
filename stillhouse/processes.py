"""Which process does a piece of work, and whether it is still there.

Belongs here: naming a process so that no other one is ever taken for it, and asking for it later.
Does not: runs (orchestration/dead_runs.py).
"""

import os
import socket
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
