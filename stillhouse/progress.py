"""How long-running work tells whoever is watching how far it is.

Belongs here: the kinds of news there are, one call that tells them, one context for the watcher.
Does not: drawing (orchestration/run.py draws bars, the assets write log lines).

What a watcher does depends on the kind of news and on its fields. Notes and sentences are for people.
"""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass


@dataclass(frozen=True)
class Step:
    """So many units of some work are finished.

    Args:
        description: the work.
        done: units finished.
        total: units there are.
        note: how it goes.
    """

    description: str
    done: int
    total: int
    note: str = ""


@dataclass(frozen=True)
class StageStep(Step):
    """A stage of a recipe, which is the description: begun at 0 of 1, made at 1 of 1."""


@dataclass(frozen=True)
class GateDecided:
    """A gate was looked at.

    Args:
        asset: stage, with the batch in brackets where there is one.
        gate: its name.
        passed: whether it found what it asks for; one that is waived did not.
        note: what was found, and who waived it.
    """

    asset: str
    gate: str
    passed: bool
    note: str


@dataclass(frozen=True)
class Remark:
    """Something that is no work, and that a person should know."""

    sentence: str


News = Step | GateDecided | Remark
Listener = Callable[[News], None]

_listeners: ContextVar[tuple[Listener, ...]] = ContextVar("progress_listeners", default=())


def tell(news: News) -> None:
    """Tell every listener."""
    for listener in _listeners.get():
        listener(news)


def step(description: str, done: int, total: int, note: str = "") -> None:
    """Tell every listener that `done` of `total` units of `description` are finished."""
    tell(Step(description, done, total, note))


def remark(sentence: str) -> None:
    """Tell every listener a remark; with no listener it goes to the log."""
    tell(Remark(sentence))
    if not _listeners.get():
        logging.getLogger(__name__).warning(sentence)


@contextmanager
def listening(listener: Listener) -> Iterator[None]:
    """Have `listener` hear all news inside the block."""
    token = _listeners.set((*_listeners.get(), listener))
    try:
        yield
    finally:
        _listeners.reset(token)
