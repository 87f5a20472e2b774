"""Commands about the champion on live answers.

Belongs here: watching it, its day on one screen, accepting a new normal.
Does not: watching itself (orchestration/watch.py), serving (serving.py).
"""

import signal
import sys
import time
from typing import Annotated

import typer
from rich.text import Text

from orchestration.commands.common import AsJson, Name, find_recipe
from orchestration.terminal import out, print_json
from stillhouse.errors import StillhouseError
from stillhouse.home import Home

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
    """Watch the champion without Dagster: look each minute, ask its teacher every ten, and roll back where it must."""
    from orchestration.findings import hand_on
    from orchestration.live import require_a_watch
    from orchestration.watch import accept, ask, look
    from stillhouse.records.builds import BuildStore

    file, builds = find_recipe(name), BuildStore(Home.from_environment())
    require_a_watch(file)
    if accept_days is not None:
        reference = accept(builds, file, days=accept_days, by=by, reason=reason, at=time.time())
        out.print(f"{reference.rows:,} answers up to {reference.until} are the reference from now on", soft_wrap=True)
        return
    if not once:
        # The first process of a container has no default for it. What is cut off here is looked at again next time.
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    asked_at = 0.0
    while True:
        now = time.time()
        asks = now - asked_at >= SECONDS_BETWEEN_QUESTIONS
        try:
            # As it is now: the sensor goes by that, and watches with two limits would end each other's bets.
            file = find_recipe(name)
            require_a_watch(file)
            found = (ask if asks else look)(builds, file, at=now)
            lines = [found.sentence, *hand_on(builds, file)]
        except StillhouseError as error:
            if once:
                raise
            lines = [str(error)]  # a store or a teacher that is away may come back
        asked_at = now if asks else asked_at
        out.print(Text("\n".join(lines)), soft_wrap=True)
        if once:
            return
        time.sleep(every)


@commands.command()
def live(
    name: Name,
    day: Annotated[str | None, typer.Option(help="As 2026-11-28, UTC; today when left out.")] = None,
    as_json: AsJson = False,
) -> None:
    """Show how the champion does on live answers: the day on one screen, and what the watch has found."""
    from orchestration.live import live_screen
    from orchestration.tables import live_table
    from stillhouse.live.segments import day_at
    from stillhouse.records.builds import BuildStore

    now = time.time()
    shown = live_screen(BuildStore(Home.from_environment()), find_recipe(name), day or day_at(now), at=now)
    if as_json:
        print_json(shown.model_dump_json(indent=1))
        return
    for part in live_table(shown):
        out.print(part, soft_wrap=True)
