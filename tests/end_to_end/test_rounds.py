"""The real webserver and daemon take in what is dropped, whatever else runs, waits or was killed.

The tests are steps on the way of one finished installation and run in order.
"""

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass

import dagster as dg
import polars as pl
import pytest
from dagster._core.storage.dagster_run import NOT_FINISHED_STATUSES

from orchestration.batches import drop_folder_lines
from orchestration.build import definitions
from orchestration.runs import BECAUSE_TAG, OUTCOME_TAG, process_of
from stillhouse.batches import batches_of
from stillhouse.home import CHECKOUT
from stillhouse.processes import ProcessName
from stillhouse.recipe import RecipeFile
from tests.conftest import Place, a_place
from tests.end_to_end.server import dagster_dev
from tests.small import questions, small_recipe

ROWS, NEW_ROWS = 1200, 40
STORM, ROWS_OF_A_STORM = int(os.environ.get("STILLHOUSE_STORM_FILES", "60")), 5
"""How many files come at once; the drill of audits has 500."""
SECONDS = 240.0

DISTIL = """
    import sys
    from pathlib import Path
    from rich.console import Console
    from orchestration.run import distil
    from stillhouse.home import Home
    from stillhouse.recipe import read_recipe
    outcome = distil(read_recipe(Path({recipe!r})), Home.from_environment(), Console(width=200))
    sys.exit(0 if outcome.succeeded else 1)
"""


@dataclass(frozen=True)
class Running(Place):
    """A finished installation of one small recipe."""

    file: RecipeFile

    def drop_new_rows(self, name: str, number: int) -> None:
        """Put rows that nobody has seen into the drop folder."""
        self.drop(name, unseen(NEW_ROWS, NEW_ROWS * number))

    def rounds(self) -> list[dg.DagsterRun]:
        """Runs of the two jobs, the newest first."""
        return [run for run in self.instance.get_runs() if run.job_name in ("distil_small", "take_in_small")]

    def told(self) -> list[str]:
        """Every run, and what the last ticks said."""
        runs = [f"{run.job_name} {run.run_id[:8]} {run.status.value} {run.tags}" for run in self.instance.get_runs()]
        ticks = [
            f"{state.instigator_name}: {tick.status.value} {tick.skip_reason} {tick.error}"
            for state in self.instance.all_instigator_state()
            for tick in self.instance.get_ticks(state.instigator_origin_id, state.selector_id, limit=3)
        ]
        return [*runs, *ticks]

    def champion_decided_by(self) -> str:
        """The run that made or found the newest champion."""
        entry = self.workshop.ledger.newest("small", "materialization", subject="small/champion")
        return "" if entry is None else str(entry.body["run_id"])

    def at_work(self, earlier: Collection[str]) -> dict[str, ProcessName]:
        """The process of each run that has begun to work, apart from some."""
        runs = self.instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED]))
        found = {run.run_id: process_of(run.run_id, run.tags) for run in runs if run.run_id not in earlier}
        return {run_id: process for run_id, process in found.items() if process is not None}

    def files_taken_in(self) -> list[str]:
        """Names of all files of all batches that count."""
        known = batches_of(self.workshop.ledger, "small").values()
        return sorted(file.name for batch in known for file in batch.files)

    def assert_every_row_is_in_one_batch(self, *names: str) -> None:
        """Each dropped file is in one batch, and each of its rows was learned from once or rejected with a reason."""
        batches = batches_of(self.workshop.ledger, "small")
        assert self.files_taken_in() == sorted(names)
        taken = self.newest("transfer_set")
        assert set(taken.facts["batches"]) == {"base", *batches}
        learned = taken.frame("transfer_set")
        assert learned["prompt_id"].is_unique().all()
        for name, batch in batches.items():
            source, prompts = self.newest("source", name), self.newest("prompts", name)
            assert source.facts["rows"] == NEW_ROWS * len(batch.files)
            assert prompts.facts["kept"] + prompts.facts["rejected"] == source.facts["rows"]
            assert learned.filter(pl.col("batch") == name).height > 0

    def distil(self) -> "subprocess.Popen[str]":
        """`stillhouse run small`, in a process of its own."""
        script = textwrap.dedent(DISTIL.format(recipe=str(self.file.path)))
        return subprocess.Popen([sys.executable, "-c", script], cwd=CHECKOUT, stdout=subprocess.PIPE, text=True)


