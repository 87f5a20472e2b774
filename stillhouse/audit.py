"""Walking a champion back to the rows and the weights it was made from, and proving that the rules were kept.

Belongs here: the walk, and what counts as a problem: in bytes, manifests, verdicts, decisions, the ledger's history.
Does not: which gates a stage has (it is given), what a witness or a key is (witness.py, keys.py), printing (cli.py).

docs/audit.md says who is found by which of these and who is not.
"""

import json
import os
import re
import tempfile
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from stillhouse.artifacts import ArtifactStore
from stillhouse.champions import ANSWERED_BY_A_ROLLBACK, ROLLBACK
from stillhouse.errors import StillhouseError
from stillhouse.governance import WaiverRules, waivers_among
from stillhouse.keys import Signature, TrustedKeys
from stillhouse.ledger import GENESIS, Entry, Head, Ledger
from stillhouse.manifest import Manifest, asset_and_batch
from stillhouse.names import same_person
from stillhouse.recipe import UNWAIVABLE
from stillhouse.release.bundle import RECORD
from stillhouse.witness import Memory, Witness, WitnessedHead, place_of

GatesOf = Callable[[str], Collection[str]]
"""Names of the blocking gates of a stage, such as `prompts` or `candidates/small`."""

SHORTEST_DIGEST = 12
_DAY = re.compile(r"\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])")


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Link(_Record):
    """One artifact on the way from the champion to what came from outside."""

    asset: str
    digest: str
    manifest: str
    run_id: str | None
    created_at: str | None
    inputs: dict[str, str]
    external_inputs: dict[str, str]
    relied_on: int
    gates: int
    verified: bool


class Promoted(_Record):
    """The entry that made the champion."""

    sequence: int
    digest: str
    at: str
    release: str


class Audit(_Record):
    """What an audit found.

    Attributes:
        ok: whether there is no problem.
        problems: one line each.
        limits: what could not be proven, one line each.
        head: digest of the ledger's newest entry; write it down, and `--head` compares.
        entries: how many entries the ledger has.
        promotion: the entry that made the champion.
        chain: every artifact from the champion back, each once.
    """

    ok: bool
    problems: tuple[str, ...]
    limits: tuple[str, ...]
    head: str
    entries: int
    promotion: Promoted | None
    chain: tuple[Link, ...]

    @classmethod
    def of_nothing(cls, problem: str) -> "Audit":
        """When a problem leaves nothing to walk."""
        return cls(ok=False, problems=(problem,), limits=(), head=GENESIS, entries=0, promotion=None, chain=())


