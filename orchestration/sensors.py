"""Sensors: what happens in the world and starts a round.

Belongs here: new rows in a drop folder, and what Dagster's automation loses.
Does not: what makes a file new rows (stillhouse/data/sources.py), conditions on assets (automation.py).
"""

from collections.abc import Sequence
from pathlib import PurePosixPath

import dagster as dg
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition
from dagster._core.storage.dagster_run import NOT_FINISHED_STATUSES

from assets.keys import CONTRACT
from assets.source import drop_folder
from orchestration.batches import rounds, sync_batches
from orchestration.diagnosis import diagnose
from orchestration.status import batches_in, stages_now
from stillhouse.data.sources import drop_folder_files, source_digest
from stillhouse.digests import digest_of
from stillhouse.home import Home
from stillhouse.recipe import RecipeFile
from stillhouse.workshop import Workshop

LOOK_AGAIN_SECONDS = 300


def new_rows_sensor(file: RecipeFile, jobs: Sequence[UnresolvedAssetJobDefinition]) -> dg.SensorDefinition:
    """Take in each new or changed file of a recipe's drop folder as a batch of its own, then distil once.

    A changed recipe counts as a change of every file: what the teacher said about them has to be looked at again. The
    run key is a digest of all that, so a tick that is run twice, or a daemon that was killed after it had submitted,
    starts no run twice.
    """

    @dg.sensor(
        name=f"new_rows_{file.name}",
        jobs=list(jobs),
        minimum_interval_seconds=file.recipe.refresh.watch_seconds,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=f"New files of rows for {file.name}",
    )
    def sensor(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        workshop = Workshop(Home.from_environment())
        folder = drop_folder(file, workshop.home)
        content = {PurePosixPath(uri).name: source_digest(uri) for uri in drop_folder_files(folder)}
        batches = sync_batches(context.instance, workshop, file)
        if not content and not context.cursor:
            return dg.SkipReason(f"{folder} has no file of rows")
        digest = digest_of([content, file.recipe.digest])
        if digest == context.cursor:
            return dg.SkipReason(f"{folder} has not changed")
        because = {"stillhouse/because": f"{len(content)} files in {folder}"}
        requests = [
            dg.RunRequest(
                run_key=f"{digest}:{each.job}:{each.batch}", job_name=each.job, partition_key=each.batch, tags=because
            )
            for each in rounds(workshop, file, batches)
        ]
        return dg.SensorResult(run_requests=requests, cursor=digest)

    return sensor


def lost_updates_sensor(file: RecipeFile, jobs: Sequence[UnresolvedAssetJobDefinition]) -> dg.SensorDefinition:
    """Ask for a round where something was made from what is no longer current and nobody has followed.

    Automation loses an update that lands on the tick after a request. Only staleness by data is followed: a closed gate
    and a changed recipe wait for a person, and a missing stage for whoever begins. Two ticks have to see the same, so
    that automation comes first, and nothing may be under way. The run key is a digest of what is there: a round that
    fails and changes nothing is not asked for again.
    """

    @dg.sensor(
        name=f"lost_updates_{file.name}",
        jobs=list(jobs),
        minimum_interval_seconds=LOOK_AGAIN_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=f"Changes of {file.name} that nothing has followed",
    )
    def sensor(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        instance, workshop = context.instance, Workshop(Home.from_environment())
        if instance.get_runs_count(dg.RunsFilter(statuses=NOT_FINISHED_STATUSES)):
            return dg.SkipReason("something is under way")
        told = diagnose(instance, workshop, file)
        if (told["gate"], told["state"]) != (None, "stale") or told["stage"] == CONTRACT:
            context.update_cursor("")
            return dg.SkipReason(told["what"])
        there = [
            (now.stage, now.batch, now.newest and now.newest.digest)
            for now in stages_now(workshop, file, batches_in(instance, file))
        ]
        digest = digest_of([there, file.recipe.digest])
        if digest != context.cursor:
            context.update_cursor(digest)
            return dg.SkipReason(f"automation may still follow: {told['what']}")
        requests = [
            dg.RunRequest(
                run_key=f"{digest}:{each.job}:{each.batch}",
                job_name=each.job,
                partition_key=each.batch,
                tags={"stillhouse/because": f"{told['asset']} is stale"},
            )
            for each in rounds(workshop, file, sync_batches(instance, workshop, file))
        ]
        return dg.SensorResult(run_requests=requests, cursor=digest)

    return sensor
