"""Jobs: two for each recipe, the whole way and the way of a new batch; one more where its traffic is kept, and one
where it is watched; and one where releases take over step by step.

Belongs here: what is selected.
Does not: when it starts and for which batch (batches.py, dispatcher.py, schedules.py).

A run is of one batch: the batched stages make that batch, the others are the same whatever batch it is.
"""

import dagster as dg

from assets.keys import key_of
from assets.partitions import partitions_of
from orchestration.dagster_internals import UnresolvedAssetJobDefinition
from orchestration.runs import (
    DISTIL,
    INGEST,
    LIVE,
    OF_DAYS,
    RECIPE_TAG,
    SHADOWS,
    VERSION_TAG,
    lock_of_days,
    version_of,
)
from stillhouse.recipe.reading import RecipeFile
from stillhouse.stages import names


def jobs_of(file: RecipeFile) -> dict[str, UnresolvedAssetJobDefinition]:
    """Every job of a recipe, by what it does."""
    beside = {
        names.TRAFFIC: (OF_DAYS, traffic_job),
        names.LIVE_REPORT: (LIVE, live_report_job),
        names.SHADOW: (SHADOWS, shadow_job),
    }
    wanted = [beside[stage] for stage in names.stages_beside(file.recipe)]
    return {does: job(file) for does, job in [(INGEST, ingest_job), (DISTIL, distil_job), *wanted]}


def distil_job(file: RecipeFile) -> UnresolvedAssetJobDefinition:
    """Every stage of a recipe with every gate. Stages whose inputs did not change find their artifact again."""
    return dg.define_asset_job(
        f"{DISTIL}_{file.name}",
        # With the checks of every asset in it, never without_checks().
        selection=dg.AssetSelection.assets(*(key_of(file.name, stage) for stage in names.stage_names(file.recipe))),
        description=f"From rows to champion: {file.recipe.task}",
        tags={RECIPE_TAG: file.name, VERSION_TAG: version_of(file)},
        owners=list(file.recipe.owners),
    )


def ingest_assets(file: RecipeFile) -> list[dg.AssetKey]:
    """The assets that a batch is taken in through."""
    stages = (names.CONTRACT, names.SOURCE, names.PROMPTS, names.TEACHER, names.BASELINES, names.TEACHER_SIGNAL)
    return [key_of(file.name, stage) for stage in stages]


def ingest_job(file: RecipeFile) -> UnresolvedAssetJobDefinition:
    """What has to be made of a batch before anything can be trained on it: its rows, prompts and teacher signal."""
    return dg.define_asset_job(
        f"{INGEST}_{file.name}",
        selection=dg.AssetSelection.assets(*ingest_assets(file)),
        description=f"One batch, up to what the teacher says about it: {file.recipe.task}",
        tags={RECIPE_TAG: file.name, VERSION_TAG: version_of(file)},
        owners=list(file.recipe.owners),
    )


def traffic_job(file: RecipeFile) -> UnresolvedAssetJobDefinition:
    """What servers answered on one day."""
    return _beside_rounds(OF_DAYS, file, names.TRAFFIC, f"One day of answers: {file.recipe.task}")


def live_report_job(file: RecipeFile) -> UnresolvedAssetJobDefinition:
    """Ask the teacher about live answers, and report on a day; the watch asks for it."""
    what = f"How the champion does on live answers: {file.recipe.task}"
    return _beside_rounds(LIVE, file, names.LIVE_REPORT, what)


def shadow_job(file: RecipeFile) -> UnresolvedAssetJobDefinition:
    """What the release that is on its way would have answered; it stops no round."""
    return _beside_rounds(SHADOWS, file, names.SHADOW, f"The next release beside the champion: {file.recipe.task}")


def _beside_rounds(prefix: str, file: RecipeFile, stage: str, description: str) -> UnresolvedAssetJobDefinition:
    """A run of it is no round, and no round waits for it."""
    return dg.define_asset_job(
        f"{prefix}_{file.name}",
        selection=dg.AssetSelection.assets(key_of(file.name, stage)),
        description=description,
        tags={RECIPE_TAG: lock_of_days(file.name)},
        owners=list(file.recipe.owners),
        partitions_def=partitions_of(file, stage),
    )
