"""A round on a terminal: how it goes, and the report of it on one screen.

Belongs here: what is drawn, and in which words.
Does not: running a round (run.py), answers as tables (tables/), the report as a page (stillhouse/report/).
"""

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)
from rich.table import Table
from rich.text import Text

from orchestration.terminal import Terminal, held_screen
from stillhouse import progress
from stillhouse.economics import amount
from stillhouse.evaluation.harness import Evaluation
from stillhouse.evaluation.lost_classes import clearing_options, lost_classes
from stillhouse.evaluation.models import ModelKind
from stillhouse.home import Home
from stillhouse.report.reading import ReadReport, ReadScore
from stillhouse.statistics.verdicts import Verdict
from stillhouse.wording import MEGABYTE, times

CLASSES_SHOWN = 10
SECONDS_BETWEEN_LINES = 10.0
SECONDS_OF_A_PACE = 2.0
"""How long work has to go on before its pace says anything."""
_WHOLE = TaskID(0)
_PRICE = "USD a 1,000"
"""Where a model behind a server is among the options, since it costs money and not size."""


def framed(console: Terminal, title: Text, what: RenderableType) -> RenderableType:
    """Something below its title, in a frame where the console is a terminal that has a width."""
    if console.is_terminal:
        return Panel(what, title=title, title_align="left", padding=(1, 2))
    return Group(title, "", what)


def result_screen(recipe: str, report: ReadReport, home: Home) -> RenderableType:
    """Teacher against student, each claim, and the other models, on one screen.

    Whatever names a class, slice or model is a `Text`, so that no console reads markup in it.

    Args:
        recipe: its name.
        report: of the selected student, or of the best one.
        home: where the report's page is.
    """
    student = report.student
    table = Table(box=None, padding=(0, 2, 0, 0))
    for column in ("", "teacher", student.name):
        table.add_column(Text(column))
    _add_measures(table, report)
    claims = Table(box=None, padding=(0, 2, 0, 0), show_header=False)
    for claim in report.claims:
        if claim.binding:
            claims.add_row(_mark(claim.verdict), Text(claim.sentence))
    reported = [claim.verdict for claim in report.claims if not claim.binding]
    if reported:
        held = f"reported only: {reported.count(Verdict.PASS)} of {len(reported)} further claims shown to hold"
        claims.add_row("", Text(held, "dim"))
    priced = any(other.hosted for other in report.others)
    beside = report.test.other_metric
    measured = ("accuracy", *([beside] if beside else []))
    columns = ("also judged", *measured, "smaller", "faster", *([_PRICE] if priced else []), "")
    others = Table(*columns, box=None, padding=(0, 2, 0, 0))
    rivals = []
    for other in report.others:
        verdict = Text("control", "dim") if other.kind is ModelKind.CONTROL else _mark(other.verdict)
        price = [_price(other.usd_per_1000_calls)] if priced else []
        quality = (f"{other.accuracy:.3f}", *([_share(other.of_bar)] if beside else []))
        measures = (*quality, times(other.size_ratio), times(other.latency_ratio), *price)
        others.add_row(Text(other.name), *measures, verdict)
        if other.misses_only_the_budget:
            rivals.append(Text(f"{other.name}: {other.ruled_out}"))
    comparison = [Text(report.comparison.sentence)] if report.comparison else []
    comparison += [Text(each.sentence) for each in report.ablations if each.sentence]
    if student.kind is ModelKind.BASELINE and report.selection:
        comparison.append(Text(f"{report.selection.reason} ({student.name}: {student.note})"))
    if report.against_champion and report.against_champion.sentence:
        comparison.append(Text(report.against_champion.sentence))
    own = report.error_analysis.get(student.name)
    why = [Text.assemble(("why, and what next  ", "bold"), own.sentence)] if own and own.sentence else []
    page = home.reports / f"{recipe}.html"
    foot = Text(f"report   {page}, with {recipe}.checklist.md beside it\nUI       stillhouse ui")
    return Group(table, "", claims, "", *why, others, "", *rivals, *comparison, "", foot)


