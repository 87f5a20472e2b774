"""The command line: `stillhouse`.

Belongs here: commands, their output and exit codes. Exit code 0 only when all is well.
Does not: what a command does (run.py, status.py, scaffold.py, stillhouse/audit/).
"""

import json
import os
import sys
import warnings
from datetime import datetime
from enum import StrEnum
from importlib.metadata import version as installed_version
from io import TextIOWrapper
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from rich.table import Table
from rich.text import Text

from orchestration.system_errors import INTERRUPTED, plain_system_errors
from orchestration.terminal import err, flush_output, out, print_json
from stillhouse.errors import StillhouseError
from stillhouse.home import Home, Project, recipes_folder, setting
from stillhouse.recipe.data import a_tab_by_name
from stillhouse.recipe.reading import RecipeFile, Recipes, read_recipe, recipes_in, require_recipe_name
from stillhouse.wording import MEGABYTE, in_minutes

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
Name = Annotated[str, typer.Argument(help="Name of a recipe, see `stillhouse list`.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")]


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
    sys.excepthook = err.show_uncaught
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # a terminal of another encoding shows a code for what it cannot show
            stream.reconfigure(errors="backslashreplace")
    warnings.filterwarnings("ignore", module="orchestration")  # of Dagster, about what it calls beta and we build on
    try:
        with plain_system_errors():
            try:
                app()
            finally:
                flush_output()
    except StillhouseError as error:
        err.print(str(error), style="red", soft_wrap=True)
        raise SystemExit(2) from None
    except SystemExit as ended:
        if ended.code != INTERRUPTED:
            raise
        line = "ended by Ctrl-C; what was finished is kept, and the same command goes on from there"
        err.print(line, style="yellow", soft_wrap=True)
        raise SystemExit(INTERRUPTED) from None


@app.command("list")
def list_recipes() -> None:
    """List the recipes; one that cannot be read is a line with its first mistake, and makes the exit code 2."""
    recipes = recipes_in(recipes_folder())
    lines = {
        file.name: Text.assemble((file.name, "bold"), f"  {_one_line(file.recipe.task)}") for file in recipes.files
    }
    lines |= {each.name: Text.assemble((each.name, "bold red"), f"  {each.in_short}") for each in recipes.unreadable}
    for name in sorted(lines):
        out.print(lines[name], soft_wrap=True)
    raise typer.Exit(2 if recipes.unreadable else 0)


@app.command()
def check(
    name: Annotated[str | None, typer.Argument(help="One recipe; all when left out.")] = None,
    as_json: AsJson = False,
) -> None:
    """Find the mistakes in recipes, one line each: fields, gates, columns, classes and the teacher's weights."""
    from orchestration.recipe_check import check as mistakes_in

    recipes = recipes_in(recipes_folder())
    found = mistakes_in(recipes if name is None else _only(recipes, name))
    if as_json:
        print_json(found.model_dump_json(indent=1))
    else:
        for recipe, mistakes in found.mistakes.items():
            out.print(Text.assemble((recipe, "bold"), "  ", _how_many(len(mistakes))), soft_wrap=True)
            for line in mistakes:
                out.print(Text(line, "red"), soft_wrap=True)
    raise typer.Exit(0 if found.all_is_well else 2)


class Answer(StrEnum):
    """What has a schema."""

    RECIPE = "recipe"
    CHECK = "check"
    STATUS = "status"
    DIAGNOSE = "diagnose"
    ROI = "roi"
    LEADERBOARD = "leaderboard"
    PLAN = "plan"
    PREDICT = "predict"
    AUDIT = "audit"


