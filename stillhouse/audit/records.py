"""What an audit is held against, and what it finds.

Belongs here: the shapes that callers make and that people script against.
Does not: finding anything (the modules beside it), printing it (orchestration/commands/).
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass

from stillhouse.base import Record
from stillhouse.records.keys import TrustedKeys
from stillhouse.records.ledger import GENESIS
from stillhouse.records.witness import Witness

GatesOf = Callable[[str], Collection[str]]
"""Names of the blocking gates of a stage, such as `prompts` or `candidates/small`."""


@dataclass(frozen=True)
class AuditedAgainst:
    """What an audit is held against beside store and ledger.

    Args:
        gates_of: names of the blocking gates of a stage.
        unwaivable: names of the gates that nobody can waive, whatever a contract says.
        witness: what remembers heads of the ledger.
        trusted: public keys.
        written_down: a head's digest, or the beginning of one, that somebody noted.
        shown: digest of the champion artifact that Dagster shows; None when it shows none.
    """

    gates_of: GatesOf
    unwaivable: frozenset[str]
    witness: Witness
    trusted: TrustedKeys
    written_down: str | None = None
    shown: str | None = None


class Link(Record):
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


class Promoted(Record):
    """The entry that made the champion."""

    sequence: int
    digest: str
    at: str
    release: str


class Audit(Record):
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