def unseen(rows: int, skip: int) -> pl.DataFrame:
    """Questions that the recipe's own source does not have; none of the rarest class, of which a few decide a gate."""
    return questions(10_000, skip=ROWS).filter(pl.col("service") != "ABBR").slice(skip, rows)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with a_place(tmp_path_factory.mktemp("rounds")) as place:
        file = small_recipe(place.folder, rows=ROWS, refresh={"cron": "0 3 1 1 *", "watch_seconds": 5})
        place.home.inbox("small").mkdir(parents=True)
        assert place.run(file).success
        yield Running(place.folder, place.home, place.instance, file)


def until(place: Running, holds: Callable[[], bool], what: str) -> None:
    """Wait until something holds, and if it never does, say what every run and the last ticks came to."""
    deadline = time.monotonic() + SECONDS
    while not holds():
        assert time.monotonic() < deadline, "\n".join([what, *place.told()])
        time.sleep(0.5)


def nothing_goes(place: Running, *but: str) -> Callable[[], bool]:
    """Whether no run is unfinished, apart from some."""
    unfinished = dg.RunsFilter(statuses=NOT_FINISHED_STATUSES)
    return lambda: not {run.run_id for run in place.instance.get_runs(unfinished)} - {*but}


@pytest.mark.experiment("D1")
def test_a_dropped_file_is_taken_in_while_somebody_presses_materialize_and_a_plan_lies_about(place: Running) -> None:
    before, earlier = place.champion_decided_by(), {run.run_id for run in place.rounds()}
    distil = definitions([place.file]).resolve_job_def("distil_small")
    plan = place.instance.create_run_for_job(job_def=distil, tags={"dagster/partition": "base"})
    with dagster_dev(place.folder, place.file, place.home) as server:
        place.drop_new_rows("monday.csv", 0)
        (place.home.inbox("small") / "empty.csv").touch()
        (place.home.inbox("small") / "README").write_text("rows of monday")
        pressed = server.materialize("small", "contract")
        until(place, lambda: place.champion_decided_by() != before, "the champion is not decided again")
        until(place, nothing_goes(place, plan.run_id), "a run does not end")
        assert server.finished(pressed) == "SUCCESS", server.failures(pressed)
        time.sleep(12)  # two more ticks
        mine = [run for run in place.rounds() if run.run_id not in {*earlier, plan.run_id}]
        assert 1 <= len(mine) <= 2
        for run in mine:
            assert server.finished(run.run_id) == "SUCCESS", server.failures(run.run_id)
            assert "new file monday.csv" in run.tags[BECAUSE_TAG]
        assert mine[0].tags[OUTCOME_TAG].startswith(("promoted", "champion kept"))
    place.assert_every_row_is_in_one_batch("monday.csv")
    recorded = place.workshop.ledger.newest("small", "round")
    assert recorded is not None and recorded.body["run_id"] == mine[0].run_id
    assert recorded.body["ending"] in ("promoted", "kept")


@pytest.mark.experiment("C6", "D3")
def test_after_a_kill_of_everything_the_queue_moves_and_the_work_is_done(place: Running) -> None:
    before, earlier = place.champion_decided_by(), {run.run_id for run in place.rounds()}
    with dagster_dev(place.folder, place.file, place.home) as server:
        place.drop_new_rows("tuesday.csv", 1)
        until(place, lambda: bool(place.at_work(earlier)), "no run has begun")
        (killed,) = place.at_work(earlier)
        server.kill()
    assert place.champion_decided_by() == before
    with dagster_dev(place.folder, place.file, place.home) as server:
        until(place, lambda: place.champion_decided_by() != before, "the work is not asked for again")
        until(place, nothing_goes(place), "a run does not end")
        assert server.finished(killed) == "FAILURE"
        again = next(run for run in place.rounds() if run.run_id not in {*earlier, killed})
        assert again.is_success, server.failures(again.run_id)
    place.assert_every_row_is_in_one_batch("monday.csv", "tuesday.csv")


