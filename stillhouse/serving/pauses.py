"""Pauses of a thread that works beside requests, which wait as long as it holds the interpreter.

Belongs here: when to rest.
Does not: the work (writing.py, sealing.py).
"""

import threading
import time

_WORK_SECONDS, _REST_SECONDS = 0.001, 0.001


class Rest:
    """A pause after each short piece of work, but for a process that ends.

    Args:
        closing: set when it does.
    """

    def __init__(self, closing: threading.Event) -> None:
        self._closing, self._since = closing, time.perf_counter()

    def __call__(self) -> None:
        """Rest if it is time to."""
        if time.perf_counter() - self._since > _WORK_SECONDS and not self._closing.is_set():
            time.sleep(_REST_SECONDS)
            self._since = time.perf_counter()
