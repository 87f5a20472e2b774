"""One byte altered anywhere in a finished installation, size and times kept, is found by whoever looks at bytes."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestration.auditing import altered_artifacts, audit_recipe
from orchestration.diagnosis import diagnose
from orchestration.run import distil
from orchestration.status import status
from orchestration.terminal import Terminal
from stillhouse.recipe.reading import RecipeFile
from tests.conftest import Place, a_place
from tests.faults.bench import a_copy_of
from tests.small import small_recipe

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, shared: Path) -> tuple[Path, RecipeFile]:
    """An installation in which a recipe went all the way, and the recipe."""
    folder = tmp_path_factory.mktemp("finished")
    with a_place(folder, seeded=shared) as place:
        file = small_recipe(folder)
        assert distil(file, place.home, Terminal(quiet=True)).succeeded
    return folder, file


@pytest.fixture
def place(finished: tuple[Path, RecipeFile], tmp_path: Path) -> Iterator[Place]:
    """A copy of it elsewhere, with the same keys and witness, to be altered."""
    for beside in sorted(finished[0].iterdir()):
        if beside.name != "home" and not (tmp_path / beside.name).exists():
            (tmp_path / beside.name).symlink_to(beside)
    with a_copy_of(finished[0], tmp_path) as place:
        yield place


@pytest.fixture
def file(finished: tuple[Path, RecipeFile]) -> RecipeFile:
    return finished[1]


def flip_a_byte(path: Path) -> None:
    """In the middle of a file; a copy takes its place, since the finished installation shares it by hard link."""
    times, content = path.stat(), bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.unlink()
    path.write_bytes(content)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


def flip(stage: str, name: str, *experiments: str) -> object:
    return pytest.param(stage, name, marks=pytest.mark.experiment(*experiments), id=f"{stage}: {name}")


@pytest.mark.parametrize(
    ("stage", "name"),
    [
        flip("source", "rows.parquet", "A1"),
        flip("prompts", "prompts.parquet", "A2"),
        flip("teacher_signal", "signal.parquet", "A3"),
        flip("transfer_set", "transfer_set.parquet", "A4"),
        flip("teacher", "model/model.safetensors", "A5", "A15"),
        flip("candidates/one", "model/model.safetensors", "A6"),
        flip("exports/one", "model/model.onnx", "A7"),
        flip("release", "model/model.onnx", "A8"),
        flip("contract", "recipe.json", "A9"),
        flip("baselines", "evaluations.json", "A10"),
        flip("evaluation", "evaluations.json", "A11"),
        flip("error_analysis", "error_analysis.json", "A12"),
        flip("selection", "report.json", "A12"),
        flip("release", "release.json", "A13"),
        flip("champion", "champion.json", "A16"),
    ],
)
def test_an_altered_byte_is_found_by_audit_diagnose_and_verify(
    place: Place, file: RecipeFile, stage: str, name: str
) -> None:
    batch = "base" if stage in ("source", "prompts", "teacher_signal") else None
    artifact = place.newest(stage, batch)
    flip_a_byte(artifact.folder / name)

    found = audit_recipe(place.home, "small")
    assert not found.ok
    assert any(artifact.address in problem and "altered" in problem for problem in found.problems), found.problems
    said = diagnose(place.instance, place.builds, file).model_dump(mode="json")
    assert (said["stage"], said["state"]) == (stage, "failed")
    assert artifact.digest[:12] in said["what"]
    looked_at, altered = altered_artifacts(place.instance, place.builds, file)
    assert looked_at > 10 and len(altered) == 1 and artifact.address in altered[0]


@pytest.mark.experiment("A45")
def test_an_installation_that_was_copied_elsewhere_works(place: Place, file: RecipeFile) -> None:
    found = audit_recipe(place.home, "small")
    assert found.ok, found.problems
    assert status(place.instance, place.builds, [file]).all_is_well
    assert diagnose(place.instance, place.builds, file).stage is None
    assert altered_artifacts(place.instance, place.builds, file)[1] == []
