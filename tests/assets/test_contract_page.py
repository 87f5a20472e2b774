"""The page of the contract: all that it freezes, and what was changed since the one before."""

from pathlib import Path
from typing import Any

import dagster as dg

from assets.keys import key_of, outside
from orchestration.build import definitions
from stillhouse.recipe.reading import RecipeFile
from tests.conftest import Run
from tests.small import small_recipe


def shown(run: Run, file: RecipeFile) -> dict[str, Any]:
    (made,) = run(file, "contract", gates=False).asset_materializations_for_node("small__contract")
    return {name: value.value for name, value in made.metadata.items()}


def code_version(file: RecipeFile) -> str | None:
    return definitions([file]).resolve_asset_graph().get(key_of("small", "contract")).code_version


def test_the_contract_shows_every_field_and_each_change(tmp_path: Path, run: Run, instance: dg.DagsterInstance) -> None:
    file = small_recipe(tmp_path, rows=60)
    first = shown(run, file)
    assert "| bar.margin | 0.07 |" in first["all_that_is_frozen"]
    assert "| waiver_days_at_most | 30 |" in first["all_that_is_frozen"], "the defaults, too"
    assert first["changed"] == "the first contract of this recipe"
    assert shown(run, file)["changed"] == first["changed"], "the same again is no change"

    moved = small_recipe(tmp_path, rows=60, bar={"margin": 0.09})
    assert code_version(moved) != code_version(file), "so that the UI shows it as changed before anybody runs it"
    assert shown(run, moved)["changed"].splitlines()[2:] == ["| bar.margin | 0.07 | 0.09 |"]

    (seen,) = instance.fetch_observations(outside("small", "pretrained_weights"), limit=1).records
    assert seen.asset_observation is not None
    metadata = {name: value.value for name, value in seen.asset_observation.metadata.items()}
    assert (metadata["licence"], metadata["revision"], len(str(metadata["digest"]))) == ("Apache-2.0", "test", 64)
