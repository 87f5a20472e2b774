"""From recipes to Dagster Definitions.

Belongs here: which schedules and sensors one recipe brings beside what can be run of it, and what all recipes share.
Does not: what can be run (runnable.py), how any of them works.
"""

from collections.abc import Iterable, Sequence

import dagster as dg

from orchestration.automation import automation_sensor
from orchestration.dead_runs import dead_runs_sensor
from orchestration.notices import notices_sensor
from orchestration.rollout import rollout_sensor
from orchestration.runnable import beta_features, for_every_run, runnable_recipe
from orchestration.runs import DISTIL, INGEST, LIVE, OF_DAYS, SHADOWS
from orchestration.schedules import refresh_schedule, traffic_schedule
from orchestration.sensors import rounds_sensor
from orchestration.watch_sensor import watch_sensor
from stillhouse import progress
from stillhouse.errors import StillhouseError
from stillhouse.recipe.reading import RecipeFile, Recipes, UnreadableRecipe, mistakes_of
from stillhouse.stages.names import stage_names

SCHEDULES = {DISTIL: refresh_schedule, OF_DAYS: traffic_schedule}
SENSORS = {LIVE: watch_sensor, SHADOWS: rollout_sensor}
"""What asks for a job of a recipe, by what the job does."""


def recipe_definitions(file: RecipeFile) -> dg.Definitions:
    """All that one recipe brings.

    Raises:
        InvalidRecipeError: if a field has a value that Dagster refuses, or names a gate that does not exist.
    """
    can_run = runnable_recipe(file)
    jobs = can_run.jobs
    with beta_features():
        asking = dg.Definitions(
            schedules=[schedule(file, jobs[does]) for does, schedule in SCHEDULES.items() if does in jobs],
            sensors=[
                rounds_sensor(file, [jobs[INGEST], jobs[DISTIL]]),
                automation_sensor(file, stage_names(file.recipe)),
                *(sensor(file, jobs[does]) for does, sensor in SENSORS.items() if does in jobs),
            ],
        )
    return dg.Definitions.merge(can_run.definitions, asking)


def shared_definitions() -> dg.Definitions:
    """What is there once, however many recipes there are."""
    return dg.Definitions.merge(for_every_run(), dg.Definitions(sensors=[dead_runs_sensor, notices_sensor]))


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
