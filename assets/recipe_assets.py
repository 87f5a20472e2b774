"""All assets of one recipe, in the order in which data flows.

Belongs here: finding the definition of each stage, which is `define` of the module that bears its name.
Does not: anything else.
"""

from importlib import import_module

import dagster as dg

from stillhouse.recipe.reading import RecipeFile
from stillhouse.stages.names import EXPORTS, kind_of, stage_names, stages_beside, student_of


def assets_of(file: RecipeFile) -> dict[str, dg.AssetsDefinition]:
    """Every stage of a round of a recipe, and its asset."""
    return {stage: _defined(file, stage) for stage in stage_names(file.recipe)}


def assets_beside(file: RecipeFile) -> dict[str, dg.AssetsDefinition]:
    """Every stage that is no part of a round, and its asset."""
    return {stage: _defined(file, stage) for stage in stages_beside(file.recipe)}


def _defined(file: RecipeFile, stage: str) -> dg.AssetsDefinition:
    kind, name, recipe = kind_of(stage), student_of(stage), file.recipe
    of_one = [] if name is None else [recipe.form(name) if kind == EXPORTS else recipe.student(name)]
    asset: dg.AssetsDefinition = import_module(f"assets.{kind}").define(file, *of_one)
    return asset
