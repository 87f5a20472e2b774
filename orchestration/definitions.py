"""The code location that Dagster loads: every recipe that the command line has, and what they share."""

import warnings

from orchestration.build import loadable_definitions
from orchestration.component import DistillationRecipe as DistillationRecipe
from stillhouse.home import recipes_folder
from stillhouse.recipe.reading import recipes_in

# Of Dagster, about what it calls beta and we build on; `stillhouse ui` would print it before its own address.
warnings.filterwarnings("ignore", message=".* is currently in (beta|preview)")
defs = loadable_definitions(recipes_in(recipes_folder()))
