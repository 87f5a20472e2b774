"""What a recipe may say of how a release takes over."""

from typing import Any

import pytest
from pydantic import ValidationError

from stillhouse.recipe.contract import Recipe
from stillhouse.recipe.rollout import CanarySpec, RolloutSpec
from tests.checks.hand_made import DEMO, recipe


def with_rollout(rollout: dict[str, Any]) -> Recipe:
    return recipe(traffic={}, rollout=rollout)


def test_a_recipe_without_the_part_keeps_its_digest_and_one_with_it_has_another() -> None:
    assert "rollout" not in DEMO.model_dump(mode="json")
    assert with_rollout({}).digest != DEMO.digest
    assert with_rollout({}).digest == with_rollout({"keep_warm": 3}).digest, "how many are kept warm decides nothing"
    assert with_rollout({}).digest != with_rollout({"shadow": {"margin": 0.03}}).digest


def test_what_ships_with_a_release_is_read_back() -> None:
    """Regression: `traffic` ships with no release, and a rule between the two refused what was read back."""
    shipped = Recipe.model_validate_json(with_rollout({}).model_dump_json())
    assert shipped.rollout == RolloutSpec() and shipped.traffic is None
    assert shipped.digest == with_rollout({}).digest


def test_its_defaults_are_those_of_the_page() -> None:
    spec = RolloutSpec()
    assert (spec.shadow.days_at_most, spec.shadow.margin, spec.shadow.judge_by) == (14, 0.02, "teacher")
    assert (spec.canary.shares, spec.canary.hours_at_least, spec.keep_warm) == ((0.05, 0.25, 0.5), 24, 1)


@pytest.mark.parametrize("shares", [(0.5, 0.25), (0.25, 0.25), (), (0.0,), (1.0,)])
def test_shares_grow_and_none_is_all_callers(shares: tuple[float, ...]) -> None:
    with pytest.raises(ValidationError):
        CanarySpec(shares=shares)
