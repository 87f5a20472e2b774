"""The recipe as a Dagster component, so that `dg list components`, `dg check yaml` and the UI know it.

Belongs here: the bridge between a `defs.yaml` and Definitions.
Does not: the fields (stillhouse/recipe/), what is built from them (build.py).
"""

from pathlib import Path
from typing import Self

import dagster as dg
from pydantic import BaseModel

from orchestration.build import recipe_definitions
from stillhouse.recipe.contract import Recipe
from stillhouse.recipe.reading import RecipeFile


class DistillationRecipe(dg.Component):
    """One distillation, from rows to a released student, gated all the way."""

    def __init__(self, file: RecipeFile) -> None:
        self.file = file

    @classmethod
    def get_model_cls(cls) -> type[BaseModel]:
        """The contract; its schema is what `dg check yaml` checks."""
        return Recipe

    @classmethod
    def load(cls, attributes: BaseModel | None, context: dg.ComponentLoadContext) -> Self:
        """Wrap a checked recipe; its name is the name of its folder."""
        assert isinstance(attributes, Recipe)  # Dagster validated against get_model_cls
        folder = Path(context.path)
        return cls(RecipeFile(folder.name, folder / "defs.yaml", attributes))

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        """Everything the recipe brings into the code location."""
        return recipe_definitions(self.file)
