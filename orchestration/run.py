"""Running a recipe from the command line, with progress a person can follow and a result that fits one screen.

Belongs here: one run in this process, and how it is shown.
Does not: what the job contains (jobs.py), commands and exit codes (cli.py).
"""

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import dagster as dg
from dagster._core.utils import make_new_run_id
from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from assets.current import newest_artifact, newest_materialization
from assets.keys import key_of
from checks.gatekeeper import GateState, GateStatus
from checks.stages import CLOSES_AS
from orchestration.batches import rounds, take_in_what_is_new
from orchestration.build import definitions
from orchestration.diagnosis import is_closed_gate, what_broke, write_checklist
from orchestration.instance import initialise
from orchestration.people import waivers_to_give_again
from orchestration.runs import BECAUSE_TAG, process_tag
from orchestration.status import batches_in, stages_now
from orchestration.terminal import Terminal
from stillhouse import progress
from stillhouse.data.drop_folder import look_at
from stillhouse.economics import amount
from stillhouse.home import Home
from stillhouse.recipe.reading import RecipeFile
from stillhouse.records.batches import shown
from stillhouse.records.builds import Workshop
from stillhouse.records.locks import recipes_locked
from stillhouse.stages.names import BASE, SELECTION, stage_names
from stillhouse.stages.source import drop_folder

SECONDS_BETWEEN_LOOKS = 1.0


@dataclass(frozen=True)
class Outcome:
    """How a run ended.

    Args:
        run_id: the run, as the UI knows it.
        succeeded: every stage was made behind open gates; a batch that the recipe allows to leave out may be closed.
        closed: gates that are closed now.
        stopped: why there is no need to distil, if that is the result: no pain, or a baseline that clears the bar.
        errors: what failed otherwise, one line each.
    """

    run_id: str
    succeeded: bool
    closed: list[GateState] = field(default_factory=list)
    stopped: str | None = None
    errors: list[str] = field(default_factory=list)

    @property
    def ends_well(self) -> bool:
        """A release, or the finding that none is needed."""
        return self.succeeded or self.stopped is not None


def distil(file: RecipeFile, home: Home, console: Terminal) -> Outcome:
    """Run a recipe's job in this process and show how it goes and how it ended; waits for a run of it that is going.

    Args:
        file: the recipe.
        home: where state is kept; the UI on the same home shows the run.
        console: where to draw.
    """

    def waiting(recipe: str, holder: str) -> None:
        console.print(Text(f"waits for {holder}, which works on {recipe}", "yellow"))

    def ended(run_id: str) -> None:
        console.print(f"run {run_id[:8]} was killed; what it had finished is kept", style="yellow")

    def notice(line: str) -> None:
        console.print(Text(line, "yellow"), soft_wrap=True)

    by = f"`stillhouse run {file.name}` (process {os.getpid()})"
    with (
        initialise(home, ended=ended, notice=notice) as instance,
        recipes_locked(home, [file.name], by=by, waiting=waiting),
    ):
        workshop = Workshop(home)
        for line in waivers_to_give_again(workshop.ledger, file):
            notice(line)
        stages = stage_names(file.recipe)
        built = definitions([file])
        batches = _take_in(instance, workshop, file, console)
        planned = rounds(workshop, file, batches)
        for each in planned:
            if len(planned) > 1:
                console.print(Text.assemble((each.job, "bold"), f" {each.batch}"), soft_wrap=True)
            run_id = make_new_run_id()
            with _drawn(console, len(stages)) as listener, progress.listening(listener):
                result = built.resolve_job_def(each.job).execute_in_process(
                    instance=instance,
                    partition_key=each.batch,
                    raise_on_error=False,
                    run_id=run_id,
                    tags={BECAUSE_TAG: "asked for on the command line", **process_tag(run_id)},
                    run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
                )
            if each.batch == BASE and not result.success:
                break  # every other batch is held against this one
        outcome = _outcome(instance, workshop, file, result)
        write_checklist(instance, workshop, file)
        console.print(_ending(instance, workshop, file, outcome))
    return outcome


