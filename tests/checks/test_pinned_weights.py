"""Weights that are exchanged where the recipe finds its teacher close a gate, though name and revision are the same."""

from pathlib import Path

import dagster as dg
import pytest

from stillhouse.models.weights import fingerprint_of
from stillhouse.recipe.reading import RecipeFile
from tests.conftest import Run, failures, verdicts
from tests.faults.plants import edit_weights, noisy
from tests.small import small_recipe

pytestmark = pytest.mark.slow

TRAINING = {"epochs": 1, "learning_rate": 1e-3, "loss": "labels", "max_tokens": 16}


def recipe(folder: Path, **changes: object) -> RecipeFile:
    quick = {"teacher__training": TRAINING, "teacher__minimum_accuracy": 0.01, "slices": []}
    return small_recipe(folder, rows=200, **{**quick, **changes})


def closed(result: dg.ExecuteInProcessResult) -> set[str]:
    return {name for name, passed in verdicts(result).items() if not passed}


@pytest.mark.experiment("A43")
def test_weights_exchanged_after_the_first_round_close_a_gate_in_either_place(tmp_path: Path, run: Run) -> None:
    file = recipe(tmp_path)
    assert run(file, "contract", "source", "prompts", "teacher").success
    edit_weights(tmp_path / "teacher", noisy)
    assert closed(run(file, "teacher")) == {"the_teacher_began_with_pinned_weights"}
    assert closed(run(file, "contract")) == {"the_weights_are_the_pinned_ones"}
    (said,) = failures(run(file, "baselines"))
    assert "contract:the_weights_are_the_pinned_ones is failed" in said

    accepted = recipe(tmp_path, teacher__fingerprint=fingerprint_of(tmp_path / "teacher"))
    assert run(accepted, "contract", "source", "prompts", "teacher").success, "a person put the new ones in the recipe"


def test_a_pin_in_the_recipe_is_asked_before_anything_is_trained(tmp_path: Path, run: Run) -> None:
    file = recipe(tmp_path, teacher__fingerprint="0" * 64)
    result = run(file, "contract", "source", "prompts", "teacher")
    assert closed(result) == {"the_weights_are_the_pinned_ones"}
    assert {event.asset_key.path[-1] for event in result.get_asset_materialization_events()} == {"contract"}
