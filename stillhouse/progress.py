"""How long-running work tells whoever is watching how far it is.

Belongs here: one call for the worker, one for a remark, one context for the watcher.
Does not: drawing (orchestration/cli.py draws bars, the assets write log lines).
"""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

Listener = Callable[[str, int, int, str], None]

_listeners: ContextVar[tuple[Listener, ...]] = ContextVar("progress_listeners", default=())


def step(description: str, done: int, total: int, note: str = "") -> None:
    """Tell every listener that `done` of `total` units of `description` are finished."""
    for listener in _listeners.get():
        listener(description, done, total, note)


def remark(sentence: str) -> None:
    """Tell every listener something that is no work, as a step of nothing; with no listener it goes to the log."""
    step(sentence, 0, 0)
    if not _listeners.get():
        logging.getLogger(__name__).warning(sentence)


@contextmanager
def listening(listener: Listener) -> Iterator[None]:
    """Have `listener` told of every step taken inside the block."""
    token = _listeners.set((*_listeners.get(), listener))
    try:
        yield
    finally:
        _listeners.reset(token)
