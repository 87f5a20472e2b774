"""The asset of the report on a day of live answers.

It hangs below nothing and nothing waits for it. Before it is made the teacher is asked about the answers that were
drawn, since a run may load a teacher and the sensor of a watch may not.

Belongs here: its declaration, what is read for it, and what is shown of it.
Does not: drawing it up (stillhouse/stages/live_report.py), asking and acting (orchestration/watch.py).
"""

import time

import dagster as dg

from assets.keys import key_of
from assets.materializations import newest_artifact_if_any
from assets.requested_rows import requested_of_traffic
from assets.stage import StageContext, StageOutput, stage_asset
from assets.tables import table
from stillhouse.errors import StillhouseError
from stillhouse.live.segments import TrafficStore
from stillhouse.live.state import WatchBook
from stillhouse.live.watch import WatchState
from stillhouse.recipe.reading import RecipeFile
from stillhouse.records.builds import BuildStore
from stillhouse.serving.ids import RequestIds
from stillhouse.stages import live_report as stage
from stillhouse.stages.live_report import LiveDay, LiveFacts, Watched
from stillhouse.stages.names import LIVE_REPORT
from stillhouse.summaries import live_report as summary


def define(file: RecipeFile) -> dg.AssetsDefinition:
    """Define the asset."""

    @stage_asset(file, LIVE_REPORT, inputs={}, kinds={"polars", "parquet"}, first="live_answers")
    def live_report_of_a_day(context: StageContext) -> StageOutput:
        """How the champion does on a day of live answers: by its confidence, by its teacher, and in truth."""
        assert context.batch is not None
        day, builds = context.batch, context.builds
        state = WatchBook(builds.ledger.url, file.name).read().state
        live, watched = what_to_report(builds, file, state, day, at=time.time())
        artifact = context.make(stage.plan(file, live, watched))
        facts = artifact.facts(LiveFacts)
        return StageOutput(
            artifact,
            {**summary.numbers(facts), **_wanted(builds, file), "watched": table(summary.watched(facts))},
            headline=summary.headline(facts),
        )

    return live_report_of_a_day


def _wanted(builds: BuildStore, file: RecipeFile) -> dict[str, str]:
    """Which rows are asked for, where any are."""
    asked = requested_of_traffic(builds, file)
    return {"rows_wanted": "; ".join(each.sentence for each in asked)} if asked else {}


def what_to_report(
    builds: BuildStore, file: RecipeFile, state: WatchState | None, day: str, *, at: float
) -> tuple[LiveDay, Watched]:
    """What a report on a day is drawn up from; the teacher is not asked.

    Args:
        builds: with ledger and traffic.
        file: a recipe with `watch:`.
        state: what the watch remembers; None before its first look.
        day: as `2026-11-28`, UTC.
        at: now, in seconds since 1970.

    Raises:
        StillhouseError: if nothing serves yet, or nothing served on that day.
    """
    watched = stage.watched_on(builds, file, state, day)
    store, ids = TrafficStore(builds.home.artifacts, file.name), RequestIds.of(builds.home.serving)
    earlier = earlier_report(builds, file, day)
    live = stage.live_day(
        builds, file, watched, store, day, key=ids.drawing_key, is_ours=ids.is_ours, at=at, earlier=earlier
    )
    return live, watched


def earlier_report(builds: BuildStore, file: RecipeFile, day: str) -> LiveFacts | None:
    """The newest report of a day; None where none can be read: the teacher's part is then drawn up again."""
    try:
        newest = newest_artifact_if_any(builds, key_of(file.name, LIVE_REPORT), day)
        return None if newest is None else newest.facts(LiveFacts)
    except StillhouseError:
        return None
