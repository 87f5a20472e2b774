"""When a teacher that fails is not asked for a while.

Belongs here: counting how asking ended, and saying whether it may be asked.
Does not: asking it (teacher.py).
"""

import time
from collections import deque
from collections.abc import Callable

FAILURES_IN_A_ROW, FAILURES, OF_THE_LAST = 5, 10, 50
OPEN_SECONDS = 10.0
"""In which nobody asks; after it one text is tried, and more only once that was answered."""


class Breaker:
    """Opens after 5 failures in a row or 10 of the last 50; of one thread.

    Args:
        clock: seconds that only grow.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._last: deque[bool] = deque(maxlen=OF_THE_LAST)
        self._in_a_row = 0
        self._opened: float | None = None
        self._is_trying = False

    @property
    def is_open(self) -> bool:
        """Whether it has opened and not closed since; one text may be tried all the same."""
        return self._opened is not None

    def lets_through(self) -> bool:
        """Whether the teacher may be asked now; whoever asks then says by `ended` how it went."""
        if self._opened is None:
            return True
        if self._is_trying or self._clock() - self._opened < OPEN_SECONDS:
            return False
        self._is_trying = True
        return True

    def ended(self, *, failed: bool | None) -> None:
        """Count how asking ended; None where nobody waited for it."""
        was_trying, self._is_trying = self._is_trying, False
        if failed is None:
            return
        if not failed:
            self._in_a_row = 0
            if was_trying:
                self._opened = None
                self._last.clear()
            self._last.append(False)
            return
        self._in_a_row += 1
        self._last.append(True)
        if was_trying or self._in_a_row >= FAILURES_IN_A_ROW or sum(self._last) >= FAILURES:
            self._opened = self._clock()
