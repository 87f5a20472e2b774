"""What people decide, checked against what there is to decide on.

Belongs here: resolving what a person names, refusing where there is nothing to decide, naming decisions that count no
longer.
Does not: recording the decision (stillhouse/records/governance.py), the commands (commands/decisions.py).
"""

from collections.abc import Collection
from dataclasses import dataclass, replace
from difflib import get_close_matches

from assets.keys import key_at, key_of
from assets.materializations import newest_artifact, require_materialization
from checks.moved_bar import bar_of_the_newest_candidate
from checks.stages import gates_of, waiver_rules
from stillhouse.digests import digest_of
from stillhouse.errors import StillhouseError
from stillhouse.recipe.reading import RecipeFile
from stillhouse.records.builds import BuildStore
from stillhouse.records.deployments import DeployedRelease, Stage, desired
from stillhouse.records.gate_names import gate_address, gate_name
from stillhouse.records.governance import (
    Waiver,
    amend,
    approve,
    sign_off,
    valid_waivers,
    waive,
    waivers_of_no_content,
)
from stillhouse.records.ledger import Ledger
from stillhouse.records.manifest import asset_and_batch
from stillhouse.release.bundle import ReleaseRecord
from stillhouse.stages.contract import bar_of
from stillhouse.stages.facts import ContractFacts
from stillhouse.stages.names import BATCHED, BY_DAY, CONTRACT, RELEASE, stage_names, stages_beside


def waivable_gate(file: RecipeFile, check: str, batches: Collection[str]) -> str:
    """Find the gate that a person means.

    Args:
        file: the recipe.
        check: `RECIPE/STAGE:GATE`, with `[BATCH]` after a stage that is made batch by batch, `[DAY]` after one of days.
        batches: all batches that the recipe has now.

    Returns:
        The gate's address.

    Raises:
        StillhouseError: if there is no such gate, or the recipe says that nobody can waive it.
    """
    address, _, gate = check.partition(":")
    asset, batch = asset_and_batch(address)
    stages = [*stage_names(file.recipe), *stages_beside(file.recipe)]
    stage = asset.partition("/")[2]
    if stage not in stages:
        raise StillhouseError(
            f"{file.name} has no stage {stage!r}", where=check, expected=f"one of {', '.join(stages)}",
            do=f"`stillhouse status {file.name}` shows them.",
        )  # fmt: skip
    if batch is not None and stage in BATCHED and batch not in batches:
        raise StillhouseError(
            f"there is no batch {batch!r}", where=check, expected=f"one of {', '.join(batches)}",
            do=f"`stillhouse status {file.name}` shows the batches.",
        )  # fmt: skip
    by = "batch" if stage in BATCHED else "day" if stage in BY_DAY else None
    if (by is not None) != (batch is not None):
        example = {None: f"{asset}:{gate}", "batch": f"{asset}[base]:{gate}", "day": f"{asset}[2026-11-28]:{gate}"}[by]
        raise StillhouseError(
            f"{stage} is not made batch by batch" if by is None else f"{stage} is made {by} by {by}", where=check,
            expected=example, do=f"`stillhouse status {file.name}` shows the batches and days.",
        )  # fmt: skip
    names = gates_of(stage).names(blocking=True)
    if not names:
        raise StillhouseError(
            f"all gates of {stage} are advice, which holds nothing up", where=check,
            expected="a gate that blocks", do=f"`stillhouse checklist {file.name}` lists those.",
        )  # fmt: skip
    if gate not in names:
        near = get_close_matches(gate, names, n=1, cutoff=0.0)
        raise StillhouseError(
            f"{stage} has no blocking gate {gate!r}", where=check, expected=f"one of {', '.join(names)}",
            do=f"Did you mean {near[0]}?",
        )  # fmt: skip
    if gate in waiver_rules(file.recipe).unwaivable:
        raise StillhouseError(
            f"{gate} cannot be waived", where=check, expected="that its cause is fixed",
            do=f"`stillhouse diagnose {file.name}` shows the cause.",
        )  # fmt: skip
    return check


def waive_newest(builds: BuildStore, file: RecipeFile, wanted: Waiver, batches: Collection[str]) -> Waiver:
    """Record a person's waiver of a gate for the newest artifact of its asset.

    Args:
        builds: where the ledger is.
        file: the recipe.
        wanted: as the person gave it; its content is found here.
        batches: all batches that the recipe has now.

    Raises:
        StillhouseError: if there is no such gate, nothing that it could be waived for, or the waiver is not acceptable.
    """
    gate = waivable_gate(file, gate_address(wanted.gate), batches)
    asset, batch = asset_and_batch(gate.partition(":")[0])
    newest = require_materialization(builds.ledger, key_at(asset), batch)
    given = replace(wanted, gate=gate, content=newest.digest)
    return waive(builds.ledger, file.name, given, waiver_rules(file.recipe))


