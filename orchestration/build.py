"""From recipes to Dagster Definitions.

Belongs here: which assets, gates, jobs, schedules and sensors one recipe brings, and what all recipes share.
Does not: how any of them works.
"""

import warnings
from collections.abc import Iterable, Sequence

import dagster as dg

from assets.external import external_assets
from assets.recipe_assets import assets_beside, assets_of
from checks.gate import stage_checks
from checks.stages import gates_of
from orchestration.automation import automated, automation_sensor
from orchestration.databases import make_events_quick
from orchestration.dead_runs import dead_runs_sensor
from orchestration.freshness import refreshed
from orchestration.jobs import distil_job, ingest_job, live_report_job, shadow_job, traffic_job
from orchestration.notices import notices_sensor
from orchestration.recipe_check import load_mistakes
from orchestration.resources import RESOURCES
from orchestration.rollout import rollout_sensor
from orchestration.schedules import refresh_schedule, traffic_schedule
from orchestration.sensors import rounds_sensor
from orchestration.watch_sensor import watch_sensor
from stillhouse import progress
from stillhouse.errors import StillhouseError
from stillhouse.recipe.reading import InvalidRecipeError, RecipeFile, Recipes, UnreadableRecipe, mistakes_of
from stillhouse.stages.names import LIVE_REPORT, SHADOW, TRAFFIC


def recipe_definitions(file: RecipeFile) -> dg.Definitions:
    """All that one recipe brings.

    Raises:
        InvalidRecipeError: if a field has a value that Dagster refuses, or names a gate that does not exist.
    """
    mistakes = load_mistakes(file)
    if mistakes:
        raise InvalidRecipeError(list(mistakes))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", dg.BetaWarning)  # owners, conditions in the code server
        return _definitions_of(file)


def _definitions_of(file: RecipeFile) -> dg.Definitions:
    assets, beside = assets_of(file), assets_beside(file)
    ingest, distil = ingest_job(file), distil_job(file)
    of_days = [traffic_job(file)] if TRAFFIC in beside else []
    watched = [live_report_job(file)] if LIVE_REPORT in beside else []
    shadows = [shadow_job(file)] if SHADOW in beside else []
    return dg.Definitions(
        assets=[*refreshed(file, automated(file, assets.values())), *beside.values(), *external_assets(file)],
        asset_checks=[stage_checks(file, stage, gates_of(stage)) for stage in (*assets, *beside)],
        jobs=[ingest, distil, *of_days, *watched, *shadows],
        schedules=[refresh_schedule(file, distil), *(traffic_schedule(file, job) for job in of_days)],
        sensors=[
            rounds_sensor(file, [ingest, distil]),
            automation_sensor(file, assets),
            *(watch_sensor(file, job) for job in watched),
            *(rollout_sensor(file, job) for job in shadows),
        ],
    )


def shared_definitions() -> dg.Definitions:
    """What is there once, however many recipes there are.

    Steps run in the process of their run: under the multiprocess executor each would load torch again. Whoever loads
    definitions, code server and run worker, also writes events.
    """
    make_events_quick()
    return dg.Definitions(
        resources=RESOURCES, executor=dg.in_process_executor, sensors=[dead_runs_sensor, notices_sensor]
    )


def definitions(files: Iterable[RecipeFile]) -> dg.Definitions:
    """Definitions of the given recipes, and what they share."""
    each: Sequence[dg.Definitions] = [recipe_definitions(file) for file in files]
    return dg.Definitions.merge(*each, shared_definitions())


def loadable_definitions(recipes: Recipes) -> dg.Definitions:
    """Definitions of all recipes of a folder; one that is wrong is shown with what is wrong, beside all others."""
    loaded, wrong = [], list(recipes.unreadable)
    for file in recipes.files:
        try:
            loaded.append(recipe_definitions(file))
        except StillhouseError as error:
            wrong.append(UnreadableRecipe(file.name, file.path, mistakes_of(error)))
    return dg.Definitions.merge(*loaded, _unreadable(wrong), shared_definitions())


def _unreadable(recipes: Sequence[UnreadableRecipe]) -> dg.Definitions:
    """An asset that nobody can materialize for each recipe that cannot be loaded, so that its mistakes are seen."""
    for recipe in recipes:
        progress.remark(f"recipe {recipe.name!r} is left out: {recipe.in_short}")
    return dg.Definitions(
        assets=[
            dg.AssetSpec(
                ["unreadable_recipes", recipe.name],
                description="This recipe is left out until its mistakes are corrected.\n\n"
                + "\n".join(f"    {line}" for line in recipe.mistakes),
                group_name="unreadable_recipes",
                kinds={"yaml"},
            )
            for recipe in recipes
        ]
    )
