"""Running a recipe from the command line: its rounds in this process, and how they ended.

Belongs here: one call that brings a recipe up to date.
Does not: what the job contains (jobs.py), what is drawn (screens.py), commands (commands/), exit codes (cli.py).
"""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import dagster as dg
from rich.console import Group, RenderableType
from rich.text import Text

from assets.keys import key_of
from assets.materializations import newest_artifact, newest_materialization
from checks.gate_states import GateState
from checks.stages import CLOSES_AS, SHOWS_OPTIONS
from orchestration.approvals import waivers_to_give_again
from orchestration.batches import batches_in, ingest_what_is_new, plan_runs
from orchestration.dagster_internals import RunFailureReason
from orchestration.diagnosis import is_closed_gate, is_of_the_machine, what_broke, write_checklist
from orchestration.instance import initialise
from orchestration.new_events import note_changes
from orchestration.runnable import runnable
from orchestration.runs import BECAUSE_TAG, QUIET, SHOWN_WITH_THE_CODE_LOCATION, new_run_id, process_tag
from orchestration.screens import drawn_progress, framed, options_screen, result_screen
from orchestration.stages_now import stages_now
from orchestration.terminal import Terminal
from stillhouse import progress
from stillhouse.data.drop_folder import look_at
from stillhouse.evaluation.harness import read_evaluations
from stillhouse.home import Home
from stillhouse.recipe.reading import RecipeFile
from stillhouse.records.batches import shown
from stillhouse.records.builds import BuildStore
from stillhouse.records.gate_names import renamed
from stillhouse.records.gate_status import GateStatus
from stillhouse.records.locks import recipes_locked
from stillhouse.report.options_page import path_of_page
from stillhouse.report.reading import read_report
from stillhouse.stages.names import BASE, BASELINES, SELECTION, stage_names
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
        of_the_machine: whether the machine is at fault, such as its disk, so that nothing was found out.
    """

    run_id: str
    succeeded: bool
    closed: list[GateState] = field(default_factory=list)
    stopped: str | None = None
    errors: list[str] = field(default_factory=list)
    of_the_machine: bool = False

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

    Raises:
        KeyboardInterrupt: if Ctrl-C ended it; what was finished is kept.
    """

    def waiting(recipe: str, holder: str) -> None:
        console.print(Text(f"waits for {holder}, which works on {recipe}", "yellow"))

    def ended(run_id: str) -> None:
        console.print(f"run {run_id[:8]} was killed; what it had finished is kept", style="yellow")

    def notice(line: str) -> None:
        console.say(line, style="yellow")

    by = f"`stillhouse run {file.name}` (process {os.getpid()})"
    with (
        initialise(home, ended=ended, notice=notice) as instance,
        recipes_locked(home, [file.name], by=by, waiting=waiting),
    ):
        builds = BuildStore(home)
        for line in [*waivers_to_give_again(builds.ledger, file), *renamed(file.recipe.unwaivable)]:
            notice(line)
        stages = stage_names(file.recipe)
        built = runnable([file])
        batches = _ingest(instance, builds, file, console)
        note_changes(builds, file, stages_now(builds, file, batches))
        planned = plan_runs(builds, file, batches)
        for each in planned:
            if len(planned) > 1:
                console.say(Text.assemble((each.job, "bold"), f" {each.batch}"))
            run_id = new_run_id()
            with _stop_recorded(instance, run_id):
                with drawn_progress(console, len(stages)) as listener, progress.listening(listener):
                    result = built.resolve_job_def(each.job).execute_in_process(
                        instance=instance,
                        partition_key=each.batch,
                        raise_on_error=False,
                        run_id=run_id,
                        tags={
                            BECAUSE_TAG: "asked for on the command line",
                            **process_tag(run_id),
                            **SHOWN_WITH_THE_CODE_LOCATION,
                        },
                        run_config=QUIET,
                    )
                if _was_interrupted(result):
                    raise KeyboardInterrupt
            if each.batch == BASE and not result.success:
                break  # every other batch is held against this one
        outcome = _outcome(instance, builds, file, result)
        write_checklist(instance, builds, file)
        console.print(framed(console, *_ending(builds, file, outcome)))
    return outcome


