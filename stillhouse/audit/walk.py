"""From a promotion back, link by link, to what came from outside.

Belongs here: whether the ledger saw each artifact being made, every gate passed or validly waived, people in time.
Does not: bytes (content.py), whether the ledger itself was changed (remembered.py).
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from stillhouse.audit.content import content_problems, manifest_of
from stillhouse.audit.history import History, challenger_in, releases_instead
from stillhouse.audit.records import GatesOf, Link
from stillhouse.audit.words import one_line, rerun
from stillhouse.errors import MachineError, StillhouseError
from stillhouse.names import same_person
from stillhouse.records.artifacts import ArtifactStore
from stillhouse.records.champions import ANSWERED_BY_A_PERSON, BY_A_PERSON
from stillhouse.records.gate_names import gate_address, gate_name
from stillhouse.records.gate_status import GateStatus
from stillhouse.records.governance import SIGN_OFF_GATE, WaiverRules, waivers_among
from stillhouse.records.ledger import Entry
from stillhouse.records.manifest import Manifest, asset_and_batch


class FrozenTerms(BaseModel):
    """What the contract of a release says about decisions of people; the rest of it is none of the audit's business."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    author: str | None = None
    stakes: Literal["low", "high"] = "low"
    unwaivable: tuple[str, ...] = ()
    waiver_days_at_most: int = 30


