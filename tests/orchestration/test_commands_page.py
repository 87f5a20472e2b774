"""docs/commands.md: its table has every command, and its reference is what the command line says of itself.

Under STILLHOUSE_WRITE_DOCS=1 the reference is written again.
"""

import html
import re

import pytest
import typer
from typer.cli import get_docs_for_click
from typer.core import TyperGroup

from orchestration.cli import EXIT_CODES, app
from stillhouse.home import CHECKOUT
from tests.gates_page import WRITING

PAGE = CHECKOUT / "docs" / "commands.md"
_MARK = "## Reference\n\n"
_TOP = typer.main.get_command(app)


def _names(group: TyperGroup, *above: str) -> set[str]:
    """All commands below a group, each with the names of the groups it is in."""
    found: set[str] = set()
    for name, command in group.commands.items():
        found |= _names(command, *above, name) if isinstance(command, TyperGroup) else {" ".join((*above, name))}
    return found


def _reference() -> str:
    """Every argument and option; what each command would repeat is left out."""
    context = typer.Context(_TOP, info_name="stillhouse")
    text = html.unescape(get_docs_for_click(obj=_TOP, ctx=context, name="stillhouse"))
    of_commands = text[text.index("\n## ") + 1 :]
    for repeated in (f"{EXIT_CODES}\n\n", "* `--help`: Show this message and exit.\n", "**Options**:\n\n\n"):
        of_commands = of_commands.replace(repeated, "")
    return re.sub("^#", "##", of_commands, flags=re.MULTILINE).strip() + "\n"


def test_the_table_has_every_command_and_no_other() -> None:
    assert isinstance(_TOP, TyperGroup)
    named = set()
    for row in PAGE.read_text().partition(_MARK)[0].splitlines():
        if row.startswith("| `stillhouse "):
            first, *more = re.findall(r"`([a-z ]+)", row.partition(" | ")[0])
            words = first.removeprefix("stillhouse ").split()
            named |= {" ".join(words), *(f"{words[0]} {other}" for other in more)}
    assert named == _names(_TOP)


@pytest.mark.parametrize("page", ["README.md", "docs/own-rows.md"])
def test_a_page_names_no_command_that_does_not_exist(page: str) -> None:
    assert isinstance(_TOP, TyperGroup)
    text = (CHECKOUT / page).read_text()
    named = set(re.findall(r"(?:^|`|/)stillhouse ([a-z]+)", text, re.MULTILINE))
    assert len(named) >= 5 and named <= _TOP.commands.keys()


def test_the_reference_is_what_the_command_line_says_of_itself() -> None:
    by_hand, mark, reference = PAGE.read_text().partition(_MARK)
    if WRITING:
        PAGE.write_text(f"{by_hand}{_MARK}{_reference()}")
        return
    assert mark and reference == _reference(), "`make docs` writes it"
