"""Killing a process before a write of its choice to a database, so that no point between two writes is left untried.

Belongs here: counting writes and commits through SQLAlchemy, as of ledger, outbox and Dagster.
Does not: the spool of a server and the log of paid calls, which use SQLite alone (their tests).
"""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa


class KilledError(BaseException):
    """As a kill leaves it: what was not committed has not happened, and nobody catches it."""


def raise_killed() -> None:
    """End this process, as far as databases can tell."""
    raise KilledError


def kill() -> None:
    """End this process at once."""
    os.kill(os.getpid(), signal.SIGKILL)


@contextmanager
def killed_before(number: int, end: Callable[[], None] = kill) -> Iterator[None]:
    """Kill this process before it writes or commits something for the nth time, or never where that is 0.

    Args:
        number: n.
        end: how.
    """
    left = number

    def counted(*about: Any) -> None:
        nonlocal left
        statement = about[2] if len(about) > 2 else "COMMIT"
        if statement.lstrip().startswith(("INSERT", "UPDATE", "DELETE", "COMMIT")):
            left -= 1
            if left == 0:
                end()

    hooks = [("before_cursor_execute", counted), ("commit", lambda connection: counted(connection))]
    for name, hook in hooks:
        sa.event.listen(sa.Engine, name, hook)
    try:
        yield
    finally:
        for name, hook in hooks:
            sa.event.remove(sa.Engine, name, hook)
