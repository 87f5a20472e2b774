"""Commands about recipes before anything is made of them.

Belongs here: writing, listing, checking and explaining them, projects, the drop folder.
Does not: making anything of one (rounds.py).
"""

import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.text import Text

from orchestration.commands.common import (
    AsJson,
    Name,
    all_recipes,
    builds_here,
    find_recipe,
    make_ready,
    only,
)
from orchestration.terminal import out, print_json
from stillhouse.errors import StillhouseError
from stillhouse.home import Home, Project, recipes_folder, setting
from stillhouse.recipe.reading import read_recipe

commands = typer.Typer()


@commands.command("list")
def list_recipes() -> None:
    """List the recipes; for one that cannot be read, show its first mistake and end with exit code 2."""
    recipes = all_recipes()
    lines = {
        file.name: Text.assemble((file.name, "bold"), f"  {' '.join(file.recipe.task.split())}")
        for file in recipes.files
    }
    lines |= {each.name: Text.assemble((each.name, "bold red"), f"  {each.in_short}") for each in recipes.unreadable}
    for name in sorted(lines):
        out.say(lines[name])
    raise typer.Exit(2 if recipes.unreadable else 0)


@commands.command()
def check(
    name: Annotated[str | None, typer.Argument(help="One recipe; all when left out.")] = None,
    as_json: AsJson = False,
) -> None:
    """Find the mistakes in recipes, one line each: fields, gates, columns, classes and the teacher's weights."""
    from orchestration.recipe_check import check as mistakes_in

    recipes = all_recipes()
    found = mistakes_in(recipes if name is None else only(recipes, name))
    if as_json:
        print_json(found.model_dump_json(indent=1))
    else:
        for recipe, mistakes in found.mistakes.items():
            out.say(Text.assemble((recipe, "bold"), "  ", _how_many(len(mistakes))))
            out.say(*mistakes, style="red")
            for line in found.advice.get(recipe, ()):
                out.say(Text.assemble(("advice: ", "bold"), (line, "yellow")))
    raise typer.Exit(0 if found.all_is_well else 2)


class HasSchema(StrEnum):
    """What has a schema."""

    RECIPE = "recipe"
    CHECK = "check"
    STATUS = "status"
    FLEET = "fleet"
    LIVE = "live"
    EVENTS = "events"
    DIAGNOSE = "diagnose"
    ROI = "roi"
    LEADERBOARD = "leaderboard"
    PLAN = "plan"
    PLAN_LIVE = "plan-live"
    ASK = "ask"
    ASK_READ = "ask-read"
    REPORT = "report"
    PREDICT = "predict"
    AUDIT = "audit"
    AUDIT_REQUEST = "audit-request"
    AUDIT_ROW = "audit-row"


@commands.command()
def schema(
    part: Annotated[
        str | None, typer.Argument(help="A part or field of a recipe, such as teacher or data.provenance.")
    ] = None,
    of: Annotated[HasSchema, typer.Option(help="A recipe, or what a command prints with --json.")] = HasSchema.RECIPE,
    as_json: AsJson = False,
) -> None:
    """Explain the fields of a recipe; with --json, or of a command's answer, as JSON schema."""
    from pydantic import BaseModel

    from orchestration.asking import Asked
    from orchestration.diagnosis import Diagnosis
    from orchestration.economics import Account
    from orchestration.event_list import Events
    from orchestration.fleet import Fleet
    from orchestration.leaderboard import Board
    from orchestration.live import LiveScreen
    from orchestration.planned import Planned
    from orchestration.recipe_check import Checked
    from orchestration.schema_table import fields_table, part_of
    from orchestration.serving import Predictions
    from orchestration.status import Status
    from stillhouse.audit.answers import AnswerAudit
    from stillhouse.audit.records import Audit
    from stillhouse.audit.rows import RowAudit
    from stillhouse.live.planning import LivePlan
    from stillhouse.recipe.contract import Recipe
    from stillhouse.report.record import Report
    from stillhouse.teachers.batch_api import BatchRead

    records: dict[HasSchema, type[BaseModel]] = {
        HasSchema.RECIPE: Recipe, HasSchema.CHECK: Checked, HasSchema.STATUS: Status, HasSchema.DIAGNOSE: Diagnosis,
        HasSchema.ROI: Account, HasSchema.LEADERBOARD: Board, HasSchema.PLAN: Planned, HasSchema.PREDICT: Predictions,
        HasSchema.AUDIT: Audit, HasSchema.FLEET: Fleet, HasSchema.LIVE: LiveScreen, HasSchema.EVENTS: Events,
        HasSchema.PLAN_LIVE: LivePlan, HasSchema.ASK: Asked, HasSchema.REPORT: Report,
        HasSchema.AUDIT_REQUEST: AnswerAudit, HasSchema.AUDIT_ROW: RowAudit, HasSchema.ASK_READ: BatchRead,
    }  # fmt: skip
    mode: Literal["validation", "serialization"] = "validation" if of is HasSchema.RECIPE else "serialization"
    found = part_of(records[of].model_json_schema(mode=mode), part)
    if as_json or of is not HasSchema.RECIPE:
        print_json(json.dumps(found, indent=2))
    else:
        out.print(fields_table(found, part))


