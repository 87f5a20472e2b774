"""A recipe on other rows than its own, in an installation of its own.

Belongs here: writing and reading such a recipe, the environment of such an installation.
Does not: the rows.
"""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from stillhouse.home import CHECKOUT
from stillhouse.recipe.reading import COMPONENT_TYPE, RecipeFile, read_recipe

DEMO = CHECKOUT / "orchestration" / "defs" / "question_routing" / "defs.yaml"


def use_home(root: Path) -> None:
    """Keep all state of this process below `root`, whatever its environment says: store and ledger may be shared."""
    for name in ("STILLHOUSE_ARTIFACTS", "STILLHOUSE_LEDGER_URL"):
        os.environ.pop(name, None)
    os.environ.update(STILLHOUSE_HOME=str(root), DAGSTER_HOME=str(root / "dagster"), HF_HUB_OFFLINE="1")
    # Beside the state and not in it; neither those of whoever measures.
    os.environ.update(STILLHOUSE_KEYS=f"{root}-keys", STILLHOUSE_WITNESS=f"{root}-witness.ndjson")


def stillhouse(*arguments: str, stdout: int | None = None) -> subprocess.CompletedProcess[str]:
    """Run a command of this checkout as a person would, in the installation of this process."""
    command = [sys.executable, "-c", "from orchestration.cli import main; main()", *arguments]
    return subprocess.run(command, cwd=CHECKOUT, stdout=stdout, text=True, check=False)


def demo_recipe(folder: Path, name: str, changes: Mapping[str, Any]) -> RecipeFile:
    """Write the demo's recipe with some fields changed below `folder`, and read it back; see `recipe_like`."""
    return recipe_like(DEMO, folder, name, changes)


def recipe_like(template: Path, folder: Path, name: str, changes: Mapping[str, Any]) -> RecipeFile:
    """Write a recipe with some fields changed below `folder`, and read it back.

    Args:
        template: the recipe to change.
        folder: where recipes of this measurement are.
        name: of the recipe.
        changes: attributes and their values; a mapping changes the fields that it names, another value replaces.
    """
    attributes = yaml.safe_load(template.read_text(encoding="utf-8"))["attributes"]
    for field, value in changes.items():
        attributes[field] = {**attributes.get(field, {}), **value} if isinstance(value, Mapping) else value
    return write_recipe(folder, name, attributes)


def write_recipe(folder: Path, name: str, attributes: Mapping[str, Any]) -> RecipeFile:
    """Write a recipe below `folder`, where recipes of this measurement are, and read it back."""
    path = folder / name / "defs.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    document = {"type": COMPONENT_TYPE, "attributes": dict(attributes)}
    path.write_text(yaml.safe_dump(document, sort_keys=False), encoding="utf-8")
    return read_recipe(path)
