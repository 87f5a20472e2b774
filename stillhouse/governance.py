"""What people decide about a distillation, each with a name and a reason, recorded in the ledger.

Belongs here: waivers, approvals and changes of a frozen bar; which of them count now.
Does not: gates (checks/), asking people (orchestration/cli.py).
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

from stillhouse.errors import StillhouseError
from stillhouse.ledger import Ledger


@dataclass(frozen=True)
class Waiver:
    """A named person's word that a gate may stay as it is until a day.

    Args:
        gate: address of the asset and name of the gate, `questions/prompts[base]:every_slice_has_golden_rows`.
        by: who says so.
        reason: why.
        until: the last day on which it counts, in UTC.
    """

    gate: str
    by: str
    reason: str
    until: date

    def __str__(self) -> str:
        return f"waived by {self.by} until {self.until.isoformat()} because {self.reason}"


def waive(ledger: Ledger, recipe: str, waiver: Waiver) -> None:
    """Record a waiver.

    Raises:
        StillhouseError: if nobody or no reason is named, or the day has passed.
    """
    _require_name_and_reason(waiver.by, waiver.reason)
    if waiver.until < _today():
        raise StillhouseError(
            f"{waiver.until.isoformat()} has passed",
            where="--until",
            expected="today or a later day",
            do="Name the last day on which the waiver counts.",
        )
    body = {"gate": waiver.gate, "by": waiver.by, "reason": waiver.reason, "until": waiver.until.isoformat()}
    ledger.append("waiver", recipe, body)


def valid_waivers(ledger: Ledger, recipe: str) -> dict[str, Waiver]:
    """The waivers of a recipe that count today, by gate; of several on one gate the newest."""
    newest = {
        body["gate"]: Waiver(body["gate"], body["by"], body["reason"], date.fromisoformat(body["until"]))
        for body in (entry.body for entry in ledger.entries(recipe, "waiver"))
    }
    return {gate: waiver for gate, waiver in newest.items() if waiver.until >= _today()}


def approve(ledger: Ledger, recipe: str, *, release: str, author: str, by: str, reason: str) -> None:
    """Record that a person has approved a release.

    Args:
        ledger: where it is recorded.
        recipe: whose release.
        release: digest of the release, so that the approval counts for no other.
        author: who wrote the recipe.
        by: who approves.
        reason: why.

    Raises:
        StillhouseError: if nobody or no reason is named, or author and approver are one person.
    """
    _require_name_and_reason(by, reason)
    if same_person(author, by):
        raise StillhouseError(
            f"{by} wrote the recipe",
            where="--by",
            expected="an approver who is not the author",
            do="Ask somebody else to read the report and approve.",
        )
    ledger.append("approval", recipe, {"release": release, "by": by, "reason": reason})


def approval_of(ledger: Ledger, recipe: str, release: str) -> dict[str, Any] | None:
    """Who approved a release, and why; None if nobody has."""
    entries = ledger.entries(recipe, "approval", content=release)
    return entries[-1].body if entries else None


def amend(ledger: Ledger, recipe: str, *, bar: str, by: str, reason: str) -> None:
    """Record that a bar was changed after a candidate existed.

    Args:
        ledger: where it is recorded.
        recipe: whose bar.
        bar: digest of the new bar.
        by: who changed it.
        reason: why.
    """
    _require_name_and_reason(by, reason)
    ledger.append("amendment", recipe, {"bar": bar, "by": by, "reason": reason})


def amendment_to(ledger: Ledger, recipe: str, bar: str) -> dict[str, Any] | None:
    """Who changed a recipe's bar to this one, and why; None if nobody has said so."""
    entries = ledger.entries(recipe, "amendment", content=bar)
    return entries[-1].body if entries else None


def same_person(one: str, other: str) -> bool:
    """Whether two signatures are one person's: equal but for case and blanks, or with one e-mail address."""
    return _signature(one) == _signature(other) or bool(_addresses(one) & _addresses(other))


def _signature(name: str) -> str:
    return " ".join(name.split()).casefold()


def _addresses(name: str) -> set[str]:
    return {word.strip("<>(),;") for word in name.casefold().split() if "@" in word}


def _require_name_and_reason(by: str, reason: str) -> None:
    for option, text, least in (("--by", by, 2), ("--reason", reason, 10)):
        if len(text.strip()) < least:
            raise StillhouseError(
                f"{text!r} says too little",
                where=option,
                expected="a person's name" if option == "--by" else "a reason of ten characters or more",
                do="Whoever reads the ledger in a year should understand it.",
            )


def _today() -> date:
    return datetime.now(UTC).date()
