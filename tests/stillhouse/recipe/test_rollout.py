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


LIVE = {"mode": "live", "judge_by": "truth"}


def test_how_it_is_asked_in_the_shadow_is_in_the_digest_where_a_recipe_says_it_and_nowhere_else() -> None:
    said = with_rollout({}).model_dump(mode="json")["rollout"]["shadow"]
    assert set(said) == {"days_at_most", "margin", "judge_by"}, "as before there was a choice"
    assert with_rollout({"shadow": {"mode": "replay", "share": 0.1}}).digest == with_rollout({}).digest
    others = [{"judge_by": "truth"}, LIVE, {**LIVE, "share": 0.5}]
    assert len({with_rollout({"shadow": each}).digest for each in others}) == 3
    shipped = Recipe.model_validate_json(with_rollout({"shadow": LIVE}).model_dump_json())
    assert shipped.shadow_is_live and shipped.shadow_share is None, "without `traffic`, which ships with no release"


def test_a_text_that_is_gone_is_judged_by_truth_alone() -> None:
    with pytest.raises(ValidationError, match="must be truth where mode is live"):
        with_rollout({"shadow": {"mode": "live"}})
    with pytest.raises(ValidationError, match="greater than 0"):
        with_rollout({"shadow": {**LIVE, "share": 0}})


@pytest.mark.parametrize(
    ("shadow", "traffic", "share"),
    [
        ({}, {"feedback": "complete"}, None),
        (LIVE, {"feedback": "complete"}, 0.1),
        ({**LIVE, "share": 1}, {"feedback": "complete"}, 1.0),
        ({**LIVE, "share": 1}, {"feedback": "sample"}, 0.05),
        (LIVE, {"feedback": "sample", "feedback_share": 0.3}, 0.3),
    ],
)
def test_after_which_answers_it_is_asked(shadow: dict[str, Any], traffic: dict[str, Any], share: float | None) -> None:
    """Of a sample of truths after those, since no other one would ever be judged."""
    found = recipe(traffic={**traffic, "keep_texts": False}, rollout={"shadow": shadow})
    assert found.shadow_share == share


@pytest.mark.parametrize("shares", [(0.5, 0.25), (0.25, 0.25), (), (0.0,), (1.0,)])
def test_shares_grow_and_none_is_all_callers(shares: tuple[float, ...]) -> None:
    with pytest.raises(ValidationError):
        CanarySpec(shares=shares)
