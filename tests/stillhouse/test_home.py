"""Where state and recipes are: one place for every command, moved by variables, and never beside installed code."""

import shutil
import sys
from pathlib import Path

import platformdirs
import pytest

from stillhouse import home as module
from stillhouse.errors import StillhouseError
from stillhouse.home import CHECKOUT, Home, Project, recipes_folder
from stillhouse.records.keys import Keys
from stillhouse.records.witness import Witness

VARIABLES = ("HOME", "RECIPES", "ARTIFACTS", "LEDGER_URL", "DEVICE", "KEYS", "WITNESS")


@pytest.fixture(autouse=True)
def no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(f"STILLHOUSE_{name}", raising=False)


def a_project(root: Path, table: str = '[tool.stillhouse]\nrecipes = "mine"\n') -> Path:
    root.mkdir(parents=True, exist_ok=True)
    (root / "pyproject.toml").write_text(table)
    return root


def test_the_checkout_is_a_project_with_the_demo_in_it() -> None:
    assert Project.around(CHECKOUT / "docs") == Project(CHECKOUT, CHECKOUT / "orchestration" / "defs")
    assert Home.from_environment().root == CHECKOUT / ".stillhouse"
    assert (recipes_folder() / "question_routing" / "defs.yaml").is_file()


def test_in_a_project_recipes_and_state_are_those_of_the_project(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = a_project(tmp_path / "project")
    (root / "src" / "deep").mkdir(parents=True)
    monkeypatch.chdir(root / "src" / "deep")
    assert (Home.from_environment().root, recipes_folder()) == (root / ".stillhouse", root / "mine")


@pytest.mark.parametrize("blank", ["", " "])
def test_a_variable_that_is_empty_is_unset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, blank: str) -> None:
    """Regression: an empty STILLHOUSE_HOME made the working directory the state."""
    root = a_project(tmp_path / "project")
    monkeypatch.chdir(root)
    unset = (Home.from_environment(), recipes_folder(), Keys.from_environment().folder, Witness.from_environment().name)
    for name in VARIABLES:
        monkeypatch.setenv(f"STILLHOUSE_{name}", blank)
    empty = (Home.from_environment(), recipes_folder(), Keys.from_environment().folder, Witness.from_environment().name)
    assert empty == unset and empty[0].root == root / ".stillhouse"


def test_without_a_project_state_is_in_the_users_data_folder_and_not_beside_installed_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["/usr/bin/stillhouse"])
    monkeypatch.setattr(module, "CHECKOUT", tmp_path / "lib" / "site-packages")
    data = platformdirs.user_data_path("stillhouse", appauthor=False)
    assert (Home.from_environment().root, recipes_folder()) == (data / "state", data / "recipes")
    witness = Path(Witness.from_environment().name)
    assert not witness.is_relative_to(Home.from_environment().root), "who changes the state cannot change the witness"


@pytest.mark.parametrize("where", ["copy", "copy/docs", "."])
def test_a_copied_checkout_never_writes_into_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    """Its environment was copied with it, and runs the code of the old checkout."""
    copy = tmp_path / "copy"
    (copy / "docs").mkdir(parents=True)
    (copy / ".venv" / "bin").mkdir(parents=True)
    shutil.copy(CHECKOUT / "pyproject.toml", copy)
    monkeypatch.chdir(tmp_path / where)
    monkeypatch.setattr(sys, "argv", [str(copy / ".venv" / "bin" / "stillhouse")])
    assert (Home.from_environment().root, recipes_folder()) == (copy / ".stillhouse", copy / "orchestration" / "defs")


def test_a_process_in_another_folder_is_said_the_same_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Regression: the UI works in the folder of the code, where a relative STILLHOUSE_RECIPES meant another folder."""
    monkeypatch.chdir(tmp_path)
    given = {
        "HOME": "h",
        "RECIPES": "r",
        "ARTIFACTS": "a",
        "LEDGER_URL": "sqlite:///l.db",
        "DEVICE": "auto",
        "KEYS": "k",
        "WITNESS": "w",
    }
    for name, value in given.items():
        monkeypatch.setenv(f"STILLHOUSE_{name}", value)
    home, keys, witness = Home.from_environment(), Keys.from_environment().folder, tmp_path / "w"
    environment = home.environment()
    assert environment.keys() == {f"STILLHOUSE_{name}" for name in VARIABLES}
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert (Home.from_environment(), recipes_folder()) == (home, tmp_path / "r")
    assert (Keys.from_environment().folder, Witness.from_environment().name) == (keys, str(witness))
    assert home.ledger_url == f"sqlite:///{tmp_path}/l.db" and home.artifacts == str(tmp_path / "a")


@pytest.mark.parametrize("address", ["s3://bucket/prefix", "memory://here"])
def test_an_address_elsewhere_stays_as_it_is(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    monkeypatch.setenv("STILLHOUSE_ARTIFACTS", address)
    assert Home.from_environment().artifacts == address


@pytest.mark.parametrize(
    "table", ["[tool.stillhouse\n", "[tool]\nstillhouse = 3\n", "[tool.stillhouse]\nrecipes = 3\n"]
)
def test_a_table_that_cannot_be_read_is_refused_in_one_line(tmp_path: Path, table: str) -> None:
    root = a_project(tmp_path / "project", table)
    with pytest.raises(StillhouseError, match=r"pyproject.toml: \[tool.stillhouse\] cannot be read"):
        Project.around(root)


def test_a_working_directory_that_is_gone_is_said_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    with pytest.raises(StillhouseError, match="the working directory was removed"):
        Home.from_environment()


def test_a_pyproject_of_something_else_makes_no_project(tmp_path: Path) -> None:
    root = a_project(tmp_path / "other", '[project]\nname = "other"\ndependencies = ["stillhouse"]\n')
    assert Project.around(root) is None
