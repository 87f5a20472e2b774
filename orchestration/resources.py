"""The resources that every run gets.

Belongs here: the builds, with the locks of the run that gets it, the gated IO manager, what asks about live answers,
and what speed and memory are measured with.
Does not: the rule that the IO manager applies (checks/gatekeeper.py), the locks themselves
(stillhouse/records/locks.py).
"""

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import dagster as dg

from assets.stage import EVERY_BATCH, PARTIAL, RECIPE
from checks.gatekeeper import load_gated, load_gated_batches
from orchestration.outcomes import outcome_recorded
from orchestration.runs import process_tag, recipes_of
from orchestration.watch import ask, look
from orchestration.watch_findings import hand_on
from stillhouse import progress
from stillhouse.errors import StillhouseError
from stillhouse.evaluation.measures.meter import THIS_MACHINE
from stillhouse.home import Home
from stillhouse.recipe.contract import Recipe
from stillhouse.recipe.reading import RecipeFile
from stillhouse.records.batches import batches_of
from stillhouse.records.builds import Artifact, BuildStore
from stillhouse.records.locks import recipes_locked
from stillhouse.serving.traffic_logs import forward_left
from stillhouse.stages.names import BASE


class GatedArtifacts(dg.IOManager):
    """Hands artifacts from asset to asset, and refuses while a gate on the way is closed.

    Nothing is stored here: an asset publishes its own artifact and enters it in the ledger, the only pointer to it. So
    a run that dies before leaves nothing half done.
    """

    def handle_output(self, context: dg.OutputContext, obj: Any) -> None:
        """Accept only what the builds published."""
        if not isinstance(obj, Artifact):
            raise TypeError(f"{context.asset_key.to_user_string()} returned {type(obj).__name__}, not an Artifact")

    def load_input(self, context: dg.InputContext) -> Artifact | Sequence[Artifact]:
        """Open the newest artifact of the upstream asset behind its gates, or those of all its batches."""
        builds, wanted = context.resources.builds, context.definition_metadata
        recipe = Recipe.model_validate_json(wanted[RECIPE])
        if wanted[EVERY_BATCH]:
            # As the ledger has them now: Dagster's partitions were read when the run was planned, maybe long before.
            batches = [BASE, *batches_of(builds.ledger, context.asset_key.path[0])]
            return load_gated_batches(builds, recipe, context.asset_key, batches, partial=wanted[PARTIAL])
        batch = context.asset_partition_key if context.has_asset_partitions else None
        return self.load_gated(builds, recipe, context.asset_key, batch)

    def load_gated(self, builds: BuildStore, recipe: Recipe, key: dg.AssetKey, batch: str | None) -> Artifact:
        """Open one artifact for a stage that asks for it in the middle of its work."""
        return load_gated(builds, recipe, key, batch)


@dg.resource(description="Artifact store, ledger and teacher signal under STILLHOUSE_HOME, for one run at a time")
def builds_from_environment(context: dg.InitResourceContext) -> Iterator[BuildStore]:
    """Make the builds of this installation, for a run once no other run of its recipes works.

    Every asset and every check needs it: the locks are held before the first of them reads and until the last is done.
    """
    home = Home.from_environment()
    run, instance = context.dagster_run, context.instance
    if run is None or instance is None:
        yield BuildStore(home)
        return
    instance.add_run_tags(run.run_id, process_tag(run.run_id))

    log = context.log
    assert log is not None  # a run has one

    def waiting(recipe: str, holder: str) -> None:
        log.info(f"waits for {holder}, which works on {recipe}")

    with recipes_locked(home, recipes_of(instance, run), by=f"run {run.run_id[:8]}", waiting=waiting) as require_held:
        _refuse_if_ended(instance, run)
        builds = BuildStore(home, require_held)
        with outcome_recorded(instance, builds, run, log.warning):
            yield builds


def _refuse_if_ended(instance: dg.DagsterInstance, run: dg.DagsterRun) -> None:
    """A run that was taken for dead, or deleted, while it waited may not work: another one does that by now."""
    now = instance.get_run_by_id(run.run_id)
    if now is None or now.is_finished:
        raise dg.Failure(f"run {run.run_id[:8]} was ended before it began to work", allow_retries=False)


@dg.io_manager(required_resource_keys={"builds"}, description="Artifacts behind their gates")
def gated_artifacts() -> GatedArtifacts:
    """Make the IO manager."""
    return GatedArtifacts()


@dg.resource(description="Asks the teacher about live answers before they are reported on, and acts on what it says")
def live_answers_asked() -> Callable[[BuildStore, RecipeFile], None]:
    """Give a function of builds and recipe."""

    def ask_and_tell(builds: BuildStore, file: RecipeFile) -> None:
        forward_left(builds.home, file)  # what ended servers of this machine have left
        look(builds, file, at=time.time())
        try:
            ask(builds, file, at=time.time())
        except StillhouseError as error:  # a teacher that is away, or a cap: what was drawn is asked next time
            progress.remark(f"the teacher was not asked about live answers: {error}")
        hand_on(builds, file)

    return ask_and_tell


RESOURCES: dict[str, Any] = {
    "builds": builds_from_environment,
    "artifacts": gated_artifacts,
    "live_answers": live_answers_asked,
    "meter": THIS_MACHINE,
}
"""Definitions that are made from now on have these; a test puts its own meter in the place of this machine."""
