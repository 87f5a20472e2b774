"""Commands that make something of a recipe, and use what was made.

Belongs here: planning and running a round, the UI, the champion asked and handed over.
Does not: what is known of what was made (answers.py).
"""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from orchestration.commands.common import AsJson, Name, builds_here, find_recipe, make_ready
from orchestration.terminal import out, print_json
from stillhouse.device import device_of
from stillhouse.errors import MachineError, StillhouseError
from stillhouse.home import Home
from stillhouse.wording import MEGABYTE, in_minutes

commands = typer.Typer()


@commands.command()
def plan(
    name: Name,
    discordance: Annotated[
        float | None,
        typer.Option(min=0.001, max=1.0, help="Expected share of rows that exactly one of the two models gets right."),
    ] = None,
    live: Annotated[
        bool,
        typer.Option(
            "--live", help="Instead: how long a fall on live answers goes unseen, by what is asked and costs."
        ),
    ] = False,
    requests: Annotated[int, typer.Option(min=50, help="With --live: requests a day.")] = 1000,
    as_json: AsJson = False,
) -> None:
    """Say which claims the golden set can support at all, and how long a run takes, before anything is paid for."""
    if live:
        _plan_live(name, requests, as_json=as_json)
        return
    from orchestration.planned import planned
    from orchestration.tables.planned import claims_table, duration_table
    from stillhouse.evaluation.planning import USUAL_DISCORDANCE

    found = planned(builds_here(), find_recipe(name), discordance or USUAL_DISCORDANCE)
    if as_json:
        print_json(found.model_dump_json(indent=1))
    else:
        out.print(claims_table(name, found))
        if found.duration is None:
            out.print("no forecast: a teacher whose terms do not allow to learn from it is not loaded")
        else:
            out.print()
            out.print(duration_table(found.duration))
            out.print(f"a whole run: {found.duration.forecast.sentence}")
        if found.paid is not None:
            out.say(found.paid.sentence)
    raise typer.Exit(1 if found.unsupported else 0)


def _plan_live(name: str, requests: int, *, as_json: bool) -> None:
    from orchestration.live import planned_watch
    from orchestration.tables.live import live_plan_table

    found = planned_watch(builds_here(), find_recipe(name), requests_a_day=requests)
    if as_json:
        print_json(found.model_dump_json(indent=1))
    else:
        out.print(live_plan_table(name, found))
        out.say(*() if found.cost is None else found.cost.sentences)


@commands.command()
def run(name: Name) -> None:
    """Distil: every stage of a recipe with every gate, from rows to champion."""
    from orchestration.planned import forecast_of_a_first_run, seconds_by_stage
    from orchestration.run import distil
    from stillhouse.stages.serving_device import serving_device

    file, builds = find_recipe(name), builds_here()
    home = builds.home
    device_of(home.device)  # one that is not there ends it here, before anything is made
    serving_device(file, builds)  # likewise
    try:
        expected = forecast_of_a_first_run(builds, file)
    except MachineError:
        raise
    except StillhouseError as error:  # the gates of the stage that it belongs to say it, and leave a record
        out.say(f"no forecast: {error}", style="yellow")
        expected = None
    if expected is not None:
        out.print(f"forecast: {expected.forecast.sentence}")
    outcome = distil(file, home, out)
    if expected is not None:
        expected = expected.model_copy(update={"took": seconds_by_stage(builds.ledger, file)})
        forecast, seconds = expected.compared
        stages = len(expected.took)
        out.print(f"took {in_minutes(seconds)} for {stages} stages, of which the forecast was {in_minutes(forecast)}")
    if outcome.of_the_machine:
        typer.echo(outcome.errors[0], err=True)
        raise typer.Exit(2)
    raise typer.Exit(0 if outcome.ends_well else 1)


@commands.command()
def ui(
    host: Annotated[
        str, typer.Option(help="Name or address to listen on; one that other machines reach asks for a token.")
    ] = "127.0.0.1",
    port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Port; left out, the first free one from 3000.")
    ] = None,
    address: Annotated[
        list[str] | None, typer.Option(help="What browsers open where a proxy stands in front; may be repeated.")
    ] = None,
    read_only: Annotated[bool, typer.Option("--read-only", help="Show everything, change nothing.")] = False,
) -> None:
    """Serve the Dagster UI, guarded, with daemon and code server behind it, until Ctrl-C."""
    from orchestration.ui import UiListening, serve

    home, before = Home.from_environment(), os.environ.get("DAGSTER_HOME")
    if before and Path(before).expanduser().absolute() != home.dagster:
        out.say(f"DAGSTER_HOME was {before}; here it is {home.dagster}")
    make_ready(home)
    ended_by_a_person = serve(home, UiListening(host, port, tuple(address or ()), read_only), out)
    raise typer.Exit(0 if ended_by_a_person else 1)


@commands.command()
def predict(
    name: Name,
    texts: Annotated[
        list[str] | None, typer.Argument(help="Texts to ask about; when left out, each line of standard input.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Ask the champion: the label of each text, and the probability that it is right."""
    from orchestration.serving import predict as predictions_of

    file = find_recipe(name)
    asked = texts or [line.rstrip("\n") for line in sys.stdin]
    found = predictions_of(builds_here(), file, asked)
    if as_json:
        print_json(found.model_dump_json(indent=1))
        return
    for each in found.answers:
        sure = "" if each.confidence is None else f"{each.confidence:.3f}  "
        out.say(Text.assemble((each.label, "bold"), f"  {sure}{each.text}"))


@commands.command()
def export(
    name: Name,
    folder: Annotated[Path, typer.Argument(help="Folder to write, empty or not there yet.")],
) -> None:
    """Write the champion as a folder that runs without Stillhouse: ONNX, tokenizer, labels, card, a loader."""
    from orchestration.serving import champion_bundle
    from stillhouse.release.standalone import LOADER, write_standalone

    served, bundle = champion_bundle(builds_here(), find_recipe(name))
    size = write_standalone(bundle, served.release, folder)
    out.say(f"wrote {folder}: {served.student} {served.release[:12]}, {size / MEGABYTE:.1f} MB")
    out.say(Text.assemble("Ask it: ", (f'python {folder / LOADER} "a text"', "bold")))
