"""The code location that Dagster loads: every recipe in defs/, or in STILLHOUSE_RECIPES, and what they share."""

import os
from pathlib import Path

import dagster as dg

from orchestration.build import definitions, shared_definitions
from orchestration.component import DistillationRecipe as DistillationRecipe
from stillhouse.recipe.reading import recipes_in

_elsewhere = os.environ.get("STILLHOUSE_RECIPES")

defs = (
    definitions(recipes_in(Path(_elsewhere)))
    if _elsewhere
    else dg.Definitions.merge(dg.load_from_defs_folder(path_within_project=Path(__file__).parent), shared_definitions())
)