class FrozenTerms(BaseModel):
    """What the contract of a release says about decisions of people; the rest of it is none of the audit's business."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    author: str | None = None
    stakes: Literal["low", "high"] = "low"
    unwaivable: tuple[str, ...] = UNWAIVABLE
    waiver_days_at_most: int = 30

    @property
    def waivers(self) -> WaiverRules:
        """The part about waivers."""
        return WaiverRules(frozenset(self.unwaivable), self.waiver_days_at_most)


@dataclass(frozen=True)
class Outside:
    """What an audit is held against beside store and ledger.

    Args:
        gates_of: names of the blocking gates of a stage.
        witness: what remembers heads of the ledger.
        trusted: public keys.
        written_down: a head's digest, or the beginning of one, that somebody noted.
        shown: digest of the champion artifact that Dagster shows; None when it shows none.
    """

    gates_of: GatesOf
    witness: Witness
    trusted: TrustedKeys
    written_down: str | None = None
    shown: str | None = None


def audit(store: ArtifactStore, ledger: Ledger, recipe: str, outside: Outside) -> Audit:
    """Walk the champion of a recipe back to its source rows and the weights that its teacher began with.

    Args:
        store: where artifacts and manifests are.
        ledger: the record that names the champion.
        recipe: whose champion.
        outside: what the two are held against.
    """
    limits: list[str] = []
    # What remembers the ledger is read first: a run that goes on meanwhile can only make the ledger longer.
    carried, memory, unreached = list(anchors(store)), Memory(()), list[str]()
    try:
        memory = outside.witness.memory()
    except StillhouseError as error:
        unreached.append(_one_line(error))
    try:
        history = _History.of(ledger)
        problems = [*ledger.problems(), *history.unsound]
    except StillhouseError as error:  # nothing can be asked of a ledger with an entry that cannot be read
        return Audit.of_nothing(_one_line(error))
    promotion = history.newest(recipe, "promotion")
    chain: list[Link] = []
    with tempfile.TemporaryDirectory() as cache:  # a store of its own, so that nothing hashed earlier is believed
        fresh = ArtifactStore(str(store.root), cache=Path(cache), workbench=store.workbench)
        if promotion is None:
            problems.append(f"{recipe} has no champion")
        else:
            walk = _Walk(fresh, history, recipe, promotion, outside.gates_of)
            chain = walk.links()
            problems += walk.problems
            limits += walk.limits
            problems += walk.champion_problems(outside.shown)
            problems += walk.decision_problems()
    problems += _contradicted(carried, history)
    problems += _signature_problems(history, outside.trusted, limits)
    problems += unreached or _witness_problems(ledger, memory, history, promotion, outside, limits)
    problems += _written_down_problems(history, outside.written_down)
    problems = list(dict.fromkeys(problems))
    return Audit(
        ok=not problems,
        problems=tuple(problems),
        limits=tuple(limits),
        head=history.head.digest,
        entries=history.head.sequence,
        promotion=_promoted(promotion),
        chain=tuple(chain),
    )


def altered(store: ArtifactStore, artifacts: Iterable[tuple[str, str, str]]) -> list[str]:
    """Hash artifacts anew and say, one line each, which are not what they are named for.

    Args:
        store: where they are.
        artifacts: address, digest and identity of the manifest of each.
    """
    problems: list[str] = []
    with tempfile.TemporaryDirectory() as cache:
        fresh = ArtifactStore(str(store.root), cache=Path(cache), workbench=store.workbench)
        for asset, digest, identity in artifacts:
            _manifest(fresh, asset, digest, identity, problems)
            problems += _content_problems(fresh, asset, digest)
    return problems


@dataclass(frozen=True)
class _History:
    """The ledger in memory, as an audit asks it.

    Args:
        entries: all of them.
        by_sequence: the same, by number.
        signatures: by number; of an entry that is no longer there, too.
        sound: by recipe and kind those that can prove something: not altered since, and with the fields of their kind.
        unsound: one line for each that was well chained and has not the fields of its kind.
    """

    entries: Sequence[Entry]
    by_sequence: Mapping[int, Entry]
    signatures: Mapping[int, Signature]
    sound: Mapping[tuple[str, str], Sequence[Entry]]
    unsound: Sequence[str]

    @classmethod
    def of(cls, ledger: Ledger) -> "_History":
        before, entries, after = ledger.signatures(), ledger.entries(), ledger.signatures()
        sound, unsound = defaultdict[tuple[str, str], list[Entry]](list), list[str]()
        for entry in entries:
            if entry.digest != entry.expected_digest():
                continue  # Ledger.problems names it
            if _has_its_fields(entry):
                sound[entry.recipe, entry.kind].append(entry)
            else:
                unsound.append(
                    f"ledger entry {entry.sequence} has not the fields of a {entry.kind}: no version wrote it"
                )
        by_sequence = {entry.sequence: entry for entry in entries}
        signatures = {number: signature for number, signature in after.items() if number in by_sequence}
        return cls(entries, by_sequence, signatures | before, sound, unsound)

    @property
    def head(self) -> Head:
        return Head(self.entries[-1].sequence, self.entries[-1].digest) if self.entries else Head(0, GENESIS)

    def of_kind(self, recipe: str, kind: str, before: Entry | None = None) -> list[Entry]:
        found = self.sound.get((recipe, kind), ())
        return [entry for entry in found if before is None or entry.sequence < before.sequence]

    def newest(self, recipe: str, kind: str) -> Entry | None:
        found = self.of_kind(recipe, kind)
        return found[-1] if found else None


_FIELDS = {
    "materialization": ("asset", "digest", "manifest"),
    "verdict": ("asset", "digest", "gate", "state"),
    "promotion": ("digest", "manifest"),
    "waiver": ("gate", "by", "reason", "until"),
    "approval": ("release", "by"),
}


def _has_its_fields(entry: Entry) -> bool:
    """Whether an audit can read an entry; the body of a forged one may hold anything."""
    body = entry.body
    if not isinstance(body, dict) or any(not isinstance(body.get(name), str) for name in _FIELDS.get(entry.kind, ())):
        return False
    return entry.kind != "waiver" or _DAY.fullmatch(body["until"]) is not None


@dataclass
class _Walk:
    """From a promotion back, link by link."""

    store: ArtifactStore
    history: _History
    recipe: str
    promotion: Entry
    gates_of: GatesOf
    problems: list[str] = field(default_factory=list)
    limits: list[str] = field(default_factory=list)
    terms: FrozenTerms | None = None

    def links(self) -> list[Link]:
        release = (f"{self.recipe}/release", self.promotion.body["digest"], self.promotion.body["manifest"])
        seen, queue, chain = {release[2]}, [release], []
        self.terms = self._terms(*release)
        while queue:
            link, manifest = self._link(*queue.pop(0), until=self.promotion)
            chain.append(link)
            for name, item in manifest.inputs.items() if manifest else ():
                if item.manifest not in seen:
                    seen.add(item.manifest)
                    queue.append((name, item.digest, item.manifest))
        reached = {asset_and_batch(link.asset)[0] for link in chain if link.external_inputs}
        for stage, what in (("source", "source file"), ("teacher", "weights that the teacher began with")):
            if f"{self.recipe}/{stage}" not in reached:
                self.problems.append(f"the walk does not reach any {what}")
        return [*self._champion(), *chain]

    def champion_problems(self, shown: str | None) -> list[str]:
        """Whether the promotion, the champion asset and what Dagster shows are one release."""
        made = self._newest_champion()
        if made is None:
            return [f"{self.recipe}/champion: the ledger has a promotion and no such artifact; {_run(self.recipe)}"]
        named = self._named_by(made.body["digest"])
        release = self.promotion.body["digest"]
        problems = []
        if named != release:
            problems.append(
                f"{self.recipe}/champion: the artifact names release {str(named)[:12]}, the promotion in ledger entry "
                f"{self.promotion.sequence} names {release[:12]}: one of them was changed alone"
            )
        if shown is not None and shown != made.body["digest"]:
            problems.append(
                f"{self.recipe}/champion: Dagster shows {shown[:12]}, the ledger has {made.body['digest'][:12]}"
            )
        return problems

    def decision_problems(self) -> list[str]:
        """Whether somebody else approved the release, where the stakes are high."""
        if self.terms is None or self.terms.stakes == "low":
            return []
        release = self.promotion.body["digest"]
        approvals = self.history.of_kind(self.recipe, "approval", self.promotion)
        names = [entry.body["by"] for entry in approvals if entry.body["release"] == release]
        if not names:
            return [
                f"{self.recipe}/release: the stakes are high and nobody approved {release[:12]} before its promotion"
            ]
        if same_person(self.terms.author or "", names[-1]):
            return [f"{self.recipe}/release: approved by {names[-1]}, who cannot be told from its author"]
        return []

    def _champion(self) -> list[Link]:
        made = self._newest_champion()
        if made is None:
            return []
        # Its gates are looked at after the promotion, because they compare the two.
        return [self._link(made.body["asset"], made.body["digest"], made.body["manifest"], until=None)[0]]

    def _newest_champion(self) -> Entry | None:
        made = self.history.of_kind(self.recipe, "materialization")
        return next((entry for entry in reversed(made) if entry.body["asset"] == f"{self.recipe}/champion"), None)

    def _named_by(self, champion: str) -> str | None:
        path = self.store.root / champion / "files" / "champion.json"
        try:
            named = json.loads(path.read_text())["release"]
        except (OSError, ValueError, KeyError, TypeError):  # what is wrong with the file is a problem of its bytes
            return None
        return named if isinstance(named, str) else None

    def _terms(self, asset: str, digest: str, identity: str) -> FrozenTerms | None:
        """The contract that the release was made under, as it was frozen."""
        release = _manifest(self.store, asset, digest, identity, [])
        frozen = release.inputs.get(f"{self.recipe}/contract") if release else None
        if frozen is None:
            self.problems.append(f"{asset}: its manifest names no contract")
            return None
        try:
            folder = self.store.open(frozen.digest)
            return FrozenTerms.model_validate_json((folder / "recipe.json").read_bytes())
        except (StillhouseError, OSError, ValidationError) as error:
            self.problems.append(f"{self.recipe}/contract: cannot be read: {_one_line(error)}")
            return None

    def _link(self, asset: str, digest: str, identity: str, *, until: Entry | None) -> tuple[Link, Manifest | None]:
        found: list[str] = []
        manifest = _manifest(self.store, asset, digest, identity, found)
        found += self._record_problems(asset, digest, identity, until)
        found += _content_problems(self.store, asset, digest)
        found += self._kept_problems(asset, manifest) if manifest else []
        if manifest is not None and manifest.made_by is not None:
            found += self._maker_problems(manifest, until)
        gates = sorted(self.gates_of(asset_and_batch(asset)[0].partition("/")[2]))
        if self.promotion.body.get("because") == ROLLBACK:
            gates = [gate for gate in gates if gate != ANSWERED_BY_A_ROLLBACK]
        found += self._verdict_problems(asset, digest, identity, gates, until)
        self.problems += found
        link = Link(
            asset=asset,
            digest=digest,
            manifest=identity,
            run_id=manifest.run_id if manifest else None,
            created_at=manifest.created_at if manifest else None,
            inputs={name: item.digest for name, item in manifest.inputs.items()} if manifest else {},
            external_inputs=manifest.external_inputs if manifest else {},
            relied_on=len(manifest.relied_on) if manifest else 0,
            gates=len(gates),
            verified=not found,
        )
        return link, manifest

    def _kept_problems(self, asset: str, manifest: Manifest) -> list[str]:
        """Whether the files from outside that it was made from are kept, and are still what they were."""
        if manifest.head is None and manifest.external_inputs:  # version 0.1.0 recorded digests and kept no bytes
            self.limits.append(f"{asset}: what came from outside was not kept by version 0.1.0, only its digests")
            return []
        problems = []
        for address, digest in manifest.external_inputs.items():
            try:
                self.store.kept(digest)
            except StillhouseError as error:
                problems.append(f"{asset}: {address}: {error}")
        return problems

    def _record_problems(self, asset: str, digest: str, identity: str, until: Entry | None) -> list[str]:
        """Whether the ledger saw this artifact being made, before it was promoted."""
        wanted = {"asset": asset, "digest": digest, "manifest": identity}
        for entry in self.history.of_kind(self.recipe, "materialization", until):
            if {name: entry.body.get(name) for name in wanted} == wanted:
                return []
        when = "" if until is None else " before the promotion"
        return [f"{asset}: the ledger has no entry for manifest {identity[:12]}{when}"]

    def _maker_problems(self, manifest: Manifest, until: Entry | None) -> list[str]:
        """Whether the run that really computed what was found again can still be named."""
        found: list[str] = []
        identity = manifest.made_by or ""
        maker = _manifest(self.store, manifest.address, manifest.digest, identity, found)
        if maker is None:
            return [f"{problem} (of the run that computed it)" for problem in found]
        found += self._record_problems(manifest.address, manifest.digest, identity, until)
        if maker.build_key != manifest.build_key:
            found.append(f"{manifest.address}: found again under another build key than it was computed under")
        if maker.made_by is not None:
            found.append(f"{manifest.address}: the run that is named as its maker only found it again")
        return found

    def _verdict_problems(
        self, asset: str, digest: str, identity: str, gates: Sequence[str], until: Entry | None
    ) -> list[str]:
        """Whether every blocking gate was passed, or validly waived, by this artifact in time."""
        newest: dict[str, Entry] = {}
        for entry in self.history.of_kind(self.recipe, "verdict", until):
            body = entry.body
            if (body["asset"], body["digest"]) == (asset, digest) and body.get("manifest", identity) == identity:
                newest[body["gate"]] = entry
        when = "" if until is None else " before the promotion"
        problems = []
        if missing := [gate for gate in gates if gate not in newest]:
            problems.append(
                f"{asset}: the ledger has no verdict on {digest[:12]}{when} of {len(missing)} of its {len(gates)} "
                f"gates: {', '.join(missing)}; if they are newer than the promotion, {_run(self.recipe)} looks at them"
            )
        for gate in gates:
            if gate in newest and newest[gate].body["state"] != "passed":
                state = newest[gate].body["state"]
                if (why := self._not_waived(asset, gate, digest, until)) is not None:
                    problems.append(
                        f"{asset}: gate {gate} was {state}{when} (ledger entry {newest[gate].sequence}), {why}"
                    )
        old = [gate for gate in gates if gate in newest and "manifest" not in newest[gate].body]
        if old:
            problems.append(
                "version 0.1.0 entered verdicts that this champion rests on, which name no manifest: "
                f"{_run(self.recipe)} looks at every gate again and promotes again"
            )
        return problems

    def _not_waived(self, asset: str, gate: str, digest: str, until: Entry | None) -> str | None:
        """Why no waiver counted for a gate when the release was promoted; None when one did."""
        if self.terms is None:
            return "and the contract that says who may waive it cannot be read"
        entries = self.history.of_kind(self.recipe, "waiver", until)
        day = _day(until.at if until else self.history.entries[-1].at)
        if waivers_among(entries, self.terms.waivers, day).of(asset, gate, digest) is not None:
            return None
        if gate in self.terms.unwaivable:
            return "and nobody can waive it"
        given = [entry for entry in entries if entry.body["gate"] == f"{asset}:{gate}"]
        return "and its waiver was of another content or had expired" if given else "and nobody had waived it"


def anchors(store: ArtifactStore) -> Iterator[tuple[str, Head]]:
    """Every head of a ledger that anything in the store carries, with the name of what carries it.

    What cannot be read carries none; if it is on the way of a champion, the walk says so.
    """
    for path in store.root.glob("*/manifests/*.json"):
        head = _head_in(path.read_text(errors="replace"), "head")
        if head is not None:
            yield f"manifest {path.parent.parent.name[:12]}/{path.stem[:12]}", head
    for path in store.root.glob(f"*/files/{RECORD}"):
        head = _head_in(path.read_text(errors="replace"), "head")
        if head is not None:
            yield f"release {path.parent.parent.name[:12]}", head


def _head_in(text: str, name: str) -> Head | None:
    try:
        found = json.loads(text)[name]
        return Head(int(found["sequence"]), str(found["digest"]))
    except (ValueError, KeyError, TypeError):
        return None


def _contradicted(carried: Iterable[tuple[str, Head]], history: _History) -> list[str]:
    """Compare heads that the store carries with the ledger: one line for all that were cut, one for all rewritten."""
    cut: list[tuple[int, str]] = []
    other: list[tuple[int, str]] = []
    for what, head in carried:
        entry = history.by_sequence.get(head.sequence)
        if head.sequence == 0 or (entry is not None and entry.digest == head.digest):
            continue
        (cut if head.sequence > history.head.sequence else other).append((head.sequence, what))
    problems = []
    if cut:
        sequence, what = max(cut)
        problems.append(
            f"the ledger ends at entry {history.head.sequence}, and {what} was written after entry {sequence}: it was "
            f"cut or replaced by an older copy ({len(cut)} in the store say so)"
        )
    if other:
        sequence, what = min(other)
        problems.append(
            f"ledger entry {sequence} is another one than when {what} was written: its history was rewritten "
            f"({len(other)} in the store say so)"
        )
    return problems


def _signature_problems(history: _History, trusted: TrustedKeys, limits: list[str]) -> list[str]:
    """From the first signed entry on every one has to be signed by a key that is trusted here."""
    signatures = history.signatures
    if not signatures:
        limits.append(
            "no entry is signed: whoever can write to the ledger can write verdicts and decisions into it, and no "
            "audit can tell them from real ones; `stillhouse keys init` makes a key"
        )
        return []
    first = min(signatures)
    if first > 1:
        limits.append(f"the first {first - 1} entries were written before there was a key")
    problems = []
    unsigned = [
        entry.sequence for entry in history.entries if entry.sequence >= first and entry.sequence not in signatures
    ]
    if unsigned:
        problems.append(
            f"ledger {_entries(unsigned)} not signed, though entry {first} was: written by somebody without the key"
        )
    unknown = Counter(signature.key for signature in signatures.values() if signature.key not in trusted.keys)
    problems += [
        f"{count} ledger entries are signed by key {key}, which is not trusted here; if it is yours, put {key}.pub "
        f"into {trusted.folder}"
        for key, count in unknown.items()
    ]
    forged = [
        sequence
        for sequence, signature in sorted(signatures.items())
        if signature.key in trusted.keys
        and (
            sequence not in history.by_sequence
            or not trusted.signed(sequence, history.by_sequence[sequence].digest, signature)
        )
    ]
    if forged:
        problems.append(f"the signature of ledger {_entries(forged)} not that of its content")
    return problems


def _witness_problems(
    ledger: Ledger,
    memory: Memory,
    history: _History,
    promotion: Entry | None,
    outside: Outside,
    limits: list[str],
) -> list[str]:
    """Compare the ledger with what the witness remembers of it."""
    witness = outside.witness
    if memory.unreadable:
        limits.append(f"{witness.name}: {', '.join(memory.unreadable[:5])} cannot be read")
    place, beginning = place_of(ledger.url), ledger.beginning()
    of_place = [head for head in memory.heads if head.place == place]
    heads = [head for head in memory.heads if head.beginning == beginning]
    if not heads and not of_place and witness.is_default:
        limits.append(
            f"no witness knows this ledger ({witness.name}): if it was replaced together with all artifacts that were "
            "made since, nothing here can tell"
        )
        return []
    if of_place and of_place[-1].beginning != beginning:
        last = of_place[-1]
        return [
            f"the witness {witness.name} remembers another ledger at this place, with entry {last.sequence} of "
            f"{last.at}: this one was begun afresh or put in its place; if you removed the old state yourself, "
            f"{_run(last.recipe)} makes this one known"
        ]
    if earlier := {head.beginning for head in of_place} - {beginning}:
        limits.append(
            f"the witness remembers {len(earlier)} earlier ledgers at this place, with other beginnings: unless you "
            "removed the old state yourself, its history was replaced"
        )
    newest = max((head.sequence for head in heads), default=0)
    if newest < history.head.sequence:
        limits.append(
            f"ledger entries {newest + 1} to {history.head.sequence} are newer than what the witness remembers"
        )
    return [
        *_memory_problems(witness, heads, history, outside.trusted),
        *_unwitnessed(witness, heads, history, promotion, limits),
    ]


def _memory_problems(
    witness: Witness, heads: Sequence[WitnessedHead], history: _History, trusted: TrustedKeys
) -> list[str]:
    """Where the ledger is not what it was when the witness was told."""
    problems = []
    cut = [head for head in heads if head.sequence > history.head.sequence]
    if cut:
        last = max(cut, key=lambda head: head.sequence)
        problems.append(
            f"the witness {witness.name} remembers entry {last.sequence} of {last.at}, and the ledger ends at entry "
            f"{history.head.sequence}: it was cut or replaced by an older copy"
        )
    for head in heads:
        entry = history.by_sequence.get(head.sequence)
        if entry is not None and entry.digest != head.digest:
            problems.append(
                f"ledger entry {head.sequence} is another one than the witness {witness.name} remembers from "
                f"{head.at}: history was rewritten"
            )
        if head.key is None or head.signature is None:
            continue
        signature = Signature(head.key, head.signature)
        if head.key in trusted.keys and not trusted.signed(head.sequence, head.digest, signature):
            problems.append(f"what the witness {witness.name} remembers of entry {head.sequence} was not signed so")
        elif entry is not None and head.sequence not in history.signatures:
            problems.append(f"ledger entry {head.sequence} was signed when the witness was told, and is no longer")
    return problems


def _unwitnessed(
    witness: Witness,
    heads: Sequence[WitnessedHead],
    history: _History,
    promotion: Entry | None,
    limits: list[str],
) -> list[str]:
    """Promotions that no run told the witness of: the champion's is a problem, earlier ones are named."""
    if promotion is None:
        return []
    known = {(head.sequence, head.digest) for head in heads}
    since = min((head.sequence for head in heads), default=history.head.sequence)
    earlier = [
        entry.sequence
        for entry in history.of_kind(promotion.recipe, "promotion", promotion)
        if entry.sequence > since and (entry.sequence, entry.digest) not in known
    ]
    if earlier:
        limits.append(f"the earlier promotions in ledger {_entries(earlier)} unknown to the witness {witness.name}")
    if (promotion.sequence, promotion.digest) in known:
        return []
    return [
        f"the witness {witness.name} does not know the promotion in ledger entry {promotion.sequence}; if it is yours, "
        f"{_run(promotion.recipe)} makes it known"
    ]


