"""The ledger in memory, as an audit asks it.

Belongs here: reading it once, and which of its entries can prove something.
Does not: holding it against what remembers it (remembered.py), the chain of digests (stillhouse/records/ledger.py).
"""

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeGuard, get_args

from stillhouse.records.keys import Signature
from stillhouse.records.ledger import GENESIS, Entry, Head, Ledger

_DAY = re.compile(r"\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])")

_FIELDS = {
    "materialization": ("asset", "digest", "manifest"),
    "verdict": ("asset", "digest", "gate", "state"),
    "promotion": ("digest", "manifest"),
    "waiver": ("gate", "by", "reason", "until"),
    "approval": ("release", "by"),
    "sign_off": ("contract", "by"),
}

ArtifactKind = Literal["materialization", "verdict"]
_OF_AN_ARTIFACT = get_args(ArtifactKind)


@dataclass(frozen=True)
class History:
    """The ledger in memory, as an audit asks it.

    Args:
        entries: all of them.
        by_sequence: the same, by number.
        signatures: by number; of an entry that is no longer there, too.
        sound: by recipe and kind those that can prove something: not altered since, and with the fields of their kind.
        sound_about: of these the ones that are about an artifact, by recipe, kind, asset and digest: each link asks.
        unsound: one line for each that was well chained and has not the fields of its kind.
    """

    entries: Sequence[Entry]
    by_sequence: Mapping[int, Entry]
    signatures: Mapping[int, Signature]
    sound: Mapping[tuple[str, str], Sequence[Entry]]
    sound_about: Mapping[tuple[str, str, str, str], Sequence[Entry]]
    unsound: Sequence[str]

    @classmethod
    def of(cls, ledger: Ledger) -> "History":
        """Read a ledger, its signatures before and after so that none is missed that is written meanwhile."""
        before, entries, after = ledger.signatures(), ledger.entries(), ledger.signatures()
        sound, unsound = defaultdict[tuple[str, str], list[Entry]](list), list[str]()
        about = defaultdict[tuple[str, str, str, str], list[Entry]](list)
        for entry in entries:
            if entry.digest != entry.expected_digest():
                continue  # Ledger.problems names it
            if _has_its_fields(entry):
                sound[entry.recipe, entry.kind].append(entry)
                if entry.kind in _OF_AN_ARTIFACT:
                    about[entry.recipe, entry.kind, entry.body["asset"], entry.body["digest"]].append(entry)
            else:
                unsound.append(
                    f"ledger entry {entry.sequence} has not the fields of a {entry.kind}: no version wrote it"
                )
        by_sequence = {entry.sequence: entry for entry in entries}
        signatures = {number: signature for number, signature in after.items() if number in by_sequence}
        return cls(entries, by_sequence, signatures | before, sound, about, unsound)

    @property
    def head(self) -> Head:
        """Number and digest of the newest entry."""
        return Head(self.entries[-1].sequence, self.entries[-1].digest) if self.entries else Head(0, GENESIS)

    def of_kind(self, recipe: str, kind: str, before: Entry | None = None) -> list[Entry]:
        """The entries of a kind that can prove something, those before another one if that is given."""
        return _before(self.sound.get((recipe, kind), ()), before)

    def about(self, recipe: str, kind: ArtifactKind, asset: str, digest: str, before: Entry | None) -> list[Entry]:
        """Those of the entries that `of_kind` would give which are about this content of an asset."""
        return _before(self.sound_about.get((recipe, kind, asset, digest), ()), before)

    def promotion_of(self, recipe: str, release: str) -> Entry | None:
        """The newest promotion of a release that can prove something; of one that never was the champion its offer."""
        found = [entry for entry in self.of_kind(recipe, "promotion") if entry.body["digest"] == release]
        return found[-1] if found else self._offer_of(recipe, release)

    def _offer_of(self, recipe: str, release: str) -> Entry | None:
        """The deployment by which a release began its way to be the champion, with the fields of a promotion."""
        for entry in self.of_kind(recipe, "deployment"):
            challenger = challenger_in(entry)
            if challenger is not None and challenger["release"] == release:
                return replace(entry, body={"digest": release, "manifest": challenger["manifest"]})
        return None

    def newest(self, recipe: str, kind: str) -> Entry | None:
        """The newest entry of a kind that can prove something."""
        found = self.of_kind(recipe, kind)
        return found[-1] if found else None


def _before(entries: Sequence[Entry], other: Entry | None) -> list[Entry]:
    return [entry for entry in entries if other is None or entry.sequence < other.sequence]


def _has_its_fields(entry: Entry) -> bool:
    """Whether an audit can read an entry; the body of a forged one may hold anything."""
    body = entry.body
    if not isinstance(body, dict) or any(not isinstance(body.get(name), str) for name in _FIELDS.get(entry.kind, ())):
        return False
    if entry.kind == "deployment":
        return _names_a_release(body.get("champion")) and ("challenger" not in body or challenger_in(entry) is not None)
    return entry.kind != "waiver" or _DAY.fullmatch(body["until"]) is not None


def challenger_in(entry: Entry) -> dict[str, str] | None:
    """The challenger of a deployment, `release` and `manifest`; None where there is none that can be read."""
    challenger = entry.body.get("challenger")
    deployed = challenger.get("deployed") if isinstance(challenger, dict) else None
    return deployed if _names_a_release(deployed) and isinstance(deployed.get("manifest"), str) else None


def releases_instead(entry: Entry) -> list[str]:
    """The releases that answer what a deployment takes from the champion; of what cannot be read its text."""
    taken = entry.body.get("quarantine") or []
    parts = taken if isinstance(taken, list) else [taken]
    # Null is the teacher behind the champion, who is in the evidence of its release.
    found = [part.get("instead", part) if isinstance(part, dict) else part for part in parts]
    return [each["release"] if _names_a_release(each) else str(each) for each in found if each is not None]


def _names_a_release(deployed: object) -> TypeGuard[dict[str, str]]:
    return isinstance(deployed, dict) and isinstance(deployed.get("release"), str)
