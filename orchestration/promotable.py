"""Which releases may serve: the one that a person means, whole, and with every gate that it relies on open.

Belongs here: finding it, refusing it, and entering it in the ledger, all of which needs no Dagster.
Does not: having the champion asset name it (deployments.py), what an entry says (stillhouse/records/promotion.py).
"""

from collections.abc import Collection, Mapping

from checks.stages import gates_of, waiver_rules
from orchestration.approvals import ended_waivers
from stillhouse.errors import StillhouseError
from stillhouse.recipe.reading import RecipeFile
from stillhouse.records import promotion
from stillhouse.records.builds import Artifact, BuildStore
from stillhouse.records.champions import ANSWERED_BY_A_PERSON, line_of_champions, previous_champion, promoted
from stillhouse.records.deployments import DeployedRelease, Deployment
from stillhouse.records.gate_status import GateStatus
from stillhouse.records.governance import valid_waivers
from stillhouse.records.ledger import Entry
from stillhouse.records.witness import Witness
from stillhouse.release.bundle import ReleaseRecord, bundle_problems
from stillhouse.stages import champion
from stillhouse.stages.names import RELEASE


def take_back(builds: BuildStore, recipe: str, seen: Deployment, *, by: str, reason: str) -> Entry:
    """Withdraw the release that serves for the one that it replaced, without Dagster: the ledger and the witness alone.

    Args:
        builds: whose ledger decides.
        recipe: its name.
        seen: the deployment whose champion is withdrawn.
        by: what decides.
        reason: why.

    Returns:
        The promotion of the earlier release.

    Raises:
        StillhouseError: if there is none, it was altered, or its gates had not passed.
        OvertakenError: if another deployment was written since.
    """
    _, entry = go_back(builds, recipe, seen, None, by=by, reason=reason)
    promotion.tell(builds.ledger, Witness.from_environment(), entry)
    return entry


def go_back(
    builds: BuildStore, recipe: str, seen: Deployment, digest: str | None, *, by: str, reason: str
) -> tuple[DeployedRelease, Entry]:
    """Withdraw the release that serves for an earlier one.

    Args:
        builds: whose ledger decides.
        recipe: its name.
        seen: the deployment whose champion is withdrawn.
        digest: the beginning of the digest of a release that was promoted before; when left out, the release that the
            champion replaced.
        by: who or what decides.
        reason: why.

    Returns:
        The earlier release, and its promotion.

    Raises:
        StillhouseError: if there is no such release, it was altered, or its gates had not passed.
        OvertakenError: if another deployment was written since.
    """
    target = _served_before(builds, recipe, digest)
    release = whole_release(builds, recipe, target)
    _refuse_closed_gates(recipe, target, _open_when_promoted(builds, recipe, release, target))
    serving = builds.artifact(seen.champion.release, seen.champion.manifest)
    exports = _export(serving), _export(release)
    return target, promotion.go_back(builds.ledger, recipe, seen, target, exports=exports, by=by, reason=reason)


def bring_in(
    builds: BuildStore, file: RecipeFile, seen: Deployment | None, target: DeployedRelease, *, by: str, reason: str
) -> Entry:
    """Have a release serve that does not serve and has not been replaced.

    Args:
        builds: whose ledger decides.
        file: the recipe.
        seen: the deployment that it replaces; None where nothing serves.
        target: the release.
        by: who decides.
        reason: why.

    Returns:
        Its promotion.

    Raises:
        StillhouseError: if it served before, it was altered, or a gate on it is closed that a person cannot answer.
        OvertakenError: if another deployment was written since.
    """
    ledger, name = builds.ledger, file.name
    if target.release in [served.release for served in line_of_champions(promoted(ledger, name))]:
        raise StillhouseError(
            f"{target.release[:12]} served before and was replaced, not withdrawn", where=name,
            expected="a release that was withdrawn or has never served",
            do=f"`stillhouse rollback {name} {target.release[:12]} --by NAME --reason WHY` goes back to it and "
            "withdraws what serves, so that no round undoes it.",
        )  # fmt: skip
    release = whole_release(builds, name, target)
    _refuse_closed_gates(name, target, _open_today(builds, file, release))
    if ended := ended_waivers(builds, file, target):
        raise StillhouseError(
            "; ".join(ended), where=f"release {target.release[:12]}", expected="waivers that count on this day",
            do=f"Give them again, or have `stillhouse run {name}` make a release that needs none.",
        )  # fmt: skip
    return promotion.bring_in(ledger, name, seen, target, export=_export(release), by=by, reason=reason)


def _export(release: Artifact) -> str:
    return release.facts(ReleaseRecord).answers_by