def options_screen(evaluations: Sequence[Evaluation]) -> RenderableType:
    """What there is to take without a student, and how much of each class each option that clears the bar finds.

    Args:
        evaluations: of the options, in the order of the report; at least one clears the bar.
    """
    priced, (beside, _) = any(each.hosted for each in evaluations), _beside_accuracy(evaluations[0])
    columns = ("option", "accuracy", beside, "smaller", "faster", *([_PRICE] if priced else []), "")
    options = Table(*columns, box=None, padding=(0, 2, 0, 0))
    for each in evaluations:
        faster = times(each.latency_ratio)
        _, other = _beside_accuracy(each)
        price = [_price(each.usd_per_1000_calls)] if priced else []
        quality = (f"{each.score.accuracy:.3f}", _share(other))
        measures = (*quality, times(each.size_ratio), faster, *price)
        options.add_row(Text(each.name), *measures, _mark(each.verdict))
    keeping, losing = clearing_options(evaluations)
    clearing = keeping + losing
    by_class = Table(box=None, padding=(0, 2, 0, 0))
    for heading in ("class", "rows", *(each.name for each in clearing)):
        by_class.add_column(Text(f"{heading} finds" if heading in {each.name for each in clearing} else heading))
    recalls = {each.name: {row.label: row for row in each.per_class} for each in clearing}
    # A class that no truth has is there only for those that answer it, and nothing of it can be found.
    there = [row for row in clearing[0].per_class if row.rows]
    worst = sorted(there, key=lambda row: min(found[row.label].recall for found in recalls.values()))
    for row in worst[:CLASSES_SHOWN]:
        found = [f"{recalls[each.name][row.label].recall:.1%}" for each in clearing]
        by_class.add_row(Text(row.label), f"{row.rows:,}", *found)
    more = len(worst) - CLASSES_SHOWN
    rest = [Text(f"and {more:,} classes of which more is found", "dim")] if more > 0 else []
    lost = [Text(f"{each.name} loses a class: finds {one}", "red") for each in losing for one in lost_classes(each)]
    classes: list[RenderableType] = ["", by_class] if there else []
    return Group(options, *classes, *rest, *lost)


@contextmanager
def drawn_progress(console: Terminal, stages: int) -> Iterator[progress.Listener]:
    """Show how a run goes: bars on a terminal; a line every ten seconds where the output is a file or a pipe."""
    with held_screen(console) as screen, (_bars if screen.is_terminal else _lines)(screen, stages) as listener:
        yield listener


@contextmanager
def _bars(screen: Terminal, stages: int) -> Iterator[progress.Listener]:
    """A bar for the stages and one for what goes on, with a line above for each finished stage and closed gate."""
    bars = Progress(
        SpinnerColumn(), TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(),
        TimeElapsedColumn(), _TimeLeft(), TextColumn("{task.fields[note]}", markup=False), console=screen,
        redirect_stdout=False, redirect_stderr=False,
    )  # fmt: skip
    assert bars.add_task("stages", total=stages, note="") == _WHOLE
    going: dict[str, TaskID] = {}

    def listen(news: progress.News) -> None:
        screen.say(*_lasting(news))
        match news:
            case progress.StageStep(stage, done):
                for name in [name for name in going if done]:
                    bars.remove_task(going.pop(name))
                if done:
                    bars.advance(_WHOLE)
                bars.update(_WHOLE, note="" if done else stage)
            case progress.Step(description, done, total, note):
                if description not in going:
                    going[description] = bars.add_task(f"  {description}", total=total, note="")
                bars.update(going[description], completed=done, total=total, note=note)

    with bars:
        yield listen


@contextmanager
def _lines(screen: Terminal, stages: int) -> Iterator[progress.Listener]:
    """A line for each finished stage and closed gate, and one every ten seconds with what goes on."""
    begun, made, over = time.monotonic(), 0, threading.Event()
    stage, work = "", ""

    def listen(news: progress.News) -> None:
        nonlocal made, stage, work
        screen.say(*_lasting(news))
        match news:
            case progress.StageStep(name, done):
                made, stage, work = made + done, "" if done else name, ""
            case progress.Step(description, done, total, note):
                work = f", {description}: {done:,} of {total:,}{f' ({note})' if note else ''}"

    def say() -> None:
        while not over.wait(SECONDS_BETWEEN_LINES):
            took = timedelta(seconds=round(time.monotonic() - begun))
            screen.say(f"  {took}  {made} of {stages} stages{f', {stage}' if stage else ''}{work}")
            screen.file.flush()

    speaker = threading.Thread(target=say, daemon=True)
    speaker.start()
    try:
        yield listen
    finally:
        over.set()
        speaker.join()


