"""The asset of the contract.

Belongs here: its declaration, and what is shown of it.
Does not: freezing the recipe (stillhouse/stages/contract.py), finding differences (stillhouse/recipe/differences.py).
"""

import json
from collections.abc import Iterator
from typing import Any

import dagster as dg

from assets.external import weights_and_teacher, weights_seen
from assets.stage import StageContext, StageOutput, stage_asset
from assets.tables import markdown_table
from stillhouse.errors import StillhouseError
from stillhouse.recipe.bar import BudgetSpec
from stillhouse.recipe.contract import Recipe
from stillhouse.recipe.differences import differences, fields_of
from stillhouse.recipe.reading import RecipeFile
from stillhouse.records.builds import Artifact, BuildStore
from stillhouse.stages import contract as stage
from stillhouse.stages.facts import AnswersFacts, ContractFacts
from stillhouse.stages.names import CONTRACT


def define(file: RecipeFile) -> dg.AssetsDefinition:
    """Define the asset."""
    recipe = file.recipe

    fed_with = weights_and_teacher(recipe)

    @stage_asset(file, CONTRACT, inputs={}, outside=fed_with, kinds={"yaml"}, of_version=recipe.digest[:12])
    def frozen_contract(context: StageContext) -> StageOutput:
        """The one-page contract of this distillation, frozen by digest before any model exists."""
        artifact = context.make(stage.plan(file, context.builds.store))
        return StageOutput(
            artifact,
            {
                "contract": _table(_in_short(recipe)),
                "changed": _what_changed(context.builds, artifact),
                "all_that_is_frozen": _table(everything_frozen(recipe)),
                "recipe_digest": recipe.digest,
                **_answers(artifact.facts(ContractFacts).answers),
            },
            seen=weights_seen(file, artifact.facts(ContractFacts)),
        )

    return frozen_contract


def everything_frozen(recipe: Recipe) -> list[dict[str, str]]:
    """Each field of a recipe and its value, the defaults too."""
    values = recipe.model_dump(mode="json")
    return [{"field": field, "value": value} for field, value in fields_of(values)]


def _in_short(recipe: Recipe) -> list[dict[str, str]]:
    bar, budget = recipe.bar, recipe.budget
    quality = f"{bar.metric_in_words} at most {bar.margin:.1%} below the teacher, error rate {bar.alpha:.0%}"
    terms = {
        "task": recipe.task,
        "pain": ", ".join(recipe.pain) or "none",
        "teacher": recipe.teacher.address,
        "why this teacher": recipe.teacher.reason,
        "licences": f"teacher {recipe.teacher.licence}, rows {recipe.data.licence}",
        **({"golden rows": recipe.data.golden} if recipe.data.golden else {}),
        "bar": quality,
        "floor": "none" if bar.floor is None else f"{bar.floor:.1%}",
        "critical slices": ", ".join(item.name for item in recipe.slices if item.critical) or "none",
        "budget": ", ".join(_asked_of_the_budget(budget)),
        "sensitive": ", ".join(item.column for item in recipe.sensitive) or "none",
        "candidates": ", ".join(student.name for student in recipe.students),
        "stakes": recipe.stakes,
        "refresh": recipe.refresh.cron,
    }
    return [{"term": term, "value": value} for term, value in terms.items()]


def _answers(taken: AnswersFacts | None) -> dict[str, int]:
    if taken is None:
        return {}
    return {
        "answers": taken.records,
        "unreadable_answers": taken.unreadable,
        "answers_without_text": taken.without_text,
        **({} if taken.without_rationale is None else {"answers_without_rationale": taken.without_rationale}),
    }


def _asked_of_the_budget(budget: BudgetSpec) -> Iterator[str]:
    if budget.latency_ratio_at_least is not None:
        yield f"{budget.latency_ratio_at_least:g}x faster"
    if budget.size_ratio_at_least is not None:
        yield f"{budget.size_ratio_at_least:g}x smaller"
    if budget.latency_ms_at_most is not None:
        yield f"at most {budget.latency_ms_at_most:g} ms"
    if budget.size_mb_at_most is not None:
        yield f"at most {budget.size_mb_at_most:g} MB"


def _what_changed(builds: BuildStore, artifact: Artifact) -> dg.MarkdownMetadataValue:
    """What differs from the contract before this one, field by field; of the first one, that it is that."""
    recipe = artifact.asset.partition("/")[0]
    made = [entry.body for entry in builds.ledger.entries(recipe, "materialization", subject=artifact.asset)]
    others = [body for body in made if body["digest"] != artifact.digest]
    if not others:
        return dg.MetadataValue.md("the first contract of this recipe")
    try:
        before = _recipe_of(builds.artifact(others[-1]["digest"], others[-1]["manifest"]))
    except StillhouseError as error:
        return dg.MetadataValue.md(f"the contract before this one cannot be read: {' '.join(str(error).split())}")
    changed = [
        {"field": each.field, "was": each.was, "is": each.is_} for each in differences(before, _recipe_of(artifact))
    ]
    return _table(changed) if changed else dg.MetadataValue.md("no field: the teacher's weights or answers are others")


def _recipe_of(contract: Artifact) -> dict[str, Any]:
    values: dict[str, Any] = json.loads((contract.folder / "recipe.json").read_text(encoding="utf-8"))
    return values


def _table(rows: list[dict[str, str]]) -> dg.MarkdownMetadataValue:
    return dg.MetadataValue.md(markdown_table(rows, quotes_rows=False))
