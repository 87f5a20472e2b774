"""The contract as an asset: the recipe, checked against its data and frozen by digest.

Belongs here: the frozen copy that every later stage can be traced to.
Does not: the fields (stillhouse/recipe.py), reading all rows (source.py).
"""

from pathlib import Path
from typing import Any

import dagster as dg

from assets.keys import CONTRACT
from assets.stage import Shown, Work, markdown_table, stage_asset
from stillhouse.digests import digest_of
from stillhouse.recipe import Recipe, RecipeFile
from stillhouse.workshop import Facts


def contract(file: RecipeFile) -> dg.AssetsDefinition:
    """Build the asset."""
    recipe = file.recipe

    @stage_asset(file, CONTRACT, inputs={}, kinds={"yaml"})
    def frozen_contract(work: Work) -> Shown:
        """The one-page contract of this distillation, frozen by digest before any model exists."""

        def build(folder: Path) -> Facts:
            (folder / "recipe.json").write_text(recipe.model_dump_json(indent=1))
            return {"recipe": recipe.digest, "bar": bar_of(recipe), "bar_digest": digest_of(bar_of(recipe))}

        artifact = work.make(build, depends_on={"contract": recipe.digest})
        bar, budget = recipe.bar, recipe.budget
        terms = [
            {"term": "task", "value": recipe.task},
            {"term": "pain", "value": ", ".join(recipe.pain)},
            {"term": "teacher", "value": f"{recipe.teacher.source} @ {recipe.teacher.revision}"},
            {"term": "why this teacher", "value": recipe.teacher.reason},
            {
                "term": "bar",
                "value": f"{bar.metric_in_words} at most {bar.margin:.1%} below the teacher, "
                f"error rate {bar.alpha:.0%}",
            },
            {
                "term": "budget",
                "value": f"{budget.latency_ratio_at_least:g}x faster, {budget.size_ratio_at_least:g}x smaller",
            },
            {"term": "sensitive", "value": ", ".join(item.column for item in recipe.sensitive) or "none"},
            {"term": "candidates", "value": ", ".join(student.name for student in recipe.students)},
            {"term": "refresh", "value": recipe.refresh.cron},
        ]
        return Shown(artifact, {"contract": dg.MetadataValue.md(markdown_table(terms)), "recipe_digest": recipe.digest})

    return frozen_contract


def bar_of(recipe: Recipe) -> dict[str, Any]:
    """All that a student has to prove, and in how many rounds of candidates it may be tried, as JSON values."""
    return {**recipe.terms.model_dump(mode="json"), "golden_rounds_at_most": recipe.split.golden_rounds_at_most}
