"""A recipe in the metadata of its assets is the recipe, whatever rules there are about parts that no digest has."""

from pathlib import Path

from assets.stage import as_metadata
from stillhouse.recipe.contract import Recipe
from stillhouse.recipe.reading import read_recipe
from tests.orchestration.elsewhere import small_recipe_elsewhere


def test_a_paid_teacher_behind_a_student_is_read_where_an_input_is_loaded(tmp_path: Path) -> None:
    """Regression: what it may cost is in no digest, and was left out, so that each run of such a recipe ended."""
    path = small_recipe_elsewhere(
        tmp_path, kind="endpoint", source="http://127.0.0.1:9/v1", answers={},
        endpoint={"usd_per_million_in": 1, "usd_per_million_out": 1, "usd_at_most": 1},
        changed={"cascade": {"margin": 0.1}, "serving": {"teacher": {"usd_per_month": 5}}},
    ).path  # fmt: skip
    recipe = read_recipe(path).recipe
    again = Recipe.model_validate_json(as_metadata(recipe))
    assert again.digest == recipe.digest and again.serving == recipe.serving
