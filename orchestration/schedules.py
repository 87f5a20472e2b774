"""Schedules: the refresh policy of a recipe.

Belongs here: when the clock starts a round.
Does not: rounds that follow from the state of a recipe (sensors.py).
"""

import dagster as dg
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

from orchestration.batches import plan_runs, sync_batches
from orchestration.jobs import ingest_assets
from orchestration.runs import BECAUSE_TAG
from stillhouse.home import Home
from stillhouse.recipe.reading import RecipeFile
from stillhouse.records.builds import BuildStore


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
    )
    def refresh(context: dg.ScheduleEvaluationContext) -> list[dg.RunRequest]:
        builds = BuildStore(Home.from_environment())
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
