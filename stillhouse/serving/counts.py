"""How many rows a process has received and dropped on each day, in a file that outlives a killed process.

Belongs here: that file.
Does not: how many were stored (writing.py counts those in the transaction that stores them).

The file is mapped into memory: what was counted is the operating system's the moment it is written, at the cost of an
assignment, so that after a kill -9 the count is exact. A power cut may leave an older one behind.
"""

import mmap
import os
from pathlib import Path

from stillhouse.files import plain_disk_errors

_DAYS = 4_096
"""Of one process, eleven years."""
_WORDS_A_DAY = 3
_BYTES = 8 * (2 + _WORDS_A_DAY * _DAYS)


class Counts:
    """The counts of one process; days are numbered from 1970-01-01.

    Args:
        path: the file, made if it is not there.
        life: id of the process, 16 bytes.

    Raises:
        MachineError: if the disk has no room for all of it.
    """

    def __init__(self, path: Path, life: bytes) -> None:
        with plain_disk_errors(path):
            handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
            try:
                # A file that is only made longer has no blocks: on a disk that fills up later, counting would be a
                # SIGBUS, which ends the server.
                os.posix_fallocate(handle, 0, _BYTES)
                self._map = mmap.mmap(handle, _BYTES)
            finally:
                os.close(handle)
        self._map[:16] = life
        self._words = memoryview(self._map).cast("Q")
        self._at: dict[int, int] = {}

    def received(self, day: int) -> None:
        """Count a row that came."""
        self._words[self._place(day) + 1] += 1

    def dropped(self, day: int) -> None:
        """Count a row that was let go."""
        self._words[self._place(day) + 2] += 1

    def of(self, day: int) -> tuple[int, int]:
        """Rows received and dropped on a day."""
        place = self._at.get(day)
        return (0, 0) if place is None else (self._words[place + 1], self._words[place + 2])

    def days(self) -> list[int]:
        """Every day on which a row came."""
        return list(self._at)

    def close(self) -> None:
        """Let the file go."""
        self._words.release()
        self._map.close()

    def _place(self, day: int) -> int:
        place = self._at.get(day)
        if place is None:
            place = self._at[day] = 2 + _WORDS_A_DAY * len(self._at)
            self._words[place] = day
        return place


def counted(path: Path, life: bytes) -> dict[int, tuple[int, int]] | None:
    """What a process had counted, received and dropped by day; None where the file is not of that process, or cut."""
    content = path.read_bytes() if path.exists() else b""
    if len(content) != _BYTES or content[:16] != life:
        return None
    words = memoryview(content).cast("Q")
    places = range(2, len(words), _WORDS_A_DAY)
    return {words[place]: (words[place + 1], words[place + 2]) for place in places if words[place + 1]}
