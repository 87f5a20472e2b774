"""Commands about serving the champion.

Belongs here: the server, the tokens of those who ask it, and how far the next release is.
Does not: answering a request (stillhouse/serving/), the champion asked or handed over once (rounds.py).
"""

import logging
from typing import Annotated

import typer

from orchestration.commands.common import Name, builds_here, find_recipe
from orchestration.terminal import out
from stillhouse.home import Home
from stillhouse.serving.tokens import Scope, Tokens

commands = typer.Typer()
tokens = typer.Typer(no_args_is_help=True, help="Who may ask a server: bearer tokens, each for some endpoints.")
commands.add_typer(tokens, name="tokens")
TokenName = Annotated[str, typer.Argument(help="Who or what has it.")]


@commands.command()
def serve(
    names: Annotated[list[str], typer.Argument(help="Names of recipes, see `stillhouse list`.")],
    host: Annotated[str, typer.Option(help="Name or address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 takes one that is free.")] = 8080,
    replica: Annotated[
        str | None, typer.Option(help="Name of this server in the traffic log; by host and port when left out.")
    ] = None,
) -> None:
    """Answer requests with the champions of some recipes, and follow the ledger from then on, until Ctrl-C."""
    from stillhouse.serving.process import Listening, run

    files = [find_recipe(name) for name in dict.fromkeys(names)]
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    listening = Listening(host, port)
    run(Home.from_environment(), files, listening, out.say, replica)


@commands.command()
def rollout(
    name: Name,
    replay: Annotated[
        bool, typer.Option("--replay", help="First put what was asked to both releases again, here and now.")
    ] = False,
) -> None:
    """Say how far the next release is and what is missing, and take its next step, as the sensor does each minute."""
    from orchestration.instance import initialise
    from orchestration.rollout import look, replay_now

    file, builds = find_recipe(name), builds_here()
    with initialise(builds.home) as instance:
        done = replay_now(instance, builds, file) if replay else True
        step = look(instance, builds, file)
    out.say(step.sentence)
    if step.truth is not None:
        out.say(f"what people said: {step.truth}")
    if not done:
        out.say(f"the replay broke; `stillhouse ui` shows its run of the job shadow_{name}", style="red")
        raise typer.Exit(1)


@tokens.command("new")
def new_token(
    name: TokenName,
    scope: Annotated[
        list[Scope] | None, typer.Option(help="What it is for; may be repeated. predict when left out.")
    ] = None,
) -> None:
    """Make a token and show it, once: servers know its digest alone."""
    made = Tokens(Home.from_environment().serving).new(name, scope or [Scope.PREDICT])
    out.print(made)


@tokens.command("list")
def list_tokens() -> None:
    """List the tokens: for whom, for what, since when."""
    for token in Tokens(Home.from_environment().serving).all:
        out.say(f"{token.name}  {', '.join(token.scopes)}  since {token.made_at}")


@tokens.command("revoke")
def revoke_token(name: TokenName) -> None:
    """Take a token back; servers that run refuse it within a second or two."""
    Tokens(Home.from_environment().serving).revoke(name)
