"""Making a release the champion: one entry in the ledger, and its head with the witness.

Belongs here: the promotion's entry, when it is written again, and telling the witness.
Does not: whether a release may be promoted (checks/gatekeeper.py).
"""

from collections.abc import Sequence
from dataclasses import dataclass

from stillhouse.digests import digest_of
from stillhouse.errors import StillhouseError
from stillhouse.records.ledger import Entry, Ledger
from stillhouse.records.manifest import ReliedOn
from stillhouse.records.witness import Witness, WitnessedHead, place_of


@dataclass(frozen=True)
class Promotion:
    """What came of asking for a promotion.

    Args:
        entry: the ledger's newest promotion of the recipe.
        changed: whether another release serves than before.
        witness: what the witness said, in one line.
        witnessed: whether it remembers the entry.
    """

    entry: Entry
    changed: bool
    witness: str
    witnessed: bool


def promote(
    ledger: Ledger,
    witness: Witness,
    recipe: str,
    *,
    release: str,
    manifest: str,
    student: str,
    run_id: str,
    relied_on: Sequence[ReliedOn],
) -> Promotion:
    """Make a release the champion, or leave it so, and see to it that the witness knows.

    The release that serves is promoted again when other gates were relied on than at its promotion, such as those of a
    newer version, so that an audit finds the verdicts of every gate before the promotion. What a person promoted, going
    back to it, is left alone.

    Args:
        ledger: where it is recorded.
        witness: what remembers the head.
        recipe: whose champion.
        release: digest of the release.
        manifest: identity of its manifest.
        student: name of the student in it.
        run_id: the run that promotes.
        relied_on: every gate that was found open.
    """
    before = ledger.newest(recipe, "promotion")
    gates = digest_of(sorted({f"{gate.asset}:{gate.gate}" for gate in relied_on}))
    changed = before is None or before.body["digest"] != release
    same = before is not None and ("by" in before.body or before.body.get("gates") == gates)
    if before is None or changed or not same:
        serving = {"digest": release, "manifest": manifest, "student": student, "run_id": run_id, "gates": gates}
        earlier = before.body["digest"] if before else None
        entry = ledger.append("promotion", recipe, {**serving, "before": earlier})
    else:
        entry = before
    witnessed, said = tell(ledger, witness, entry)
    return Promotion(entry, changed, said, witnessed)


def tell(ledger: Ledger, witness: Witness, entry: Entry) -> tuple[bool, str]:
    """Have the witness remember a promotion.

    One that cannot be reached stops nothing: it is said here, the audit says it, and the next run tells it.

    Returns:
        Whether it remembers, and one line that says so or why not.
    """
    signature = ledger.signatures().get(entry.sequence)
    head = WitnessedHead(
        place=place_of(ledger.url),
        beginning=ledger.beginning(),
        sequence=entry.sequence,
        digest=entry.digest,
        at=entry.at,
        recipe=entry.recipe,
        release=entry.body["digest"],
        key=signature.key if signature else None,
        signature=signature.value if signature else None,
    )
    try:
        witness.remember(head)
    except StillhouseError as error:
        return False, str(error)
    return True, f"{witness.name} remembers ledger entry {entry.sequence}"