def _served_before(builds: BuildStore, recipe: str, digest: str | None) -> DeployedRelease:
    """The release that a person means who goes back."""
    line = line_of_champions(promoted(builds.ledger, recipe))
    if digest is None:
        before = previous_champion(builds.store, line)
        if before is None:
            raise StillhouseError(
                f"{line[0].release[:12]} is the first release, nothing served before it",
                where=recipe,
                expected="an earlier release",
                do=f"`stillhouse run {recipe}` makes another one.",
            )
        return before.deployed
    known = {served.release: served.deployed for served in promoted(builds.ledger, recipe)}
    target = known[_one_of(known, digest, recipe, "releases that were promoted")]
    if target.release == line[0].release:
        raise serves_already(recipe, target.release, "an earlier release")
    return target


def made(builds: BuildStore, file: RecipeFile, digest: str | None) -> DeployedRelease:
    """The release that a person means who brings one in.

    Args:
        builds: whose ledger decides.
        file: the recipe.
        digest: the beginning of the digest of a release; when left out, the newest.

    Raises:
        StillhouseError: if there is no such release.
    """
    entries = builds.ledger.entries(file.name, "materialization", subject=f"{file.name}/{RELEASE}")
    if not entries:
        raise StillhouseError(
            "no release was made yet", where=file.name, expected="a release",
            do=f"`stillhouse run {file.name}` makes one.",
        )  # fmt: skip
    manifests = {str(entry.body["digest"]): str(entry.body["manifest"]) for entry in entries}
    newest = str(entries[-1].body["digest"])
    release = newest if digest is None else _one_of(manifests, digest, file.name, "releases")
    return champion.deployed(builds.artifact(release, manifests[release]))


def _one_of(known: Collection[str], digest: str, recipe: str, what: str) -> str:
    fitting = [release for release in known if release.startswith(digest)]
    if len(fitting) != 1:
        raise StillhouseError(
            f"{len(fitting) or 'no'} {what} begin with {digest!r}",
            where=recipe,
            expected=f"the beginning of one of {', '.join(release[:12] for release in known)}",
            do="Give more of the digest.",
        )
    return fitting[0]


def serves_already(recipe: str, release: str, expected: str) -> StillhouseError:
    """What is said to a person who names the release that serves."""
    return StillhouseError(
        f"{release[:12]} serves already", where=recipe, expected=expected,
        do=f"`stillhouse status {recipe}` shows what serves.",
    )  # fmt: skip


def whole_release(builds: BuildStore, recipe: str, target: DeployedRelease) -> Artifact:
    """Open a release, and refuse it if its bundle is not whole."""
    release = builds.artifact(target.release, target.manifest)
    if problems := bundle_problems(release.folder):
        raise StillhouseError(
            "; ".join(problems), where=f"release {target.release[:12]}", expected="a whole bundle",
            do=f"Restore it from a copy, or choose another release; `stillhouse audit {recipe}` says more.",
        )  # fmt: skip
    return release


def _open_when_promoted(builds: BuildStore, recipe: str, release: Artifact, target: DeployedRelease) -> dict[str, bool]:
    """By gate, whether the newest verdict before a release was first promoted was open, as gates were then."""
    promotions = builds.ledger.entries(recipe, "promotion")
    first = next(entry.sequence for entry in promotions if entry.body["digest"] == target.release)
    return {
        entry.body["gate"]: entry.body["state"] == GateStatus.PASSED or entry.body["waived"] is not None
        for entry in _verdicts_on(builds, release)
        if entry.sequence < first
    }


def _open_today(builds: BuildStore, file: RecipeFile, release: Artifact) -> dict[str, bool | None]:
    """By each blocking gate that there is, whether its newest verdict on a release is open, with waivers of today.

    None of one that nobody has looked at: a gate that broke leaves those after it unasked.
    """
    newest = {entry.body["gate"]: entry.body["state"] for entry in _verdicts_on(builds, release)}
    waivers = valid_waivers(builds.ledger, file.name, waiver_rules(file.recipe))

    def is_open(gate: str) -> bool | None:
        if gate not in newest:
            return None
        return newest[gate] == GateStatus.PASSED or waivers.of(release.asset, gate, release.digest) is not None

    return {gate: is_open(gate) for gate in gates_of(RELEASE).names(blocking=True)}


def _verdicts_on(builds: BuildStore, release: Artifact) -> list[Entry]:
    recipe = release.asset.partition("/")[0]
    return list(builds.ledger.entries(recipe, "verdict", subject=release.asset, content=release.digest))


def _refuse_closed_gates(recipe: str, target: DeployedRelease, open_: Mapping[str, bool | None]) -> None:
    """A person answers a withdrawal and a hold; no other gate."""
    asked = {gate: is_open for gate, is_open in open_.items() if gate not in ANSWERED_BY_A_PERSON}
    closed = sorted(gate for gate, is_open in asked.items() if is_open is False)
    unseen = sorted(gate for gate, is_open in asked.items() if is_open is None)
    found = f"{', '.join(closed)} was closed" if closed else f"nobody looked at {', '.join(unseen)}" if unseen else ""
    if found or not open_:
        raise StillhouseError(
            found or "no gate ever looked at it",
            where=f"release {target.release[:12]}",
            expected="a release whose gates are open",
            do=f"`stillhouse audit {recipe}` says more.",
        )