@commands.command()
def init() -> None:
    """Make the working directory a project, unless it is in one, and make the state folder ready.

    A project is a folder of recipes beside a `pyproject.toml` that says so. What is there is never overwritten. Run it
    once before several processes share the state, too.
    """
    from orchestration.project import lay_down

    around = Project.around(Path.cwd())
    if around is not None and around.root != Path.cwd().resolve():
        out.say(f"this folder is in a project already, the one of {around.root}")
    if around is None and setting("STILLHOUSE_RECIPES") is None:
        laid = lay_down(Path.cwd())
        out.say(*laid.lines)
        out.say(Text.assemble("project of ", (str(laid.project.root), "bold")))
    home = Home.from_environment()
    make_ready(home)
    out.say(f"ready: {home.root}")


@commands.command()
def new(
    name: Annotated[str, typer.Argument(help="Name of the new recipe: letters, digits, underscores.")],
    data: Annotated[
        str, typer.Option(help="File of rows: csv, JSON, ndjson, parquet or xlsx, also packed; local, s3:// or hf://.")
    ],
    text: Annotated[str, typer.Option(help="Column with the text; in JSON and parquet also a path: ticket.body.")],
    label: Annotated[str, typer.Option(help="Column with the label; empty means unlabelled.")],
    golden: Annotated[
        str | None, typer.Option(help="File of rows that people labelled: it judges, and rows of --data only train.")
    ] = None,
    teacher: Annotated[
        str | None,
        typer.Option(
            help="Weights that are copied: a folder, package://NAME/FOLDER or hf://ORGANISATION/NAME@COMMIT, of an "
            "encoder, a classifier or a language model. The packaged encoder when left out."
        ),
    ] = None,
    base: Annotated[
        str | None,
        typer.Option(
            help="An encoder that students are cut from, named alike, for a teacher that has no layers to give."
        ),
    ] = None,
    answers_file: Annotated[
        str | None,
        typer.Option("--answers", help="File of what a model has answered: it is copied, and --data needs no label."),
    ] = None,
    endpoint: Annotated[
        str | None, typer.Option(help="A server that speaks OpenAI's protocol, such as https://host/v1: it is copied.")
    ] = None,
    model: Annotated[str | None, typer.Option(help="Of --endpoint the model, as the server names it.")] = None,
    usd_in: Annotated[float | None, typer.Option(help="Its price of a million tokens read.")] = None,
    usd_out: Annotated[float | None, typer.Option(help="Its price of a million tokens written.")] = None,
    usd_at_most: Annotated[float | None, typer.Option(help="That all calls may ever cost together.")] = None,
    api_key_env: Annotated[str | None, typer.Option(help="Variable that holds its key, where it asks for one.")] = None,
    teacher_may_see: Annotated[
        str | None, typer.Option(help="Privacy classes that may be sent there, with commas. Open when left out.")
    ] = None,
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
        Literal["none", "double", "single", "escaped"] | None, typer.Option(help="Quotes around the fields of csv.")
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
    from orchestration.project import recipes_elsewhere
    from orchestration.scaffold.files import Reading
    from orchestration.scaffold.open_questions import AnsweredQuestions
    from orchestration.scaffold.server import server_of
    from orchestration.scaffold.writing import RENAME, FilesBeside, write_recipe

    named = tuple(name.strip() for name in columns.split(",")) if columns else ()
    said = Reading(format, encoding, separator, quoting, named)
    may_see = tuple(name.strip() for name in teacher_may_see.split(",")) if teacher_may_see else ()
    answers = AnsweredQuestions((pain,) if pain else (), licence, outputs_may_train, may_see)
    server = server_of(endpoint, model, usd_in, usd_out, usd_at_most, api_key_env)
    beside = FilesBeside(golden, answers_file, server, teacher, base)
    written = write_recipe(
        recipes_folder(), name, data=data, text=text, label=label, said=said, answers=answers, beside=beside
    )
    out.say(*written.seen)
    out.say(f"wrote {written.path}")
    if (elsewhere := recipes_elsewhere()) is not None:
        out.say(elsewhere, style="yellow")
    for field, asked in written.open.items():
        out.say(Text.assemble(("open", "yellow"), f"  {field}: {asked}"))
    # Nothing can be tried with a classifier while nobody has said which of its outputs is which label.
    file = read_recipe(written.path)
    expected = None if RENAME in written.open else duration(builds_here(), file)
    if expected is not None:
        out.print(f"a run takes {expected.forecast.sentence}")
    before = "Answer what is open, then: " if written.open else "Read it once, then: "
    out.print(Text.assemble(before, (f"stillhouse run {name}", "bold")))


@commands.command()
def inbox(name: Name) -> None:
    """Say where new rows of a recipe are dropped, and show an example of such a file."""
    from orchestration.inbox import encoding, example, left_out
    from stillhouse.stages.source import drop_folder

    file = find_recipe(name)
    out.say(drop_folder(file, Home.from_environment()), style="bold")
    out.print(f"csv in {encoding(file.recipe)}, parquet or ndjson, with at least the columns of this example:")
    out.print(example(file.recipe), end="", soft_wrap=True)
    out.say(left_out(file.recipe), style="dim")


@commands.command()
def ask(
    name: Name,
    write: Annotated[
        Path | None, typer.Option("--write", help="The file of requests to write.", show_default=False)
    ] = None,
    read: Annotated[
        Path | None,
        typer.Option(
            "--read", help="A file of replies to such requests, of an endpoint; its log keeps them.", show_default=False
        ),
    ] = None,
    of: Annotated[
        str | None,
        typer.Option(
            help="A member of the recipe's ensemble, or an alternative, by name (or model); else its teacher.",
        ),
    ] = None,
    answered_by: Annotated[
        str | None,
        typer.Option(
            help="With --read: what the replies call the model, where that is not the name that was asked.",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Write what a batch API has to be sent, so that a teacher elsewhere answers every prompt; read its replies.

    The replies of a stored teacher are read from where its recipe says, those of an endpoint by `--read`.
    """
    from orchestration.asking import as_its_teacher, read_replies, write_requests
    from orchestration.tables.asking import asked_lines, batch_read_lines

    if (write is None) == (read is None) or (answered_by is not None and read is None):
        raise StillhouseError(
            "nothing is asked for" if write is None and read is None else "these do not go together",
            where="--write, --read, --answered-by",
            expected="--write, or --read with or without --answered-by",
            do="Write the requests first, and read the replies when they are there.",
        )
    file, builds = find_recipe(name), builds_here()
    if write is not None:
        asked = write_requests(builds, file, write, of=of)
        if as_json:
            print_json(asked.model_dump_json(indent=1))
            return
        out.say(*asked_lines(write, asked, as_its_teacher(file, of), of))
        return
    assert read is not None
    found = read_replies(builds, file, read, of=of, answered_by=answered_by)
    if as_json:
        print_json(found.model_dump_json(indent=1))
    else:
        out.say(*batch_read_lines(read, found))
    raise typer.Exit(0 if found.all_is_well else 1)


def _how_many(mistakes: int) -> str:
    return "no mistake found" if not mistakes else "1 mistake" if mistakes == 1 else f"{mistakes} mistakes"
