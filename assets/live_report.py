"""The asset of the report on a day of live answers.

It hangs below nothing and nothing waits for it. Before it is made the teacher is asked about the answers that were
drawn, since a run may load a teacher and the sensor of a watch may not.

Belongs here: its declaration, what is read for it, and what is shown of it.
Does not: drawing it up (stillhouse/stages/live_report.py), asking and acting (orchestration/watch.py).
"""

import time
from typing import Any

import dagster as dg

from assets.keys import key_of
from assets.materializations import newest_materialization
from assets.stage import StageContext, StageOutput, stage_asset
from assets.tables import markdown_table
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
from stillhouse.wording import percent


def define(file: RecipeFile) -> dg.AssetsDefinition:
    """Define the asset."""

    @stage_asset(file, LIVE_REPORT, inputs={}, kinds={"polars", "parquet"}, first="live_answers")
    def live_report_of_a_day(context: StageContext) -> StageOutput:
        """How the champion does on a day of live answers: by its confidence, by its teacher, and in truth."""
        assert context.batch is not None
        builds = context.builds
        state = WatchBook(builds.ledger.url, file.name).read().state
        if state is None:
            raise StillhouseError(
                "nothing serves yet", where=f"{file.name}/{LIVE_REPORT}", expected="a champion that is watched",
                do=f"`stillhouse run {file.name}` makes one.",
            )  # fmt: skip
        live, watched = what_to_report(builds, file, state, context.batch, at=time.time())
        artifact = context.make(stage.plan(file, live, watched))
        facts = artifact.facts(LiveFacts)
        return StageOutput(artifact, shown(facts), headline=headline(facts))

    return live_report_of_a_day


def what_to_report(
    builds: BuildStore, file: RecipeFile, state: WatchState, day: str, *, at: float
) -> tuple[LiveDay, Watched]:
    """What a report on a day is drawn up from; the teacher is not asked.

    Args:
        builds: with ledger and traffic.
        file: a recipe with `watch:`.
        state: what the watch knows.
        day: as `2026-11-28`, UTC.
        at: now, in seconds since 1970.

    Raises:
        StillhouseError: if nothing served on that day.
    """
    watched = stage.watched_on(builds, file, state, day)
    store, ids = TrafficStore(builds.home.artifacts, file.name), RequestIds.of(builds.home.serving)
    earlier = earlier_report(builds, file, day)
    return stage.live_day(builds, file, watched, store, day, key=ids.keyed, at=at, earlier=earlier), watched


def earlier_report(builds: BuildStore, file: RecipeFile, day: str) -> LiveFacts | None:
    """The newest report of a day; None where none can be read: the teacher's part is then drawn up again."""
    newest = newest_materialization(builds.ledger, key_of(file.name, LIVE_REPORT), day)
    if newest is None:
        return None
    try:
        return builds.artifact(newest.digest, newest.manifest).facts(LiveFacts)
    except StillhouseError:
        return None


def headline(facts: LiveFacts) -> str:
    """The day in one line."""
    agreement = facts.agreement
    if agreement is None:
        return f"{facts.answers:,} answers, none that the teacher could be asked about"
    said = f"{percent(agreement.debiased)} agreement (± {percent(agreement.half_width)}, {agreement.asked:,} asked)"
    return f"{facts.answers:,} answers, {said}"


def shown(facts: LiveFacts) -> dict[str, Any]:
    """What the UI shows of a day; single numbers are drawn over the days."""
    agreement, truth, took = facts.agreement, facts.truth, facts.latency_ms
    numbers = {
        "answers": facts.answers,
        "answers_of_other_releases": facts.of_others,
        "agreement_label_free": agreement and agreement.label_free,
        "agreement_debiased": agreement and agreement.debiased,
        "agreement_half_width": agreement and agreement.half_width,
        "gap": agreement and agreement.gap,
        "asked": agreement and agreement.asked,
        "matured_truths": truth.known,
        "accuracy_matured": truth.right / truth.known if truth.known else None,
        "latency_ms_p50": took and took[0],
        "latency_ms_p95": took and took[1],
        "latency_ms_p99": took and took[2],
    }
    rows = [
        {"watched": each.subject, "share": each.seen, "limit": each.allowed, "reference": each.usual, "rows": each.rows}
        for each in facts.shares
    ]
    return {
        **{name: value for name, value in numbers.items() if value is not None},
        "release": facts.release,
        "student": facts.student,
        "selection_of_truth": truth.selection,
        "reference": facts.origin,
        "teacher": "its canary was not asked yet" if facts.teacher is None else facts.teacher.sentence,
        "watched": dg.MetadataValue.md(markdown_table(rows)),
    }
