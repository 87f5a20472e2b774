"""What test files share whose tests are steps on the way of one recipe, `small`, and run in order.

Belongs here: their installation, rounds and commands in it.
Does not: what they ask of it.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from orchestration.cli import app
from orchestration.run import distil
from orchestration.terminal import Terminal
from stillhouse.recipe.reading import RecipeFile
from stillhouse.records.deployments import serving_now
from tests.clock import midday
from tests.conftest import Place, a_place


@contextmanager
def within_a_day(folder: Path, *, seeded: Path, baselines: bool = True) -> Iterator[Place]:
    """Open an installation whose commands find its recipe, at noon; for a fixture of one module.

    Args:
        folder: where it lies.
        seeded: see `a_place`, as `baselines`.
    """
    with (
        midday(),
        a_place(folder, seeded=seeded, baselines=baselines) as place,
        pytest.MonkeyPatch.context() as environment,
    ):
        environment.setenv("STILLHOUSE_RECIPES", str(folder / "recipes"))
        yield place


def release_of(place: Place, file: RecipeFile) -> str:
    """Go the whole way, and give the digest of the release that serves then."""
    assert distil(file, place.home, Terminal(quiet=True)).succeeded
    return serving_now(place.builds.ledger, file.name).champion.release


def command(*arguments: str, typed: str | None = None) -> Result:
    """What a command says in a wide terminal to what is typed there; what it raises is raised."""
    return CliRunner().invoke(app, [*arguments], input=typed, env={"COLUMNS": "400"}, catch_exceptions=False)
