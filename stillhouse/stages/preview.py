"""What a recipe would make, for a look at it before anything is made; nothing is published.

Belongs here: looks that need more than one stage.
Does not: making artifacts (the module of each stage).
"""

import polars as pl

from stillhouse.data.declared_labels import require_named_classes
from stillhouse.data.prompt_set import base_prompt_set
from stillhouse.data.provenance import with_provenance
from stillhouse.recipe.reading import RecipeFile
from stillhouse.stages.source import read_base


def prompts_to_come(file: RecipeFile) -> pl.DataFrame:
    """The prompts of the base batch that the recipe's files of rows would give now, on all sides of the split.

    Raises:
        StillhouseError: if the recipe names a class that no row has, so that no number of rows would do.
    """
    rows = with_provenance(read_base(file).rows, file.recipe.data.provenance).rows
    prompts = base_prompt_set(rows, file.recipe, where=file.where(*file.recipe.data.names_the_labels)).prompts
    require_named_classes(file, prompts["label"].drop_nulls().unique())
    return prompts