def _take_in(instance: dg.DagsterInstance, workshop: Workshop, file: RecipeFile, console: Terminal) -> list[str]:
    """Look at the drop folder twice, a second apart, take in what did not change, and name what is left out."""
    folder = drop_folder(file, workshop.home)
    look = look_at(workshop, file, folder)
    if look.waiting:
        time.sleep(SECONDS_BETWEEN_LOOKS)
        look = look_at(workshop, file, folder)
    batches, new = take_in_what_is_new(instance, workshop, file, look)
    if new is not None:
        console.print(Text(f"batch {new.batch}: {new.because}"))
    for line in [*look.refused, *(f"{shown(name)} still grows: left for later" for name in look.waiting)]:
        console.print(Text(line, "yellow"))
    return batches


def result_screen(recipe: str, report: dict[str, Any], home: Home) -> RenderableType:
    """Teacher against student, each claim, and the other models, on one screen.

    Args:
        recipe: its name.
        report: the report's JSON.
        home: where the report's page is.
    """
    student = report["student"]
    table = Table(box=None, padding=(0, 2, 0, 0))
    for column in ("", "teacher", student["name"]):
        table.add_column(column)
    _add_measures(table, report)
    claims = Table(box=None, padding=(0, 2, 0, 0), show_header=False)
    for claim in report["claims"]:
        if claim["binding"]:
            claims.add_row(_mark(claim["verdict"]), claim["sentence"])
    reported = [claim["verdict"] for claim in report["claims"] if not claim["binding"]]
    if reported:
        held = f"reported only: {reported.count('pass')} of {len(reported)} further claims shown to hold"
        claims.add_row("", Text(held, "dim"))
    others = Table(box=None, padding=(0, 2, 0, 0))
    for column in ("also judged", "accuracy", "smaller", "faster", ""):
        others.add_column(column)
    rivals = []
    for other in report["others"]:
        faster = _times(other["latency_ratio"]) if other["latency_ratio"] else "?"
        verdict = Text("control", "dim") if other["kind"] == "control" else _mark(other["verdict"])
        others.add_row(other["name"], f"{other['accuracy']:.3f}", _times(other["size_ratio"]), faster, verdict)
        if other.get("misses_only_the_budget"):  # a report of version 0.1.0 does not say
            rivals.append(f"{other['name']}: {other['ruled_out']}")
    comparison = [report["comparison"]["sentence"]] if report["comparison"] else []
    if student["kind"] == "baseline" and report["selection"]:
        comparison.append(Text(f"{report['selection']['reason']} ({student['name']}: {student['note']})"))
    if report.get("against_champion"):  # a report of version 0.1.0 has none
        comparison.append(Text(report["against_champion"]["sentence"]))
    own = report["reasons"].get(student["name"])
    why = [Text.assemble(("why, and what next  ", "bold"), own["sentence"])] if own and own["sentence"] else []
    page = home.reports / f"{recipe}.html"
    foot = f"report   {page}, with {recipe}.checklist.md beside it\nUI       make ui"
    return Group(table, "", claims, "", *why, others, "", *rivals, *comparison, "", foot)


def _outcome(
    instance: dg.DagsterInstance, workshop: Workshop, file: RecipeFile, result: dg.ExecuteInProcessResult
) -> Outcome:
    """Judge the last run of a round; a later batch that was found wanting counts, until somebody puts it right."""
    closed, stopped = [], None
    for stage in stages_now(workshop, file, batches_in(instance, file)):
        if stage.newest is not None and stage.newest.run_id == result.run_id:
            closed += [state for state in stage.gates if not state.is_open]
        elif stage.newest is not None and stage.batch not in (None, BASE):  # what is only stale, the next run looks at
            closed += [state for state in stage.gates if state.state.was_decided]
    for state in closed:
        if state.name in CLOSES_AS and state.state is GateStatus.FAILED:
            stopped = stopped or state.sentence
    failed = [event.step_failure_data for event in result.all_events if event.is_step_failure]
    errors = [what_broke(failure) for failure in failed if not is_closed_gate(failure)]  # the gates say it better
    return Outcome(result.run_id, result.success, closed, stopped, errors)


