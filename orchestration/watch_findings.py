"""What the watch has found, handed on: as events of the recipe, and as notices to its owners.

Belongs here: what is done about a finding once the watch has acted.
Does not: looking and acting (watch.py), which action follows (stillhouse/live/findings.py).
"""

from orchestration.notices import notify_owners
from orchestration.watch import book_of
from stillhouse.live.findings import Action, FoundKind, LiveFinding
from stillhouse.recipe.reading import RecipeFile
from stillhouse.records.builds import BuildStore
from stillhouse.records.events import EventKind, Fact, note
from stillhouse.records.outbox import Notice, Tone

EVENT_OF = {
    FoundKind.INPUTS: EventKind.INPUTS,
    FoundKind.AGREEMENT: EventKind.AGREEMENT,
    FoundKind.TRUTH: EventKind.AGREEMENT,
    FoundKind.ERRORS: EventKind.SERVICE,
    FoundKind.LATENCY: EventKind.SERVICE,
    FoundKind.MEMORY: EventKind.SERVICE,
    FoundKind.FALLBACK: EventKind.FALLBACK,
    FoundKind.TEACHER: EventKind.TEACHER_DRIFTED,
    FoundKind.WEAK_SLICE: EventKind.WEAK_SLICE,
    FoundKind.CASCADE_AGREEMENT: EventKind.AGREEMENT,
    FoundKind.CASCADE_TRUTH: EventKind.AGREEMENT,
}
"""What a finding is among the events of a recipe, by which rounds begin."""


def hand_on(builds: BuildStore, file: RecipeFile) -> list[str]:
    """Note what was found as events and send it to owners, once; a line for each address that was not reached.

    Killed in between, a finding is handed on again: notices and events know it by its key.
    """
    book, lines = book_of(builds, file), list[str]()
    for finding in book.findings(waiting=True):
        note(
            builds.ledger, file.name, EVENT_OF[finding.kind], _key(finding), _sentence(finding),
            {"release": finding.release, "watch": finding.watch, "action": finding.action.value, **_rows(finding)},
        )  # fmt: skip
        if finding.is_for_people:
            lines += notify_owners(
                builds.ledger, file.name, f"live:{finding.key}", finding.key, notice_of(file.name, finding)
            )
        book.handed_on(finding)
    return lines


def _key(finding: LiveFinding) -> str:
    """By slice and release where rows are asked for: a watch that begins again asks for the same."""
    return finding.key if finding.asks is None else f"{finding.asks.slice} {finding.release[:32]}"


def _sentence(finding: LiveFinding) -> str:
    if finding.asks is None:
        return finding.sentence
    return f"{finding.sentence}: {finding.asks.rows_needed:,} more rows of it with labels are needed"


def _rows(finding: LiveFinding) -> dict[str, Fact]:
    """What is asked for, as the request is read back (assets/requested_rows.py)."""
    asked = finding.asks
    return {} if asked is None else {
        "name": asked.slice, "critical": asked.critical, "rows_needed": asked.rows_needed,
    }  # fmt: skip


def notice_of(recipe: str, finding: LiveFinding) -> Notice:
    """A finding as people are sent it."""
    tone = Tone.BROKEN if finding.action is Action.ROLL_BACK else Tone.LOOK
    text = (
        f"{finding.sentence}.\n{finding.action.value.capitalize()}: {finding.because}.\n"
        f"`stillhouse live {recipe}` shows the day."
    )
    return Notice(f"{recipe}: {finding.kind.value} of {finding.release[:12]}, {finding.action}", text, tone)
