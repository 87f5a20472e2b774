"""The command line as tests run it: in this process, or in one of its own as people have it.

Belongs here: running `stillhouse` and what it said.
Does not: what it has to say (orchestration/test_cli.py).
"""

import os
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

import pytest

from orchestration.cli import main
from stillhouse.home import CHECKOUT

DIAGNOSIS = {
    "recipe", "stage", "asset", "gate", "state", "because", "what", "evidence", "do", "dagster", "drop_folder",
    "given_up", "beside", "clock", "live",
}  # fmt: skip
"""The keys of `stillhouse diagnose --json`, on which scripts rely."""


@dataclass(frozen=True)
class Ended:
    """How a command ended, named as a process that ended is."""

    returncode: int
    stdout: str
    stderr: str


def stillhouse(*arguments: str, recipes: Path | None = None) -> Ended:
    """Run a command here, from the same entry point: a new interpreter would take seconds to import what is there."""
    said, complained = StringIO(), StringIO()
    with pytest.MonkeyPatch.context() as patches, redirect_stdout(said), redirect_stderr(complained):
        patches.setattr(sys, "argv", ["stillhouse", *arguments])
        patches.setattr(sys, "excepthook", sys.excepthook)
        if recipes is not None:
            patches.setenv("STILLHOUSE_RECIPES", str(recipes))
        with pytest.raises(SystemExit) as ended:
            main()
    code = ended.value.code
    assert isinstance(code, int | None)
    return Ended(code or 0, said.getvalue(), complained.getvalue())


def stillhouse_process(*arguments: str, recipes: Path | None = None) -> Ended:
    """Run the installed command in a process of its own."""
    environment = dict(os.environ)
    if recipes is not None:
        environment["STILLHOUSE_RECIPES"] = str(recipes)
    command = [str(Path(sys.executable).with_name("stillhouse")), *arguments]
    ended = subprocess.run(command, cwd=CHECKOUT, env=environment, capture_output=True, text=True)
    return Ended(ended.returncode, ended.stdout, ended.stderr)
