"""What is shown of a contract: its terms, all that it freezes, and what was changed since the one before.

Belongs here: those tables, as rows.
Does not: freezing the recipe (stillhouse/stages/contract.py), finding differences (stillhouse/recipe/differences.py).
"""

import json
from collections.abc import Iterator
from typing import Any

from stillhouse.errors import StillhouseError
from stillhouse.recipe.bar import BudgetSpec
from stillhouse.recipe.contract import Recipe
from stillhouse.recipe.differences import differences, fields_of
from stillhouse.records.builds import Artifact, BuildStore
from stillhouse.stages.facts import AnswersFacts


def terms(recipe: Recipe) -> list[dict[str, str]]:
    """The contract on one page."""
    bar = recipe.bar
    fields = ", ".join(each.name for each in bar.judged_fields if each.critical)
    said = {
        "task": recipe.task,
        "pain": ", ".join(recipe.pain) or "none",
        "teacher": recipe.teacher.address,
        "why this teacher": recipe.teacher.reason,
        "licences": f"teacher {recipe.teacher.licence}, rows {recipe.data.licence}",
        **({"golden rows": recipe.data.golden} if recipe.data.golden else {}),
        "bar": f"{bar.metric_in_words} at most {bar.margin:.1%} below the teacher, error rate {bar.alpha:.0%}",
        "floor": "none" if bar.floor is None else f"{bar.floor:.1%}",
        "critical slices": ", ".join(item.name for item in recipe.slices if item.critical) or "none",
        **({"critical fields": fields} if fields else {}),
        "budget": ", ".join(_asked_of_the_budget(recipe.budget)),
        "sensitive": ", ".join(item.column for item in recipe.sensitive) or "none",
        "candidates": ", ".join(student.name for student in recipe.students),
        "stakes": recipe.stakes,
        "refresh": recipe.refresh.cron,
    }
    return [{"term": term, "value": value} for term, value in said.items()]


def _asked_of_the_budget(budget: BudgetSpec) -> Iterator[str]:
    if budget.latency_ratio_at_least is not None:
        than = "" if budget.teacher_serves_on == "cpu" else f" than the teacher on {budget.teacher_serves_on}"
        yield f"{budget.latency_ratio_at_least:g}x faster{than}"
    if budget.size_ratio_at_least is not None:
        yield f"{budget.size_ratio_at_least:g}x smaller"
    if budget.latency_ms_at_most is not None:
        yield f"at most {budget.latency_ms_at_most:g} ms"
    if budget.size_mb_at_most is not None:
        yield f"at most {budget.size_mb_at_most:g} MB"


def everything_frozen(recipe: Recipe) -> list[dict[str, str]]:
    """Each field of a recipe and its value, the defaults too."""
    return [{"field": field, "value": value} for field, value in fields_of(recipe.model_dump(mode="json"))]


def what_changed(builds: BuildStore, contract: Artifact) -> list[dict[str, str]] | str:
    """What differs from the contract before this one, field by field; a sentence where there is no field to name."""
    recipe = contract.asset.partition("/")[0]
    made = [entry.body for entry in builds.ledger.entries(recipe, "materialization", subject=contract.asset)]
    others = [body for body in made if body["digest"] != contract.digest]
    if not others:
        return "the first contract of this recipe"
    try:
        before = _recipe_of(builds.artifact(others[-1]["digest"], others[-1]["manifest"]))
    except StillhouseError as error:
        return f"the contract before this one cannot be read: {' '.join(str(error).split())}"
    changed = [
        {"field": each.field, "was": each.was, "is": each.is_} for each in differences(before, _recipe_of(contract))
    ]
    return changed or "no field: the teacher's weights or answers are others"


def _recipe_of(contract: Artifact) -> dict[str, Any]:
    values: dict[str, Any] = json.loads((contract.folder / "recipe.json").read_text(encoding="utf-8"))
    return values


def answers_taken(taken: AnswersFacts | None) -> dict[str, int]:
    """Of answers that were given elsewhere, how many there are and what is wrong with them; nothing of no answers."""
    if taken is None:
        return {}
    return {
        "answers": taken.records,
        "unreadable_answers": taken.unreadable,
        "answers_without_text": taken.without_text,
        **({} if taken.without_rationale is None else {"answers_without_rationale": taken.without_rationale}),
    }
