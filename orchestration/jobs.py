"""Jobs: one for each recipe, the whole way.

Belongs here: what is selected.
Does not: when it starts (schedules.py, sensors.py).
"""

import dagster as dg
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

from stillhouse.recipe import RecipeFile


def distil_job(file: RecipeFile) -> UnresolvedAssetJobDefinition:
    """Every stage of a recipe with every gate. Stages whose inputs did not change find their artifact again."""
    return dg.define_asset_job(
        f"distil_{file.name}",
        selection=dg.AssetSelection.groups(file.name),  # with the checks of every asset in it, never without_checks()
        description=f"From rows to champion: {file.recipe.task}",
        tags={"stillhouse/recipe": file.name},
    )