@app.command()
def schema(
    part: Annotated[
        str | None, typer.Argument(help="A part or field of a recipe, such as teacher or data.provenance.")
    ] = None,
    of: Annotated[Answer, typer.Option(help="A recipe, or what a command prints with --json.")] = Answer.RECIPE,
    as_json: AsJson = False,
) -> None:
    """Explain the fields of a recipe; with --json, or of a command's answer, as JSON schema."""
    from pydantic import BaseModel

    from orchestration.diagnosis import Diagnosis
    from orchestration.economics import Account
    from orchestration.leaderboard import Board
    from orchestration.planned import Planned
    from orchestration.recipe_check import Checked
    from orchestration.schema_table import fields_table, part_of
    from orchestration.serving import Predictions
    from orchestration.status import Status
    from stillhouse.audit.records import Audit
    from stillhouse.recipe.contract import Recipe

    records: dict[Answer, type[BaseModel]] = {
        Answer.RECIPE: Recipe, Answer.CHECK: Checked, Answer.STATUS: Status, Answer.DIAGNOSE: Diagnosis,
        Answer.ROI: Account, Answer.LEADERBOARD: Board, Answer.PLAN: Planned, Answer.PREDICT: Predictions,
        Answer.AUDIT: Audit,
    }  # fmt: skip
    mode: Literal["validation", "serialization"] = "validation" if of is Answer.RECIPE else "serialization"
    found = part_of(records[of].model_json_schema(mode=mode), part)
    if as_json or of is not Answer.RECIPE:
        print_json(json.dumps(found, indent=2))
    else:
        out.print(fields_table(found, part))


@app.command()
def init() -> None:
    """Make the working directory a project, unless it is in one, and make the state folder ready.

    A project is a folder of recipes beside a `pyproject.toml` that says so. What is there is never overwritten. Run it
    once before several processes share the state, too.
    """
    from orchestration.project import lay_down

    if Project.around(Path.cwd()) is None and setting("STILLHOUSE_RECIPES") is None:
        laid = lay_down(Path.cwd())
        for line in laid.lines:
            out.print(line, soft_wrap=True)
        out.print(Text.assemble("project of ", (str(laid.project.root), "bold")), soft_wrap=True)
    home = Home.from_environment()
    _make_ready(home)
    out.print(f"ready: {home.root}", soft_wrap=True)


@app.command()
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
    from orchestration.ui import Listening, serve

    home, before = Home.from_environment(), os.environ.get("DAGSTER_HOME")
    if before and Path(before).expanduser().absolute() != home.dagster:
        out.print(f"DAGSTER_HOME was {before}; here it is {home.dagster}", soft_wrap=True)
    _make_ready(home)
    ended_by_a_person = serve(home, Listening(host, port, tuple(address or ()), read_only), out)
    raise typer.Exit(0 if ended_by_a_person else 1)


@app.command()
def new(
    name: Annotated[str, typer.Argument(help="Name of the new recipe: letters, digits, underscores.")],
    data: Annotated[
        str, typer.Option(help="File of rows: csv, JSON, ndjson, parquet or xlsx, also packed; local, s3:// or hf://.")
    ],
    text: Annotated[str, typer.Option(help="Column with the text; in JSON and parquet also a path: ticket.body.")],
    label: Annotated[str, typer.Option(help="Column with the label; empty means unlabelled.")],
    format: Annotated[
        Literal["csv", "parquet", "ndjson", "json", "xlsx"] | None, typer.Option(help="By its ending when left out.")
    ] = None,
    encoding: Annotated[
        str, typer.Option(help="Of text, such as cp1252; a mark at the beginning of the file goes before it.")
    ] = "utf-8",
    separator: Annotated[
        str | None, typer.Option(help="Between the fields of csv, `tab` for a tab; looked for when left out.")
    ] = None,
    quoting: Annotated[
        Literal["none", "double", "single"] | None, typer.Option(help="Quotes around the fields of csv.")
    ] = None,
    columns: Annotated[
        str | None, typer.Option(help="Names of the columns of csv without a header, with commas between them.")
    ] = None,
    pain: Annotated[
        Literal["latency", "stability", "specialisation"] | None,
        typer.Option(help="What hurts with the teacher in production. Open when left out."),
    ] = None,
    licence: Annotated[
        str, typer.Option(help="Under which right the rows may train a model. Open when left out.")
    ] = "",
    outputs_may_train: Annotated[
        bool | None,
        typer.Option(
            "--outputs-may-train/--outputs-may-not-train",
            help="Whether the teacher's licence and terms allow training on its outputs. Open when left out.",
        ),
    ] = None,
) -> None:
    """Write a recipe for your own file of rows; what only a person can say stays open, and gates ask for it."""
    from orchestration.planned import duration
    from orchestration.scaffold import Answers, Reading, write_recipe
    from stillhouse.records.builds import BuildStore

    named = tuple(name.strip() for name in columns.split(",")) if columns else ()
    said = Reading(format, encoding, a_tab_by_name(separator), quoting, named)
    answers = Answers((pain,) if pain else (), licence, outputs_may_train)
    written = write_recipe(recipes_folder(), name, data=data, text=text, label=label, said=said, answers=answers)
    for line in written.seen:
        out.print(Text(line), soft_wrap=True)
    out.print(f"wrote {written.path}", soft_wrap=True)
    for field, asked in written.open.items():
        out.print(Text.assemble(("open", "yellow"), f"  {field}: {asked}"), soft_wrap=True)
    expected = duration(BuildStore(Home.from_environment()), read_recipe(written.path))
    if expected is not None:
        out.print(f"a run takes {expected.forecast.sentence}")
    before = "Answer what is open, then: " if written.open else "Read it once, then: "
    out.print(Text.assemble(before, (f"stillhouse run {name}", "bold")))


