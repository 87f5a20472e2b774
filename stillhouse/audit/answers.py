"""From one answer that a server gave to the release that gave it, and on to the rows behind that.

Belongs here: finding the answer, and whether the ledger says that this release should have given it.
Does not: the walk from the release back (audit.py).
"""

from datetime import UTC, datetime

from stillhouse.audit.audit import audit
from stillhouse.audit.history import History
from stillhouse.audit.records import Audit, AuditedAgainst
from stillhouse.audit.words import one_line
from stillhouse.base import Record
from stillhouse.errors import StillhouseError
from stillhouse.live.segments import TrafficStore
from stillhouse.live.traffic import the_answer
from stillhouse.records.artifacts import ArtifactStore
from stillhouse.records.deployments import Stage, deployment_of
from stillhouse.records.ledger import Entry, Ledger


class AnswerAudit(Record):
    """What is known of one answer.

    Attributes:
        ok: whether there is no problem, here or in the audit of the release.
        problems: one line each, of the answer alone.
        id: of the answer.
        at: when it was asked for, ISO 8601, UTC.
        replica: which server gave it.
        label: the answer; null where there was none.
        confidence: calibrated probability that it is right; null where answers have none.
        source: student or teacher.
        degraded: whether the student answered where the teacher should have.
        release: digest of the release that answered.
        deployment: number of the ledger entry by which it served.
        audit: of that release.
    """

    ok: bool
    problems: tuple[str, ...]
    id: str
    at: str
    replica: str
    label: str | None
    confidence: float | None
    source: str
    degraded: bool
    release: str
    deployment: int
    audit: Audit


def audit_answer(
    store: ArtifactStore,
    ledger: Ledger,
    traffic: TrafficStore,
    outside: AuditedAgainst,
    *,
    id: str,
    issued_at: float,
) -> AnswerAudit:
    """Walk one answer back to the rows and weights that it comes from.

    Args:
        store: where artifacts and manifests are.
        ledger: the record that says who served.
        traffic: of the recipe that was asked.
        outside: what store and ledger are held against.
        id: of the answer.
        issued_at: when the id was made, in seconds since 1970.

    Raises:
        StillhouseError: if no such answer is kept.
    """
    row = the_answer(traffic, id, issued_at=issued_at)
    if row is None:
        raise StillhouseError(
            "no answer with this id is kept",
            where=f"traffic of {traffic.recipe}",
            expected="an answer that a server has sealed, which it does each ten minutes, that is not too old, and "
            "that no full log let go",
            do="Ask again later, or ask for the recipe that was asked.",
        )
    problems = _deployment_problems(History.of(ledger).by_sequence.get(row.deployment), traffic.recipe, row.release)
    found = audit(store, ledger, traffic.recipe, outside, release=row.release)
    return AnswerAudit(
        ok=found.ok and not problems,
        problems=tuple(problems),
        id=id,
        at=datetime.fromtimestamp(row.at, UTC).isoformat(timespec="milliseconds"),
        replica=row.replica,
        label=row.label,
        confidence=row.confidence,
        source=row.source,
        degraded=row.degraded,
        release=row.release,
        deployment=row.deployment,
        audit=found,
    )


def _deployment_problems(entry: Entry | None, recipe: str, release: str) -> list[str]:
    """Whether the ledger said that this release should serve; a promotion of an earlier version says it alone."""
    if entry is None or entry.recipe != recipe or entry.kind not in ("deployment", "promotion"):
        return ["the ledger has no deployment of the number that the answer names"]
    if entry.kind == "promotion":
        named = [entry.body["digest"]]
    else:
        try:
            deployment = deployment_of(entry)
        except StillhouseError as error:
            return [one_line(error)]
        instead = [each.instead.release for each in deployment.quarantine if each.instead is not None]
        named = [deployment.champion.release, *instead]
        challenger = deployment.challenger
        if challenger is not None and challenger.stage is Stage.CANARY:
            named.append(challenger.deployed.release)
    if release not in named:
        serve = " and ".join(each[:12] for each in named)
        return [f"ledger entry {entry.sequence} has release {serve} serve, and {release[:12]} answered"]
    return []
