"""Schedules: the refresh policy of a recipe.

Belongs here: when the clock starts a round.
Does not: rounds that follow from the state of a recipe (sensors.py).
"""

import dagster as dg
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

from assets.keys import BASE
from orchestration.batches import sync_batches
from orchestration.runs import BECAUSE_TAG
from stillhouse.home import Home
from stillhouse.recipe import RecipeFile
from stillhouse.workshop import Workshop


def refresh_schedule(file: RecipeFile, job: UnresolvedAssetJobDefinition) -> dg.ScheduleDefinition:
    """Start a recipe's job by cron; when nothing changed, every artifact is found again and nothing is trained."""

    @dg.schedule(
        name=f"refresh_{file.name}",
        job=job,
        cron_schedule=file.recipe.refresh.cron,
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description=f"Refresh policy of {file.name}: {file.recipe.refresh.cron} UTC",
    )
    def refresh(context: dg.ScheduleEvaluationContext) -> dg.RunRequest:
        sync_batches(context.instance, Workshop(Home.from_environment()), file)
        because = {BECAUSE_TAG: f"refresh policy {file.recipe.refresh.cron}"}
        return dg.RunRequest(run_key=context.scheduled_execution_time.isoformat(), partition_key=BASE, tags=because)

    return refresh
