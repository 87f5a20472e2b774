"""What a person decides about who serves: `stillhouse promote`, `rollback`, `hold` and `resume`.

Belongs here: seeing a decision through, until the champion asset names what serves and its gates were looked at again.
Does not: which release may serve (promotable.py), what is recorded of the decision (stillhouse/records/promotion.py),
the commands (commands/decisions.py).

The ledger is written first, in one transaction: whatever is killed after that, the chosen release serves and a
withdrawn one stays away. What is left, the champion asset and its gates, is finished when the command is given again.
"""

from dataclasses import dataclass
from uuid import uuid4

import dagster as dg

from assets.champion_page import champion_page
from assets.keys import key_of
from assets.materializations import newest_materialization
from assets.stage import StageContext
from orchestration.dagster_internals import DATA_VERSION_TAG
from orchestration.dispatcher import under_way
from orchestration.promotable import bring_in, go_back, made, serves_already
from orchestration.runnable import runnable
from orchestration.runs import BECAUSE_TAG, QUIET, new_run_id, process_tag
from stillhouse.recipe.reading import RecipeFile
from stillhouse.records import promotion
from stillhouse.records.builds import Artifact, BuildStore
from stillhouse.records.champions import BY_A_PERSON, Served, promoted, was_chosen
from stillhouse.records.deployments import Because, DeployedRelease, Deployment, desired, serving_now
from stillhouse.records.ledger import Entry
from stillhouse.records.locks import recipe_locked_if_free
from stillhouse.records.witness import Witness
from stillhouse.stages import champion
from stillhouse.stages.facts import ChampionFacts
from stillhouse.stages.names import CHAMPION, RELEASE
from stillhouse.stages.versions import code_version


@dataclass(frozen=True)
class Decided:
    """What came of a decision about who serves.

    Args:
        serves: the release that serves from now on.
        replaced: the release that served before; None where nothing did, or an earlier command was only finished.
        witness: what the witness said of it, in one line.
        was_broken_off: whether the decision was recorded by an earlier command, which this one finished.
    """

    serves: DeployedRelease
    replaced: DeployedRelease | None
    witness: str
    was_broken_off: bool = False


def roll_back(
    instance: dg.DagsterInstance, builds: BuildStore, file: RecipeFile, digest: str | None, *, by: str, reason: str
) -> Decided:
    """Bring an earlier release back and withdraw the one that serves.

    Args:
        instance: where the UI reads what happened.
        builds: whose ledger decides.
        file: the recipe.
        digest: the beginning of the digest of a release that was promoted before; when left out, the release that the
            champion replaced.
        by: who decides.
        reason: why.

    Raises:
        StillhouseError: if there is no such release, it was altered, its gates had not passed, or nothing would change.
    """
    ledger, name = builds.ledger, file.name
    seen = serving_now(ledger, name)
    if (finished := _finished(instance, builds, file, seen)) is not None:
        return finished
    target, entry = go_back(builds, name, seen, digest, by=by, reason=reason)
    return _see_through(instance, builds, file, target, seen, entry)


def roll_back_by_records(builds: BuildStore, recipe: str, digest: str | None, *, by: str, reason: str) -> Decided:
    """Go back where the recipe cannot be read: what does harm goes on answering while somebody edits its file.

    Raises:
        StillhouseError: as `roll_back`.
    """
    seen = serving_now(builds.ledger, recipe)
    target, entry = go_back(builds, recipe, seen, digest, by=by, reason=reason)
    _, said = promotion.tell(builds.ledger, Witness.from_environment(), entry)
    return Decided(target, replaced=seen.champion, witness=said)


def promote(
    instance: dg.DagsterInstance, builds: BuildStore, file: RecipeFile, digest: str | None, *, by: str, reason: str
) -> Decided:
    """Have a release serve that no round may bring in: one that was withdrawn, or that a hold keeps out.

    Args:
        instance: where the UI reads what happened.
        builds: whose ledger decides.
        file: the recipe.
        digest: the beginning of the digest of a release; when left out, the newest.
        by: who decides.
        reason: why.

    Raises:
        StillhouseError: if there is no such release, it was altered, another gate on it is closed, or it serves or
            served already.
    """
    ledger, name = builds.ledger, file.name
    seen = desired(ledger, name)
    target = made(builds, file, digest)
    if seen is not None and seen.champion.release == target.release:
        if (finished := _finished(instance, builds, file, seen)) is not None:
            return finished
        raise serves_already(name, target.release, "a release that does not serve")
    entry = bring_in(builds, file, seen, target, by=by, reason=reason)
    return _see_through(instance, builds, file, target, seen, entry)


def resume(instance: dg.DagsterInstance, builds: BuildStore, file: RecipeFile, *, by: str, reason: str) -> Entry:
    """Let rounds replace the champion again, and look again at the gates of a release that the hold kept out."""
    entry = promotion.resume(builds.ledger, file.name, by=by, reason=reason)
    if newest_materialization(builds.ledger, key_of(file.name, RELEASE)) is not None:
        _look_again(
            instance, file, dg.AssetSelection.checks_for_assets(key_of(file.name, RELEASE)), "a hold that ended"
        )
    return entry


