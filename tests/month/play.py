"""How the month is played: each day its callers, its acts, and the looks of the daemon.

Belongs here: the order of a day. Does not: what happens on which day (story.py), what is there (world.py).
"""

import random
import secrets
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import time_machine

from orchestration.run import distil
from orchestration.terminal import Terminal
from orchestration.watch import look
from orchestration.watch_findings import hand_on
from stillhouse.teachers.teacher import NetworkTeacher
from tests.conftest import a_place
from tests.month.callers import Request
from tests.month.story import ANN, DAYS, MONTH, Day, say
from tests.month.world import FIRST_DAY, NAME, World, recipe

REPORTS_AT = timedelta(hours=1, minutes=5)
"""After midnight, when nobody asks: the schedules of the day before are due."""
LAST_LOOK, MORE_LOOKS = 23.9, (9.0, 12.0, 16.0)
"""Hours of the looks: of one each day, and of more where somebody acts or a release is on its way.

What waits is state, so that none is missed."""


@contextmanager
def installation(folder: Path, a_day: int, *, seeded: Path | None = None) -> Iterator[World]:
    """An installation on the day before the month, with two releases, of which a person has promoted the second.

    Args:
        folder: where it lies.
        a_day: how many questions are asked each day.
        seeded: see `a_place`.
    """
    with ExitStack() as until:
        patches = until.enter_context(pytest.MonkeyPatch.context())
        until.enter_context(_known_secrets(patches))
        clock = until.enter_context(time_machine.travel(FIRST_DAY - timedelta(hours=14), tick=False))
        place = until.enter_context(a_place(folder, seeded=seeded, baselines=False))
        patches.setenv("STILLHOUSE_RECIPES", str(folder / "recipes"))
        world = World(place, clock, recipe(folder, epochs=4), a_day)
        patches.setattr(NetworkTeacher, "ask", _as_it_is_today(world, NetworkTeacher.ask))
        assert distil(world.file, place.home, Terminal(quiet=True)).succeeded
        world.change(recipe(folder, epochs=1))
        assert distil(world.file, place.home, Terminal(quiet=True)).succeeded
        assert world.now.challenger is not None
        second = world.now.challenger.deployed.release
        say("promote", NAME, second[:12], *ANN, "--reason", "it costs a quarter to train and is as good on the average")
        yield world


def play(world: World) -> Iterator[int]:
    """Play the month, and give the number of each day that has ended."""
    for number in range(1, DAYS + 1):
        _play_day(world, number, MONTH.get(number, Day()))
        yield number


def _play_day(world: World, number: int, day: Day) -> None:
    midnight = FIRST_DAY + timedelta(days=number - 1)
    world.goes_on_at(midnight + REPORTS_AT)
    world.daemon.schedules()
    world.daemon.sensors("watch", "rollout", "rounds")
    waiting = list(world.callers.on(number, day.mix))
    is_busy = bool(day.acts) or world.now.challenger is not None
    for hour in sorted({LAST_LOOK, *day.acts, *(MORE_LOOKS if is_busy else ())}):
        world.serve(_until(hour, waiting), midnight)
        world.goes_on_at(midnight + timedelta(hours=hour))
        world.daemon.schedules()
        if hour in day.acts:
            day.acts[hour](world)
        look(world.place.builds, world.file, at=(midnight + timedelta(hours=hour)).timestamp())
        hand_on(world.place.builds, world.file)
        world.daemon.sensors("rollout", "rounds")


def _until(hour: float, waiting: list[Request]) -> list[Request]:
    """Take the requests that come before an hour."""
    some = [request for request in waiting if request.moment < 3600 * hour]
    del waiting[: len(some)]
    return some


@contextmanager
def _known_secrets(patches: pytest.MonkeyPatch) -> Iterator[None]:
    """Who is drawn, and who is in a share of the callers, follows from secrets: these are the same each time."""
    known = random.Random(0)
    patches.setattr(secrets, "token_hex", lambda bytes=32: known.randbytes(bytes).hex())
    patches.setattr(secrets, "token_bytes", lambda bytes=32: known.randbytes(bytes))
    yield


def _as_it_is_today(world: World, ask: Any) -> Any:
    """What a network answers; on some days another has been put in its place, which takes classes for one another."""

    def asked(teacher: NetworkTeacher, prompts: pl.DataFrame) -> pl.DataFrame:
        said = ask(teacher, prompts)
        if not world.teacher_has_changed:
            return said
        return said.with_columns(pl.col("logits").list.reverse())

    return asked
