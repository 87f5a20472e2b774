"""The real webserver and daemon take in what is dropped, whatever else runs, waits or was killed.

The tests are steps on the way of one finished installation and run in order.
"""

import os
import random
import signal
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import polars as pl
import pytest

from orchestration.batches import drop_folder_lines
from orchestration.build import definitions
from orchestration.runs import BECAUSE_TAG, OUTCOME_TAG
from stillhouse.processes import ProcessName
from stillhouse.recipe.reading import read_recipe
from stillhouse.records.events import EventKind, history
from tests.command import stillhouse
from tests.end_to_end.rounds import NEW_ROWS, SECONDS, Running, finished, nothing_goes, unseen, until
from tests.end_to_end.server import Server, dagster_dev

STORM, ROWS_OF_A_STORM = int(os.environ.get("STILLHOUSE_STORM_FILES", "60")), 5
"""How many files come at once; the drill of audits has 500."""
KILLS = int(os.environ.get("STILLHOUSE_KILLS", "3"))
"""How often each kind of process is killed at a random moment of a round; `make kills` has twenty.

A look of the daemon is killed before each of its writes in tests/orchestration/test_killed_ticks.py, one of the watch
in tests/orchestration/test_watch.py, a server in tests/stillhouse/serving/test_process.py and test_spool.py."""
SECONDS_OF_A_ROUND = 30.0
KILLS_OF_A_FILE = 4
"""How often at most while the rows of one file are taken in, so that what makes up for a kill is killed, too.

Of nine attempts at the same that were killed the dispatcher would say that they are enough."""
RUNS_AS = {"code server": "dagster api grpc", "daemon": "dagster._daemon"}
"""What the command line of a process says."""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, shared: Path) -> Iterator[Running]:
    with finished(tmp_path_factory.mktemp("rounds"), shared) as place:
        yield place


@pytest.mark.experiment("D1")
def test_a_dropped_file_is_taken_in_while_somebody_presses_materialize_and_a_plan_lies_about(place: Running) -> None:
    before, earlier = place.champion_decided_by(), {run.run_id for run in place.rounds()}
    distil = definitions([place.file]).resolve_job_def("distil_small")
    plan = place.instance.create_run_for_job(job_def=distil, tags={"dagster/partition": "base"})
    with dagster_dev(place.folder, place.file, place.home) as server:
        place.drop_new_rows("monday.csv")
        (place.home.inbox("small") / "empty.csv").touch()
        (place.home.inbox("small") / "README").write_text("rows of monday")
        (place.home.inbox("small") / "other.csv").write_text("service,kind\nHUM,HUM:ind\n")
        pressed = server.materialize("small", "contract")
        until(place, lambda: place.champion_decided_by() != before, "the champion is not decided again")
        until(place, nothing_goes(place, plan.run_id), "a run does not end")
        assert server.finished(pressed) == "SUCCESS", server.failures(pressed)
        server.two_more_ticks("rounds_small")
        mine = [run for run in place.rounds() if run.run_id not in {*earlier, plan.run_id}]
        assert 1 <= len(mine) <= 2
        for run in mine:
            assert server.finished(run.run_id) == "SUCCESS", server.failures(run.run_id)
            assert "new file monday.csv" in run.tags[BECAUSE_TAG]
        assert mine[0].tags[OUTCOME_TAG].startswith(("promoted", "champion kept"))
    place.assert_every_row_is_in_one_batch()
    recorded = place.builds.ledger.newest("small", "round")
    assert recorded is not None and recorded.body["run_id"] == mine[0].run_id
    assert recorded.body["ending"] in ("promoted", "kept")
    shown = stillhouse("status", "small", recipes=place.folder / "recipes").stdout
    assert "no daemon has looked" not in shown
    for name, why in {
        "empty.csv": "empty",
        "README": "its ending is missing",
        "other.csv": "no column 'question'",
    }.items():
        assert [line for line in shown.splitlines() if name in line and why in line], shown


@pytest.mark.experiment("C6", "D3")
@pytest.mark.slow
def test_after_a_kill_of_everything_the_queue_moves_and_the_work_is_done(place: Running) -> None:
    before, earlier = place.champion_decided_by(), {run.run_id for run in place.rounds()}
    with dagster_dev(place.folder, place.file, place.home) as server:
        place.drop_new_rows("tuesday.csv")
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
    place.assert_every_row_is_in_one_batch()


@pytest.mark.experiment("B9")
@pytest.mark.slow
def test_the_command_line_waits_for_the_run_of_the_daemon_and_says_so(place: Running) -> None:
    earlier = {run.run_id for run in place.rounds()}
    with dagster_dev(place.folder, place.file, place.home):
        place.drop_new_rows("wednesday.csv")
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
    place.assert_every_row_is_in_one_batch()


@pytest.mark.experiment("C7")
@pytest.mark.slow
def test_the_batch_of_a_run_worker_that_was_killed_is_taken_in(place: Running) -> None:
    before, earlier = place.champion_decided_by(), {run.run_id for run in place.rounds()}
    with dagster_dev(place.folder, place.file, place.home) as server:
        place.drop_new_rows("thursday.csv")
        until(place, lambda: bool(place.at_work(earlier)), "no run has begun")
        ((killed, worker),) = place.at_work(earlier).items()
        os.kill(worker.pid, signal.SIGKILL)
        until(place, lambda: place.champion_decided_by() != before, "the work is not asked for again")
        until(place, nothing_goes(place), "a run does not end")
        assert server.finished(killed) == "FAILURE"
    place.assert_every_row_is_in_one_batch()


