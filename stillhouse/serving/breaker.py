"""When what fails is not asked for a while: a teacher for seconds, a challenger for minutes.

Belongs here: counting how asking ended, and saying whether it may be asked.
Does not: asking a teacher (teacher.py) or a challenger (answer.py).
"""

import time
from collections import deque
from collections.abc import Callable

FAILURES_IN_A_ROW, FAILURES, OF_THE_LAST = 5, 10, 50
OPEN_SECONDS = 10.0
"""In which nobody asks a teacher; after it one text is tried, and more only once that was answered."""
CHALLENGER_OPEN_SECONDS = 600.0
"""In which nobody asks a challenger: so long that a rollout, which looks every minute, has seen on how many servers."""


class FailureCount:
    """Failures in a row, and among the last; of one thread."""

    def __init__(self) -> None:
        self._in_a_row = 0
        self._last: deque[bool] = deque(maxlen=OF_THE_LAST)

    def answered(self) -> None:
        """Count an answer."""
        self._in_a_row = 0
        self._last.append(False)

    def failed(self) -> bool:
        """Count a failure, and say whether that makes 5 in a row or 10 of the last 50."""
        self._in_a_row += 1
        self._last.append(True)
        return self._in_a_row >= FAILURES_IN_A_ROW or sum(self._last) >= FAILURES


class ChallengerBreaker:
    """Whether a challenger is asked in this process; of one thread. The next challenger has another.

    After a while it is asked again: its next answer closes the breaker, its next failure keeps it open for as long
    again. So a single caller whose texts it cannot read does not keep it from all others for the whole rollout.

    Args:
        clock: seconds that only grow.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._count = FailureCount()
        self._opened: float | None = None

    @property
    def is_open(self) -> bool:
        """Whether nobody asks it now."""
        return self._opened is not None and self._clock() - self._opened < CHALLENGER_OPEN_SECONDS

    def answered(self) -> None:
        """Count an answer."""
        if self._opened is not None and not self.is_open:
            self._opened, self._count = None, FailureCount()
        self._count.answered()

    def failed(self) -> None:
        """Count a failure."""
        if self._count.failed() or self._opened is not None:
            self._opened = self._clock()


class TeacherBreaker:
    """Whether a teacher is asked: once open it closes when a text that is tried is answered; of one thread.

    Args:
        clock: seconds that only grow.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._count = FailureCount()
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
        if failed:
            if self._count.failed() or was_trying:
                self._opened = self._clock()
            return
        if was_trying:
            self._opened, self._count = None, FailureCount()
        self._count.answered()
