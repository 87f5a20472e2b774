"""The asset of the champion's shadow: what the release that is on its way would have answered.

It hangs below the champion, which offers a release, and below traffic; no round waits for it, and its gates stop none.

Belongs here: its declaration, and what is shown of it.
Does not: replaying (stillhouse/stages/shadow.py), what follows from its gates (orchestration/rollout.py).
"""

import dagster as dg

from assets.keys import key_of
from assets.materializations import newest_artifact, newest_materialization
from assets.stage import StageContext, StageOutput, stage_asset
from assets.tables import markdown_table
from stillhouse.errors import StillhouseError
from stillhouse.recipe.reading import RecipeFile
from stillhouse.records.builds import Artifact, BuildStore
from stillhouse.records.deployments import serving_now
from stillhouse.serving.spool import forward_left
from stillhouse.stages import shadow as stage
from stillhouse.stages.names import CHAMPION, SHADOW, TRAFFIC
from stillhouse.stages.shadow import Replay, ShadowFacts


def define(file: RecipeFile) -> dg.AssetsDefinition:
    """Define the asset."""

    @stage_asset(file, SHADOW, inputs={}, after=(CHAMPION, TRAFFIC), kinds={"onnx", "polars"})
    def shadow_of_the_champion(context: StageContext) -> StageOutput:
        """What was asked since a release was offered, put to it and to the champion again."""
        deployment = serving_now(context.builds.ledger, file.name)
        if deployment.challenger is None:
            raise StillhouseError(
                "no release is on its way to take over", where=f"{file.name}/{SHADOW}", expected="a challenger",
                do=f"`stillhouse run {file.name}` offers the next release that passes its gates.",
            )  # fmt: skip
        forward_left(context.builds.home, file)
        replay = Replay.of(file, context.builds, deployment, newest_shadow(context.builds, file))
        artifact = context.make(stage.plan(replay))
        facts = artifact.facts(ShadowFacts)
        overall = facts.overall
        return StageOutput(
            artifact,
            {
                "champion": facts.champion,
                "challenger": facts.challenger,
                "requests": overall.rows,
                "answered_otherwise": overall.differ,
                "lost": overall.lost,
                "won": overall.won,
                "verdict": str(overall.test.verdict),
                "parts": dg.MetadataValue.md(markdown_table(table_of(facts))),
            },
            headline=f"{overall.rows:,} requests replayed, {overall.differ:,} answered otherwise, "
            f"{overall.lost:,} lost, {overall.won:,} won",
        )

    return shadow_of_the_champion


def newest_shadow(builds: BuildStore, file: RecipeFile) -> Artifact | None:
    """The newest artifact of the stage, whichever rollout it is of."""
    key = key_of(file.name, SHADOW)
    return None if newest_materialization(builds.ledger, key) is None else newest_artifact(builds, key)


def table_of(facts: ShadowFacts) -> list[dict[str, object]]:
    """What was found of each part of the requests, as a table shows it."""
    return [
        {
            "part": name,
            "requests": part.rows,
            "answered otherwise": part.differ,
            "lost": part.lost,
            "won": part.won,
            "verdict": str(part.test.verdict) if part.critical else f"reported only: {part.test.verdict}",
            "requests needed": part.test.rows_needed,
        }
        for name, part in facts.parts.items()
    ]
