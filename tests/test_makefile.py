"""What `make` takes for granted: where state is, and whose code the environment runs."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from stillhouse.home import CHECKOUT


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A folder that make takes for a checkout with everything installed."""
    (tmp_path / ".venv").mkdir()
    for name in ("pyproject.toml", "constraints.txt", "Makefile"):
        shutil.copy(CHECKOUT / name, tmp_path)
    return tmp_path


def make(checkout: Path, *arguments: str, **variables: str) -> str:
    command = ["make", "--no-print-directory", *arguments]
    environment = {**os.environ, **variables}
    return subprocess.run(command, cwd=checkout, env=environment, capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize(("installed_in", "again"), [("{here}", False), ("/another/checkout", True), ("", False)])
def test_an_environment_that_was_copied_is_installed_again(checkout: Path, installed_in: str, again: bool) -> None:
    (checkout / ".venv" / "installed").write_text(installed_in.format(here=checkout))
    assert ("--editable ." in make(checkout, "--dry-run", "lint")) == again


@pytest.mark.parametrize(("given", "home"), [("", "{here}/.stillhouse"), ("/elsewhere", "/elsewhere")])
def test_an_empty_variable_is_unset(checkout: Path, given: str, home: str) -> None:
    with (checkout / "Makefile").open("a") as file:
        file.write('\nplaces:\n\t@echo "$$STILLHOUSE_HOME $$DAGSTER_HOME"\n')
    home = home.format(here=checkout)
    assert make(checkout, "places", STILLHOUSE_HOME=given, DAGSTER_HOME="") == f"{home} {home}/dagster\n"


@pytest.mark.parametrize(
    ("arguments", "command"), [([], "tests.smoke\n"), (["ENCODER=roberta"], "tests.smoke roberta\n")]
)
def test_the_small_way_is_gone_with_the_encoder_that_is_named(
    checkout: Path, arguments: list[str], command: str
) -> None:
    (checkout / ".venv" / "installed").write_text(str(checkout))
    assert command in make(checkout, "--dry-run", "smoke", *arguments).replace(" \n", "\n")
