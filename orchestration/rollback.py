"""Going back to an earlier release: `stillhouse rollback`.

Belongs here: which release a person means, whether it may serve again, and making the champion asset name it.
Does not: what is recorded of the decision (stillhouse/records/champions.py), the command (commands/decisions.py).

The ledger is written first, in one transaction: whatever is killed after that, the earlier release serves and the
withdrawn one stays away. What is left, the champion asset and its gates, is finished when the command is given again.
"""

from dataclasses import dataclass
from functools import partial
from uuid import uuid4

import dagster as dg
from dagster._core.utils import make_new_run_id

from assets.champion_page import champion_page
from assets.keys import key_of
from assets.materializations import newest_materialization
from assets.stage import StageContext
from orchestration.build import definitions
from orchestration.runs import BECAUSE_TAG, process_tag
from stillhouse.errors import StillhouseError
from stillhouse.recipe.reading import RecipeFile
from stillhouse.records.builds import Artifact, BuildStore
from stillhouse.records.champions import Served, export_of, go_back, line_of_champions, promoted, rival_of
from stillhouse.records.promotion import tell
from stillhouse.records.witness import Witness
from stillhouse.release.bundle import bundle_problems
from stillhouse.stages import champion
from stillhouse.stages.facts import ChampionFacts
from stillhouse.stages.names import CHAMPION, RELEASE
from stillhouse.stages.versions import code_version


@dataclass(frozen=True)
class Rollback:
    """What a rollback did.

    Args:
        serves: the release that serves from now on.
        withdrawn: the release that served before; None where an earlier rollback was only finished.
        witness: what the witness said of it, in one line.
    """

    serves: Served
    withdrawn: Served | None
    witness: str


def roll_back(
    instance: dg.DagsterInstance, builds: BuildStore, file: RecipeFile, digest: str | None, *, by: str, reason: str
) -> Rollback:
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
    line = line_of_champions(promoted(builds.ledger, file.name))
    if not line:
        raise StillhouseError(
            "it has no champion yet", where=file.name, expected="a release that was promoted before",
            do=f"`stillhouse run {file.name}` makes one.",
        )  # fmt: skip
    serving = line[0]
    witness, newest = Witness.from_environment(), builds.ledger.newest(file.name, "promotion")
    if newest is not None and serving.brought_back_by is not None and not _asset_names(builds, file, serving):
        _make_the_asset_name(instance, builds, file, serving)
        return Rollback(serving, withdrawn=None, witness=tell(builds.ledger, witness, newest)[1])
    target = _target(builds, file, line, digest)
    _refuse_what_may_not_serve(builds, file, target)
    exports = export_of(builds.store, serving), export_of(builds.store, target)
    promotion = go_back(builds.ledger, file.name, serving, target, exports=exports, by=by, reason=reason)
    _, said = tell(builds.ledger, witness, promotion)
    _make_the_asset_name(instance, builds, file, target)
    return Rollback(target, withdrawn=serving, witness=said)


def _target(builds: BuildStore, file: RecipeFile, line: list[Served], digest: str | None) -> Served:
    """The release that a person means."""
    if digest is None:
        store = builds.store
        before = rival_of(line, export_of(store, line[0]), partial(export_of, store))
        if before is None:
            raise StillhouseError(
                f"{line[0].release[:12]} is the first release, nothing served before it",
                where=file.name,
                expected="an earlier release",
                do=f"`stillhouse run {file.name}` makes another one.",
            )
        return before
    known = {served.release: served for served in promoted(builds.ledger, file.name)}
    fitting = [served for release, served in known.items() if release.startswith(digest)]
    if len(fitting) != 1:
        raise StillhouseError(
            f"{len(fitting) or 'no'} releases that were promoted begin with {digest!r}",
            where=file.name,
            expected=f"the beginning of one of {', '.join(release[:12] for release in known)}",
            do="Give more of the digest.",
        )
    if fitting[0].release == line[0].release:
        raise StillhouseError(
            f"{line[0].release[:12]} serves already", where=file.name, expected="an earlier release",
            do=f"`stillhouse status {file.name}` shows what serves.",
        )  # fmt: skip
    return fitting[0]


def _refuse_what_may_not_serve(builds: BuildStore, file: RecipeFile, target: Served) -> None:
    """A release comes back whole, and as one whose gates were open when it was first promoted."""
    name = target.release[:12]
    bundle = builds.artifact(target.release, target.manifest)
    if problems := bundle_problems(bundle.folder):
        raise StillhouseError(
            "; ".join(problems), where=f"release {name}", expected="a whole bundle",
            do=f"Restore it from a copy, or go back to another release; `stillhouse audit {file.name}` says more.",
        )  # fmt: skip
    promotions = builds.ledger.entries(file.name, "promotion")
    first = next(entry.sequence for entry in promotions if entry.body["digest"] == target.release)
    verdicts = {
        entry.body["gate"]: entry.body
        for entry in builds.ledger.entries(file.name, "verdict", subject=bundle.asset, content=target.release)
        if entry.sequence < first
    }
    closed = sorted(gate for gate, body in verdicts.items() if body["state"] != "passed" and body["waived"] is None)
    if closed or not verdicts:
        raise StillhouseError(
            f"{', '.join(closed)} was closed when it was promoted" if closed else "no gate ever looked at it",
            where=f"release {name}",
            expected="a release whose gates were open when it was promoted",
            do=f"`stillhouse audit {file.name}` says more.",
        )


def _asset_names(builds: BuildStore, file: RecipeFile, serving: Served) -> bool:
    newest = newest_materialization(builds.ledger, key_of(file.name, CHAMPION))
    if newest is None:
        return False
    return builds.artifact(newest.digest, newest.manifest).facts(ChampionFacts).release == serving.release


def _make_the_asset_name(instance: dg.DagsterInstance, builds: BuildStore, file: RecipeFile, serving: Served) -> None:
    """Materialize the champion of a release that is not the newest, and look at the gates that depend on who serves."""
    key = key_of(file.name, CHAMPION)
    release = builds.artifact(serving.release, serving.manifest)
    context = StageContext(
        file=file,
        stage=CHAMPION,
        batch=None,
        run_id=f"rollback-{uuid4().hex[:12]}",
        code_version=code_version(CHAMPION),
        builds=builds,
        inputs=[release],
        load_gated=_nothing_else_is_read,
    )
    artifact = context.make(champion.plan(release))
    shown = {"digest": artifact.digest, "manifest": artifact.identity, **champion_page(builds, file.name)}
    instance.report_runless_asset_event(
        dg.AssetMaterialization(
            key,
            description=f"{serving.brought_back_by} went back to it: {serving.reason}",
            metadata=shown,
            tags={"dagster/data_version": artifact.digest},
        )
    )
    chosen = dg.AssetSelection.checks_for_assets(key, key_of(file.name, RELEASE))
    built = dg.Definitions.merge(
        definitions([file]), dg.Definitions(jobs=[dg.define_asset_job("look_after_rollback", selection=chosen)])
    )
    run_id = make_new_run_id()
    built.resolve_job_def("look_after_rollback").execute_in_process(
        instance=instance,
        raise_on_error=False,  # the gate on the withdrawn release closes, which is what is wanted
        run_id=run_id,
        tags={BECAUSE_TAG: "a rollback", **process_tag(run_id)},
        run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
    )


def _nothing_else_is_read(key: dg.AssetKey, batch: str | None) -> Artifact:
    raise AssertionError(f"the champion reads its release alone, not {key.to_user_string()}")
