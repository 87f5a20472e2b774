"""The weights that a teacher has to begin with: pinned by the recipe, else trusted on first use."""

from pathlib import Path
from typing import Any

import pytest

from stillhouse.recipe.reading import RecipeFile
from stillhouse.records.builds import BuildRequest, BuildStore
from stillhouse.teachers.pinning import Pin, pin_of
from tests.small import Measured, small_recipe

pytestmark = pytest.mark.long

FIRST, SECOND = "1" * 64, "2" * 64


@pytest.fixture
def file(tmp_path: Path) -> RecipeFile:
    return small_recipe(tmp_path, rows=20)


FILES = ("/config.json", "/model.safetensors")


def made(
    builds: BuildStore, address: str, fingerprint: str, stage: str = "teacher", files: tuple[str, ...] = FILES,
    **facts: Any,
) -> str:  # fmt: skip
    """A teacher, or another stage, that was made of some weights; on which day."""

    def build(folder: Path) -> Measured:
        (folder / "weights").write_text(fingerprint)
        return Measured({"base_fingerprint": fingerprint, **facts})

    order = BuildRequest(
        "small", stage, run_id="r", code_version="v", depends_on={"base": fingerprint, **facts},
        external_inputs={f"{address}{name}": "0" * 64 for name in files},
    )  # fmt: skip
    builds.make(order, build)
    return builds.ledger.entries("small", "materialization")[-1].at[:10]


def test_before_a_teacher_was_made_nothing_is_pinned(builds: BuildStore, file: RecipeFile) -> None:
    made(builds, file.recipe.teacher.address, FIRST, stage="contract")
    assert pin_of(builds.store, builds.ledger, file, "teacher") is None


def test_the_first_weights_stay_the_pin_whatever_comes_later(builds: BuildStore, file: RecipeFile) -> None:
    day = made(builds, file.recipe.teacher.address, FIRST)
    made(builds, file.recipe.teacher.address, SECOND)
    assert pin_of(builds.store, builds.ledger, file, "teacher") == Pin(FIRST, trusted_since=day)


def test_a_teacher_of_an_earlier_version_which_named_the_folder_alone_counts(
    builds: BuildStore, file: RecipeFile
) -> None:
    day = made(builds, file.recipe.teacher.address, FIRST, files=("",))
    assert pin_of(builds.store, builds.ledger, file, "teacher") == Pin(FIRST, trusted_since=day)


def test_another_revision_is_used_for_the_first_time(builds: BuildStore, file: RecipeFile) -> None:
    made(builds, f"{file.recipe.teacher.source}@before", FIRST)
    assert pin_of(builds.store, builds.ledger, file, "teacher") is None
    day = made(builds, file.recipe.teacher.address, SECOND)
    assert pin_of(builds.store, builds.ledger, file, "teacher") == Pin(SECOND, trusted_since=day)


def test_the_recipes_own_pin_comes_before_any_use(builds: BuildStore, tmp_path: Path) -> None:
    file = small_recipe(tmp_path, rows=20, teacher__fingerprint=SECOND)
    made(builds, file.recipe.teacher.address, FIRST)
    assert pin_of(builds.store, builds.ledger, file, "teacher") == Pin(SECOND)


def test_a_member_is_held_to_the_weights_that_it_had_as_a_member(builds: BuildStore, tmp_path: Path) -> None:
    """The base that students are cut from, another member and a teacher of before are no pin of it."""
    said = {
        "revision": "1",
        "licence": "MIT",
        "training_on_outputs": "allowed",
        "reason": "It answers today.",
        "minimum_accuracy": 0.6,
    }
    one = {**said, "source": "encoder", "training": {"loss": "labels"}}
    members = {"one": one, "two": {**said, "kind": "causal_lm", "source": "model"}}
    teacher = {"kind": "ensemble", "ensemble": {"members": members}, "reason": "Two see more.", "minimum_accuracy": 0.6}
    base = {"source": "encoder", "revision": "1", "licence": "MIT"}
    students = [{"name": "a", "layers": [0], "training": {"loss": "kl"}}]
    file = small_recipe(
        tmp_path, rows=20, teacher=teacher, base=base, students=students, budget={"latency_ms_at_most": 20}
    )
    part = "teacher.ensemble.members.two"
    address = file.recipe.all_weights[part].address
    made(builds, address, FIRST)
    assert pin_of(builds.store, builds.ledger, file, part) is None, "it was no member then"
    of_one, of_two = {"base_fingerprint": FIRST}, {"base_fingerprint": FIRST, "language_model": {"fingerprint": SECOND}}
    day = made(builds, address, FIRST, members={"one": of_one, "two": of_two}, other=1)
    assert pin_of(builds.store, builds.ledger, file, part) == Pin(SECOND, trusted_since=day)
    assert set(file.recipe.all_weights) == {"base", "teacher.ensemble.members.one", part}
