"""docs/gates.md, which the tests write again under STILLHOUSE_WRITE_DOCS=1: every gate, and every planted fault.

Belongs here: the two parts of the page and reading them back.
Does not: what the parts have to say (checks/test_gates_doc.py, faults/test_faults.py).
"""

import os
import tempfile
from collections.abc import Mapping
from dataclasses import astuple, dataclass
from pathlib import Path

from filelock import FileLock

from stillhouse.home import CHECKOUT

PAGE = CHECKOUT / "docs" / "gates.md"
WRITING = bool(os.environ.get("STILLHOUSE_WRITE_DOCS"))
_FAULTS = """## What was planted to see them close

Each of these faults was planted by `tests/faults/` in a finished or an empty installation; the gate beside it closed,
`stillhouse diagnose` named it with this message, and without the fault every gate is open. Where no gate is named, the
stage itself refused to go on.

"""
_LONGEST = 200
_ONE_WRITER = FileLock(Path(tempfile.gettempdir()) / "stillhouse-gates-page.lock")
"""Each worker of a session writes what it has seen."""


@dataclass(frozen=True)
class FaultRow:
    """One line of the table of faults."""

    fault: str
    stage: str
    gate: str
    message: str


def gates_part() -> str:
    """The page down to the faults."""
    return PAGE.read_text().partition(_FAULTS)[0]


def fault_rows() -> dict[str, FaultRow]:
    """The table of faults as the page has it, by fault."""
    table = PAGE.read_text().partition(_FAULTS)[2].splitlines()[2:]
    rows = [FaultRow(*(cell.strip() for cell in line.strip("|").split(" | "))) for line in table]
    return {row.fault: row for row in rows}


def write_gates(part: str) -> None:
    """Replace the upper part."""
    with _ONE_WRITER:
        _, mark, faults = PAGE.read_text().partition(_FAULTS)
        PAGE.write_text(part + mark + faults)


def write_faults(said: Mapping[str, FaultRow]) -> None:
    """Replace the rows of these faults in the table, or add them; the others were planted by another worker."""
    head = ["| fault | stage | gate | message |", "|--|--|--|--|"]
    with _ONE_WRITER:
        rows = {**fault_rows(), **said}.values()
        lines = head + ["| " + " | ".join(astuple(row)) + " |" for row in rows]
        PAGE.write_text(gates_part() + _FAULTS + "\n".join(lines) + "\n")


def cell(text: str, replace: Mapping[str, str]) -> str:
    """A message as one cell: in one line, without a bar or what is of this machine only, and not too long."""
    for old, new in replace.items():
        text = text.replace(old, new)
    text = " ".join(text.replace("|", "/").split())
    return text if len(text) <= _LONGEST else text[:_LONGEST].rsplit(" ", 1)[0] + " …"