@dataclass(frozen=True)
class Approved:
    """A release that a person has approved.

    Args:
        release: its digest.
        answers_callers: whether it answers a share of the callers; else it waits at its gate.
    """

    release: str
    answers_callers: bool


def approve_newest_release(builds: BuildStore, file: RecipeFile, *, by: str, reason: str) -> Approved:
    """Record a person's approval of a release: of the one that answers callers beside the champion, which waits for it,
    or else of the newest.

    Raises:
        StillhouseError: if there is no release, or the person is the author.
    """
    deployed = desired(builds.ledger, file.name)
    challenger = None if deployed is None else deployed.challenger
    if challenger is not None and challenger.stage is Stage.CANARY:
        approved = Approved(challenger.deployed.release, answers_callers=True)
    else:
        approved = Approved(newest_artifact(builds, key_of(file.name, RELEASE)).digest, answers_callers=False)
    author = file.recipe.author or file.recipe.owners[0]
    approve(builds.ledger, file.name, release=approved.release, author=author, by=by, reason=reason)
    return approved


def approve_training(builds: BuildStore, file: RecipeFile, *, by: str, reason: str) -> str:
    """Record a person's sign-off of what the recipe trains, as its newest contract has it.

    Returns:
        Digest of the contract.

    Raises:
        StillhouseError: if there is no contract, it is not of the recipe as it is now, or the person is the author.
    """
    contract = newest_artifact(builds, key_of(file.name, CONTRACT))
    if contract.facts(ContractFacts).recipe != file.recipe.digest:
        raise StillhouseError(
            "the recipe was changed since its contract was frozen",
            where=str(file.path),
            expected=f"the recipe of contract {contract.digest[:12]}",
            do=f"Run `stillhouse run {file.name}`, which ends at the new contract, read that, and approve again.",
        )
    author = file.recipe.author or file.recipe.owners[0]
    sign_off(builds.ledger, file.name, contract=contract.digest, author=author, by=by, reason=reason)
    return contract.digest


def amend_bar(builds: BuildStore, file: RecipeFile, *, by: str, reason: str) -> str:
    """Record that a person accepts the recipe's bar as it is now, after a candidate was trained under another.

    Returns:
        Digest of the bar.

    Raises:
        StillhouseError: if no candidate was: an amendment that nobody needs would open the gate later, unseen.
    """
    bar, trained_under = digest_of(bar_of(file.recipe)), bar_of_the_newest_candidate(builds, file.name)
    if trained_under is None or trained_under.digest == bar:
        raise StillhouseError(
            "no candidate was trained yet" if trained_under is None else "the last one was trained under this bar",
            where=str(file.path),
            expected="a bar that was changed after a candidate was trained",
            do=f"Nothing has to be amended: change the recipe, and `stillhouse run {file.name}` says if it is needed.",
        )
    amend(builds.ledger, file.name, bar=bar, by=by, reason=reason)
    return bar


def ended_waivers(builds: BuildStore, file: RecipeFile, release: DeployedRelease) -> list[str]:
    """Name the waivers that a release relied on when it was made and that count no more, one line each with what to do.

    Where somebody has waived the gate again meanwhile, for what it was waived for then, that counts.
    """
    counting = valid_waivers(builds.ledger, file.name, waiver_rules(file.recipe))
    ended = []
    for given in builds.artifact(release.release, release.manifest).facts(ReleaseRecord).waived:
        asset, _, gate = given.gate.partition(":")
        if given.content is None or counting.of(asset, gate, given.content) is None:
            ended.append(f"the waiver of {given.gate} has ended: {how_to_waive(given.gate)}")
    return ended


def how_to_waive(gate: str) -> str:
    """The command that waives a gate, given its address."""
    return f"`stillhouse waive '{gate}' --by NAME --reason WHY --until YYYY-MM-DD`"


def waivers_to_give_again(ledger: Ledger, file: RecipeFile, gate: str | None = None) -> list[str]:
    """Name the waivers of version 0.1.0 that would still run and count for nothing, one line each with what to do.

    Args:
        ledger: where they are.
        file: the recipe.
        gate: address of one gate; None for all.
    """
    lines = []
    for waiver in waivers_of_no_content(ledger, file.name):
        if gate not in (None, waiver.gate):
            continue
        gate_is = gate_name(waiver.gate.partition(":")[2])
        cannot = gate_is in waiver_rules(file.recipe).unwaivable
        do = "nobody can waive that gate now" if cannot else f"{how_to_waive(waiver.gate)} gives it again"
        lines.append(
            f"the waiver of {waiver.gate} by {waiver.by} until {waiver.until.isoformat()} was given under version "
            f"0.1.0, for no content, and counts no longer: {do}"
        )
    return lines