@dataclass
class Walk:
    """From a promotion back, link by link."""

    store: ArtifactStore
    history: History
    recipe: str
    promotion: Entry
    gates_of: GatesOf
    unwaivable: frozenset[str]
    problems: list[str] = field(default_factory=list)
    limits: list[str] = field(default_factory=list)
    terms: FrozenTerms | None = None
    contract: str | None = None
    is_of_the_champion: bool = True

    def links(self) -> list[Link]:
        """Walk from the promotion back, each artifact once; problems and limits are added as they are found."""
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
        return [*(self._champion() if self.is_of_the_champion else []), *chain]

    def champion_problems(self, shown: str | None) -> list[str]:
        """Whether the promotion, the champion asset and what Dagster shows are one release."""
        made = self._newest_champion()
        if made is None:
            return [f"{self.recipe}/champion: the ledger has a promotion and no such artifact; {rerun(self.recipe)}"]
        named = self._named_by(made.body["digest"])
        release = self.promotion.body["digest"]
        problems = []
        if named != release:
            problems.append(
                f"{self.recipe}/champion: the artifact names release {str(named)[:12]}, the promotion in ledger entry "
                f"{self.promotion.sequence} names {release[:12]}: one of them was changed alone"
            )
        deployed = self.history.newest(self.recipe, "deployment")
        if deployed is not None and deployed.sequence > self.promotion.sequence:
            served = deployed.body["champion"]["release"]
            if served != release:
                problems.append(
                    f"{self.recipe}: the deployment in ledger entry {deployed.sequence} has release {served[:12]} "
                    f"serve, the promotion in ledger entry {self.promotion.sequence} names {release[:12]}"
                )
        if deployed is not None:
            problems += [*self._challenger_problems(deployed), *self._quarantine_problems(deployed)]
        if shown is not None and shown != made.body["digest"]:
            problems.append(
                f"{self.recipe}/champion: Dagster shows {shown[:12]}, the ledger has {made.body['digest'][:12]}"
            )
        return problems

    def _challenger_problems(self, deployed: Entry) -> list[str]:
        """Whether the release that answers a share of the callers was made and let through before it was offered."""
        challenger = challenger_in(deployed)
        offer = None if challenger is None else self.history.promotion_of(self.recipe, challenger["release"])
        if challenger is None or offer is None:
            return []
        asset, named = f"{self.recipe}/release", (challenger["release"], challenger["manifest"])
        found = self._record_problems(asset, *named, offer)
        found += self._verdict_problems(asset, *named, sorted(self.gates_of("release")), offer)
        return [f"{problem} (it is on its way by ledger entry {deployed.sequence})" for problem in found]

    def _quarantine_problems(self, deployed: Entry) -> list[str]:
        """Whether whoever answers what is taken from the champion was the champion before."""
        served = {entry.body["digest"] for entry in self.history.of_kind(self.recipe, "promotion", deployed)}
        return [
            f"{self.recipe}: by the deployment in ledger entry {deployed.sequence} release {instead[:12]} answers "
            "instead of the champion, and it never was the champion itself"
            for instead in releases_instead(deployed)
            if instead not in served
        ]

    def decision_problems(self) -> list[str]:
        """Whether somebody else approved the training and the release, where the stakes are high."""
        if self.terms is None or self.terms.stakes == "low":
            return []
        decided = [("release", self.promotion.body["digest"], "approval", "approved")]
        if self.contract is not None:
            decided.append(("contract", self.contract, "sign_off", "signed off"))
        problems = []
        unasked = self._newer_than_the_release([SIGN_OFF_GATE])
        for of, digest, kind, done in decided:
            if kind == "sign_off" and unasked:
                continue
            entries = self.history.of_kind(self.recipe, kind, self.promotion)
            names = [entry.body["by"] for entry in entries if entry.body[of] == digest]
            if not names:
                problems.append(
                    f"{self.recipe}/{of}: the stakes are high and nobody {done} {digest[:12]} before its promotion"
                )
            elif same_person(self.terms.author or "", names[-1]):
                problems.append(
                    f"{self.recipe}/{of}: {done} by {names[-1]}, who cannot be distinguished from its author"
                )
        return problems

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
        release = manifest_of(self.store, asset, digest, identity, [])
        frozen = release.inputs.get(f"{self.recipe}/contract") if release else None
        if frozen is None:
            self.problems.append(f"{asset}: its manifest names no contract")
            return None
        self.contract = frozen.digest
        try:
            folder = self.store.open(frozen.digest)
            return FrozenTerms.model_validate_json((folder / "recipe.json").read_bytes())
        except (StillhouseError, OSError, ValidationError) as error:
            self.problems.append(f"{self.recipe}/contract: cannot be read: {one_line(error)}")
            return None

    def _link(self, asset: str, digest: str, identity: str, *, until: Entry | None) -> tuple[Link, Manifest | None]:
        found: list[str] = []
        manifest = manifest_of(self.store, asset, digest, identity, found)
        found += self._record_problems(asset, digest, identity, until)
        found += content_problems(self.store, asset, digest)
        found += self._kept_problems(asset, manifest) if manifest else []
        if manifest is not None and manifest.made_by is not None:
            found += self._maker_problems(manifest, until)
        gates = sorted(self.gates_of(asset_and_batch(asset)[0].partition("/")[2]))
        if self.promotion.body.get("because") in BY_A_PERSON:
            gates = [gate for gate in gates if gate not in ANSWERED_BY_A_PERSON]
        if until is not None and (later := self._newer_than_the_release(gates)):
            self.limits.append(f"{asset}: its release served before there were the gates {', '.join(later)}")
            gates = [gate for gate in gates if gate not in later]
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
            except MachineError:
                raise
            except StillhouseError as error:
                problems.append(f"{asset}: {address}: {error}")
        return problems

    def _record_problems(self, asset: str, digest: str, identity: str, until: Entry | None) -> list[str]:
        """Whether the ledger saw this artifact being made, before it was promoted."""
        made = self.history.about(self.recipe, "materialization", asset, digest, until)
        if any(entry.body["manifest"] == identity for entry in made):
            return []
        when = "" if until is None else " before the promotion"
        return [f"{asset}: the ledger has no entry for manifest {identity[:12]}{when}"]

    def _maker_problems(self, manifest: Manifest, until: Entry | None) -> list[str]:
        """Whether the run that really computed what was found again can still be named."""
        found: list[str] = []
        identity = manifest.made_by or ""
        maker = manifest_of(self.store, manifest.address, manifest.digest, identity, found)
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
        for entry in self.history.about(self.recipe, "verdict", asset, digest, until):
            if entry.body.get("manifest", identity) == identity:
                newest[gate_name(entry.body["gate"])] = entry
        when = "" if until is None else " before the promotion"
        problems = []
        if missing := [gate for gate in gates if gate not in newest]:
            problems.append(
                f"{asset}: the ledger has no verdict on {digest[:12]}{when} of {len(missing)} of its {len(gates)} "
                f"gates: {', '.join(missing)}; if they are newer than the promotion, {rerun(self.recipe)} looks at them"
            )
        for gate in gates:
            if gate in newest and newest[gate].body["state"] != GateStatus.PASSED:
                state = newest[gate].body["state"]
                if (why := self._not_waived(asset, gate, digest, until)) is not None:
                    problems.append(
                        f"{asset}: gate {gate} was {state}{when} (ledger entry {newest[gate].sequence}), {why}"
                    )
        old = [gate for gate in gates if gate in newest and "manifest" not in newest[gate].body]
        if old:
            problems.append(
                "version 0.1.0 entered verdicts that this champion rests on, which name no manifest: "
                f"{rerun(self.recipe)} looks at every gate again and promotes again"
            )
        return problems

    def _newer_than_the_release(self, gates: Sequence[str]) -> list[str]:
        """Those of some gates that had looked at nothing of the recipe yet when the release was first let through.

        Asked of a release that no round looks at again, since it serves no more or somebody went back to it: of the
        champion of a round the next one asks them.
        """
        if self.is_of_the_champion and self.promotion.body.get("because") != "rollback":
            return []
        return [gate for gate in gates if gate not in self._known_gates]

    @cached_property
    def _known_gates(self) -> frozenset[str]:
        before = self.history.of_kind(self.recipe, "verdict", self._let_through(self.promotion))
        return frozenset(gate_name(entry.body["gate"]) for entry in before)

    def _let_through(self, promotion: Entry) -> Entry:
        """When a release was found fit: of one that somebody went back to, as it served first.

        Going back is for a moment in which what serves does harm, and waits for nobody to waive anything again.
        """
        if promotion.body.get("because") != "rollback":
            return promotion
        of_it = self.history.of_kind(self.recipe, "promotion", promotion)
        return next((entry for entry in of_it if entry.body["digest"] == promotion.body["digest"]), promotion)

    def _not_waived(self, asset: str, gate: str, digest: str, until: Entry | None) -> str | None:
        """Why no waiver counted for a gate when the release was promoted; None when one did."""
        if self.terms is None:
            return "and the contract that says who may waive it cannot be read"
        entries = self.history.of_kind(self.recipe, "waiver", until)
        day = (self._let_through(until) if until else self.history.entries[-1]).moment.date()
        rules = WaiverRules.of(self.terms, self.unwaivable)
        if waivers_among(entries, rules, day).of(asset, gate, digest) is not None:
            return None
        if gate in rules.unwaivable:
            return "and nobody can waive it"
        given = [entry for entry in entries if gate_address(entry.body["gate"]) == f"{asset}:{gate}"]
        return "and its waiver was of another content or had expired" if given else "and nobody had waived it"
