"""Commands by which a named person decides something, and the key that signs what was decided.

Belongs here: waiving, approving, choosing who serves, amending, correcting costs, keys.
Does not: what a decision is and when it counts (stillhouse/records/governance.py).
"""

from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer

from orchestration.commands.common import By, Name, Reason, builds_here, find_recipe, name_on_record
from orchestration.terminal import out
from stillhouse.economics import Book
from stillhouse.errors import StillhouseError
from stillhouse.home import Home

if TYPE_CHECKING:
    from orchestration.deployments import Decided

commands = typer.Typer()


@commands.command()
def waive(
    check: Annotated[str, typer.Argument(help="RECIPE/STAGE:GATE or RECIPE/STAGE[BATCH]:GATE, as status shows.")],
    by: By,
    reason: Reason,
    until: Annotated[datetime, typer.Option(formats=["%Y-%m-%d"], help="Last day on which it counts, in UTC.")],
) -> None:
    """Waive a failed or inconclusive gate for its newest artifact, until a day; recorded with name and reason."""
    from orchestration.approvals import waive_newest
    from orchestration.batches import sync_batches
    from orchestration.instance import initialise
    from stillhouse.records.gate_names import renamed
    from stillhouse.records.governance import Waiver

    file, builds = find_recipe(check.partition("/")[0]), builds_here()
    wanted = Waiver(check, by, reason, until.date(), content="")
    with initialise(builds.home) as instance:
        waiver = waive_newest(builds, file, wanted, sync_batches(instance, builds, file))
    out.say(*renamed([check.rpartition(":")[2]]), style="yellow")
    out.say(f"{waiver.gate} is {waiver}, for {waiver.content[:12]} alone")


@commands.command()
def approve(
    name: Name,
    by: By,
    reason: Reason,
    training: Annotated[
        bool, typer.Option("--training", help="What the newest contract trains, before it is trained; no release.")
    ] = False,
) -> None:
    """Approve the release that waits for it, or a training, where the stakes are high; the recipe's author cannot."""
    from orchestration.approvals import approve_newest_release, approve_training

    builds, file = builds_here(), find_recipe(name)
    if training:
        contract = approve_training(builds, file, by=by, reason=reason)
        out.say(f"contract {contract[:12]} is signed off; `stillhouse run {name}` trains")
        return
    done = approve_newest_release(builds, file, by=by, reason=reason)
    next_step = "rollout" if done.answers_callers else "run"
    out.say(f"{done.release[:12]} is approved; `stillhouse {next_step} {name}` makes it the champion")


@commands.command()
def rollback(
    name: Name,
    by: By,
    reason: Reason,
    digest: Annotated[
        str | None,
        typer.Argument(help="Beginning of the digest of an earlier release; when left out, the one before."),
    ] = None,
) -> None:
    """Bring an earlier release back; the one that serves is withdrawn until a person brings it back."""
    from orchestration.deployments import roll_back, roll_back_by_records
    from orchestration.instance import initialise

    def withdrawn(replaced: str) -> str:
        return f"{replaced} is withdrawn and no round brings it back"

    builds = builds_here()
    try:
        file = find_recipe(name)
    except StillhouseError as error:
        done = roll_back_by_records(builds, name_on_record(name), digest, by=by, reason=reason)
        _say(done, withdrawn)
        # With the digest, since the same command without one would go back by one more as long as it cannot be read.
        again = f"`stillhouse rollback {name} {done.serves.release[:12]}` is given once it can be read"
        follows = f"the champion's page and its gates follow when {again}"
        out.say(f"{error} Servers follow without it; {follows}", style="yellow")
        return
    _say_who_works(builds.home, file.name)
    with initialise(builds.home) as instance:
        done = roll_back(instance, builds, file, digest, by=by, reason=reason)
    _say(done, withdrawn)


@commands.command()
def promote(
    name: Name,
    by: By,
    reason: Reason,
    digest: Annotated[
        str | None, typer.Argument(help="Beginning of the digest of a release; when left out, the newest.")
    ] = None,
) -> None:
    """Promote a release that was withdrawn, or that a hold keeps out; its other gates have to be open."""
    from orchestration.deployments import promote as bring_in
    from orchestration.instance import initialise

    file, builds = find_recipe(name), builds_here()
    _say_who_works(builds.home, file.name)
    with initialise(builds.home) as instance:
        done = bring_in(instance, builds, file, digest, by=by, reason=reason)
    _say(done, lambda replaced: f"it replaced {replaced}")


def _say_who_works(home: Home, recipe: str) -> None:
    """Before a command that waits for a round to end, so that nobody believes that nothing has happened."""
    from stillhouse.records.locks import who_works_on

    if (holder := who_works_on(home, recipe)) is not None:
        out.say(
            f"{holder.by} works on {recipe} since {holder.since:%Y-%m-%d %H:%M} UTC. What you decide counts at once, "
            "and servers follow it; the champion's page and its gates follow when that has ended, for which this waits"
        )


def _say(done: "Decided", of_the_other: Callable[[str], str]) -> None:
    serves = f"champion {done.serves.in_words} serves"
    if done.was_broken_off:
        serves += ": the command that was broken off is finished"
    elif done.replaced is not None:
        serves += f"; {of_the_other(done.replaced.release[:12])}"
    out.say(serves)
    out.say(done.witness, style="dim")


