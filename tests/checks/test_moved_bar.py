"""A bar that an earlier version froze is the same bar, though this version has further fields."""

from typing import Any

import pytest

from checks.moved_bar import frozen_bar
from stillhouse.digests import digest_of
from stillhouse.stages.contract import bar_of
from tests.small import small_recipe


@pytest.fixture
def bar(tmp_path) -> dict[str, Any]:
    return bar_of(small_recipe(tmp_path, rows=20).recipe)


def _digest_of_bar(facts: dict[str, Any]) -> str | None:
    frozen = frozen_bar(facts)
    return None if frozen is None else frozen.digest


def as_frozen(bar: dict[str, Any]) -> dict[str, Any]:
    return {"bar": bar, "bar_digest": digest_of(bar)}


def test_a_field_that_it_did_not_have_yet_has_its_default(bar: dict[str, Any]) -> None:
    before = {**bar, "bar": {name: value for name, value in bar["bar"].items() if name != "champion_margin"}}
    assert digest_of(before) != digest_of(bar)
    assert _digest_of_bar(as_frozen(before)) == digest_of(bar) == _digest_of_bar(as_frozen(bar))


@pytest.mark.parametrize(
    "moved", [{"bar": {"margin": 0.2}}, {"bar": {"margin": 0.07, "gone": 1}}, {"golden_rounds_at_most": 1}]
)
def test_what_was_asked_otherwise_is_another_bar(bar: dict[str, Any], moved: dict[str, Any]) -> None:
    assert _digest_of_bar(as_frozen({**bar, **moved})) != digest_of(bar)


def test_a_contract_without_a_bar_was_judged_by_none(bar: dict[str, Any]) -> None:
    assert _digest_of_bar({}) is None
