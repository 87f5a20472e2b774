"""A champion made of a few small files, with everything that an audit asks for: in milliseconds, without Dagster."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from typing import Any

from stillhouse.audit.audit import audit
from stillhouse.audit.records import Audit, AuditedAgainst
from stillhouse.records.builds import Artifact, BuildRequest, BuildStore
from stillhouse.records.deployments import DeployedRelease, desired
from stillhouse.records.gate_status import GateStatus
from stillhouse.records.keys import Keys
from stillhouse.records.manifest import ReliedOn
from stillhouse.records.promotion import Promotion, promote
from stillhouse.records.witness import Witness
from tests.small import Measured

GATES = ("one_holds", "another_holds")
ROWS, WEIGHTS = b"rows", b"weights"
FROM_OUTSIDE = {
    "source[base]": {"rows.csv": sha256(ROWS).hexdigest()},
    "teacher": {"hub/model@main": sha256(WEIGHTS).hexdigest()},
}
CONTRACT: dict[str, Any] = {"task": "of no interest here", "unwaivable": ["another_holds"]}


def deployed(release: Artifact) -> DeployedRelease:
    """A release as a deployment names it."""
    return DeployedRelease(release=release.digest, manifest=release.identity, student="s")


def gates_of(stage: str) -> Sequence[str]:
    return GATES


class OurGates:
    """The gates of a stage, as far as an audit asks for them."""

    def names(self, *, blocking: bool) -> list[str]:
        return list(GATES)


@dataclass
class Chain:
    """Stages of the recipe `r`, made in order; each with a verdict of each gate."""

    builds: BuildStore
    witness: Witness = field(default_factory=Witness.from_environment)
    run_id: str = "run"

    def make(
        self,
        stage: str,
        inputs: Sequence[Artifact] = (),
        *,
        content: str | None = None,
        external: dict[str, str] | None = None,
        write: Callable[[Path], None] | None = None,
    ) -> Artifact:
        """Make one artifact without a verdict."""

        def build(folder: Path) -> Measured:
            (folder / "content").write_text(content or stage)
            if write is not None:
                write(folder)
            return Measured({})

        name, _, batch = stage.removesuffix("]").partition("[")
        order = BuildRequest(
            "r", name, self.run_id, "v", {"content": content}, batch=batch or None, inputs=inputs,
            external_inputs=external or {},
        )  # fmt: skip
        return self.builds.make(order, build)

    def judge(self, artifact: Artifact, **states: str) -> None:
        """Enter a verdict of each gate, passed unless said otherwise."""
        for gate in GATES:
            self.verdict(artifact, gate, states.get(gate, "passed"))

    def verdict(self, artifact: Artifact, gate: str, state: str, **changes: Any) -> None:
        body = {
            "asset": artifact.address, "digest": artifact.digest, "manifest": artifact.identity, "gate": gate,
            "state": state, "sentence": "", "waived": None, "code": "c", "circumstances": "", "run_id": self.run_id,
        }  # fmt: skip
        self.builds.ledger.append("verdict", "r", {**body, **changes})

    def release(
        self,
        content: str = "model",
        *,
        contract: dict[str, Any] = CONTRACT,
        outside: dict[str, dict[str, str]] = FROM_OUTSIDE,
        before_release: Callable[["Chain"], None] = lambda chain: None,
        and_from: Sequence[Artifact] = (),
        **states: str,
    ) -> Artifact:
        """Make every stage up to a release, from some more artifacts too, and judge each.

        `states` are of the teacher's gates.
        """
        for content_from_outside in (ROWS, WEIGHTS):
            self.builds.store.keep(BytesIO(content_from_outside))
        frozen = self.make(
            "contract",
            content=json.dumps(contract),
            write=lambda f: (f / "recipe.json").write_text(json.dumps(contract)) and None,
        )
        self.judge(frozen)
        source = self.make("source[base]", [frozen], external=outside.get("source[base]"))
        self.judge(source)
        teacher = self.make("teacher", [frozen, source], external=outside.get("teacher"))
        self.judge(teacher, **states)
        before_release(self)

        def write(folder: Path) -> None:
            head = self.builds.ledger.head()
            head_in_record = {"sequence": head.sequence, "digest": head.digest}
            (folder / "release.json").write_text(json.dumps({"record": {}, "files": {}, "head": head_in_record}))

        released = self.make("release", [frozen, source, teacher, *and_from], content=content, write=write)
        self.judge(released)
        return released

    def promote(self, release: Artifact) -> Promotion:
        """Make the champion artifact of a release, promote, and judge the champion."""
        champion = self.make(
            "champion", [release], content=f"champion {release.digest}",
            write=lambda f: (f / "champion.json").write_text(json.dumps({"release": release.digest})) and None,
        )  # fmt: skip
        promotion = promote(
            self.builds.ledger, self.witness, "r", deployed(release), seen=desired(self.builds.ledger, "r"),
            export=release.digest, run_id=self.run_id,
            relied_on=[ReliedOn(asset="r/x", gate=g, state=GateStatus.PASSED, run_id="run") for g in GATES],
        )  # fmt: skip
        self.judge(champion)
        return promotion

    def audit(self, **outside: Any) -> Audit:
        """Audit the champion with the store that made it, so that what it hashed before is at hand to be believed."""
        held: dict[str, Any] = {"witness": self.witness, "trusted": Keys.from_environment().trusted(), **outside}
        return audit(self.builds.store, self.builds.ledger, "r", AuditedAgainst(gates_of, frozenset(), **held))
