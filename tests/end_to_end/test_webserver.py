"""The real webserver and daemon: gates pass, bad rows are planted, the gate fails, the downstream launch is refused."""

import time
from pathlib import Path

import polars as pl

from orchestration.instance import initialise
from stillhouse.home import Home
from tests.end_to_end.server import AUTOMATION, dagster_dev
from tests.small import small_recipe


def test_a_person_sees_gates_pass_then_fail_and_the_downstream_refused(tmp_path: Path, home: Home) -> None:
    # The drop folder is not watched closely: this person materializes by hand.
    file = small_recipe(tmp_path, rows=300, slices=[], refresh={"cron": "0 3 1 1 *", "watch_seconds": 3600})
    home.inbox("small").mkdir(parents=True)
    with initialise(home):
        pass
    with dagster_dev(tmp_path, file, home) as server:
        run = server.materialize("small", "contract", "source", "prompts")
        assert server.finished(run) == "SUCCESS", server.failures(run)
        checks = server.checks("small", "prompts")
        assert len(checks) >= 12 and {status for status, _ in checks.values()} == {"SUCCEEDED"}, checks

        blank = pl.DataFrame({"question": [" "] * 9 + ["What is the last one ?"], "service": ["LOC"] * 10})
        blank.write_csv(home.inbox("small") / "blanks.csv")
        run = server.materialize("small", "source", "prompts")
        assert server.finished(run) == "FAILURE"
        status, sentence = server.checks("small", "prompts")["few_rows_of_any_batch_were_rejected"]
        assert status == "FAILED" and "batch blanks.csv: 9 of 10 rows rejected (90%)" in sentence

        run = server.materialize("small", "teacher")
        assert server.finished(run) == "FAILURE"
        (message,) = server.failures(run)
        assert "Refused to read small/" in message
        assert "few_rows_of_any_batch_were_rejected is failed" in message
        assert "stillhouse status small" in message


def test_schedule_and_sensors_are_on_and_a_dropped_file_starts_one_run(tmp_path: Path, home: Home) -> None:
    # Terms that nobody looked up: the run that the file starts ends at the first gate.
    refresh = {"cron": "0 3 1 1 *", "watch_seconds": 5}
    file = small_recipe(tmp_path, rows=300, slices=[], teacher__training_on_outputs="unknown", refresh=refresh)
    home.inbox("small").mkdir(parents=True)
    with initialise(home):
        pass
    with dagster_dev(tmp_path, file, home) as server:
        shown = server.ask(AUTOMATION, repository=server.repository)
        sensors = {s["name"]: s["sensorState"]["status"] for s in shown["sensorsOrError"]["results"]}
        schedules = {s["name"]: s["scheduleState"]["status"] for s in shown["schedulesOrError"]["results"]}
        assert sensors == {"new_rows_small": "RUNNING", "what_follows_from_changed_data": "RUNNING"}
        assert schedules == {"refresh_small": "RUNNING"}

        assert server.runs() == []
        (home.inbox("small") / "tuesday.csv").write_text("question\nWho was the last one ?\n")
        (run,) = server.runs(at_least=1)
        assert server.finished(run) == "FAILURE"
        assert server.checks("small", "contract")["terms_allow_training_on_outputs"][0] == "FAILED"
        time.sleep(12)  # two more ticks
        assert server.runs() == [run]