@commands.command()
def hold(name: Name, by: By, reason: Reason) -> None:
    """Keep the champion: no round replaces it until `stillhouse resume`; a person still can."""
    from stillhouse.records.deployments import deployment_of
    from stillhouse.records.promotion import hold as record

    entry = record(builds_here().ledger, name_on_record(name), by=by, reason=reason)
    champion = deployment_of(entry).champion
    out.say(f"champion {champion.in_words} is held: no round replaces it")


@commands.command()
def resume(name: Name, by: By, reason: Reason) -> None:
    """Let rounds replace the champion again, and start by themselves where a play has closed the recipe to them."""
    from orchestration.deployments import resume as let_rounds
    from orchestration.instance import initialise
    from stillhouse.records.deployments import deployment_of, desired
    from stillhouse.records.plays import closure_of, reopen

    file, builds = find_recipe(name), builds_here()
    ledger = builds.ledger
    if closure_of(ledger, file.name) is not None:
        play = reopen(ledger, file.name, by=by, reason=reason).body["play"]
        out.print(f"rounds of {file.name} may start by themselves again; the play '{play}' counts from now on")
        serving = desired(ledger, file.name)
        if serving is None or serving.hold is None:
            return
    _say_who_works(builds.home, file.name)
    with initialise(builds.home) as instance:
        entry = let_rounds(instance, builds, file, by=by, reason=reason)
    champion = deployment_of(entry).champion
    out.say(f"champion {champion.in_words}: rounds may replace it")


@commands.command()
def withdraw(name: Name, by: By, reason: Reason) -> None:
    """Withdraw the release that is being rolled out: it answers nobody any more, and no round offers it again."""
    from orchestration.instance import initialise
    from orchestration.rollout import look
    from stillhouse.records.deployments import serving_now
    from stillhouse.records.rollouts import withdraw as record

    file, builds = find_recipe(name), builds_here()
    seen = serving_now(builds.ledger, file.name)
    record(builds.ledger, file.name, seen, by=by, reason=reason)
    assert seen.challenger is not None
    withdrawn = seen.challenger.in_words
    with initialise(builds.home) as instance:
        look(instance, builds, file)
    serves = f"champion {seen.champion.in_words} serves on"
    out.say(f"{withdrawn} is withdrawn; {serves}")


@commands.command()
def quarantine(
    name: Name,
    slice: Annotated[str, typer.Argument(help="A slice of the recipe, label=CLASS, or length=FEWEST-MOST.")],
    by: By,
    reason: Reason,
    until: Annotated[datetime, typer.Option(formats=["%Y-%m-%d"], help="Last day on which it counts, in UTC.")],
    to_teacher: Annotated[bool, typer.Option("--to-teacher", help="The teacher behind the champion answers.")] = False,
) -> None:
    """Let the previous champion, or the teacher, answer a part of the requests until a day."""
    from orchestration.quarantine import quarantine_slice

    file = find_recipe(name)
    given = quarantine_slice(
        builds_here(), file, slice,
        by=by, reason=reason, until=until.date(), to_teacher=to_teacher,
    )  # fmt: skip
    unsaid = "" if given.column is None else f"; so is a text of which its caller sends no {given.column!r}"
    out.say(f"{given.in_words}{unsaid}")


@commands.command()
def amend(name: Name, by: By, reason: Reason) -> None:
    """Accept the recipe's bar as it is now, after a candidate was trained under another one."""
    from orchestration.approvals import amend_bar

    bar = amend_bar(builds_here(), find_recipe(name), by=by, reason=reason)
    out.print(f"bar {bar[:12]} of {name} is recorded; what was judged before stays judged by the old one")


@commands.command()
def correct(
    name: Name,
    usd: Annotated[float, typer.Option(help="What is to be added to what is booked; negative takes off.")],
    month: Annotated[str, typer.Option(help="The month that was paid for, UTC, such as 2026-11.")],
    by: By,
    reason: Reason,
    of: Annotated[
        Book,
        typer.Option(
            help="What was paid: answers to runs and batches, answers to servers (serving), or this machine (compute)."
        ),
    ] = Book.ANSWERS,
) -> None:
    """Correct what is booked for a month, where a price was wrong or an invoice says otherwise; caps count it at once.

    The books themselves are not changed: the correction is an entry of the ledger, with name and reason.
    """
    from orchestration.corrections import correct_month
    from stillhouse.economics import amount

    builds, file = builds_here(), find_recipe(name)
    given, now = correct_month(builds, file, book=of, month=month, usd=usd, by=by, reason=reason)
    out.say(given.sentence)
    out.say(f"{amount(max(now, 0.0))} USD now count for {of} of {given.month}")


keys = typer.Typer(no_args_is_help=True, help="The key that signs the ledger's heads.")
commands.add_typer(keys, name="keys")


@keys.command("init")
def keys_init() -> None:
    """Make a key outside the state; from then on every entry of the ledger is signed."""
    from stillhouse.records.keys import Keys

    store = Keys.from_environment()
    fingerprint = store.make(Home.from_environment().root)
    out.say(f"made key {fingerprint} in {store.folder}")
    out.print(f"give {fingerprint}.pub to whoever audits; keep a copy of both where this machine cannot reach it")
