"""The one call of the audit.

Belongs here: bringing the parts together in their order.
Does not: any of the parts (the modules beside it), finding what it is held against (orchestration/auditing.py).
"""

import tempfile
from pathlib import Path

from stillhouse.audit.history import History
from stillhouse.audit.records import Audit, AuditedAgainst, Link, Promoted
from stillhouse.audit.remembered import (
    anchors,
    contradicted,
    signature_problems,
    witness_problems,
    written_down_problems,
)
from stillhouse.audit.walk import Walk
from stillhouse.audit.words import one_line
from stillhouse.errors import MachineError, StillhouseError
from stillhouse.records.artifacts import ArtifactStore
from stillhouse.records.ledger import Entry, Ledger
from stillhouse.records.witness import Memory


def audit(
    store: ArtifactStore, ledger: Ledger, recipe: str, outside: AuditedAgainst, *, release: str | None = None
) -> Audit:
    """Walk the champion of a recipe back to its source rows and the weights that its teacher began with.

    Args:
        store: where artifacts and manifests are.
        ledger: the record that names the champion.
        recipe: whose champion.
        outside: what the two are held against.
        release: digest of a release that was promoted once, which is walked instead; None walks the champion.
    """
    limits: list[str] = []
    # What remembers the ledger is read first: a run that goes on meanwhile can only make the ledger longer.
    carried, memory, unreached = list(anchors(store)), Memory(()), list[str]()
    try:
        memory = outside.witness.memory()
    except StillhouseError as error:
        unreached.append(one_line(error))
    try:
        history = History.of(ledger)
        problems = [*ledger.problems(), *history.unsound]
        limits += [line for line in [ledger.ahead_of_the_clock()] if line is not None]
    except MachineError:
        raise
    except StillhouseError as error:  # nothing can be asked of a ledger with an entry that cannot be read
        return Audit.of_nothing(one_line(error))
    newest = history.newest(recipe, "promotion")
    promotion = newest if release is None else history.promotion_of(recipe, release)
    chain: list[Link] = []
    with tempfile.TemporaryDirectory() as cache:  # a store of its own, so that nothing hashed earlier is believed
        fresh = ArtifactStore(str(store.root), cache=Path(cache), workbench=store.workbench)
        if promotion is None:
            what = f"{recipe} has no champion" if release is None else f"release {release[:12]} was never promoted"
            problems.append(what)
        else:
            walk = Walk(fresh, history, recipe, promotion, outside.gates_of, outside.unwaivable)
            walk.is_of_the_champion = promotion is newest
            chain = walk.links()
            problems += walk.problems
            limits += walk.limits
            problems += walk.champion_problems(outside.shown) if walk.is_of_the_champion else []
            problems += walk.decision_problems()
    problems += contradicted(carried, history)
    problems += signature_problems(history, outside.trusted, limits)
    problems += unreached or witness_problems(ledger, memory, history, newest, outside, limits)
    problems += written_down_problems(history, outside.written_down)
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


def _promoted(entry: Entry | None) -> Promoted | None:
    if entry is None:
        return None
    return Promoted(sequence=entry.sequence, digest=entry.digest, at=entry.at, release=entry.body["digest"])
