"""The ledger's history, held against what remembers it: anchors in the store, signatures, the witness, a noted head.

Belongs here: where the ledger was cut, rewritten, replaced, or written by somebody without the key.
Does not: what a witness or a key is (stillhouse/records/witness.py, keys.py), single verdicts and decisions (walk.py).
"""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from stillhouse.audit.history import History
from stillhouse.audit.records import AuditedAgainst
from stillhouse.audit.words import entries_are, rerun
from stillhouse.errors import StillhouseError
from stillhouse.records.artifacts import ArtifactStore
from stillhouse.records.keys import Signature, TrustedKeys
from stillhouse.records.ledger import Entry, Head, Ledger
from stillhouse.records.witness import Memory, Witness, WitnessedHead, place_of
from stillhouse.release.bundle import RECORD

SHORTEST_DIGEST = 12


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


def contradicted(carried: Iterable[tuple[str, Head]], history: History) -> list[str]:
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


def signature_problems(history: History, trusted: TrustedKeys, limits: list[str]) -> list[str]:
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
            f"ledger {entries_are(unsigned)} not signed, though entry {first} was: written by somebody without the key"
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
        problems.append(f"the signature of ledger {entries_are(forged)} not that of its content")
    return problems


def witness_problems(
    ledger: Ledger,
    memory: Memory,
    history: History,
    promotion: Entry | None,
    outside: AuditedAgainst,
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
            f"{last.at}: the ledger that is here now was created later or copied over it; if you removed the old state "
            f"yourself, {rerun(last.recipe)} makes this one known"
        ]
    if earlier := {head.beginning for head in of_place} - {beginning}:
        limits.append(
            f"the witness remembers {len(earlier)} earlier ledgers at this place, with other beginnings: unless you "
            "removed the old state yourself, its history was replaced"
        )
    newest = max((head.sequence for head in heads), default=0)
    if newest < history.head.sequence:
        limits.append(
            f"the witness remembers the ledger up to entry {newest}, of the last promotion; whether entries "
            f"{newest + 1} to {history.head.sequence}, made since, were cut off or replaced, it cannot tell"
        )
    return [
        *_memory_problems(witness, heads, history, outside.trusted),
        *_unwitnessed(witness, heads, history, promotion, limits),
    ]


def _memory_problems(
    witness: Witness, heads: Sequence[WitnessedHead], history: History, trusted: TrustedKeys
) -> list[str]:
    """Where the ledger is not what it was when the witness recorded it."""
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
            problems.append(
                f"ledger entry {head.sequence} had a signature when the witness recorded it, and has none now"
            )
    return problems


def _unwitnessed(
    witness: Witness,
    heads: Sequence[WitnessedHead],
    history: History,
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
        limits.append(f"the earlier promotions in ledger {entries_are(earlier)} unknown to the witness {witness.name}")
    if (promotion.sequence, promotion.digest) in known:
        return []
    return [
        f"the witness {witness.name} does not know the promotion in ledger entry {promotion.sequence}; if it is yours, "
        f"{rerun(promotion.recipe)} makes it known"
    ]


def written_down_problems(history: History, written_down: str | None) -> list[str]:
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
