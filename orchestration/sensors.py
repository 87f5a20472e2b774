"""Sensors: what starts a round without a person.

Belongs here: the sensor of each recipe that asks what it needs next.
Does not: what it needs (dispatcher.py), ending dead runs (dead_runs.py), conditions on assets (automation.py).
"""

import time
from collections.abc import Sequence
from datetime import UTC, datetime

import dagster as dg

from orchestration.batches import ingest_what_is_new
from orchestration.dagster_internals import UnresolvedAssetJobDefinition
from orchestration.dispatcher import Ask, next_step, under_way
from orchestration.kill_rules import beside_the_ledger
from orchestration.new_events import note_calls, note_changes, note_overdue
from orchestration.runs import BECAUSE_TAG
from orchestration.stages_now import stages_now
from stillhouse.data.drop_folder import Look, look_at
from stillhouse.home import Home
from stillhouse.recipe.reading import RecipeFile
from stillhouse.records.builds import BuildStore
from stillhouse.records.locks import recipe_locked_if_free
from stillhouse.records.looks import LookKind, looked
from stillhouse.records.plays import close_where_met
from stillhouse.stages.source import drop_folder

SECONDS_FOR_AUTOMATION = 60.0
"""How long something has to be stale before a round is asked for: automation, which asks for less, comes first."""
SECONDS_TO_READ = 20.0
"""Of a tick; Dagster gives up on one after a minute."""


def rounds_sensor(file: RecipeFile, jobs: Sequence[UnresolvedAssetJobDefinition]) -> dg.SensorDefinition:
    """At each tick look at the drop folder and at what has happened, and ask for one round if the recipe needs one.

    The cursor remembers since when something has been stale and nothing else: what is needed is asked of the state, so
    that a tick that died, a run that was killed and an update that was lost are all made up for at the next tick.
    """

    @dg.sensor(
        name=f"rounds_{file.name}",
        jobs=list(jobs),
        minimum_interval_seconds=file.recipe.refresh.watch_seconds,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=f"New files of rows for {file.name}, and whatever of it is missing or stale",
        owners=list(file.recipe.owners),
    )
    def sensor(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        builds = BuildStore(Home.from_environment())
        note_calls(context.instance, builds.ledger, file)
        note_overdue(builds.ledger, file)
        look = look_at(builds, file, drop_folder(file, builds.home), seconds=SECONDS_TO_READ)
        looked(builds.home.ledger_url, file.name, LookKind.ROUNDS, datetime.now(UTC))
        with recipe_locked_if_free(builds.home, file.name, by=f"a look at the drop folder of {file.name}") as holder:
            going = holder or under_way(context.instance, file.name)
            if going is not None:
                return _skip(f"{going} is under way", look)
            close_where_met(builds.ledger, file.name, file.recipe.plays, beside_the_ledger(builds, file))
            return _ask(context, builds, file, look)

    return sensor


def _ask(
    context: dg.SensorEvaluationContext, builds: BuildStore, file: RecipeFile, look: Look
) -> dg.SensorResult | dg.SkipReason:
    batches, new = ingest_what_is_new(context.instance, builds, file, look)
    step = next_step(context.instance, builds, file, batches)
    if not isinstance(step, Ask):
        if step.changed_code:
            note_changes(builds, file, stages_now(builds, file, batches))
        context.update_cursor("")
        return _skip(step.sentence, look)
    if step.is_stale and new is None and not _stale_for_long(context, step.state):
        return _skip(f"automation may still follow: {step.because}", look)
    note_changes(builds, file, stages_now(builds, file, batches))
    because = f"batch {new.batch}: {new.because}" if new is not None else step.because
    requests = [
        dg.RunRequest(
            run_key=f"{step.state[:32]}:{step.attempt}:{each.job}:{each.batch}",
            job_name=each.job,
            partition_key=each.batch,
            tags={BECAUSE_TAG: because, **step.tags},
        )
        for each in step.rounds
    ]
    return dg.SensorResult(run_requests=requests, cursor="")


def _stale_for_long(context: dg.SensorEvaluationContext, state: str) -> bool:
    known, _, since = (context.cursor or "").partition(" ")
    if known != state:
        context.update_cursor(f"{state} {time.time():.0f}")
        return False
    return time.time() - float(since) >= SECONDS_FOR_AUTOMATION


def _skip(sentence: str, look: Look) -> dg.SkipReason:
    """Say why nothing is asked for, and which files are left out."""
    return dg.SkipReason("\n".join([sentence, *look.refused]))
