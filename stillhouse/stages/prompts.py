"""The prompt set: redacted, cleaned, without copies, split for good.

Belongs here: which rows a batch is held against, and what is kept of it.
Does not: the steps and their order (stillhouse/data/prompt_set.py).
"""

from pathlib import Path

import polars as pl

from stillhouse.data.formats import require_columns
from stillhouse.data.prompt_set import base_prompt_set, later_prompt_set
from stillhouse.data.splits import golden_digest
from stillhouse.recipe.reading import RecipeFile
from stillhouse.records.builds import Artifact, Plan
from stillhouse.stages.facts import PromptFacts


def plan(file: RecipeFile, source: Artifact, base: Artifact | None) -> Plan[PromptFacts]:
    """Clean the rows of a batch; each row not kept is written down with its reason.

    Args:
        file: the recipe.
        source: the rows of the batch as they came.
        base: the prompt set of the base batch, which a later one is held against; None for the base batch itself.
    """
    recipe = file.recipe

    def build(folder: Path) -> PromptFacts:
        rows = source.frame("rows")
        for index, item in enumerate(recipe.slices):
            require_columns(rows.columns, [item.column], file.where("slices", index, "column"))
        made = (
            base_prompt_set(rows, recipe, where=file.where("data", "label"))
            if base is None
            else later_prompt_set(rows, base.frame("prompts"), recipe)
        )
        kept = made.prompts
        kept.write_parquet(folder / "prompts.parquet")
        made.rejects.write_parquet(folder / "rejects.parquet")
        train, validation, golden = (kept.filter(pl.col("split") == side) for side in ("train", "validation", "golden"))
        return PromptFacts(
            rows_in=rows.height,
            kept=kept.height,
            rejected=made.rejects.height,
            redacted=made.redacted,
            golden_digest=golden_digest(golden, recipe.judged_columns),
            labels=tuple(sorted(kept["label"].drop_nulls().unique())),
            train=train.height,
            validation=validation.height,
            golden=golden.height,
            labelled_train=train["label"].count(),
        )

    config = {
        # How often the golden rows may judge changes none of them.
        "split": recipe.split.model_dump(mode="json", exclude={"golden_rounds_at_most"}),
        "max_characters": recipe.data.max_characters,
        "group": recipe.data.group,
        # Two that are mapped to themselves change no row, and open a gate.
        "labels": recipe.data.labels,
        "hidden_label_share": recipe.data.hidden_label_share,
        "slices": [item.model_dump(mode="json") for item in recipe.slices],
        "judged_columns": list(recipe.judged_columns),
    }
    return Plan(build, {"rows": source.digest, "base": base.digest if base else None}, config=config)