def _lasting(news: progress.News) -> Iterator[Text]:
    """The line that stays of a piece of news; none of most."""
    match news:
        case progress.Remark(sentence):
            yield Text(f"  {sentence}", "yellow")
        case progress.GateDecided(asset, gate, passed, note) if not passed:
            yield Text(f"  {asset}: {gate} {note}", "yellow")
        case progress.StageStep(stage, 1, _, note):
            yield Text.assemble(("made", "green"), f" {stage}  ", (note, "dim"))


class _TimeLeft(ProgressColumn):
    """What a piece of work still takes at the pace it has; of the stages nothing, since no two are alike."""

    def render(self, task: Task) -> Text:
        begun = task.elapsed is not None and task.elapsed >= SECONDS_OF_A_PACE
        if task.id == _WHOLE or task.finished or task.time_remaining is None or not begun:
            return Text("")
        return Text(f"about {timedelta(seconds=round(task.time_remaining))} left", "cyan")


def _add_measures(table: Table, report: ReadReport) -> None:
    """A line for each thing that was measured on teacher and student."""
    student, teacher, latency = report.student, report.teacher, report.latency
    table.add_row("accuracy", _with_interval(teacher), _with_interval(student))
    if report.test.other_metric:
        table.add_row(Text(report.test.other_metric), _share(teacher.of_bar), _share(student.of_bar))
    table.add_row("agreement", "", f"{report.agreement:.3f}")
    table.add_row("size", _megabytes(teacher), f"{_megabytes(student)}{_by_how_much(report.size_ratio, 'smaller')}")
    if latency:
        cpu = latency.cpu
        if cpu:
            faster = f"{_measure(cpu.student_ms, 'ms')}{_by_how_much(cpu.ratio, 'faster')}"
            table.add_row("CPU time, 1 thread", _measure(cpu.teacher_ms, "ms"), faster)
        faster = f"{_measure(latency.student_ms_p50, 'ms')}{_by_how_much(latency.ratio, 'faster')}"
        where = "wall time, 1 thread" if latency.teacher_device is None else "wall time"
        table.add_row(where, _measure(latency.teacher_ms_p50, "ms"), faster)
        if latency.teacher_device is not None:
            table.add_row("timed on", latency.teacher_device, "1 thread of the CPU")
        if latency.caveat:
            table.add_row("", "", Text(latency.caveat, "yellow"))
    memory, cost = report.footprint, report.running_cost
    if memory and memory.student_mb is not None:
        table.add_row("memory", _measure(memory.teacher_mb, "MB", 0), _measure(memory.student_mb, "MB", 0))
    if cost:
        calls = [cost.teacher_usd_per_1000_calls, cost.student_usd_per_1000_calls]
        table.add_row("a million calls", *("" if usd is None else f"{amount(1000 * usd)} USD" for usd in calls))


def _with_interval(score: ReadScore) -> str:
    low, high = score.accuracy_interval
    return f"{score.accuracy:.3f} ({low:.3f} to {high:.3f})"


def _share(measured: float | None) -> str:
    return "" if measured is None else f"{measured:.3f}"


def _beside_accuracy(judged: Evaluation) -> tuple[str, float | None]:
    """The name of the one further figure that is shown of such answers, and that figure."""
    if judged.of_ranking is not None:
        return "nDCG", judged.of_ranking.ndcg
    if judged.of_fields is not None:
        return "field F1", judged.of_fields.micro_f1
    return "macro F1", judged.score.macro_f1


def _megabytes(score: ReadScore) -> str:
    return _measure(score.size_bytes and score.size_bytes / MEGABYTE, "MB", 1)


def _measure(value: float | None, unit: str, digits: int = 2) -> str:
    """A value with its unit; nothing of a teacher that does not run here."""
    return "" if value is None else f"{value:.{digits}f} {unit}"


def _by_how_much(ratio: float | None, comparative: str) -> str:
    return "" if ratio is None else f"   {ratio:.1f}x {comparative}"


def _price(usd: float | None) -> str:
    return "" if usd is None else amount(usd)


def _mark(verdict: Verdict) -> Text:
    shown = {Verdict.PASS: ("pass", "green"), Verdict.FAIL: ("fail", "red")}
    return Text(*shown.get(verdict, ("not shown", "yellow")))
