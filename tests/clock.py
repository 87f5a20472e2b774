"""No day ends while a test runs that asks for today more than once: when a test may begin, and a clock set to noon.

Belongs here: what keeps a whole test within one day, month and year, UTC.
Does not: moments. A test chooses them while it runs: a module is loaded up to an hour before its tests.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import time_machine

SECONDS_OF_A_TEST = 60.0
"""What a test may take that lives by the clock of the machine, as the processes do that it starts."""


def seconds_to_wait(now: datetime) -> float:
    """How long a test waits for the next day, because this one could end before the test does."""
    left = 86_400 - (now - now.replace(hour=0, minute=0, second=0, microsecond=0)).total_seconds()
    return left if left < SECONDS_OF_A_TEST else 0.0


@contextmanager
def midday() -> Iterator[None]:
    """Let it be noon of the next day in this process, and let time go on from there: for tests that take minutes.

    Databases, files and other processes keep the time of the machine, for which all that happens here is yet to come.
    """
    noon = datetime.now(UTC).replace(hour=12, minute=0, second=0, microsecond=0) + timedelta(days=1)
    with time_machine.travel(noon, tick=True):
        yield