@app.command()
def inbox(name: Name) -> None:
    """Say where new rows of a recipe are dropped, and show a file that may be."""
    from orchestration.inbox import example, left_out
    from stillhouse.stages.source import drop_folder

    file = _recipe(name)
    out.print(Text(drop_folder(file, Home.from_environment()), "bold"), soft_wrap=True)
    out.print("csv, parquet or ndjson, UTF-8, with at least the columns of this example:")
    out.print(example(file.recipe), end="", soft_wrap=True)
    out.print(Text(left_out(file.recipe), "dim"), soft_wrap=True)


@app.command()
def run(name: Name) -> None:
    """Distil: every stage of a recipe with every gate, from rows to champion."""
    from orchestration.planned import forecast_of_a_first_run, took
    from orchestration.run import distil
    from stillhouse.records.builds import BuildStore

    file, home = _recipe(name), Home.from_environment()
    builds = BuildStore(home)
    try:
        expected = forecast_of_a_first_run(builds, file)
    except StillhouseError as error:  # the gates of the stage that it belongs to say it, and leave a record
        out.print(Text(f"no forecast: {error}", "yellow"), soft_wrap=True)
        expected = None
    if expected is not None:
        out.print(f"forecast: {expected.forecast.sentence}")
    outcome = distil(file, home, out)
    if expected is not None:
        expected = expected.model_copy(update={"took": took(builds.ledger, file)})
        forecast, seconds = expected.compared
        stages = len(expected.took)
        out.print(f"took {in_minutes(seconds)} for {stages} stages, of which the forecast was {in_minutes(forecast)}")
    raise typer.Exit(0 if outcome.ends_well else 1)


@app.command()
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
    from orchestration.tables import status_table, verified_lines
    from stillhouse.records.builds import BuildStore

    home = Home.from_environment()
    recipes = Recipes((_recipe(name),), ()) if name else recipes_in(recipes_folder())
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
            for line in [*state.drop_folder, *state.waivers, *state.dagster]:
                out.print(Text(line, "yellow"), soft_wrap=True)
            out.print(Text("\n".join(verified_lines(state.verified))), soft_wrap=True)
    _say_unreadable(recipes)
    raise typer.Exit(2 if recipes.unreadable else 0 if shown.all_is_well else 1)