def _ending(instance: dg.DagsterInstance, workshop: Workshop, file: RecipeFile, outcome: Outcome) -> RenderableType:
    parts: list[RenderableType] = []
    selection = newest_materialization(workshop.ledger, key_of(file.name, SELECTION))
    if selection is not None and selection.run_id == outcome.run_id:
        artifact = newest_artifact(workshop, key_of(file.name, SELECTION))
        parts.append(result_screen(file.name, json.loads((artifact.folder / "report.json").read_text()), workshop.home))
    champion, tail = workshop.ledger.champion(file.name), ""
    if outcome.succeeded and champion is not None:
        title, tail = Text("released", "green"), f" {champion['student']} {champion['digest'][:12]}"
        parts += [Text(f"left out: {gate.asset}: {gate.name} is {gate.state}", "yellow") for gate in outcome.closed]
    elif outcome.stopped is not None:
        results = (CLOSES_AS[gate.name] for gate in outcome.closed if gate.name in CLOSES_AS)
        title = Text(next(results), "green")
        parts.append(Text(outcome.stopped))
    else:
        title = Text("not released", "red")
        parts += [Text(f"{gate.asset}: {gate.name} is {gate.state}: {gate.sentence}", "red") for gate in outcome.closed]
        parts += [Text(line, "red") for line in outcome.errors]
        parts.append(
            f"champion {champion['student']} {champion['digest'][:12]} serves on" if champion else "no champion yet"
        )
    return Panel(Group(*parts), title=Text.assemble(f"{file.name}: ", title, tail), title_align="left", padding=(1, 2))


@contextmanager
def _drawn(console: Terminal, stages: int) -> Iterator[progress.Listener]:
    """Draw a bar for the stages and one for what goes on, with a line above for each finished stage and closed gate."""
    bars = Progress(
        SpinnerColumn(), TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(),
        TimeElapsedColumn(), TextColumn("{task.fields[note]}", markup=False), console=console,
    )  # fmt: skip
    whole = bars.add_task("stages", total=stages, note="")
    going: dict[str, TaskID] = {}

    def listen(news: progress.News) -> None:
        match news:
            case progress.Remark(sentence):
                bars.console.print(Text(f"  {sentence}", "yellow"))
            case progress.GateDecided(asset, gate, passed, note):
                if not passed:
                    bars.console.print(Text(f"  {asset}: {gate} {note}", "yellow"))
            case progress.StageStep(stage, done, _, note):
                for name in [name for name in going if done]:
                    bars.remove_task(going.pop(name))
                if done:
                    bars.advance(whole)
                    bars.console.print(Text.assemble(("made", "green"), f" {stage}  ", (note, "dim")))
                bars.update(whole, note=stage)
            case progress.Step(description, done, total, note):
                if description not in going:
                    going[description] = bars.add_task(f"  {description}", total=total, note="")
                bars.update(going[description], completed=done, note=note)

    with bars:
        yield listen


def _add_measures(table: Table, report: dict[str, Any]) -> None:
    """A line for each thing that was measured on teacher and student."""
    student, teacher, latency = report["student"], report["teacher"], report["latency"]
    table.add_row("accuracy", _with_interval(teacher), _with_interval(student))
    table.add_row("agreement", "", f"{report['agreement']:.3f}")
    table.add_row("size", _megabytes(teacher), f"{_megabytes(student)}   {report['size_ratio']:.1f}x smaller")
    if latency:
        cpu = latency.get("cpu")  # not in a report by 0.1.0
        if cpu:
            faster = f"{cpu['student_ms']:.2f} ms   {cpu['ratio']:.1f}x faster"
            table.add_row("CPU time, 1 thread", f"{cpu['teacher_ms']:.2f} ms", faster)
        faster = f"{latency['student_ms_p50']:.2f} ms   {latency['ratio']:.1f}x faster"
        table.add_row("wall time, 1 thread", f"{latency['teacher_ms_p50']:.2f} ms", faster)
        if latency.get("caveat"):
            table.add_row("", "", Text(latency["caveat"], "yellow"))
    memory, cost = report["footprint"], report["running_cost"]
    if memory and memory["student_mb"] is not None:
        table.add_row("memory", f"{memory['teacher_mb']:.0f} MB", f"{memory['student_mb']:.0f} MB")
    if cost:
        usd = [f"{amount(cost[f'{model}_usd_per_1000_calls'])} USD" for model in ("teacher", "student")]
        table.add_row("1,000 calls", *usd)


def _with_interval(score: dict[str, Any]) -> str:
    low, high = score["accuracy_interval"]
    return f"{score['accuracy']:.3f} ({low:.3f} to {high:.3f})"


def _megabytes(score: dict[str, Any]) -> str:
    return f"{score['size_bytes'] / 1e6:.1f} MB"


def _times(ratio: float) -> str:
    return f"{ratio:.1f}x" if ratio < 1000 else ">1000x"


def _mark(verdict: str) -> Text:
    return {"pass": Text("pass", "green"), "fail": Text("fail", "red")}.get(verdict, Text("not shown", "yellow"))