def kill(place: Running, server: Server, victim: str, at_work: Iterable[ProcessName]) -> None:
    """End one kind of process where it stands; one that was killed a moment ago is let come back first."""
    if victim == "run worker":
        for worker in at_work:
            os.kill(worker.pid, signal.SIGKILL)
    elif victim == "everything":
        server.kill()
    else:
        until(place, lambda: bool(server.those_that_run(RUNS_AS[victim])), f"no {victim} comes back")
        for each in server.those_that_run(RUNS_AS[victim]):
            os.kill(each, signal.SIGKILL)


@pytest.mark.experiment("C6", "C7", "D3")
@pytest.mark.slow
@pytest.mark.parametrize("victim", ["run worker", "code server", "daemon", "everything"])
def test_whatever_is_killed_whenever_every_row_is_taken_in_once_and_the_queue_moves(
    place: Running, victim: str
) -> None:
    moments, kills = random.Random(victim), 0
    with ExitStack() as running:
        server = running.enter_context(dagster_dev(place.folder, place.file, place.home))
        while kills < KILLS:
            before, earlier = place.champion_decided_by(), {run.run_id for run in place.rounds()}
            place.drop_new_rows(f"{victim} {len(place.dropped)}.csv")  # no name twice: it would be one file, corrected
            is_done = partial(place.has_decided_about_every_file_since, before)
            workers = partial(place.at_work, earlier)
            least, most = kills, min(kills + KILLS_OF_A_FILE, KILLS)
            while kills < most:
                until(place, lambda begun=workers, done=is_done: bool(begun()) or done(), "no run has begun")
                time.sleep(moments.uniform(0.0, SECONDS_OF_A_ROUND))
                if not (at_work := workers()):
                    break  # it was done sooner
                kill(place, server, victim, at_work.values())
                kills += 1
                if victim in ("daemon", "everything"):  # then `dagster dev` ends, and who keeps it starts it again
                    running.close()
                    server = running.enter_context(dagster_dev(place.folder, place.file, place.home))
            until(place, is_done, f"{victim} was killed, and the champion is not decided again")
            until(place, nothing_goes(place), "a run does not end")
            place.assert_every_row_is_in_one_batch()
            place.assert_every_batch_was_one_event_and_had_one_round(waiting=True)
            mine = [run for run in place.rounds() if run.run_id not in earlier]
            assert sum(run.is_success for run in mine) <= 1 and len(mine) <= 1 + kills - least, place.runs_and_ticks()


@pytest.mark.experiment("D2")
@pytest.mark.slow
def test_many_files_at_once_are_at_most_three_runs_and_a_bad_one_is_named(place: Running) -> None:
    before, earlier = place.champion_decided_by(), {run.run_id for run in place.rounds()}
    names = [*place.dropped, *(f"f{n:03}.csv" for n in range(STORM))]
    unlabelled = pl.lit(None, pl.String).alias("service")  # of many labels a gate shows that the small teacher differs
    rows = unseen(ROWS_OF_A_STORM * STORM, NEW_ROWS * len(place.dropped)).with_columns(unlabelled)
    with dagster_dev(place.folder, place.file, place.home) as server:
        for number in range(STORM):
            place.drop(f"f{number:03}.csv", rows.slice(number * ROWS_OF_A_STORM, ROWS_OF_A_STORM))
        (place.home.inbox("small") / "bad.csv").write_text("service,kind\nHUM,HUM:ind\n")
        until(place, lambda: len(place.files_taken_in()) == len(names), "not every file is taken in")
        until(place, lambda: place.champion_decided_by() != before and nothing_goes(place)(), "the rounds do not end")
        server.two_more_ticks("rounds_small")
        mine = [run for run in place.rounds() if run.run_id not in earlier]
        assert len(mine) <= 3 and all(run.is_success for run in mine), place.runs_and_ticks()
    assert place.files_taken_in() == sorted(names)
    (line,) = [line for line in drop_folder_lines(place.builds, place.file) if "bad.csv" in line]
    assert "no column 'question'" in line
    place.assert_every_batch_was_one_event_and_had_one_round(waiting=False)
    learned = place.newest("transfer_set").frame("transfer_set")
    assert learned["prompt_id"].is_unique().all()
    assert set(rows["question"].to_list()) & set(learned["text"].to_list())


@pytest.mark.slow
def test_the_schedule_starts_a_round_that_makes_nothing_a_second_time(place: Running) -> None:
    place.file.path.write_text(place.file.path.read_text().replace("0 3 1 1 *", "'* * * * *'"))
    file, made = read_recipe(place.file.path), place.newest("candidates/one").digest

    def by_the_clock() -> list[bool]:
        return [run.is_success for run in place.rounds() if run.tags.get(BECAUSE_TAG) == "refresh policy * * * * *"]

    with dagster_dev(place.folder, file, place.home):
        until(place, lambda: any(by_the_clock()), "the schedule has started no round that ended well")
    assert place.newest("candidates/one").digest == made
    assert any(each.event.kind is EventKind.CLOCK for each in history(place.builds.ledger, "small"))