@app.command()
def audit(
    name: Name,
    head: Annotated[
        str | None, typer.Option(help="Digest of a ledger entry that somebody wrote down, or its beginning.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Prove the champion: every byte back to its source, every verdict and decision, and the ledger's own history."""
    from orchestration.auditing import audit_recipe

    found = audit_recipe(Home.from_environment(), _recipe(name).name, written_down=head)
    if as_json:
        print_json(found.model_dump_json(indent=1))
    else:
        for link in found.chain:
            mark = ("ok", "green") if link.verified else ("no", "red")
            out.print(Text.assemble(mark, f"  {link.digest[:12]}  {link.asset}"), soft_wrap=True)
            for uri, digest in link.external_inputs.items():
                out.print(f"      {digest[:12]}  {uri}", soft_wrap=True)
        out.print(f"head  {found.head}  after {found.entries:,} entries", soft_wrap=True)
        for limit in found.limits:
            out.print(Text(f"not proven: {limit}", "yellow"), soft_wrap=True)
        for problem in found.problems:
            out.print(Text(problem, "red"), soft_wrap=True)
    raise typer.Exit(0 if found.ok else 1)


keys = typer.Typer(no_args_is_help=True, help="The key that signs the ledger's heads.")
app.add_typer(keys, name="keys")


@keys.command("init")
def keys_init() -> None:
    """Make a key outside the state; from then on every entry of the ledger is signed."""
    from stillhouse.records.keys import Keys

    store = Keys.from_environment()
    fingerprint = store.make(Home.from_environment().root)
    out.print(f"made key {fingerprint} in {store.folder}", soft_wrap=True)
    out.print(f"give {fingerprint}.pub to whoever audits; keep a copy of both where this machine cannot reach it")


@app.command()
def report(name: Name, as_json: AsJson = False) -> None:
    """Show the evaluation of the selected student, or of the best one when none was selected."""
    from assets.keys import key_of
    from assets.materializations import newest_artifact
    from stillhouse.records.builds import BuildStore
    from stillhouse.stages.names import SELECTION

    home = Home.from_environment()
    selection = newest_artifact(BuildStore(home), key_of(_recipe(name).name, SELECTION))
    content: dict[str, Any] = json.loads((selection.folder / "report.json").read_text(encoding="utf-8"))
    if as_json:
        print_json(json.dumps(content, indent=1))
    else:
        from orchestration.screens import result_screen

        out.print(result_screen(name, content, home))
    raise typer.Exit(0 if content["verdict"] == "pass" else 1)


@app.command()
def export(
    name: Name,
    folder: Annotated[Path, typer.Argument(help="Folder to write, empty or not there yet.")],
) -> None:
    """Write the champion as a folder that runs without Stillhouse: ONNX, tokenizer, labels, card, a loader."""
    from orchestration.serving import champion_bundle
    from stillhouse.records.builds import BuildStore
    from stillhouse.release.standalone import LOADER, write_standalone

    served, bundle = champion_bundle(BuildStore(Home.from_environment()), _recipe(name))
    size = write_standalone(bundle, served.release, folder)
    out.print(f"wrote {folder}: {served.student} {served.release[:12]}, {size / MEGABYTE:.1f} MB", soft_wrap=True)
    out.print(Text.assemble("Ask it: ", (f'python {folder / LOADER} "a text"', "bold")), soft_wrap=True)


@app.command()
def predict(
    name: Name,
    texts: Annotated[
        list[str] | None, typer.Argument(help="Texts to ask about; when left out, each line of standard input.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Ask the champion: the label of each text, and the probability that it is right."""
    from orchestration.serving import predict as predictions_of
    from stillhouse.records.builds import BuildStore

    file = _recipe(name)
    asked = texts or [line.rstrip("\n") for line in sys.stdin]
    found = predictions_of(BuildStore(Home.from_environment()), file, asked)
    if as_json:
        print_json(found.model_dump_json(indent=1))
        return
    for each in found.answers:
        sure = "" if each.confidence is None else f"{each.confidence:.3f}  "
        out.print(Text.assemble((each.label, "bold"), f"  {sure}{each.text}"), soft_wrap=True)


@app.command("leaderboard")
def show_leaderboard(
    name: Name,
    golden: Annotated[
        str | None, typer.Option(help="Beginning of another golden digest, whose models are shown instead.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Rank the models of every round that the same golden rows judged; others compare with none of them."""
    from orchestration.leaderboard import board
    from orchestration.tables import leaderboard_notes, leaderboard_table
    from stillhouse.records.builds import BuildStore

    found = board(BuildStore(Home.from_environment()), _recipe(name), golden)
    if as_json:
        print_json(found.model_dump_json(indent=1))
        return
    out.print(leaderboard_table(found))
    for line in leaderboard_notes(found):
        out.print(Text(line, "dim"), soft_wrap=True)


@app.command()
def plan(
    name: Name,
    discordance: Annotated[
        float | None,
        typer.Option(min=0.001, max=1.0, help="Expected share of rows that exactly one of the two models gets right."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Say which claims the golden set can support at all, and how long a run takes, before anything is paid for."""
    from orchestration.planned import planned
    from orchestration.tables import duration_table
    from stillhouse.evaluation.planning import USUAL_DISCORDANCE
    from stillhouse.records.builds import BuildStore

    found = planned(BuildStore(Home.from_environment()), _recipe(name), discordance or USUAL_DISCORDANCE)
    if as_json:
        print_json(found.model_dump_json(indent=1))
    else:
        table = Table(
            title=f"{name}: what the golden set can support, at discordance {found.discordance:.1%}", box=None
        )
        for column in ("claim", "rows", "needed", "margin", "smallest margin", ""):
            table.add_column(column)
        for claim in found.claims:
            smallest = "none" if claim.smallest_margin is None else f"{claim.smallest_margin:.1%}"
            verdict = "supported" if claim.supported else "too few rows"
            verdict += "" if claim.binding else ", reported only"
            table.add_row(
                Text(claim.name), f"{claim.rows:,}", f"{claim.rows_needed:,}", f"{claim.margin:.1%}", smallest, verdict
            )
        out.print(table)
        if found.duration is None:
            out.print("no forecast: a teacher whose terms do not allow to learn from it is not loaded")
        else:
            out.print()
            out.print(duration_table(found.duration))
            out.print(f"a whole run: {found.duration.forecast.sentence}")
    raise typer.Exit(1 if found.unsupported else 0)


@app.command()
def diagnose(name: Name, as_json: AsJson = False) -> None:
    """Name the earliest exit condition that does not hold, its evidence, and what to do next."""
    from orchestration.diagnosis import diagnose as diagnosis_of
    from orchestration.instance import initialise
    from stillhouse.records.builds import BuildStore

    home, file = Home.from_environment(), _recipe(name)
    with initialise(home) as instance:
        found = diagnosis_of(instance, BuildStore(home), file)
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
        given_up = [found.given_up] if found.given_up else []
        for line in [*given_up, *found.drop_folder, *found.dagster]:
            out.print(Text(line, "yellow"), soft_wrap=True)
    raise typer.Exit(0 if found.stage is None else 1)


@app.command()
def roi(name: Name, as_json: AsJson = False) -> None:
    """Say whether the student pays for itself: forecast, what was spent, and what was measured."""
    from orchestration.economics import roi as account
    from orchestration.tables import account_table
    from stillhouse.records.builds import BuildStore

    found = account(BuildStore(Home.from_environment()), _recipe(name))
    if as_json:
        print_json(found.model_dump_json(indent=1))
    else:
        out.print(f"{name}: {found.what}")
        if found.forecast:
            out.print(account_table(found))
        spent = ", ".join(f"{kind} {usd:.4g}" for kind, usd in sorted(found.spent_usd.items())) or "nothing"
        share = "" if found.data_share is None else f"; {found.data_share:.0%} of it on data and evaluation"
        out.print(f"compute so far, USD: {spent}{share}")
    raise typer.Exit(1 if found.decision == "do not fund" else 0)


@app.command()
def checklist(name: Name) -> None:
    """Print every gate with its reason and state, as a list to go through; a copy is put beside the report."""
    from orchestration.diagnosis import write_checklist
    from orchestration.instance import initialise
    from stillhouse.records.builds import BuildStore

    home, file = Home.from_environment(), _recipe(name)
    with initialise(home) as instance:
        out.print(write_checklist(instance, BuildStore(home), file).read_text(encoding="utf-8"), soft_wrap=True)


By = Annotated[str, typer.Option(help="Your name, better with an e-mail address; your account is recorded beside it.")]
Reason = Annotated[str, typer.Option(help="Why, for whoever reads the ledger in a year.")]


@app.command()
def waive(
    check: Annotated[str, typer.Argument(help="RECIPE/STAGE:GATE or RECIPE/STAGE[BATCH]:GATE, as status shows.")],
    by: By,
    reason: Reason,
    until: Annotated[datetime, typer.Option(formats=["%Y-%m-%d"], help="Last day on which it counts, in UTC.")],
) -> None:
    """Let a failed or inconclusive gate be for its newest artifact, until a day; recorded with name and reason."""
    from orchestration.approvals import waive_newest
    from orchestration.batches import sync_batches
    from orchestration.instance import initialise
    from stillhouse.records.builds import BuildStore
    from stillhouse.records.gate_names import renamed
    from stillhouse.records.governance import Waiver

    home, recipe = Home.from_environment(), check.partition("/")[0]
    file, builds = _recipe(recipe), BuildStore(home)
    wanted = Waiver(check, by, reason, until.date(), content="")
    with initialise(home) as instance:
        waiver = waive_newest(builds, file, wanted, sync_batches(instance, builds, file))
    for line in renamed([check.rpartition(":")[2]]):
        out.print(Text(line, "yellow"), soft_wrap=True)
    out.print(Text(f"{waiver.gate} is {waiver}, for {waiver.content[:12]} alone"), soft_wrap=True)


@app.command()
def approve(name: Name, by: By, reason: Reason) -> None:
    """Approve the newest release of a recipe whose stakes are high; its author cannot."""
    from orchestration.approvals import approve_newest_release
    from stillhouse.records.builds import BuildStore

    digest = approve_newest_release(BuildStore(Home.from_environment()), _recipe(name), by=by, reason=reason)
    out.print(f"{digest[:12]} is approved; `stillhouse run {name}` makes it the champion", soft_wrap=True)


@app.command()
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
    from orchestration.instance import initialise
    from orchestration.rollback import roll_back
    from stillhouse.records.builds import BuildStore

    home, file = Home.from_environment(), _recipe(name)
    with initialise(home) as instance:
        done = roll_back(instance, BuildStore(home), file, digest, by=by, reason=reason)
    serves = f"champion {done.serves.student} {done.serves.release[:12]} serves"
    out.print(
        f"{serves}; {done.withdrawn.release[:12]} is withdrawn and no round brings it back"
        if done.withdrawn
        else f"{serves}: the rollback that was broken off is finished",
        soft_wrap=True,
    )
    out.print(Text(done.witness, "dim"), soft_wrap=True)


@app.command()
def amend(name: Name, by: By, reason: Reason) -> None:
    """Stand up for the recipe's bar as it is now, after a candidate was trained under another one."""
    from stillhouse.digests import digest_of
    from stillhouse.records.builds import BuildStore
    from stillhouse.records.governance import amend as record
    from stillhouse.stages.contract import bar_of

    bar = digest_of(bar_of(_recipe(name).recipe))
    record(BuildStore(Home.from_environment()).ledger, name, bar=bar, by=by, reason=reason)
    out.print(f"bar {bar[:12]} of {name} is recorded; what was judged before stays judged by the old one")


for _command in [*app.registered_commands, *keys.registered_commands]:
    _command.epilog = EXIT_CODES


def _make_ready(home: Home) -> None:
    from orchestration.batches import sync_batches
    from orchestration.instance import initialise
    from stillhouse.records.builds import BuildStore

    recipes = recipes_in(recipes_folder())
    with initialise(home, notice=lambda line: out.print(Text(line, "yellow"), soft_wrap=True)) as instance:
        for file in recipes.files:
            sync_batches(instance, BuildStore(home), file)
    _say_unreadable(recipes)


def _say_unreadable(recipes: Recipes) -> None:
    """On standard error, so that JSON stays JSON."""
    for each in recipes.unreadable:
        err.print(Text(f"recipe {each.name} is left out: {each.in_short}", "yellow"), soft_wrap=True)


def _recipe(name: str) -> RecipeFile:
    path = recipes_folder() / require_recipe_name(name, "recipe") / "defs.yaml"
    if not path.exists():
        raise _no_recipe(recipes_in(recipes_folder()), name)
    return read_recipe(path)


def _only(recipes: Recipes, name: str) -> Recipes:
    """One recipe of a folder, readable or not."""
    files = tuple(file for file in recipes.files if file.name == name)
    unreadable = tuple(each for each in recipes.unreadable if each.name == name)
    if not files and not unreadable:
        raise _no_recipe(recipes, name)
    return Recipes(files, unreadable)


def _no_recipe(recipes: Recipes, name: str) -> StillhouseError:
    names = [*(file.name for file in recipes.files), *(each.name for each in recipes.unreadable)]
    known = ", ".join(sorted(names)) or "none yet"
    return StillhouseError(
        "no recipe of this name", where=name, expected=f"one of: {known}", do="`stillhouse new` writes a new one."
    )


def _how_many(mistakes: int) -> str:
    return "no mistake found" if not mistakes else "1 mistake" if mistakes == 1 else f"{mistakes} mistakes"


def _one_line(text: str) -> str:
    return " ".join(text.split())
