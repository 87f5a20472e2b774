"""docs/gates.md lists every gate with its reason, as the code has them; `make docs` writes it."""

from checks.stages import GATES
from stillhouse.records.gate_names import RENAMED
from tests import gates_page

HEAD = """# The gates

A gate is a sentence that must be true of an artifact before anything is made from it. It is open when it has looked at
the newest materialization and passed, or when a named person has waived it until a day that has not passed. Failed,
inconclusive, missing and stale are closed.

`stillhouse status` shows all of them, `stillhouse diagnose` the first that is closed with its evidence and what to do,
and `stillhouse checklist` prints them as a list to go through. In the UI they are the checks of an asset: here a gate
that failed, the rows that closed it, and what a person gets who materializes the next asset all the same.

![A gate that failed, with its reason](images/failed_gate.png)

![The rows that closed it](images/failed_gate_rows.png)

![The next asset is refused, with the gate, what it found, and what to do](images/refused.png)

Three gates ask who serves. `the_challenger_is_not_worse_than_the_champion` holds a student against the release that it
would replace, on the same golden rows; `the_release_was_not_withdrawn` keeps out what a person took out of service with
`stillhouse rollback`, and `the_champion_is_not_held` everything while a person holds what serves. Two more ask
whether the teacher began with the weights that the recipe pins, or, without a pin, with those of the first round.

This page is made by `make docs`.
"""


def page() -> str:
    lines = [HEAD]
    for stage, gates in GATES.items():
        because = gates.because()
        marks = dict.fromkeys(gates.names(blocking=False), "advice: ")
        marks |= dict.fromkeys(gates.unwaivable(), "nobody can waive it: ")
        lines += [f"## {stage}", "", "| gate | because |", "|--|--|"]
        lines += [f"| {marks.get(name, '')}`{name}` | {because[name]} |" for name in because]
        lines.append("")
    return "\n".join(lines) + "\n"


def test_the_page_lists_the_gates_that_there_are() -> None:
    if gates_page.WRITING:
        gates_page.write_gates(page())
    assert gates_page.gates_part() == page(), "`make docs` writes it"


def test_a_gate_is_named_after_what_it_is_about_and_fits_a_line() -> None:
    """Regression: people had to type `it_answers` and a name of 49 characters into `stillhouse waive`."""
    names = [name for gates in GATES.values() for blocking in (True, False) for name in gates.names(blocking=blocking)]
    fixed = "the_challenger_is_not_worse_than_the_champion"
    assert [name for name in names if len(name) > 40] == [fixed], "people know this one from the design"
    assert not [name for name in names if name.split("_")[0] in ("it", "its", "he", "she", "they")]
    assert not set(RENAMED) & set(names) and set(RENAMED.values()) <= set(names)
