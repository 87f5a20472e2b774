"""Somebody with a file of rows, who gives the commands of the README, each in its own process.

Belongs here: where this person works, how commands and exported code are run, and what keeps the run of a recipe short.
Does not: what is asked of the answers (the tests).
"""

import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.command import Ended, stillhouse_process
from tests.small import small_teacher


@dataclass(frozen=True)
class Person:
    """Somebody with rows, who gives commands."""

    folder: Path

    def says(self, *command: str) -> Ended:
        """Give a command."""
        return stillhouse_process(*command, recipes=self.folder / "recipes")

    def reads(self, *command: str) -> str:
        """What a command prints that has to end well."""
        ended = self.says(*command)
        assert ended.returncode == 0, ended.stdout + ended.stderr
        return ended.stdout


@contextmanager
def a_person(folder: Path) -> Iterator[Person]:
    """Somebody whose installation and recipes are in a folder; for a fixture of one module."""
    with pytest.MonkeyPatch.context() as environment:
        for name in ("home", "keys", "witness", "recipes"):
            environment.setenv(f"STILLHOUSE_{name.upper()}", str(folder / name))
        environment.setenv("DAGSTER_HOME", str(folder / "home" / "dagster"))
        environment.setenv("COLUMNS", "200")
        yield Person(folder)


def printed(folder: Path, *arguments: str) -> str:
    """What Python prints in a folder."""
    command = [sys.executable, *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True).stdout.strip()


def shorten(path: Path, *, epochs: int, student: Mapping[str, Any] | None = None, **changed: Any) -> None:
    """Give a recipe that `stillhouse new` wrote a smaller teacher and one quick student.

    Rows, classes, split and answers to the open questions stay as written, and all else that is not `changed`.

    Args:
        path: of the recipe.
        epochs: of both trainings.
        student: what its training has beside that, such as its loss.
        changed: further parts of the recipe.
    """
    document = yaml.safe_load(path.read_text())
    recipe = document["attributes"]
    learning = {"epochs": epochs, "learning_rate": 1e-3, "max_tokens": 32}
    teacher = {"source": str(small_teacher(path.parent / "teacher")), "training": {**learning, "loss": "labels"}}
    recipe["teacher"] = {**recipe["teacher"], **teacher, "minimum_accuracy": 0.4}
    del recipe["teacher"]["fingerprint"]
    recipe["students"] = [{"name": "one", "layers": [0], "training": {**learning, **(student or {})}}]
    recipe["data"]["wrong_labels_at_most"] = 0.4  # a weak teacher takes right ones for wrong ones
    recipe["bar"]["margin"] = 0.1
    recipe["budget"] = {"latency_ratio_at_least": 1.05, "size_ratio_at_least": 6}
    path.write_text(yaml.safe_dump({**document, "attributes": {**recipe, **changed}}, sort_keys=False))
