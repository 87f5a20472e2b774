"""The Dagster instance of an installation.

Belongs here: making DAGSTER_HOME ready, opening it, and tidying up after runs whose process was killed.
Does not: anything about a recipe.
"""

import os
import shutil
from importlib.resources import files
from pathlib import Path

import dagster as dg

from stillhouse.home import Home

PROCESS_TAG = "stillhouse/process"


def initialise(home: Home) -> dg.DagsterInstance:
    """Make DAGSTER_HOME ready and open it.

    Its databases are made here, by one process: several that start on a fresh DAGSTER_HOME at once corrupt it for good.
    """
    home.dagster.mkdir(parents=True, exist_ok=True)
    config = home.dagster / "dagster.yaml"
    if not config.exists():
        with files("orchestration").joinpath("dagster.yaml").open("rb") as source, config.open("wb") as target:
            shutil.copyfileobj(source, target)
    os.environ["DAGSTER_HOME"] = str(home.dagster)
    instance = dg.DagsterInstance.from_config(str(home.dagster))
    instance.get_runs(limit=1)
    instance.event_log_storage.get_maximum_record_id()
    instance.all_instigator_state()
    return instance


def report_killed_runs(instance: dg.DagsterInstance) -> list[str]:
    """Mark runs of the command line whose process is gone as failed, so that they do not look alive for ever."""
    going = dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.STARTING])
    killed = []
    for run in instance.get_runs(filters=going):
        process = run.tags.get(PROCESS_TAG)
        if process is not None and not Path(f"/proc/{process}").exists():
            instance.report_run_failed(run, "The process of this run was killed. What it had finished is kept.")
            killed.append(run.run_id)
    return killed