def _written_down_problems(history: _History, written_down: str | None) -> list[str]:
    """Whether a head that somebody wrote down is still in the ledger."""
    if written_down is None:
        return []
    noted = written_down.strip().casefold()
    if len(noted) < SHORTEST_DIGEST:
        raise StillhouseError(
            f"{written_down!r} is too short to name one entry",
            where="--head",
            expected=f"{SHORTEST_DIGEST} characters of a digest or more",
            do="Give as many characters of it as were written down.",
        )
    if any(entry.digest.startswith(noted) for entry in history.entries):
        return []
    return [f"no ledger entry has the digest {noted}: what was written down is gone, so the ledger was cut or replaced"]


def _manifest(store: ArtifactStore, asset: str, digest: str, identity: str, found: list[str]) -> Manifest | None:
    try:
        manifest = store.read_manifest(digest, identity)
    except (StillhouseError, ValueError) as error:
        found.append(f"{asset}: {_one_line(error)}")
        return None
    if (manifest.address, manifest.digest) != (asset, digest):
        found.append(f"{asset}: its manifest is of {manifest.address} {manifest.digest[:12]}")
    return manifest


def _content_problems(store: ArtifactStore, asset: str, digest: str) -> list[str]:
    problems = []
    if store.is_local:
        problems = [f"{asset}: {problem}" for problem in _no_plain_files(Path(str(store.root)) / digest)]
    try:
        store.open(digest)
    except StillhouseError as error:
        problems.append(f"{asset}: {_one_line(error)}")
    return problems


def _no_plain_files(artifact: Path) -> list[str]:
    """What is below an artifact and is neither a file nor a folder: a link's target is outside and may change."""
    found = [] if not artifact.is_symlink() else [f"{artifact} is a link"]
    for folder, folders, files in os.walk(artifact):
        for path in (Path(folder) / name for name in sorted([*folders, *files])):
            if path.is_symlink():
                found.append(f"{path.relative_to(artifact)} is a link to {os.readlink(path)}")
            elif not path.is_file() and not path.is_dir():
                found.append(f"{path.relative_to(artifact)} is neither a file nor a folder")
    return found


def _promoted(entry: Entry | None) -> Promoted | None:
    if entry is None:
        return None
    return Promoted(sequence=entry.sequence, digest=entry.digest, at=entry.at, release=entry.body["digest"])


def _day(at: str) -> date:
    return datetime.fromisoformat(at).date()


def _entries(sequences: Sequence[int]) -> str:
    shown = ", ".join(map(str, sequences[:5])) + (", ..." if len(sequences) > 5 else "")
    return f"entry {shown} is" if len(sequences) == 1 else f"entries {shown} ({len(sequences)} in all) are"


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())


def _run(recipe: str) -> str:
    return f"`stillhouse run {recipe}`"
