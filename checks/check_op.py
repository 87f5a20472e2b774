"""How the gates of one stage become one Dagster check op, which asks them and writes their verdicts into the ledger.

Belongs here: that op, what the UI shows of a finding, and what a person can do about a closed gate.
Does not: what a gate is (gate.py), looking at gates from another run (gate_states.py).
"""

import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import dagster as dg

from assets.keys import batches_name, key_of
from assets.links import links
from assets.materializations import Materialization, require_materialization
from assets.partitions import partitions_of
from assets.stage import readable_failures
from assets.tables import markdown_table
from checks.gate import Finding, GateContext, StageGates, gate_code
from stillhouse import progress
from stillhouse.recipe.reading import RecipeFile
from stillhouse.records.builds import BuildStore
from stillhouse.records.gate_status import GateStatus
from stillhouse.records.governance import Waiver, WaiverRules, valid_waivers
from stillhouse.records.manifest import address
from stillhouse.statistics.verdicts import Verdict


def stage_checks(file: RecipeFile, stage: str, gates: StageGates) -> dg.AssetChecksDefinition:
    """Make the one check op of a stage, with a named check for every gate."""
    key = key_of(file.name, stage)
    blocking = set(gates.names(blocking=True))
    because, closes_as = gates.because(), gates.closes_as()
    partitions = partitions_of(file, stage)
    # Partitions of checks are a preview feature of Dagster, used in this one place. Without them one good batch would
    # open the gates of a bad one.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", dg.PreviewWarning)
        specs = [
            dg.AssetCheckSpec(
                name,
                asset=key,
                description=f"Because {reason}.",
                blocking=name in blocking,
                partitions_def=partitions,
            )
            for name, reason in because.items()
        ]
    op = "__".join([*key.path, "gates"])

    @dg.multi_asset_check(name=op, specs=specs, can_subset=True, required_resource_keys={"builds"})
    def check(context: dg.AssetCheckExecutionContext) -> Iterable[dg.AssetCheckResult]:
        builds: BuildStore = context.resources.builds
        closed: list[str] = []
        with readable_failures():
            batch = context.partition_key if partitions else None
            newest = require_materialization(builds.ledger, key, batch)
            artifact = builds.artifact(newest.digest, newest.manifest)
            batches = context.instance.get_dynamic_partitions(batches_name(file.name))
            asked = GateContext(file, artifact, builds, tuple(batches))
            wanted = {check.name for check in context.selected_asset_check_keys}
            waivers = valid_waivers(builds.ledger, file.name, WaiverRules.of(file.recipe, gates.unwaivable()))
            for name, finding in gates.evaluate(asked, wanted):
                passed, status = finding.verdict is Verdict.PASS, GateStatus.of(finding.verdict)
                waiver = None if passed else waivers.of(artifact.address, name, artifact.digest)
                note = f"{waiver or status}: {finding.sentence}"
                do = what_to_do(file.name, artifact.address, closes_as.get(name))
                progress.tell(progress.GateDecided(address(stage, batch), name, passed, note))
                builds.ledger.append("verdict", file.name, _verdict(asked, name, finding, waiver, context.run.run_id))
                # A waived gate stays red and warns: this run goes on, while automation, which has no person, waits.
                stops = name in blocking and waiver is None
                if stops and not passed:
                    closed.append(f"gate {artifact.address}:{name} is {note}. To go on, {do}.")
                    context.log.error(closed[-1])
                yield dg.AssetCheckResult(
                    asset_key=key,
                    check_name=name,
                    passed=passed,
                    severity=dg.AssetCheckSeverity.ERROR if stops else dg.AssetCheckSeverity.WARN,
                    # Dagster shows two colours; a person has to read of the third, and of a waiver, first.
                    description=note if waiver or finding.verdict is Verdict.INCONCLUSIVE else finding.sentence,
                    metadata={
                        "state": str(status),
                        "because": because[name],
                        "looked_at": in_words(newest),
                        **({} if passed else {"found": finding.sentence, "do": do}),
                        **_measured(finding),
                        **_shown(finding.evidence, builds),
                    },
                )
        if closed:
            raise GatesClosed("\n".join(closed), allow_retries=False)

    return check


class GatesClosed(dg.Failure):
    """A step of gates of which one that blocks is closed: what each found and what to do, above the stack trace.

    Dagster's own error names the checks and not what they found.
    """


def what_to_do(recipe: str, asset: str, closes_as: str | None) -> str:
    """What a person can do about a closed gate.

    Args:
        recipe: whose gate.
        asset: address of what it looked at.
        closes_as: what its failure is called, where that is a result.
    """
    if closes_as is not None:
        return f"{closes_as}, which is a result and not a fault; `stillhouse diagnose {recipe}` says more"
    return (
        f"fix the cause and materialize {asset} with its checks again; `stillhouse diagnose {recipe}` says more, "
        "and how to waive it where that is allowed"
    )


def in_words(newest: Materialization) -> str:
    """Which materialization a verdict is about, in words."""
    return (
        f"the materialization of {newest.at:%-d %B %Y, %H:%M} UTC by run {newest.run_id[:8]}, "
        f"content {newest.digest[:12]}"
    )


def _verdict(context: GateContext, name: str, finding: Finding, waiver: Waiver | None, run_id: str) -> dict[str, Any]:
    return {
        "asset": context.artifact.address,
        "digest": context.artifact.digest,
        "manifest": context.artifact.identity,
        "gate": name,
        "state": str(GateStatus.of(finding.verdict)),
        "sentence": finding.sentence,
        "observed": finding.observed,
        "limit": finding.limit,
        "waived": str(waiver) if waiver else None,
        "code": gate_code(context.artifact.asset.partition("/")[2]),
        "circumstances": context.circumstances,
        "run_id": run_id,
    }


def _measured(finding: Finding) -> dict[str, dg.MetadataValue[Any]]:
    """The number that decided and its limit, always as numbers of one kind, so that the UI can draw them over time."""
    numbers = {"observed": finding.observed, "limit": finding.limit}
    return {name: dg.MetadataValue.float(value) for name, value in numbers.items() if value is not None}


def _shown(evidence: dict[str, Any], builds: BuildStore) -> dict[str, Any]:
    shown: dict[str, Any] = {}
    for name, value in evidence.items():
        if isinstance(value, list) and value and isinstance(value[0], dict):
            shown[name] = dg.MetadataValue.md(markdown_table(value))
        elif isinstance(value, list) and value and all(isinstance(each, str) for each in value):
            shown[name] = dg.MetadataValue.md("\n".join(f"- {each}" for each in value))
        elif isinstance(value, Path):
            shown |= links(name, value, builds.home.reports)
        else:
            shown[name] = value
    return shown
