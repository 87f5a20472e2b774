"""The asset of the champion, the release that serves.

Belongs here: its declaration, and what is shown of it.
Does not: which release may serve, promoting or offering it (stillhouse/stages/champion.py).
"""

from typing import Any

import dagster as dg

from assets.champion_page import champion_page
from assets.stage import StageContext, StageOutput, stage_asset
from stillhouse import progress
from stillhouse.recipe.reading import RecipeFile
from stillhouse.records.builds import Artifact
from stillhouse.records.promotion import Promotion
from stillhouse.stages import champion as stage
from stillhouse.stages.names import CHAMPION, RELEASE


def define(file: RecipeFile) -> dg.AssetsDefinition:
    """Define the asset."""

    @stage_asset(file, CHAMPION, inputs={"release": RELEASE}, kinds={"onnx"})
    def promoted_release(context: StageContext, release: Artifact) -> StageOutput:
        """The release that serves; it changes only when every gate on the way to a new release is open."""
        # The ledger first: who was overtaken by a person's decision leaves no artifact that names another release.
        decided = stage.decide(file, release, context.builds, context.run_id)
        artifact = context.make(stage.plan(release, decided.serves))
        became, headline = decided.became, ""
        if isinstance(became, Promotion):
            progress.step("the witness", 1, 1, became.witness)
            shown: dict[str, Any] = {"changed": became.changed, "witness": became.witness}
        else:
            shown, headline = {"changed": False, "challenger": became.challenger.in_words}, became.sentence
        return StageOutput(artifact, {**champion_page(context.builds, file.name), **shown}, headline)

    return promoted_release
