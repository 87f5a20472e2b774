"""Who serves, who served before, and what was withdrawn: read from the ledger, where all of it stands.

Belongs here: the line of releases that took over from each other, the rival of a new student, withdrawals.
Does not: writing any of it (promotion.py), comparing two models (evaluation/against_champion.py), gates (checks/).
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from stillhouse.records.artifacts import ArtifactStore
from stillhouse.records.deployments import Because, DeployedRelease
from stillhouse.records.ledger import Entry, Ledger

BY_A_PERSON: tuple[Because, ...] = ("rollback", "promote")
"""What the body of a promotion gives as `because` where a person decided it; a round gives nothing."""

ANSWERED_BY_A_PERSON = ("the_release_was_not_withdrawn", "the_champion_is_not_held")
"""The gates on a release that a person answers by choosing it; whatever they said before no longer counts."""


@dataclass(frozen=True)
class Served:
    """A release that was promoted.

    Args:
        release: its digest.
        manifest: identity of its manifest.
        student: name of the student in it.
        since: when it was promoted, ISO 8601, UTC.
        because: what promoted it.
        decided_by: the person who did; None where a round promoted it.
        reason: why; empty where a round promoted it.
    """

    release: str
    manifest: str
    student: str
    since: str
    because: Because = "round"
    decided_by: str | None = None
    reason: str = ""

    @property
    def deployed(self) -> DeployedRelease:
        """The release alone."""
        return DeployedRelease(release=self.release, manifest=self.manifest, student=self.student)


@dataclass(frozen=True)
class Withdrawal:
    """A release that may not come back by itself.

    Args:
        release: its digest.
        export: what callers are answered by, see `answers_of`; under another release digest it is withdrawn, too.
        by: who withdrew it.
        reason: why.
        at: when, ISO 8601, UTC.
    """

    release: str
    export: str
    by: str
    reason: str
    at: str


def promoted(ledger: Ledger, recipe: str) -> list[Served]:
    """Each promotion of a recipe, the newest first."""
    return [_served(entry) for entry in reversed(ledger.entries(recipe, "promotion"))]


def line_of_champions(promotions: Iterable[Served]) -> list[Served]:
    """The release that serves, the one that it replaced, and so on; what a person went back behind is left out.

    Args:
        promotions: the newest first.

    Returns:
        The newest first; empty where nothing was promoted yet.
    """
    line: list[Served] = []
    for each in reversed(list(promotions)):
        if each.decided_by is not None:
            before = [index for index, served in enumerate(line) if served.release == each.release]
            line = line[: before[-1]] if before else line
        line.append(each)
    return line[::-1]


def was_chosen(ledger: Ledger, recipe: str, release: str) -> bool:
    """Whether a release serves because a person decided so."""
    champion = ledger.champion(recipe)
    return champion is not None and champion.get("because") in BY_A_PERSON and champion["digest"] == release


def serves_on(ledger: Ledger, recipe: str, release: str, newest: str | None) -> bool:
    """Whether a release serves though a newer one was made: a person decided so, or the newer one was withdrawn.

    Args:
        ledger: that says who serves.
        recipe: whose champion.
        release: digest of the release that the champion names.
        newest: digest of the release that was made last.
    """
    if was_chosen(ledger, recipe, release):
        return True
    champion = ledger.champion(recipe)
    if newest is None or champion is None or champion["digest"] != release:
        return False
    return withdrawal_of(ledger, recipe, release=newest, export=None) is not None


def rival_of(line: Sequence[Served], export: str, export_of: Callable[[Served], str]) -> Served | None:
    """The champion that a student has to be compared with: the newest one that is another model.

    Where the student serves already, that is the one which it replaced. So the rival of a student stays the same when
    it is promoted, and a round in which nothing has changed finds its comparison again.

    Args:
        line: of champions, the newest first.
        export: digest of the exported student.
        export_of: digest of the model in a release.

    Returns:
        None where nothing was promoted yet, or nothing but this model.
    """
    return next((served for served in line if export_of(served) != export), None)


def export_of(store: ArtifactStore, served: Served) -> str:
    """Digest of the model in a release, as its manifest has it."""
    return str(store.read_manifest(served.release, served.manifest).facts["export"])


def answers_of(store: ArtifactStore, served: Served) -> str:
    """Digest of what callers of a release are answered by: its model, with a cascade that and when its teacher is."""
    facts = store.read_manifest(served.release, served.manifest).facts
    return str(facts.get("answers") or facts["export"])


def previous_champion(store: ArtifactStore, line: Sequence[Served]) -> Served | None:
    """The champion before the one that serves which answers callers otherwise; None where there is none."""
    return rival_of(line, answers_of(store, line[0]), partial(answers_of, store))


def withdrawal_of(ledger: Ledger, recipe: str, *, release: str, export: str | None) -> Withdrawal | None:
    """The withdrawal of a release, or of what answers alike if given, unless a person has brought it back since."""
    entries = [*ledger.entries(recipe, "withdrawal"), *ledger.entries(recipe, "promotion")]
    found = None
    for entry in sorted(entries, key=lambda entry: entry.sequence):
        body = entry.body
        if entry.kind == "withdrawal" and (body["release"] == release or body["export"] == export):
            found = Withdrawal(body["release"], body["export"], body["by"], body["reason"], entry.at)
        elif body.get("because") in BY_A_PERSON and (body["digest"] == release or body["export"] == export):
            found = None
    return found


def _served(entry: Entry) -> Served:
    body: dict[str, Any] = entry.body
    because: Because = body.get("because", "round")
    by_a_person = because in BY_A_PERSON
    return Served(
        release=body["digest"],
        manifest=body["manifest"],
        student=body["student"],
        since=entry.at,
        because=because,
        decided_by=body["by"] if by_a_person else None,
        reason=body["reason"] if by_a_person else "",
    )
