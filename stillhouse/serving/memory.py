"""How much memory this process holds, and has held for a while.

Belongs here: reading it, the least of some heartbeats, giving back what the allocator keeps of a release that is gone.
Does not: the limit on it and what follows (stillhouse/live/memory.py, orchestration/).
"""

import ctypes
import sys
from collections import deque
from pathlib import Path

from stillhouse.records.replicas import BEATS
from stillhouse.wording import MEGABYTE

STATUS = Path("/proc/self/status")
_RESIDENT, _UNIT, _BYTES_OF_IT = "VmRSS:", "kB", 1024


def resident_mb() -> float | None:
    """What of this process is in memory now, in 1e6 bytes; None on a system that does not say.

    `resource` knows the most that it ever was, which falls no more: a process would be judged by what it gave back.
    """
    try:
        lines = STATUS.read_text().splitlines()
    except OSError:
        return None
    words = next((line.split() for line in lines if line.startswith(_RESIDENT)), [])
    if len(words) != 3 or words[2] != _UNIT or not words[1].isdigit():
        return None
    return int(words[1]) * _BYTES_OF_IT / MEGABYTE


class HeldMemory:
    """What this process held through some heartbeats in a row, while the same was loaded."""

    def __init__(self) -> None:
        self._beats: deque[float] = deque(maxlen=BEATS)
        self._loaded: object = None

    def beat(self, memory_mb: float | None, loaded: object) -> float | None:
        """Take one more heartbeat.

        Args:
            memory_mb: now; None where the system does not say.
            loaded: what serves; with another one counting begins again, so that no release is judged by the memory
                of others, nor by what loading took.

        Returns:
            The least of the last `BEATS`; None while there are fewer.
        """
        if loaded != self._loaded:
            self._loaded = loaded
            self._beats.clear()
        elif len(self._beats) == 1:  # by now what was under way with a release that is gone has ended
            give_back()
        if memory_mb is None:
            self._beats.clear()
            return None
        self._beats.append(memory_mb)
        return min(self._beats) if len(self._beats) == BEATS else None


def give_back() -> None:
    """Have glibc hand back what it keeps of memory that was freed.

    Of a second model that was dropped it keeps up to two thirds otherwise, and the release that is left would be taken
    for the cause.
    """
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # musl has none, and keeps nothing
        if trim is not None:
            trim(0)
