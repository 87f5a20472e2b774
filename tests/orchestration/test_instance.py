"""DAGSTER_HOME is made ready once, and a killed run does not look alive for ever."""

import subprocess
import sys

import dagster as dg

from orchestration.instance import PROCESS_TAG, initialise, report_killed_runs
from stillhouse.home import Home


def test_a_fresh_home_has_its_settings_and_databases_before_anybody_shares_it(home: Home) -> None:
    """Regression: several processes that start on a fresh SQLite DAGSTER_HOME at once corrupt it for good."""
    with initialise(home):
        pass
    assert (home.dagster / "dagster.yaml").exists()
    assert (home.dagster / "history" / "runs.db").exists() and (home.dagster / "schedules" / "schedules.db").exists()


def test_settings_that_were_edited_are_kept(home: Home) -> None:
    with initialise(home):
        pass
    settings = home.dagster / "dagster.yaml"
    settings.write_text(settings.read_text() + "# mine\n")
    with initialise(home):
        pass
    assert settings.read_text().endswith("# mine\n")


def test_only_a_run_whose_process_is_gone_is_reported(instance: dg.DagsterInstance) -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    alive = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])

    @dg.job
    def empty() -> None: ...

    runs = {
        name: instance.create_run_for_job(empty, status=dg.DagsterRunStatus.STARTED, tags=tags)
        for name, tags in (
            ("gone", {PROCESS_TAG: str(gone.pid)}),
            ("alive", {PROCESS_TAG: str(alive.pid)}),
            ("from the UI", {}),
        )
    }
    try:
        assert report_killed_runs(instance) == [runs["gone"].run_id]
    finally:
        alive.kill()
    status = {name: instance.get_run_by_id(run.run_id).status for name, run in runs.items()}  # type: ignore[union-attr]
    assert status["gone"] is dg.DagsterRunStatus.FAILURE
    assert status["alive"] is status["from the UI"] is dg.DagsterRunStatus.STARTED
