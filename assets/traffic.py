"""The asset of the traffic of each day since a champion serves.

It hangs below nothing and nothing waits for it: rounds go on whether or not it was made.

Belongs here: its declaration, and what is shown of it.
Does not: counting (stillhouse/stages/traffic.py), keeping rows (stillhouse/serving/spool.py).
"""

from datetime import UTC, datetime

import dagster as dg

from assets.stage import StageContext, StageOutput, stage_asset
from assets.tables import table
from stillhouse.home import recipes_folder
from stillhouse.live.asking import LiveAnswers
from stillhouse.live.segments import SECONDS_A_DAY, TrafficStore, end_of
from stillhouse.live.traffic import day_for_all
from stillhouse.recipe.reading import RecipeFile, recipes_in
from stillhouse.serving.traffic_logs import forward_left, keep_promises
from stillhouse.stages import traffic as stage
from stillhouse.stages.names import TRAFFIC
from stillhouse.stages.traffic import TrafficFacts


def define(file: RecipeFile) -> dg.AssetsDefinition:
    """Define the asset."""

    @stage_asset(file, TRAFFIC, inputs={}, kinds={"polars", "parquet"})
    def traffic_of_a_day(context: StageContext) -> StageOutput:
        """What servers answered on one day, counted; rows are erased and expire here as the recipe says."""
        assert context.batch is not None
        home = context.builds.home
        store = TrafficStore(home.artifacts, file.name)
        forward_left(home, file)
        now, answers = datetime.now(UTC), LiveAnswers.of(home)
        today = day_for_all(home.ledger_url, now.date())
        stage.tidy(file, store, answers.forget_texts, today)
        keep_promises(home, recipes_in(recipes_folder()), today)
        # Here as well as where the watch asks: a shadow asks, too, and recipes have the one without the other.
        answers.forget(min(now.timestamp(), end_of(today.isoformat())) - stage.spec_of(file).days * SECONDS_A_DAY)
        artifact = context.make(stage.plan(store, context.batch, file.recipe.data.details))
        facts = artifact.facts(TrafficFacts)
        counts = facts.model_dump(exclude={"day"})
        if file.recipe.gives_records:
            counts["answers_by_field"] = table(artifact.frame(stage.FIELDS).to_dicts())
        return StageOutput(
            artifact,
            {**counts, "answers_by_release": table(artifact.frame("answers").to_dicts())},
            headline=f"{facts.answers:,} answers, {facts.dropped:,} rows dropped, {facts.lost:,} lost"
            + (f", {facts.thinned:,} thinned" if facts.thinned else ""),
        )

    return traffic_of_a_day
