"""Schedules: the refresh policy of a recipe, and its days of answers.

Belongs here: when the clock starts a round, and how old a decision may become before the UI calls it overdue.
Does not: rounds that follow from the state of a recipe (sensors.py).
"""

from collections.abc import Collection
from datetime import timedelta
from itertools import islice, pairwise

import dagster as dg
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition
from dagster._utils.schedules import cron_string_iterator

from assets.keys import key_of
from assets.partitions import partitions_of
from orchestration.batches import plan_runs, sync_batches
from orchestration.jobs import ingest_assets
from orchestration.runs import BECAUSE_TAG, OF_DAYS
from stillhouse.home import Home
from stillhouse.recipe.reading import RecipeFile
from stillhouse.records.builds import BuildStore
from stillhouse.records.rounds import held_back
from stillhouse.stages.names import CHAMPION, SELECTION, TRAFFIC

TICKS_LOOKED_AT = 50
DECISIONS = (SELECTION, CHAMPION)
"""What a refresh decides again, whether or not anything has changed."""


def overdue_after(cron: str) -> timedelta:
    """How old what a refresh decides may become: the longest pause of its clock, and a quarter more for the round."""
    ticks = [tick.timestamp() for tick in islice(cron_string_iterator(0.0, cron, "UTC"), TICKS_LOOKED_AT)]
    pause = timedelta(seconds=max(later - earlier for earlier, later in pairwise(ticks)))
    return pause + max(pause / 4, timedelta(hours=1))


def freshness_of(cron: str) -> dg.FreshnessPolicy:
    """The same as Dagster has it."""
    return dg.FreshnessPolicy.time_window(fail_window=overdue_after(cron))


def refreshed(file: RecipeFile, assets: Collection[dg.AssetsDefinition]) -> list[dg.AssetsDefinition]:
    """Give what a refresh decides the freshness policy that follows from its clock."""
    policy, keys = freshness_of(file.recipe.refresh.cron), {key_of(file.name, stage) for stage in DECISIONS}
    return [
        asset.map_asset_specs(
            lambda spec: spec.replace_attributes(freshness_policy=policy) if spec.key in keys else spec
        )
        for asset in assets
    ]


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
        if (why := held_back(builds.ledger, file.name, file.recipe.refresh)) is not None:
            return dg.SkipReason(why)
        batches = sync_batches(context.instance, builds, file)
        return [
            dg.RunRequest(
                run_key=f"{context.scheduled_execution_time.isoformat()}:{each.job}:{each.batch}",
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
        day = (context.scheduled_execution_time - timedelta(days=1)).date().isoformat()
        partitions = partitions_of(file, TRAFFIC)
        assert partitions is not None
        if not partitions.has_partition_key(day):
            return dg.SkipReason(f"nothing served yet on {day}")
        return dg.RunRequest(run_key=day, partition_key=day, tags={BECAUSE_TAG: f"{day} has ended"})

    return days
