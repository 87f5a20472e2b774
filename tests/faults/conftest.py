"""What the fault bench stands on: one finished installation, copies of it, and a record of what the gates said.

Belongs here: fixtures, and which faults a test file asks about.
Does not: faults (tests/checks), how they are planted (the other files here).
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from filelock import FileLock

from orchestration.run import distil
from orchestration.terminal import Terminal
from stillhouse.recipe.reading import RecipeFile, read_recipe
from tests import gates_page
from tests.conftest import a_place
from tests.faults.bench import NAME, Bench, Fault, copy_of_home, finished_recipe

pytest.register_assert_rewrite("tests.faults.asked")


@dataclass(frozen=True)
class Finished:
    """An installation in which a recipe went all the way, and an empty one whose databases exist."""

    file: RecipeFile
    folder: Path
    empty: Path


OpenBench = Callable[[bool], AbstractContextManager[Bench]]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Ask each question of the faults of the stages that a test file names.

    `make test` plants one of each stage, since tests/checks asks every gate by itself; `make test-all` and `make docs`
    plant all of them.
    """
    if "fault" not in metafunc.fixturenames:
        return
    advice = metafunc.function.__name__ == "test_advice_is_given_and_closes_nothing"
    faults: list[Fault] = [fault for fault in metafunc.module.FAULTS if fault.advice == advice]
    of_stage = {fault.stage: fault.name for fault in reversed(faults) if fault.gate}
    params = [
        pytest.param(fault, id=fault.name, marks=() if of_stage.get(fault.stage) == fault.name else pytest.mark.slow)
        for fault in faults
    ]
    metafunc.parametrize("fault", params)


@pytest.fixture(scope="session")
def finished(shared: Path) -> Finished:
    """Made by the worker that asks first; the others wait for it."""
    folder, empty, done = shared / "finished", shared / "empty", shared / "finished.done"
    with FileLock(shared / "finished.lock"):
        if not done.exists():
            folder.mkdir(exist_ok=True)
            with a_place(empty):
                pass
            with a_place(folder, seeded=shared) as place:
                assert distil(finished_recipe(folder), place.home, Terminal(quiet=True)).succeeded
            done.touch()
    return Finished(read_recipe(folder / "recipes" / NAME / "defs.yaml"), folder, empty)


@pytest.fixture
def open_bench(finished: Finished, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> OpenBench:
    """Opens a bench in a copy of the finished installation, or of the empty one."""

    @contextmanager
    def opened(of_finished: bool) -> Iterator[Bench]:
        copy_of_home((finished.folder if of_finished else finished.empty) / "home", tmp_path / "home")
        with a_place(tmp_path) as place:
            yield Bench(place, finished.folder, monkeypatch)

    return opened


@pytest.fixture(scope="session")
def record() -> Iterator[dict[str, gates_page.FaultRow]]:
    """What was said about each fault that was planted in this session, for the page."""
    said: dict[str, gates_page.FaultRow] = {}
    yield said
    if gates_page.WRITING:
        gates_page.write_faults(said)
