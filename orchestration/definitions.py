"""The code location that Dagster loads: every recipe that the command line has, and what they share."""

from orchestration.build import loadable_definitions
from orchestration.component import DistillationRecipe as DistillationRecipe
from stillhouse.home import recipes_folder
from stillhouse.recipe.reading import recipes_in

defs = loadable_definitions(recipes_in(recipes_folder()))
