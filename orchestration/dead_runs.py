"""Ending the runs that nobody works on any more, so that those behind them are not kept waiting for ever.

Belongs here: which unfinished runs are dead, and what is written on them.
Does not: asking for their work again (dispatcher.py).

Dagster's daemon watches only launchers that can be asked about their workers; its default launcher cannot, so after a
kill of the whole process tree or a power cut a run looks alive until somebody ends it.
"""

import time
from collections.abc import Collection

import dagster as dg

from orchestration.runs import UNFINISHED, process_of, recipes_of
from stillhouse.home import Home
from stillhouse.processes import Life
from stillhouse.records.locks import recipe_locked_if_free

GRACE_SECONDS = 90.0
"""How long a run may take from being launched to saying which process works on it."""
LOOK_AGAIN_SECONDS = 30
_GONE = "The process of this run was killed. What it had finished is kept; the rest is asked for again."
_NEVER_BEGAN = f"No process has begun with this run within {GRACE_SECONDS:.0f} s. Its work is asked for again."
_NOT_OURS = (dg.DagsterRunStatus.QUEUED,)
"""These wait for the daemon, which is a process of its own and takes them up whenever it is started."""


def end_dead_runs(instance: dg.DagsterInstance, home: Home) -> list[str]:
    """End every unfinished run whose process is gone, and return their ids.

    A run is dead if the process it names is gone from this machine; if it names one of another machine but holds no
    lock of its recipes; or if it names none though it was launched a while ago.
    """
    wanted = dg.RunsFilter(statuses=[status for status in UNFINISHED if status not in _NOT_OURS])
    ended = []
    for record in instance.get_run_records(wanted):
        because = _why_dead(instance, record, home)
        run = instance.get_run_by_id(record.dagster_run.run_id)
        if because is None or run is None or run.is_finished:  # it may have ended while this was looked at
            continue
        if run.status is dg.DagsterRunStatus.CANCELING:
            instance.report_run_canceled(run, because)
        else:
            instance.report_run_failed(run, because)
        ended.append(run.run_id)
    return ended


def _why_dead(instance: dg.DagsterInstance, record: dg.RunRecord, home: Home) -> str | None:
    run = record.dagster_run
    is_old = time.time() - record.update_timestamp.timestamp() > GRACE_SECONDS
    process = process_of(run.run_id, run.tags)
    if process is None:
        # A launcher that can be asked, as that of Kubernetes, is asked by Dagster's daemon, for as long as its
        # `start_timeout_seconds` says: fetching an image may take longer than our grace.
        is_ours = not instance.run_launcher.supports_check_run_worker_health
        return _NEVER_BEGAN if is_old and is_ours else None
    life = process.life()
    if life is Life.GONE or (life is Life.ELSEWHERE and is_old and _all_free(home, recipes_of(instance, run))):
        return _GONE
    return None


def _all_free(home: Home, recipes: Collection[str]) -> bool:
    """Whether nobody works on any of these recipes: a run that lives holds their locks or waits for whoever does."""
    for recipe in recipes:
        with recipe_locked_if_free(home, recipe, by="a look for dead runs") as holder:
            if holder is not None:
                return False
    return True


@dg.sensor(
    name="dead_runs",
    minimum_interval_seconds=LOOK_AGAIN_SECONDS,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Ends runs whose process was killed, so that the queue moves",
)
def dead_runs_sensor(context: dg.SensorEvaluationContext) -> dg.SkipReason:
    """Look for dead runs; the sensor starts none itself."""
    ended = end_dead_runs(context.instance, Home.from_environment())
    return dg.SkipReason(f"ended {', '.join(run_id[:8] for run_id in ended)}" if ended else "no run is dead")
