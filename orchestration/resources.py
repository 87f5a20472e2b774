"""The resources that every run gets.

Belongs here: the workshop and the gated IO manager, made from the environment.
Does not: the rule that the IO manager applies (checks/gatekeeper.py).
"""

from collections.abc import Sequence
from typing import Any

import dagster as dg

from assets.stage import EVERY_BATCH, PARTIAL, RECIPE
from checks.gatekeeper import hand_over, hand_over_batches
from stillhouse.home import Home
from stillhouse.recipe import Recipe
from stillhouse.workshop import Artifact, Workshop


class GatedArtifacts(dg.IOManager):
    """Hands artifacts from asset to asset, and refuses while a gate on the way is closed.

    Nothing is stored here: an asset publishes its own artifact and enters it in the ledger, the only pointer to it. So
    a run that dies before leaves nothing half done.
    """

    def handle_output(self, context: dg.OutputContext, obj: Any) -> None:
        """Accept only what the workshop published."""
        if not isinstance(obj, Artifact):
            raise TypeError(f"{context.asset_key.to_user_string()} returned {type(obj).__name__}, not an Artifact")

    def load_input(self, context: dg.InputContext) -> Artifact | Sequence[Artifact]:
        """Open the newest artifact of the upstream asset behind its gates, or those of all its batches."""
        workshop, wanted = context.resources.workshop, context.definition_metadata
        if wanted[EVERY_BATCH]:
            batches = context.asset_partition_keys
            return hand_over_batches(workshop, wanted[RECIPE], context.asset_key, batches, partial=wanted[PARTIAL])
        batch = context.asset_partition_key if context.has_asset_partitions else None
        return self.hand_over(workshop, wanted[RECIPE], context.asset_key, batch)

    def hand_over(self, workshop: Workshop, recipe: Recipe, key: dg.AssetKey, batch: str | None) -> Artifact:
        """Open one artifact for a stage that asks for it in the middle of its work."""
        return hand_over(workshop, recipe, key, batch)


@dg.resource(description="Artifact store, ledger and teacher signal under STILLHOUSE_HOME")
def workshop_from_environment() -> Workshop:
    """Make the workshop of this installation."""
    return Workshop(Home.from_environment())


@dg.io_manager(required_resource_keys={"workshop"}, description="Artifacts behind their gates")
def gated_artifacts() -> GatedArtifacts:
    """Make the IO manager."""
    return GatedArtifacts()


RESOURCES: dict[str, Any] = {"workshop": workshop_from_environment, "artifacts": gated_artifacts}
