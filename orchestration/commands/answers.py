"""Commands that say how things are, and change nothing but what `events --note` adds.

Belongs here: status, fleet, events, report, leaderboard, audit, diagnosis, account, checklist.
Does not: finding the answers (orchestration/status.py and the like), deciding anything (decisions.py).
"""

import json
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from orchestration.commands.common import (
    AsJson,
    Name,
    all_recipes,
    builds_here,
    find_recipe,
    name_on_record,
    say_unreadable,
)
from orchestration.terminal import out, print_json
from stillhouse.errors import StillhouseError
from stillhouse.home import Home, recipes_folder
from stillhouse.recipe.reading import Recipes, recipes_in

if TYPE_CHECKING:
    from stillhouse.audit.records import Audit
    from stillhouse.audit.rows import RowAudit

commands = typer.Typer()


@commands.command()
def status(
    name: Annotated[str | None, typer.Argument(help="One recipe; all when left out.")] = None,
    verify: Annotated[bool, typer.Option("--verify", help="Hash every current artifact, too.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show digest, age and gates of every stage, and the champion; bytes are hashed with --verify alone."""
    from orchestration.auditing import altered_artifacts
    from orchestration.instance import initialise
    from orchestration.status import Verified
    from orchestration.status import status as status_of
    from orchestration.tables.status import round_lines, status_table, verified_lines
    from stillhouse.records.builds import BuildStore

    home = Home.from_environment()
    recipes = Recipes((find_recipe(name),), ()) if name else recipes_in(recipes_folder())
    files = recipes.files
    with initialise(home) as instance:
        shown = status_of(instance, BuildStore(home), files)
        for file in files if verify else ():
            hashed, altered = altered_artifacts(instance, BuildStore(home), file)
            verified = Verified(artifacts=hashed, problems=tuple(altered))
            shown.recipes[file.name] = shown.recipes[file.name].model_copy(update={"verified": verified})
    if as_json:
        print_json(shown.model_dump_json(indent=1))
    else:
        for recipe, state in shown.recipes.items():
            out.print(status_table(recipe, state))
            out.say(*round_lines(state))
            of_all = [line for line in (state.clock, state.kept_traffic) if line is not None]
            out.say(*[*of_all, *state.drop_folder, *state.waivers, *state.dagster], style="yellow")
            out.say("\n".join(verified_lines(state.verified)))
    say_unreadable(recipes)
    raise typer.Exit(2 if recipes.unreadable else 0 if shown.all_is_well else 1)


@commands.command()
def fleet(as_json: AsJson = False) -> None:
    """Show every recipe on one line: what serves and how it does, how its rounds go, what it needs next."""
    from orchestration.fleet import fleet as look_at
    from orchestration.instance import initialise
    from orchestration.tables.fleet import fleet_tables, next_lines, prune_lines

    recipes, builds = all_recipes(), builds_here()
    with initialise(builds.home) as instance:
        shown = look_at(instance, builds, recipes.files)
    if as_json:
        print_json(shown.model_dump_json(indent=1))
    else:
        for table in fleet_tables(shown):
            out.print(table)
        out.print()
        out.say(*next_lines(shown))
        decides_nothing = prune_lines(shown)
        if decides_nothing:
            out.print("\nmeasured, and decides nothing:")
        out.say(*decides_nothing, style="dim")
    say_unreadable(recipes)
    raise typer.Exit(2 if recipes.unreadable else 0)


@commands.command()
def events(
    name: Name,
    happened: Annotated[
        str | None,
        typer.Option("--note", help="Note that this has happened, so that a round starts; with --by, --reason."),
    ] = None,
    by: Annotated[str, typer.Option(help="With --note: your name, better with an e-mail address.")] = "",
    reason: Annotated[str, typer.Option(help="With --note: why a round is wanted.")] = "",
    as_json: AsJson = False,
) -> None:
    """Show what has happened to a recipe and which round has answered it; with --note, add what you know."""
    from orchestration.event_list import events_of, note_by_person
    from orchestration.tables.event_list import events_table
    from stillhouse.records.ledger import Ledger

    file, ledger = find_recipe(name), Ledger(Home.from_environment().ledger_url)
    if happened is not None:
        is_news = note_by_person(ledger, file.name, happened, by=by, reason=reason)
        if not as_json:
            out.print("noted: a round starts for it" if is_news else "that was noted today already, and is counted")
    shown = events_of(ledger, file)
    if as_json:
        print_json(shown.model_dump_json(indent=1))
    elif shown.events:
        out.print(events_table(shown))
    else:
        out.print(f"nothing has happened to {file.name} yet")


@commands.command()
def report(name: Name, as_json: AsJson = False) -> None:
    """Show the evaluation of the selected student, or of the best one when none was selected."""
    from assets.keys import key_of
    from assets.materializations import newest_artifact
    from stillhouse.report.reading import REPORT, read_report
    from stillhouse.stages.names import SELECTION
    from stillhouse.statistics.verdicts import Verdict

    builds = builds_here()
    selection = newest_artifact(builds, key_of(find_recipe(name).name, SELECTION))
    found = read_report(selection.folder)
    if as_json:
        print_json(json.dumps(json.loads((selection.folder / REPORT).read_text(encoding="utf-8")), indent=1))
    else:
        from orchestration.screens import result_screen

        out.print(result_screen(name, found, builds.home))
    raise typer.Exit(0 if found.verdict is Verdict.PASS else 1)


@commands.command("leaderboard")
def show_leaderboard(
    name: Name,
    golden: Annotated[
        str | None, typer.Option(help="Beginning of another golden digest, whose models are shown instead.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Rank the models of every round that the same golden rows have judged; others cannot be compared with them."""
    from orchestration.leaderboard import board
    from orchestration.tables.leaderboard import leaderboard_notes, leaderboard_table

    found = board(builds_here(), find_recipe(name), golden)
    if as_json:
        print_json(found.model_dump_json(indent=1))
        return
    out.print(leaderboard_table(found))
    out.say(*leaderboard_notes(found), style="dim")


@commands.command()
def audit(
    name: Name,
    head: Annotated[
        str | None, typer.Option(help="Digest of a ledger entry that somebody wrote down, or its beginning.")
    ] = None,
    request: Annotated[
        str | None, typer.Option(help="Id of an answer: which release gave it, and that release instead.")
    ] = None,
    row: Annotated[
        str | None, typer.Option(help="prompt_id of a row, or its beginning: what the teacher said of it, too.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Prove the champion: every byte back to its source, every verdict and decision, and the ledger's own history."""
    from orchestration.auditing import audit_recipe, audit_request, audit_teachers_row

    home, recipe = Home.from_environment(), name_on_record(name)
    given = [option for option, value in (("--head", head), ("--request", request), ("--row", row)) if value]
    if len(given) > 1:
        raise StillhouseError(
            "both are given" if len(given) == 2 else "all three are given",
            where=", ".join(given),
            expected="one of them",
            do="Ask once for each: `--head` is about the whole ledger, the others are about one answer.",
        )
    if row is not None:
        behind = audit_teachers_row(home, recipe, row)
        if as_json:
            print_json(behind.model_dump_json(indent=1))
        else:
            _print_row(behind)
            _print_audit(behind.audit)
        raise typer.Exit(0 if behind.ok else 1)
    if request is not None:
        answer = audit_request(home, recipe, request)
        if as_json:
            print_json(answer.model_dump_json(indent=1))
        else:
            said = f"{answer.label} by the {answer.source} at {answer.at}"
            out.say(f"{answer.id}  {said}, from {answer.replica}")
            out.say(f"release {answer.release[:12]}, deployment {answer.deployment}")
            out.say(*answer.problems, style="red")
            _print_audit(answer.audit)
        raise typer.Exit(0 if answer.ok else 1)
    found = audit_recipe(home, recipe, written_down=head)
    if as_json:
        print_json(found.model_dump_json(indent=1))
    else:
        _print_audit(found)
    raise typer.Exit(0 if found.ok else 1)


def _print_row(found: "RowAudit") -> None:
    from stillhouse.data.quoting import quoted

    out.say(f"{found.prompt_id[:12]}  {found.split} row of {found.batch}: {found.text}")
    out.say(f"label     {'none' if found.label is None else found.label}")
    for name, said in {"teacher": found.said, **found.members}.items():
        answer = f"no answer: {said.failure}" if said.answer is None else said.answer
        sure = "" if said.confidence is None else f", {said.confidence:.3f} sure"
        who = "" if said.observed is None else f", by {quoted(said.observed)}"
        out.say(f"{name:<8}  {answer}{sure}{who}, fingerprint {said.fingerprint[:12]}")
        for reply in said.raw or ():
            out.say(f"  said    {'nothing' if reply is None else reply}")
        rest = said.model_dump(include={"error", "mass", "votes", "disagreement", "rationale", "usd", "seconds"})
        for field, value in rest.items():
            if value is not None:
                out.say(f"  {field:<12}  {value}")
    if found.split == "train":
        fate = "students learned from it" if found.taught else f"students did not learn from it: {found.because}"
        out.say(fate)
    out.say(*found.problems, style="red")


def _print_audit(found: "Audit") -> None:
    for link in found.chain:
        mark = ("ok", "green") if link.verified else ("no", "red")
        out.say(Text.assemble(mark, f"  {link.digest[:12]}  {link.asset}"))
        for uri, digest in link.external_inputs.items():
            out.say(f"      {digest[:12]}  {uri}")
    out.say(f"head  {found.head}  after {found.entries:,} entries")
    for limit in found.limits:
        out.say(f"not proven: {limit}", style="yellow")
    out.say(*found.problems, style="red")


@commands.command()
def diagnose(name: Name, as_json: AsJson = False) -> None:
    """Name the earliest exit condition that does not hold, its evidence, and what to do next."""
    from orchestration.diagnosis import diagnose as diagnosis_of
    from orchestration.instance import initialise

    file, builds = find_recipe(name), builds_here()
    with initialise(builds.home) as instance:
        found = diagnosis_of(instance, builds, file)
    if as_json:
        print_json(found.model_dump_json(indent=1))
    elif found.stage is None:
        out.print(found.what)
    else:
        for key in ("asset", "gate", "state", "because", "what", "do"):
            out.print(f"{key:<8}", Text(getattr(found, key) or ""), soft_wrap=True)
        for offender in found.evidence[:5]:
            out.print("        ", Text(offender), soft_wrap=True)
    if not as_json:
        of_all = [line for line in (found.clock, found.given_up) if line is not None]
        out.say(*[*found.beside, *of_all, *found.live, *found.drop_folder, *found.dagster], style="yellow")
    raise typer.Exit(0 if found.stage is None else 1)


@commands.command()
def roi(name: Name, as_json: AsJson = False) -> None:
    """Say whether the student pays for itself: forecast, what was spent, and what was measured."""
    from orchestration.economics import roi as account
    from orchestration.tables.economics import account_table
    from stillhouse.economics import Decision

    found = account(builds_here(), find_recipe(name))
    if as_json:
        print_json(found.model_dump_json(indent=1))
    else:
        out.print(f"{name}: {found.what}")
        if found.forecast:
            out.print(account_table(found))
        spent = ", ".join(f"{kind} {usd:.4g}" for kind, usd in sorted(found.spent_usd.items())) or "nothing"
        share = "" if found.data_share is None else f"; {found.data_share:.0%} of it on data and evaluation"
        out.print(f"compute so far, USD: {spent}{share}")
        for each in found.corrections:
            out.say(f"corrected: {each.sentence}", style="dim")
    raise typer.Exit(1 if found.decision is Decision.DO_NOT_FUND else 0)


@commands.command()
def checklist(name: Name) -> None:
    """Print every gate with its reason and state, as a list to go through; a copy is put beside the report."""
    from orchestration.diagnosis import write_checklist
    from orchestration.instance import initialise

    file, builds = find_recipe(name), builds_here()
    with initialise(builds.home) as instance:
        out.print(write_checklist(instance, builds, file).read_text(encoding="utf-8"), soft_wrap=True)
