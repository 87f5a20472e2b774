"""The Dagster instance of an installation.

Belongs here: making DAGSTER_HOME ready and opening it.
Does not: anything about a recipe, which runs are dead (dead_runs.py).
"""

import os
import shutil
from collections.abc import Callable
from importlib.resources import files

import dagster as dg

from orchestration.dead_runs import end_dead_runs
from stillhouse.home import Home


def initialise(home: Home, *, ended: Callable[[str], None] | None = None) -> dg.DagsterInstance:
    """Make DAGSTER_HOME ready, open it, and end the runs in it whose process was killed.

    Its databases are made here, by one process: several that start on a fresh DAGSTER_HOME at once corrupt it for good.

    Args:
        home: the installation.
        ended: called with the id of each run that was ended.
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
    for run_id in end_dead_runs(instance, home):
        if ended is not None:
            ended(run_id)
    return instance
