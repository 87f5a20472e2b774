"""How fast a server is asked: no more calls, and no more tokens, in a minute than it takes.

Belongs here: when the next call may be made, whichever thread makes it.
Does not: making it (endpoint.py), what it may cost (calls.py).
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache

Sleep = Callable[[float], object]
"""Waits so many seconds, or less where there is nothing to wait for any more."""
_MINUTE = 60.0


class Pace:
    """Calls that are begun evenly, and not while the server asks to be left alone."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._held_until = self._next_place = 0.0

    def wait(self, per_minute: int | None, sleep: Sleep) -> None:
        """Wait for the place of one more call.

        Args:
            per_minute: calls that may be begun; None for any number, which leaves the places of others as they are.
            sleep: how to wait.
        """
        with self._lock:
            now = time.monotonic()
            mine = max(now, self._held_until)
            if per_minute is not None:
                mine = max(mine, self._next_place)
                self._next_place = mine + _MINUTE / per_minute
        if mine > now:
            sleep(mine - now)

    def hold(self, seconds: float) -> None:
        """Begin no call for so long."""
        with self._lock:
            self._held_until = max(self._held_until, time.monotonic() + seconds)


@dataclass
class Counted:
    """The tokens of a call: at first the most that they can be, then what the server counts."""

    tokens: int


class TokensAMinute:
    """The tokens of the calls of the last minute.

    A call counts until a minute after its reply: in between nobody knows when the server counted it. So there is no
    minute of the server's in which it has counted more, however it measures one: by the clock, over the last sixty
    seconds, or as a bucket that fills up again.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._open: list[Counted] = []
        self._ended: deque[tuple[float, int]] = deque()

    @contextmanager
    def counted(
        self, tokens: int, per_minute: int | None, sleep: Sleep, *, over: Callable[[], bool]
    ) -> Iterator[Counted]:
        """Wait until so many tokens are left, and count them while the block runs and a minute longer.

        Args:
            tokens: that the call can take at the most; one that can take more than all of them is made by itself.
            per_minute: that may be taken; None for any number.
            sleep: how to wait.
            over: whether there is nothing to wait for any more.
        """
        mine = Counted(tokens if per_minute is None else min(tokens, per_minute))
        if per_minute is None:
            yield mine
            return
        self._wait(mine, per_minute, sleep, over)
        try:
            yield mine
        finally:
            with self._changed:
                self._open = [each for each in self._open if each is not mine]
                self._ended.append((time.monotonic(), mine.tokens))
                self._changed.notify_all()

    def _wait(self, mine: Counted, per_minute: int, sleep: Sleep, over: Callable[[], bool]) -> None:
        while not over():
            with self._changed:
                seconds = self._seconds_until(per_minute - mine.tokens)
                if seconds == 0:
                    self._open.append(mine)
                    return
                if seconds is None:
                    self._changed.wait()
                    continue
            sleep(seconds)

    def _seconds_until(self, room: int) -> float | None:
        """Seconds until no more than these tokens count; None where a call that is open has to end first."""
        now = time.monotonic()
        while self._ended and self._ended[0][0] + _MINUTE <= now:
            self._ended.popleft()
        room -= sum(each.tokens for each in self._open)
        if room < 0:
            return None
        too_many = sum(tokens for _, tokens in self._ended) - room
        for ended, tokens in self._ended:
            if too_many <= 0:
                break
            too_many -= tokens
            if too_many <= 0:
                return ended + _MINUTE - now
        return 0.0


@cache
def pace_of(url: str, model: str) -> Pace:
    """The calls that this process makes of a model of a server, whichever stage or recipe makes them."""
    return Pace()


@cache
def tokens_of(url: str, model: str) -> TokensAMinute:
    """The tokens that this process has a model of a server read and write, whichever stage or recipe asks it."""
    return TokensAMinute()