def _was_interrupted(result: dg.ExecuteInProcessResult) -> bool:
    """Whether Ctrl-C ended a run, which Dagster tells as one more way for a run to fail."""
    failures = [event.job_failure_data for event in result.all_events if event.is_job_failure]
    return any(failure.failure_reason is RunFailureReason.UNEXPECTED_TERMINATION for failure in failures)


@contextmanager
def _stop_recorded(instance: dg.DagsterInstance, run_id: str) -> Iterator[None]:
    """Record of a run that Ctrl-C ends that a person has cancelled it: a failure would be asked for again."""
    try:
        yield
    except (KeyboardInterrupt, dg.DagsterExecutionInterruptedError):
        run = instance.get_run_by_id(run_id)
        if run is not None:  # else nothing of it has begun
            because = "Ctrl-C ended it. What it had finished is kept; no round asks for the rest."
            instance.report_run_canceled(run, because)
        raise


def _ingest(instance: dg.DagsterInstance, builds: BuildStore, file: RecipeFile, console: Terminal) -> list[str]:
    """Look at the drop folder twice, a second apart, take in what did not change, and name what is left out."""
    folder = drop_folder(file, builds.home)
    look = look_at(builds, file, folder)
    if look.waiting:
        time.sleep(SECONDS_BETWEEN_LOOKS)
        look = look_at(builds, file, folder)
    batches, new = ingest_what_is_new(instance, builds, file, look)
    if new is not None:
        console.print(Text(f"batch {new.batch}: {new.because}"))
    for line in [*look.refused, *(f"{shown(name)} still grows: left for later" for name in look.waiting)]:
        console.print(Text(line, "yellow"))
    return batches


def _outcome(
    instance: dg.DagsterInstance, builds: BuildStore, file: RecipeFile, result: dg.ExecuteInProcessResult
) -> Outcome:
    """Judge the last run of a round; a later batch that was found wanting counts, until somebody puts it right."""
    closed, stopped = [], None
    for stage in stages_now(builds, file, batches_in(instance, file)):
        if stage.newest is not None and stage.newest.run_id == result.run_id:
            closed += [state for state in stage.gates if not state.is_open]
        elif stage.newest is not None and stage.batch not in (None, BASE):  # what is only stale, the next run looks at
            closed += [state for state in stage.gates if state.state.was_decided]
    results = [state for state in closed if state.name in CLOSES_AS and state.state is GateStatus.FAILED]
    # What a recipe leaves open is no reason to stop for: whoever did not say what hurts may not have been asked.
    if results and not _closed_beside(results[0], closed):
        stopped = results[0].sentence
    failed = [event.step_failure_data for event in result.all_events if event.is_step_failure]
    errors = [what_broke(failure) for failure in failed if not is_closed_gate(failure)]  # the gates say it better
    return Outcome(result.run_id, result.success, closed, stopped, errors, any(map(is_of_the_machine, failed)))


def _closed_beside(result: GateState, closed: list[GateState]) -> list[GateState]:
    """Gates of the same asset that are closed for another reason."""
    return [state for state in closed if state.asset == result.asset and state.name not in CLOSES_AS]


def _ending(builds: BuildStore, file: RecipeFile, outcome: Outcome) -> tuple[Text, RenderableType]:
    """What a round came to, as a title and what belongs below it."""
    parts: list[RenderableType] = []
    selection = newest_materialization(builds.ledger, key_of(file.name, SELECTION))
    if selection is not None and selection.run_id == outcome.run_id:
        artifact = newest_artifact(builds, key_of(file.name, SELECTION))
        parts.append(result_screen(file.name, read_report(artifact.folder), builds.home))
    if any(gate.name in SHOWS_OPTIONS for gate in outcome.closed):
        evaluations = read_evaluations(newest_artifact(builds, key_of(file.name, BASELINES)).folder)
        parts += [options_screen(evaluations), f"report   {path_of_page(builds.home, file.name)}", ""]
    champion, tail = builds.ledger.champion(file.name), ""
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
    return Text.assemble(f"{file.name}: ", title, tail), Group(*parts)
