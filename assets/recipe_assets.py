"""All assets of one recipe, in the order in which data flows.

Belongs here: finding the definition of each stage, which is `define` of the module that bears its name.
Does not: anything else.
"""

from importlib import import_module

import dagster as dg

from stillhouse.recipe.reading import RecipeFile
from stillhouse.stages.names import kind_of, stage_names, student_of


def assets_of(file: RecipeFile) -> dict[str, dg.AssetsDefinition]:
    """Every stage of a recipe and its asset."""
    return {stage: _defined(file, stage) for stage in stage_names(file.recipe)}


def _defined(file: RecipeFile, stage: str) -> dg.AssetsDefinition:
    module, student = import_module(f"assets.{kind_of(stage)}"), student_of(stage)
    asset: dg.AssetsDefinition = (
        module.define(file) if student is None else module.define(file, file.recipe.student(student))
    )
    return asset
