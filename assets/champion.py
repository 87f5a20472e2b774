"""The asset of the champion, the release that serves.

A witness outside the state remembers each promotion. One that cannot be reached stops no promotion: the run says so,
the audit says so, and the next run tries again.

Belongs here: its declaration, promoting or offering, and what is shown of it.
Does not: which release may serve (stillhouse/stages/champion.py).
"""

import dagster as dg

from assets.champion_page import champion_page
from assets.stage import StageContext, StageOutput, stage_asset
from stillhouse import progress
from stillhouse.recipe.reading import RecipeFile
from stillhouse.records.builds import Artifact
from stillhouse.records.deployments import Deployment, desired
from stillhouse.records.promotion import promote
from stillhouse.records.rollouts import offer
from stillhouse.records.witness import Witness
from stillhouse.release.bundle import ReleaseRecord
from stillhouse.stages import champion as stage
from stillhouse.stages.names import CHAMPION, RELEASE


def define(file: RecipeFile) -> dg.AssetsDefinition:
    """Define the asset."""

    @stage_asset(file, CHAMPION, inputs={"release": RELEASE}, kinds={"onnx"})
    def promoted_release(context: StageContext, release: Artifact) -> StageOutput:
        """The release that serves; it changes only when every gate on the way to a new release is open."""
        seen = desired(context.builds.ledger, file.name)
        stage.refuse(file, release, context.builds, seen)
        # The ledger first: who was overtaken by a person's decision leaves no artifact that names another release.
        if seen is not None and stage.rolls_out(file, release, context.builds):
            return _offered(file, context, release, seen)
        return _promoted(file, context, release, seen)

    return promoted_release


def _promoted(file: RecipeFile, context: StageContext, release: Artifact, seen: Deployment | None) -> StageOutput:
    promotion = promote(
        context.builds.ledger,
        Witness.from_environment(),
        file.name,
        stage.deployed(release),
        seen=seen,
        export=release.facts(ReleaseRecord).answers_by,
        run_id=context.run_id,
        relied_on=release.relied_on,
    )
    artifact = context.make(stage.plan(release))
    progress.step("the witness", 1, 1, promotion.witness)
    page = champion_page(context.builds, file.name)
    return StageOutput(artifact, {**page, "changed": promotion.changed, "witness": promotion.witness})


def _offered(file: RecipeFile, context: StageContext, release: Artifact, seen: Deployment) -> StageOutput:
    """Begin the way of a release beside the champion, which serves on."""
    offered = offer(
        context.builds.ledger,
        file.name,
        stage.deployed(release),
        seen=seen,
        export=release.facts(ReleaseRecord).answers_by,
        run_id=context.run_id,
        relied_on=release.relied_on,
    )
    artifact = context.make(stage.plan(release, seen.champion))
    challenger = offered.challenger
    name = f"{challenger.deployed.student} {challenger.deployed.release[:12]}"
    what = f"is offered, in {challenger.stage}" if offered.is_it else "is on its way, and this release waits for it"
    page = champion_page(context.builds, file.name)
    return StageOutput(artifact, {**page, "changed": False, "challenger": name}, headline=f"{name} {what}")
