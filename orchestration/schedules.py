"""Schedules: the refresh policy of a recipe, and its days of answers.

Belongs here: when the clock starts a round.
Does not: rounds that follow from the state of a recipe (sensors.py), how old a decision may become (freshness.py).
"""

from datetime import timedelta

import dagster as dg

from assets.partitions import partitions_of
from orchestration.batches import plan_runs, sync_batches
from orchestration.dagster_internals import UnresolvedAssetJobDefinition
from orchestration.dispatcher import held
from orchestration.jobs import ingest_assets
from orchestration.new_events import note_labels
from orchestration.runs import BECAUSE_TAG, OF_DAYS
from stillhouse.home import Home
from stillhouse.recipe.reading import RecipeFile
from stillhouse.records.builds import BuildStore
from stillhouse.records.events import EventKind, note_once
from stillhouse.stages.names import TRAFFIC


def refresh_schedule(file: RecipeFile, job: UnresolvedAssetJobDefinition) -> dg.ScheduleDefinition:
    """Bring a recipe up to date by cron; when nothing changed, one run finds every artifact again and trains nothing.

    A schedule has one job: a run that only takes a batch in is that job with the assets of the other one selected.
    """

    @dg.schedule(
        name=f"refresh_{file.name}",
        job=job,
        cron_schedule=file.recipe.refresh.cron,
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description=f"Refresh policy of {file.name}: {file.recipe.refresh.cron} UTC",
        owners=list(file.recipe.owners),
    )
    def refresh(context: dg.ScheduleEvaluationContext) -> list[dg.RunRequest] | dg.SkipReason:
        builds = BuildStore(Home.from_environment())
        if (why := held(builds, file)) is not None:
            return dg.SkipReason(why)
        at = context.scheduled_execution_time.isoformat()
        note_once(builds.ledger, file.name, EventKind.CLOCK, at, f"the clock of the recipe, {file.recipe.refresh.cron}")
        batches = sync_batches(context.instance, builds, file)
        return [
            dg.RunRequest(
                run_key=f"{at}:{each.job}:{each.batch}",
                partition_key=each.batch,
                tags={BECAUSE_TAG: f"refresh policy {file.recipe.refresh.cron}"},
                asset_selection=None if each.job == job.name else ingest_assets(file),
            )
            for each in plan_runs(builds, file, batches)
        ]

    return refresh


def traffic_schedule(file: RecipeFile, job: UnresolvedAssetJobDefinition) -> dg.ScheduleDefinition:
    """Sum up each day of answers an hour after it has ended, when servers have sealed all of it."""

    @dg.schedule(
        name=f"{OF_DAYS}_{file.name}",
        job=job,
        cron_schedule="0 1 * * *",
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description=f"The answers of the day before, for {file.name}",
        owners=list(file.recipe.owners),
    )
    def days(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        note_labels(BuildStore(Home.from_environment()), file, context.scheduled_execution_time.date())
        day = (context.scheduled_execution_time - timedelta(days=1)).date().isoformat()
        partitions = partitions_of(file, TRAFFIC)
        assert partitions is not None
        if not partitions.has_partition_key(day):
            return dg.SkipReason(f"nothing served yet on {day}")
        return dg.RunRequest(run_key=day, partition_key=day, tags={BECAUSE_TAG: f"{day} has ended"})

    return days
