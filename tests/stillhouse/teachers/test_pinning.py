"""The weights that a teacher has to begin with: pinned by the recipe, else trusted on first use."""

from pathlib import Path

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
    builds: BuildStore, address: str, fingerprint: str, stage: str = "teacher", files: tuple[str, ...] = FILES
) -> str:
    """A teacher, or another stage, that was made of some weights; on which day."""

    def build(folder: Path) -> Measured:
        (folder / "weights").write_text(fingerprint)
        return Measured({"base_fingerprint": fingerprint})

    order = BuildRequest(
        "small", stage, run_id="r", code_version="v", depends_on={"base": fingerprint},
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
