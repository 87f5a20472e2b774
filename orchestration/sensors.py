"""Sensors: what happens in the world and starts a round.

Belongs here: new rows in a drop folder, and Dagster's automation sensor.
Does not: what makes a file new rows (stillhouse/data/sources.py), conditions on assets (assets/automation.py).
"""

import dagster as dg
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

from assets.source import drop_folder
from stillhouse.data.sources import drop_folder_files, source_digest
from stillhouse.digests import digest_of
from stillhouse.home import Home
from stillhouse.recipe import RecipeFile


def new_rows_sensor(file: RecipeFile, job: UnresolvedAssetJobDefinition) -> dg.SensorDefinition:
    """Start a recipe's job when the content of its drop folder changes.

    The run key is the digest of that content, so a tick that is run twice, or a daemon that was killed after it had
    submitted, starts one run.
    """

    @dg.sensor(
        name=f"new_rows_{file.name}",
        job=job,
        minimum_interval_seconds=file.recipe.refresh.watch_seconds,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=f"New files of rows for {file.name}",
    )
    def sensor(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        folder = drop_folder(file, Home.from_environment())
        content = {name: source_digest(name) for name in drop_folder_files(folder)}
        if not content:
            return dg.SkipReason(f"{folder} has no file of rows")
        digest = digest_of(content)
        if digest == context.cursor:
            return dg.SkipReason(f"{folder} has not changed")
        request = dg.RunRequest(run_key=digest, tags={"stillhouse/because": f"{len(content)} files in {folder}"})
        return dg.SensorResult(run_requests=[request], cursor=digest)

    return sensor


def automation_sensor() -> dg.AutomationConditionSensorDefinition:
    """Request what follows from changed data. Dagster's own starts STOPPED; this runs, on assets and their checks."""
    return dg.AutomationConditionSensorDefinition(
        "what_follows_from_changed_data",
        target=dg.AssetSelection.all() | dg.AssetSelection.all_asset_checks(),
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Materializes what was made from data that has changed, while every gate is open",
    )
