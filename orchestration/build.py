"""From recipes to Dagster Definitions.

Belongs here: which assets, gates, jobs, schedules and sensors one recipe brings, and what all recipes share.
Does not: how any of them works.
"""

from collections.abc import Iterable, Sequence

import dagster as dg

from assets.recipe_assets import assets_of
from checks.gate import stage_checks
from checks.stages import gates_of
from orchestration.automation import automated, automation_sensor
from orchestration.dead_runs import dead_runs_sensor
from orchestration.jobs import distil_job, ingest_job
from orchestration.resources import RESOURCES
from orchestration.schedules import refresh_schedule
from orchestration.sensors import rounds_sensor
from stillhouse.errors import StillhouseError
from stillhouse.recipe.reading import RecipeFile
from stillhouse.records.gate_names import gate_name


def recipe_definitions(file: RecipeFile) -> dg.Definitions:
    """All that one recipe brings."""
    assets = assets_of(file)
    _refuse_unknown_gates(file, assets)
    ingest, distil = ingest_job(file), distil_job(file)
    return dg.Definitions(
        assets=automated(file, assets.values()),
        asset_checks=[stage_checks(file, stage, gates_of(stage)) for stage in assets],
        jobs=[ingest, distil],
        schedules=[refresh_schedule(file, distil)],
        sensors=[rounds_sensor(file, [ingest, distil]), automation_sensor(file, assets)],
    )


def _refuse_unknown_gates(file: RecipeFile, stages: Iterable[str]) -> None:
    known = {name for stage in stages for name in gates_of(stage).names(blocking=True)}
    for place, name in enumerate(file.recipe.unwaivable):
        if gate_name(name) not in known:
            raise StillhouseError(
                f"there is no gate {name!r}",
                where=file.where("unwaivable", place),
                expected="the name of a blocking gate",
                do=f"`stillhouse checklist {file.name}` lists them.",
            )


def shared_definitions() -> dg.Definitions:
    """What is there once, however many recipes there are.

    Steps run in the process of their run: under the multiprocess executor each would load torch again.
    """
    return dg.Definitions(resources=RESOURCES, executor=dg.in_process_executor, sensors=[dead_runs_sensor])


def definitions(files: Iterable[RecipeFile]) -> dg.Definitions:
    """Definitions of the given recipes, without the component machinery: for the command line and for tests."""
    each: Sequence[dg.Definitions] = [recipe_definitions(file) for file in files]
    return dg.Definitions.merge(*each, shared_definitions())
