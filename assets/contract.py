"""The contract as an asset: the recipe, checked against its data and frozen by digest.

Belongs here: the frozen copy that every later stage can be traced to, and what the teacher's weights are found to be.
Does not: the fields (stillhouse/recipe/), reading all rows (source.py), training on the weights (teacher.py).
"""

from pathlib import Path
from typing import Any

import dagster as dg

from assets.stage import Shown, Work, markdown_table, stage_asset
from stillhouse.digests import digest_of
from stillhouse.errors import StillhouseError
from stillhouse.recipe.bar import Terms
from stillhouse.recipe.contract import Recipe, TeacherSpec
from stillhouse.recipe.reading import RecipeFile
from stillhouse.records.artifacts import ArtifactStore
from stillhouse.records.builds import Facts
from stillhouse.stages.names import CONTRACT


def contract(file: RecipeFile) -> dg.AssetsDefinition:
    """Build the asset."""
    recipe = file.recipe

    @stage_asset(file, CONTRACT, inputs={}, kinds={"yaml"})
    def frozen_contract(work: Work) -> Shown:
        """The one-page contract of this distillation, frozen by digest before any model exists."""
        weights, kept = examine_weights(recipe.teacher, work.workshop.store)

        def build(folder: Path) -> Facts:
            (folder / "recipe.json").write_text(recipe.model_dump_json(indent=1))
            bar = bar_of(recipe)
            return {"recipe": recipe.digest, "bar": bar, "bar_digest": digest_of(bar), "weights": weights}

        artifact = work.make(build, depends_on={"contract": recipe.digest, "weights": weights}, external_inputs=kept)
        bar, budget = recipe.bar, recipe.budget
        terms = [
            {"term": "task", "value": recipe.task},
            {"term": "pain", "value": ", ".join(recipe.pain)},
            {"term": "teacher", "value": recipe.teacher.address},
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


def examine_weights(spec: TeacherSpec, store: ArtifactStore) -> tuple[dict[str, Any], dict[str, str]]:
    """Take in the weights that the teacher begins with and look at them, before anything is spent on it.

    Returns:
        `fingerprint`; `training_gb`, an estimate of the memory that fine-tuning takes, in GB of 1e9 bytes; `problem`,
        why they were refused, or None. The first two are None where they were. And the digest of each file that was
        kept, by its address.
    """
    from stillhouse.models.memory import training_memory_gb
    from stillhouse.models.weights import base_model

    try:
        with base_model(spec.source, spec.revision, store) as base:
            batch, tokens = spec.training.batch_size, spec.training.max_tokens
            needed = training_memory_gb(base.folder, base.record.parameters, batch_size=batch, tokens=tokens)
            found = {"fingerprint": base.record.fingerprint, "training_gb": needed, "problem": None}
            return found, base.external_inputs(spec.address)
    except StillhouseError as error:  # not the end of the contract: the gate on safety says it
        return {"fingerprint": None, "training_gb": None, "problem": str(error)}, {}


def bar_of(recipe: Recipe) -> dict[str, Any]:
    """All that a student has to prove, and in how many rounds of candidates it may be tried, as JSON values."""
    return bar_values(recipe.terms, recipe.split.golden_rounds_at_most)


def bar_values(terms: Terms, golden_rounds_at_most: int | None) -> dict[str, Any]:
    """A bar as it is frozen and digested.

    How often speed is measured is left out: a better measurement is no other bar, and contracts frozen by 0.1.0, whose
    recipes could not say it, keep their digest.
    """
    asked = terms.model_dump(mode="json", exclude={"budget": {"latency_rounds"}})
    return {**asked, "golden_rounds_at_most": golden_rounds_at_most}
