"""What two pages say of the same thing is the same, and what a module refers to is there."""

import ast
import re
from pathlib import Path

import pytest

from stillhouse.home import CHECKOUT

NUMBERS = {"one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6}


def test_an_addition_touches_as_many_files_by_the_map_of_the_code_as_by_the_steps_to_follow() -> None:
    """The steps themselves are followed in test_contributing.py."""
    steps = re.findall(r"^## (An? [^,\n]+), in (\w+) files?", (CHECKOUT / "CONTRIBUTING.md").read_text(), re.MULTILINE)
    architecture = (CHECKOUT / "docs" / "architecture.md").read_text()
    rows = re.findall(r"^\| (an? [^,|]+?)(?:,[^|]*)? \| (\d) \|", architecture, re.MULTILINE)
    assert {what.lower(): NUMBERS[files] for what, files in steps} == {what: int(files) for what, files in rows}
    assert len(rows) == 7


MODULES = [
    path.relative_to(CHECKOUT)
    for room in ("stillhouse", "assets", "checks", "orchestration")
    for path in sorted((CHECKOUT / room).rglob("*.py"))
]


@pytest.mark.parametrize("room", ["stillhouse", "assets", "checks", "orchestration"])
def test_a_module_sends_its_reader_to_modules_that_exist(room: str) -> None:
    """Regression: three said that something belongs in a file that had been moved or renamed long before."""
    paths = [f"/{module}" for module in MODULES]
    lost = [
        f"{module}: {named}"
        for module in MODULES
        if module.parts[0] == room
        for named in re.findall(r"(?<![\w/.])[a-z_/]+\.py\b", _docstring(module))
        if not any(path.endswith(f"/{named}") for path in paths) and not (CHECKOUT / named).is_file()
    ]
    assert not lost


def _docstring(module: Path) -> str:
    return ast.get_docstring(ast.parse((CHECKOUT / module).read_text())) or ""
