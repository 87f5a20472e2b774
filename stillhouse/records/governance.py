"""What people decide about a distillation, each with a name and a reason, recorded in the ledger.

Belongs here: waivers, approvals, sign-offs and changes of a frozen bar; which of them count.
Does not: what a name may look like (names.py), gates (checks/), asking people (orchestration/commands/).

Decisions are found by comparing fields of an entry's body, never by words in it. A name is what somebody typed: beside
it stands the account that ran the command, and neither is proof of who it was.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Protocol

from stillhouse.errors import StillhouseError
from stillhouse.names import account, clean_name, clean_reason, same_person
from stillhouse.records.gate_names import gate_address, gate_name
from stillhouse.records.ledger import Entry, Ledger

SIGN_OFF_GATE = "another_person_has_approved_the_training"
"""The gate on a contract that asks for a sign-off, for an audit of what was released before there was one."""


@dataclass(frozen=True)
class Waiver:
    """A named person's word that a gate may stay as it is, for one content and until a day.

    Args:
        gate: address of the asset and name of the gate, `questions/prompts[base]:every_slice_has_golden_rows`.
        by: who says so.
        reason: why.
        until: the last day on which it counts, in UTC.
        content: digest of the artifact that it was given for; it counts for no other.
    """

    gate: str
    by: str
    reason: str
    until: date
    content: str

    def __str__(self) -> str:
        return f"waived by {self.by} until {self.until.isoformat()} because {self.reason}"


class WaiverTerms(Protocol):
    """What a recipe, or a contract that was frozen from one, says about waivers."""

    @property
    def unwaivable(self) -> tuple[str, ...]:
        """Names of gates that nobody can waive."""
        ...

    @property
    def waiver_days_at_most(self) -> int:
        """How long a waiver counts after it was given."""
        ...


@dataclass(frozen=True)
class WaiverRules:
    """What a recipe says about waivers.

    Args:
        unwaivable: names of the gates that nobody can waive.
        days_at_most: how long a waiver counts after it was given, whatever its last day says.
    """

    unwaivable: frozenset[str]
    days_at_most: int

    @classmethod
    def of(cls, recipe: WaiverTerms, unwaivable: Iterable[str]) -> "WaiverRules":
        """Put together what the gates and what a recipe says.

        Args:
            recipe: which can name further gates that nobody can waive, and says how long a waiver counts.
            unwaivable: names of the gates that nobody can waive, whatever a recipe says.
        """
        return cls(frozenset([*unwaivable, *map(gate_name, recipe.unwaivable)]), recipe.waiver_days_at_most)


@dataclass(frozen=True)
class Waivers:
    """The waivers that count at one moment."""

    by_gate_and_content: dict[tuple[str, str], Waiver]

    def of(self, asset: str, gate: str, content: str) -> Waiver | None:
        """The waiver of a gate for this content of an asset, or None."""
        return self.by_gate_and_content.get((f"{asset}:{gate}", content))


@dataclass(frozen=True)
class Decision:
    """What a person has decided, as the ledger holds it.

    Args:
        by: who.
        reason: why.
    """

    by: str
    reason: str


def signed(by: str, reason: str) -> dict[str, str]:
    """What the ledger keeps of who decided and why: name and reason in their normal form, and the account.

    Raises:
        StillhouseError: if nobody or no reason is named.
    """
    return {"by": clean_name(by), "reason": clean_reason(reason), "account": account()}


def waive(ledger: Ledger, recipe: str, waiver: Waiver, rules: WaiverRules) -> Waiver:
    """Record a waiver and return it with name and reason in their normal form.

    Raises:
        StillhouseError: if nobody or no reason is named, the gate cannot be waived, or the day has passed or is far.
    """
    decision, today = signed(waiver.by, waiver.reason), _today(ledger)
    gate = gate_name(waiver.gate.partition(":")[2])
    if gate in rules.unwaivable:
        raise StillhouseError(
            f"{gate} cannot be waived",
            where=waiver.gate,
            expected="that its cause is fixed",
            do=f"`stillhouse diagnose {recipe}` shows the cause.",
        )
    last = today + timedelta(days=rules.days_at_most)
    if not today <= waiver.until <= last:
        raise StillhouseError(
            f"{waiver.until.isoformat()} {'has passed' if waiver.until < today else 'is too far away'}",
            where="--until",
            expected=f"a day from {today.isoformat()} to {last.isoformat()}",
            do="Name the last day on which the waiver counts; `waiver_days_at_most` of the recipe is the limit.",
        )
    body = {"gate": waiver.gate, "digest": waiver.content, "until": waiver.until.isoformat(), **decision}
    ledger.append("waiver", recipe, body)
    return Waiver(waiver.gate, decision["by"], decision["reason"], waiver.until, waiver.content)


def valid_waivers(ledger: Ledger, recipe: str, rules: WaiverRules) -> Waivers:
    """The waivers of a recipe that count today; the one way in which waivers are read.

    Today is the later of this machine's clock and the ledger's newest entry: an expired waiver stays expired when the
    clock is set back.
    """
    return waivers_among(ledger.entries(recipe, "waiver"), rules, _today(ledger))


def waivers_among(entries: Iterable[Entry], rules: WaiverRules, day: date) -> Waivers:
    """The waivers among some entries that count on a day; of several for one gate and content the newest.

    Args:
        entries: of kind waiver, in the order in which they happened.
        rules: of the recipe.
        day: in UTC.
    """
    newest: dict[tuple[str, str], Waiver] = {}
    for entry in entries:
        body = entry.body
        content = body.get("digest")  # 0.1.0 tied none to a content: those count for nothing
        gate = gate_address(body["gate"])
        if content is None or gate.partition(":")[2] in rules.unwaivable:
            continue
        latest = entry.moment.date() + timedelta(days=rules.days_at_most)
        until = min(date.fromisoformat(body["until"]), latest)
        newest[gate, content] = Waiver(gate, body["by"], body["reason"], until, content)
    return Waivers({key: waiver for key, waiver in newest.items() if waiver.until >= day})


def waivers_of_no_content(ledger: Ledger, recipe: str) -> list[Waiver]:
    """The waivers of version 0.1.0 that have not expired and count for nothing, because they name no content.

    One that was given again, for a content, is left out.
    """
    newest = {entry.body["gate"]: entry.body for entry in ledger.entries(recipe, "waiver")}
    found = [
        Waiver(body["gate"], body["by"], body["reason"], date.fromisoformat(body["until"]), content="")
        for body in newest.values()
        if body.get("digest") is None
    ]
    return [waiver for waiver in found if waiver.until >= _today(ledger)]


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
    decision = _signed_by_another(author, by, reason, do="Ask somebody else to read the report and approve.")
    ledger.append("approval", recipe, {"release": release, **decision})


def approval_of(ledger: Ledger, recipe: str, release: str) -> Decision | None:
    """Who approved a release, and why; None if nobody has."""
    return _naming(ledger.newest(recipe, "approval", content=release), "release", release)


def sign_off(ledger: Ledger, recipe: str, *, contract: str, author: str, by: str, reason: str) -> None:
    """Record that a person has signed off what a contract has trained.

    Args:
        ledger: where it is recorded.
        recipe: whose contract.
        contract: digest of the contract, so that it counts for no other.
        author: who wrote the recipe.
        by: who signs.
        reason: why.

    Raises:
        StillhouseError: if nobody or no reason is named, or author and signer are one person.
    """
    decision = _signed_by_another(author, by, reason, do="Ask somebody else to read the contract and approve.")
    ledger.append("sign_off", recipe, {"contract": contract, **decision})


def sign_off_of(ledger: Ledger, recipe: str, contract: str) -> Decision | None:
    """Who signed off a contract, and why; None if nobody has."""
    return _naming(ledger.newest(recipe, "sign_off", content=contract), "contract", contract)


def _signed_by_another(author: str, by: str, reason: str, *, do: str) -> dict[str, str]:
    """The fields of a decision that the author of a recipe cannot take."""
    decision = signed(by, reason)
    if same_person(clean_name(author, where="author"), decision["by"]):
        raise StillhouseError(
            f"{by} wrote the recipe, or cannot be distinguished from {author}",
            where="--by",
            expected="an approver who is not the author",
            do=do,
        )
    return decision


def amend(ledger: Ledger, recipe: str, *, bar: str, by: str, reason: str) -> None:
    """Record that a bar was changed after a candidate existed.

    Args:
        ledger: where it is recorded.
        recipe: whose bar.
        bar: digest of the new bar.
        by: who changed it.
        reason: why.
    """
    ledger.append("amendment", recipe, {"bar": bar, **signed(by, reason)})


def amendment_to(ledger: Ledger, recipe: str, bar: str) -> Decision | None:
    """Who changed a recipe's bar to this one, and why; None if nobody has said so."""
    return _naming(ledger.newest(recipe, "amendment", content=bar), "bar", bar)


def _naming(entry: Entry | None, field: str, value: str) -> Decision | None:
    """A decision, if its own field says what its column was found by."""
    if entry is None or entry.body[field] != value:
        return None
    return Decision(entry.body["by"], entry.body["reason"])


def _today(ledger: Ledger) -> date:
    return ledger.now().date()
