"""What the fault bench stands on: one finished installation, copies of it, and a record of what the gates said.

Belongs here: fixtures.
Does not: faults and their helpers (the other files here).
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from orchestration.run import distil
from orchestration.terminal import Terminal
from stillhouse.recipe import RecipeFile
from tests import gates_page
from tests.conftest import a_place
from tests.faults.bench import Bench, copy_of_home, finished_recipe


@dataclass(frozen=True)
class Finished:
    """An installation in which a recipe went all the way, and an empty one whose databases exist."""

    file: RecipeFile
    folder: Path
    empty: Path


OpenBench = Callable[[bool], AbstractContextManager[Bench]]


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    folder, empty = tmp_path_factory.mktemp("finished"), tmp_path_factory.mktemp("empty")
    with a_place(empty):
        pass
    with a_place(folder) as place:
        file = finished_recipe(folder)
        assert distil(file, place.home, Terminal(quiet=True)).succeeded
    return Finished(file, folder, empty)


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
        gates_page.write_faults({**gates_page.fault_rows(), **said}.values())
