"""The command line: `stillhouse`.

Belongs here: putting the commands together, and how a command ends. Exit code 0 only when all is well.
Does not: a command (orchestration/commands/), what it does (run.py, status.py, scaffold/, stillhouse/audit/).
"""

import sys
import warnings
from importlib.metadata import version as installed_version
from io import TextIOWrapper
from typing import Annotated

import typer

from orchestration.commands import answers, decisions, live, recipes, rounds, serving, traffic
from orchestration.system_errors import INTERRUPTED, plain_system_errors
from orchestration.terminal import err, flush_output, open_closed_streams, out
from stillhouse.errors import StillhouseError

EXIT_CODES = (
    "Exit code 0: all is well, as far as the command looks. 1: it is not. 2: a mistake or a system that refuses, in "
    "one line on standard error. 130: ended by Ctrl-C."
)
app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    epilog=EXIT_CODES,
    help="Distil a large model into a small one, with evidence gates all the way.",
)
PANELS = {
    "Recipes": recipes.commands,
    "Rounds": rounds.commands,
    "Serving": serving.commands,
    "Traffic": traffic.commands,
    "Live": live.commands,
    "Answers": answers.commands,
    "Decisions": decisions.commands,
}
for _panel, _commands in PANELS.items():
    for _command in _commands.registered_commands:
        _command.epilog, _command.rich_help_panel = EXIT_CODES, _panel
    for _group in _commands.registered_groups:
        _group.rich_help_panel = _panel
    app.add_typer(_commands)
for _command in (*decisions.keys.registered_commands, *serving.tokens.registered_commands):
    _command.epilog = EXIT_CODES


def _show_version(wanted: bool) -> None:
    if wanted:
        out.print(f"stillhouse {installed_version('stillhouse')}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version and end."),
    ] = False,
) -> None:
    pass


def main() -> None:
    """Run a command; a mistake of the user, or what the system refuses, is one plain line and never a traceback."""
    open_closed_streams()
    sys.excepthook = err.show_uncaught
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # a terminal of another encoding shows a code for what it cannot show
            stream.reconfigure(errors="backslashreplace")
    # Of Dagster, about what it calls beta and we build on; which module it blames depends on where it calls from.
    warnings.filterwarnings("ignore", message=".* is currently in (beta|preview)")
    try:
        with plain_system_errors():
            try:
                app()
            finally:
                flush_output()
    except StillhouseError as error:
        err.say(str(error), style="red")
        raise SystemExit(2) from None
    except SystemExit as ended:
        if ended.code != INTERRUPTED:
            raise
        line = "ended by Ctrl-C; what was finished is kept, and the same command goes on from there"
        err.say(line, style="yellow")
        raise SystemExit(INTERRUPTED) from None
