"""What the watch has found, handed on: as events of the recipe, and as notices to its owners.

Belongs here: what is done about a finding once the watch has acted.
Does not: looking and acting (watch.py), which action follows (stillhouse/live/findings.py).
"""

from orchestration.notices import notify_owners
from orchestration.watch import book_of
from stillhouse.live.findings import Action, FoundKind, LiveFinding
from stillhouse.recipe.reading import RecipeFile
from stillhouse.records.builds import BuildStore
from stillhouse.records.events import EventKind, note
from stillhouse.records.outbox import Notice, Tone

EVENT_OF = {
    FoundKind.INPUTS: EventKind.INPUTS,
    FoundKind.AGREEMENT: EventKind.AGREEMENT,
    FoundKind.TRUTH: EventKind.AGREEMENT,
    FoundKind.ERRORS: EventKind.SERVICE,
    FoundKind.LATENCY: EventKind.SERVICE,
    FoundKind.FALLBACK: EventKind.FALLBACK,
    FoundKind.TEACHER: EventKind.TEACHER_DRIFTED,
}
"""What a finding is among the events of a recipe, by which rounds begin."""


def hand_on(builds: BuildStore, file: RecipeFile) -> list[str]:
    """Note what was found as events and send it to owners, once; a line for each address that was not reached.

    Killed in between, a finding is handed on again: notices and events know it by its key.
    """
    book, lines = book_of(builds, file), list[str]()
    for finding in book.findings(waiting=True):
        note(
            builds.ledger, file.name, EVENT_OF[finding.kind], finding.key, finding.sentence,
            {"release": finding.release, "watch": finding.watch, "action": finding.action.value},
        )  # fmt: skip
        if finding.is_for_people:
            lines += notify_owners(
                builds.ledger, file.name, f"live:{finding.key}", finding.key, notice_of(file.name, finding)
            )
        book.handed_on(finding)
    return lines


def notice_of(recipe: str, finding: LiveFinding) -> Notice:
    """A finding as people are sent it."""
    tone = Tone.BROKEN if finding.action is Action.ROLL_BACK else Tone.LOOK
    text = (
        f"{finding.sentence}.\n{finding.action.value.capitalize()}: {finding.because}.\n"
        f"`stillhouse live {recipe}` shows the day."
    )
    return Notice(f"{recipe}: {finding.kind.value} of {finding.release[:12]}, {finding.action}", text, tone)
