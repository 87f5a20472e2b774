"""The Dagster instance of an installation.

Belongs here: making DAGSTER_HOME ready, also one that an earlier version made, and opening it.
Does not: anything about a recipe, which runs are dead (dead_runs.py).
"""

import os
from collections.abc import Callable
from hashlib import sha256
from importlib.resources import files
from pathlib import Path

import dagster as dg
import yaml

from orchestration.dagster_databases import make_events_quick
from orchestration.dead_runs import end_dead_runs
from stillhouse.files import write_atomically
from stillhouse.home import Home

AS_WRITTEN_BY_0_1_0 = "dbeaeff3ffe35128967428894943b42668bde662fcef8656632d9bdbd6279628"
"""SHA-256 of the dagster.yaml that version 0.1.0 wrote: nobody has edited a file that still has it."""
RUNS_AT_ONCE_BY_0_1_0 = 2


def initialise(
    home: Home, *, ended: Callable[[str], None] | None = None, notice: Callable[[str], None] | None = None
) -> dg.DagsterInstance:
    """Make DAGSTER_HOME ready, open it, and end the runs in it whose process was killed.

    Its databases are made here, by one process: several that start on a fresh DAGSTER_HOME at once corrupt it for good.

    Args:
        home: the installation.
        ended: called with the id of each run that was ended.
        notice: called with a line that a person should read about settings of an earlier version.
    """
    home.dagster.mkdir(parents=True, exist_ok=True)
    line = _settings_ready(home.dagster / "dagster.yaml")
    if line is not None and notice is not None:
        notice(line)
    os.environ["DAGSTER_HOME"] = str(home.dagster)
    make_events_quick()
    instance = dg.DagsterInstance.from_config(str(home.dagster))
    instance.get_runs(limit=1)
    instance.event_log_storage.get_maximum_record_id()
    instance.all_instigator_state()
    for run_id in end_dead_runs(instance, home):
        if ended is not None:
            ended(run_id)
    return instance


def _settings_ready(path: Path) -> str | None:
    """Write Dagster's settings, or bring those of an earlier version up to date; a file that was edited is kept.

    Returns:
        What a person should know of it, if anything.
    """
    present = files("orchestration").joinpath("dagster.yaml").read_bytes()
    if not path.exists():
        write_atomically(path, present)
        return None
    content = path.read_bytes()
    if sha256(content).hexdigest() == AS_WRITTEN_BY_0_1_0:
        write_atomically(path, present)
        return f"{path} was as version 0.1.0 wrote it and is brought up to date"
    if _runs_at_once(content) == RUNS_AT_ONCE_BY_0_1_0:
        limit = _runs_at_once(present)
        return (
            f"{path} was edited and keeps the max_concurrent_runs: {RUNS_AT_ONCE_BY_0_1_0} of version 0.1.0, with "
            f"which two runs that wait for others of their recipes keep every recipe waiting: write {limit} there"
        )
    return None


def _runs_at_once(settings: bytes) -> object:
    """The limit on runs that go at once; None where there is none, or where Dagster will say that it cannot read it."""
    try:
        found: object = yaml.safe_load(settings)
    except yaml.YAMLError:
        return None
    for name in ("concurrency", "runs", "max_concurrent_runs"):
        found = found.get(name) if isinstance(found, dict) else None
    return found
