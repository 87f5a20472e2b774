"""The real webserver and daemon: gates pass, bad rows are planted, the gate fails, the downstream launch is refused."""

from pathlib import Path

import polars as pl
import pytest

from orchestration.batches import sync_batches
from orchestration.instance import initialise
from stillhouse.home import Home
from stillhouse.records.builds import BuildStore
from tests.conftest import ingest
from tests.end_to_end.server import AUTOMATION, dagster_dev
from tests.small import small_recipe

pytestmark = pytest.mark.slow


def test_a_person_sees_gates_pass_then_fail_and_the_downstream_refused(tmp_path: Path, home: Home) -> None:
    # The drop folder is not watched closely: this person materializes by hand.
    refresh = {"cron": "0 3 1 1 *", "watch_seconds": 3600}
    columns = {"data__allow_missing_columns": ["service"]}
    file = small_recipe(tmp_path, rows=300, slices=[], refresh=refresh, **columns)
    home.inbox("small").mkdir(parents=True)
    with initialise(home) as instance:
        sync_batches(instance, BuildStore(home), file)
    with dagster_dev(tmp_path, file, home) as server:
        run = server.materialize("small", "contract", "source", "prompts", batch="base")
        assert server.finished(run) == "SUCCESS", server.failures(run)
        checks = server.checks("small", "contract")
        assert len(checks) >= 6 and {status for status, _ in checks.values()} == {"SUCCEEDED"}, checks

        garbled = [f"Qui a d\u00c3\u00a9couvert la {number}e plan\u00c3\u00a8te ?" for number in range(10)]
        pl.DataFrame({"question": garbled}).write_csv(home.inbox("small") / "garbled.csv")
        with initialise(home) as instance:
            ingest(instance, file)
        run = server.materialize("small", "source", "prompts", batch="garbled.csv")
        assert server.finished(run) == "FAILURE"
        status, sentence = server.checks("small", "source")["few_texts_are_garbled"]
        assert status == "FAILED" and "10 of 10 texts look garbled" in sentence

        run = server.materialize("small", "prompts", batch="garbled.csv")
        assert server.finished(run) == "FAILURE"
        (message,) = server.failures(run)
        assert "Refused to read small/source[garbled.csv]" in message
        assert "source[garbled.csv]:few_texts_are_garbled is failed" in message
        assert "stillhouse diagnose small" in message

        # The bad batch is closed and no other: the teacher, which learns from the base batch, may be trained.
        run = server.materialize("small", "teacher")
        assert server.finished(run) == "SUCCESS", server.failures(run)


def test_schedule_and_sensors_are_on_and_a_closed_gate_stops_the_round_and_waits(tmp_path: Path, home: Home) -> None:
    # Terms that nobody looked up: the run that the file starts ends at the first gate.
    refresh = {"cron": "0 3 1 1 *", "watch_seconds": 5}
    terms = {"teacher__training_on_outputs": "unknown", "data__allow_missing_columns": ["service"]}
    file = small_recipe(tmp_path, rows=300, slices=[], refresh=refresh, **terms)
    home.inbox("small").mkdir(parents=True)
    with initialise(home):
        pass
    with dagster_dev(tmp_path, file, home) as server:
        shown = server.ask(AUTOMATION, repository=server.repository)
        sensors = {s["name"]: s["sensorState"]["status"] for s in shown["sensorsOrError"]["results"]}
        schedules = {s["name"]: s["scheduleState"]["status"] for s in shown["schedulesOrError"]["results"]}
        assert sensors == dict.fromkeys({"rounds_small", "dead_runs", "notices", "what_follows_in_small"}, "RUNNING")
        assert schedules == {"refresh_small": "RUNNING"}

        assert server.runs() == []
        (home.inbox("small") / "tuesday.csv").write_text("question\nWho was the last one ?\n")
        # Nothing was made of this recipe yet: the base batch is taken in, then one run goes the whole way.
        runs = server.runs(at_least=2)
        assert {server.finished(run) for run in runs} == {"FAILURE"}
        assert server.checks("small", "contract")["terms_allow_training_on_outputs"][0] == "FAILED"
        server.two_more_ticks("rounds_small")
        assert server.runs() == runs, "a closed gate waits for a person"