def name_what_serves(instance: dg.DagsterInstance, builds: BuildStore, file: RecipeFile) -> Decided | None:
    """Have the champion asset name what serves, after a decision that the ledger has and the asset does not name yet.

    Returns:
        What was finished; None where the asset says what the ledger says.
    """
    ledger, name = builds.ledger, file.name
    seen, newest = desired(ledger, name), ledger.newest(name, "promotion")
    if seen is None or newest is None:
        return None
    named = _named_by_the_asset(builds, file)
    if named is None or not _is_behind(named, seen, decided=newest.body.get("because") in SEEN_THROUGH):
        return None
    _make_the_asset_name(instance, builds, file, seen.champion)
    _, said = promotion.tell(ledger, Witness.from_environment(), newest)
    return Decided(seen.champion, replaced=None, witness=said, was_broken_off=True)


def name_what_serves_if_free(instance: dg.DagsterInstance, builds: BuildStore, file: RecipeFile) -> None:
    """The same, unless something of the recipe is under way: a tick must not wait for a round until that ends.

    The lock is held until it is done, so that no round begins meanwhile.
    """
    with recipe_locked_if_free(builds.home, file.name, by=f"naming the champion of {file.name}") as holder:
        if holder is None and under_way(instance, file.name) is None:
            name_what_serves(instance, builds, file)


SEEN_THROUGH: tuple[Because, ...] = (*BY_A_PERSON, "rollout")
"""What promotes without a run that materializes the champion; a round that is under way does so itself."""


def _is_behind(named: ChampionFacts, seen: Deployment, *, decided: bool) -> bool:
    """Whether the asset names another release than serves, or one as on its way when none is."""
    if named.release != seen.champion.release:
        return decided
    return named.offered is not None and seen.challenger is None


def _finished(instance: dg.DagsterInstance, builds: BuildStore, file: RecipeFile, seen: Deployment) -> Decided | None:
    """Finish a command that was broken off after the ledger was written; None where there is none."""
    ledger, name, serving = builds.ledger, file.name, seen.champion
    newest = ledger.newest(name, "promotion")
    if newest is None or not was_chosen(ledger, name, serving.release):
        return None
    named = _named_by_the_asset(builds, file)
    if named is not None and named.release == serving.release:
        return None
    _make_the_asset_name(instance, builds, file, serving)
    _, said = promotion.tell(ledger, Witness.from_environment(), newest)
    return Decided(serving, replaced=None, witness=said, was_broken_off=True)


def _see_through(
    instance: dg.DagsterInstance,
    builds: BuildStore,
    file: RecipeFile,
    target: DeployedRelease,
    seen: Deployment | None,
    entry: Entry,
) -> Decided:
    _, said = promotion.tell(builds.ledger, Witness.from_environment(), entry)
    _make_the_asset_name(instance, builds, file, target)
    return Decided(target, replaced=seen.champion if seen else None, witness=said)


def _named_by_the_asset(builds: BuildStore, file: RecipeFile) -> ChampionFacts | None:
    newest = newest_materialization(builds.ledger, key_of(file.name, CHAMPION))
    return None if newest is None else builds.artifact(newest.digest, newest.manifest).facts(ChampionFacts)


def _make_the_asset_name(
    instance: dg.DagsterInstance, builds: BuildStore, file: RecipeFile, serving: DeployedRelease
) -> None:
    """Materialize the champion of a release that is not the newest, and look at the gates that depend on who serves."""
    key = key_of(file.name, CHAMPION)
    release = builds.artifact(serving.release, serving.manifest)
    context = StageContext(
        file=file,
        stage=CHAMPION,
        batch=None,
        run_id=f"decision-{uuid4().hex[:12]}",
        code_version=code_version(CHAMPION),
        builds=builds,
        inputs=[release],
        load_gated=_nothing_else_is_read,
    )
    artifact, decided = context.make(champion.plan(release)), promoted(builds.ledger, file.name)[0]
    shown = {"digest": artifact.digest, "manifest": artifact.identity, **champion_page(builds, file.name)}
    instance.report_runless_asset_event(
        dg.AssetMaterialization(
            key,
            description=_who_decided(decided),
            metadata=shown,
            tags={DATA_VERSION_TAG: artifact.digest},
        )
    )
    chosen = dg.AssetSelection.checks_for_assets(key, key_of(file.name, RELEASE))
    _look_again(instance, file, chosen, f"a {decided.because}")


def _who_decided(served: Served) -> str:
    if served.decided_by is None:
        return "It serves by what it has shown beside the champion" if served.because == "rollout" else "Serves on"
    return f"{served.decided_by} {'went back to it' if served.because == 'rollback' else 'chose it'}: {served.reason}"


def _look_again(instance: dg.DagsterInstance, file: RecipeFile, chosen: dg.AssetSelection, because: str) -> None:
    """Run gates by themselves, whose answer a decision has changed."""
    job = dg.define_asset_job("look_after_decision", selection=chosen)
    built = dg.Definitions.merge(runnable([file]), dg.Definitions(jobs=[job]))
    run_id = new_run_id()
    built.resolve_job_def(job.name).execute_in_process(
        instance=instance,
        raise_on_error=False,  # the gate on a withdrawn release closes, which is what is wanted
        run_id=run_id,
        tags={BECAUSE_TAG: because, **process_tag(run_id)},
        run_config=QUIET,
    )


def _nothing_else_is_read(key: dg.AssetKey, batch: str | None) -> Artifact:
    raise AssertionError(f"the champion reads its release alone, not {key.to_user_string()}")
