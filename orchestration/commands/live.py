"""Commands about the champion on live answers.

Belongs here: watching it, its day on one screen, accepting a new normal.
Does not: watching itself (orchestration/watch.py), serving (serving.py).
"""

import signal
import sys
import time
from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer

from orchestration.commands.common import AsJson, Name, builds_here, find_recipe
from orchestration.terminal import out, print_json
from stillhouse.errors import StillhouseError

if TYPE_CHECKING:
    from stillhouse.records.builds import BuildStore

commands = typer.Typer()
SECONDS_BETWEEN_QUESTIONS = 600.0


@commands.command()
def watch(
    name: Name,
    once: Annotated[bool, typer.Option("--once", help="Look once, ask the teacher once, and end.")] = False,
    every: Annotated[float, typer.Option(min=1, help="Seconds between looks.")] = 60.0,
    accept_days: Annotated[
        int | None,
        typer.Option(min=1, max=40, help="Make what inputs were like on so many whole days the reference, and end."),
    ] = None,
    by: Annotated[str, typer.Option(help="With --accept-days: your name.")] = "",
    reason: Annotated[str, typer.Option(help="With --accept-days: why it is normal.")] = "",
) -> None:
    """Watch the champion without Dagster: look each minute, ask its teacher every ten, and roll back where it must.

    A recipe without a watch is waited for: as a service it goes on until it is stopped.
    """
    from orchestration.live import require_a_watch
    from orchestration.watch import accept, ask
    from orchestration.watch_findings import hand_on

    file, builds = find_recipe(name), builds_here()
    if accept_days is not None:
        require_a_watch(file)
        reference = accept(builds, file, days=accept_days, by=by, reason=reason, at=time.time())
        out.say(f"{reference.rows:,} answers up to {reference.until} are the reference from now on")
        if reference.weekly:
            out.say(f"limits differ by weekday (UTC): {', '.join(sorted(reference.weekly))}")
        return
    if once:
        require_a_watch(file)
        out.say(ask(builds, file, at=time.time()).sentence, *hand_on(builds, file))
        return
    # The first process of a container has no default for it. What is cut off here is looked at again next time.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    watching = Watching(name, builds)
    while True:
        out.say(*watching.look(at=time.time()))
        time.sleep(every)


class Watching:
    """A watch that goes on whatever a look finds, as a service should.

    Args:
        name: of the recipe. It is read again at each look: the sensor goes by what it says now, and watches with two
            limits would end each other's bets.
        builds: with ledger and traffic.
    """

    def __init__(self, name: str, builds: "BuildStore") -> None:
        self._name, self._builds = name, builds
        self._asked_at = 0.0
        self._was_watched = True

    def look(self, *, at: float) -> list[str]:
        """Look once, ask the teacher if it is time, and say what came of it.

        That a recipe has no watch is said once, until it has had one.

        Args:
            at: now, in seconds since 1970.
        """
        from orchestration.live import NotWatchedError, require_a_watch
        from orchestration.watch import ask, look
        from orchestration.watch_findings import hand_on

        try:
            file = find_recipe(self._name)
            require_a_watch(file)
            self._was_watched = True
            asks = at - self._asked_at >= SECONDS_BETWEEN_QUESTIONS
            self._asked_at = at if asks else self._asked_at
            found = (ask if asks else look)(self._builds, file, at=at)
            return [found.sentence, *hand_on(self._builds, file)]
        except NotWatchedError as error:
            was_watched, self._was_watched = self._was_watched, False
            return [f"{error} Until then this waits."] if was_watched else []
        except StillhouseError as error:
            return [str(error)]  # a store or a teacher that is away may come back


@commands.command()
def live(
    name: Name,
    day: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d"], help="As 2026-11-28, UTC; today when left out.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show how the champion does on live answers: the day on one screen, and what the watch has found."""
    from orchestration.live import live_screen
    from orchestration.tables.live import live_table
    from stillhouse.live.segments import day_at

    now = time.time()
    of = day_at(now) if day is None else day.date().isoformat()
    shown = live_screen(builds_here(), find_recipe(name), of, at=now)
    if as_json:
        print_json(shown.model_dump_json(indent=1))
        return
    out.say(*live_table(shown))