@pytest.mark.experiment("B9")
def test_the_command_line_waits_for_the_run_of_the_daemon_and_says_so(place: Running) -> None:
    earlier = {run.run_id for run in place.rounds()}
    with dagster_dev(place.folder, place.file, place.home):
        place.drop_new_rows("wednesday.csv", 2)
        until(
            place,
            lambda: bool({run.run_id for run in place.rounds() if run.status.value == "STARTED"} - earlier),
            "no run",
        )
        command_line = place.distil()
        said, _ = command_line.communicate(timeout=SECONDS)
        assert command_line.returncode == 0, said
        assert "waits for run " in said and "which works on small" in said
        until(place, nothing_goes(place), "a run does not end")
    mine = [run for run in place.rounds() if run.run_id not in earlier]
    assert len(mine) == 2 and all(run.is_success for run in mine)
    place.assert_every_row_is_in_one_batch("monday.csv", "tuesday.csv", "wednesday.csv")


@pytest.mark.experiment("C7")
@pytest.mark.slow
def test_the_batch_of_a_run_worker_that_was_killed_is_taken_in(place: Running) -> None:
    before, earlier = place.champion_decided_by(), {run.run_id for run in place.rounds()}
    with dagster_dev(place.folder, place.file, place.home) as server:
        place.drop_new_rows("thursday.csv", 3)
        until(place, lambda: bool(place.at_work(earlier)), "no run has begun")
        ((killed, worker),) = place.at_work(earlier).items()
        os.kill(worker.pid, signal.SIGKILL)
        until(place, lambda: place.champion_decided_by() != before, "the work is not asked for again")
        until(place, nothing_goes(place), "a run does not end")
        assert server.finished(killed) == "FAILURE"
    place.assert_every_row_is_in_one_batch("monday.csv", "tuesday.csv", "wednesday.csv", "thursday.csv")


@pytest.mark.experiment("D2")
@pytest.mark.slow
def test_many_files_at_once_are_at_most_three_runs_and_a_bad_one_is_named(place: Running) -> None:
    before, earlier = place.champion_decided_by(), {run.run_id for run in place.rounds()}
    names = ["monday.csv", "tuesday.csv", "wednesday.csv", "thursday.csv", *(f"f{n:03}.csv" for n in range(STORM))]
    rows = unseen(ROWS_OF_A_STORM * STORM, 4 * NEW_ROWS)
    with dagster_dev(place.folder, place.file, place.home):
        for number in range(STORM):
            place.drop(f"f{number:03}.csv", rows.slice(number * ROWS_OF_A_STORM, ROWS_OF_A_STORM))
        (place.home.inbox("small") / "bad.csv").write_text("service,kind\nHUM,HUM:ind\n")
        until(place, lambda: len(place.files_taken_in()) == len(names), "not every file is taken in")
        until(place, lambda: place.champion_decided_by() != before and nothing_goes(place)(), "the rounds do not end")
        time.sleep(12)  # two more ticks
        mine = [run for run in place.rounds() if run.run_id not in earlier]
        assert len(mine) <= 3 and all(run.is_success for run in mine), place.told()
    assert place.files_taken_in() == sorted(names)
    (line,) = [line for line in drop_folder_lines(place.workshop, place.file) if "bad.csv" in line]
    assert "no column 'question'" in line
    learned = place.newest("transfer_set").frame("transfer_set")
    assert learned["prompt_id"].is_unique().all()
    assert set(rows["question"].to_list()) & set(learned["text"].to_list())
