"""The asset of the champion's shadow: what the release that is on its way would have answered.

It hangs below the champion, which offers a release, and below traffic; no round waits for it, and its gates stop none.

Belongs here: its declaration, and what is shown of it.
Does not: replaying (stillhouse/stages/shadow.py), what follows from its gates (orchestration/rollout.py).
"""

import dagster as dg

from assets.keys import key_of
from assets.materializations import newest_artifact_if_any
from assets.stage import StageContext, StageOutput, stage_asset
from assets.tables import table
from stillhouse.recipe.reading import RecipeFile
from stillhouse.records.deployments import serving_now
from stillhouse.serving.ids import RequestIds
from stillhouse.serving.traffic_logs import forward_left
from stillhouse.stages import shadow as stage
from stillhouse.stages.names import CHAMPION, SHADOW, TRAFFIC
from stillhouse.stages.shadow import Replay, ShadowFacts
from stillhouse.summaries import shadow as summary


def define(file: RecipeFile) -> dg.AssetsDefinition:
    """Define the asset."""

    @stage_asset(file, SHADOW, inputs={}, after=(CHAMPION, TRAFFIC), kinds={"onnx", "polars"})
    def shadow_of_the_champion(context: StageContext) -> StageOutput:
        """What was asked since a release was offered, put to it and to the champion again."""
        builds = context.builds
        newest = newest_artifact_if_any(builds, key_of(file.name, SHADOW))
        key = RequestIds.of(builds.home.serving).drawing_key
        replay = Replay.of(file, builds, serving_now(builds.ledger, file.name), newest, key=key)
        forward_left(builds.home, file)
        artifact = context.make(stage.plan(replay))
        facts = artifact.facts(ShadowFacts)
        shown = {**summary.numbers(facts), "parts": table(summary.parts(facts))}
        if by_truth := summary.parts_by_truth(facts):
            shown["parts_by_truth"] = table(by_truth)
        return StageOutput(artifact, shown, headline=summary.headline(facts))

    return shadow_of_the_champion
