"""The sensor that watches a champion: it looks each minute, and asks for the reports that are due.

Belongs here: when to look, and on which days to report.
Does not: looking and acting (watch.py), telling what was found (watch_findings.py), the command (commands/live.py).
"""

import time
from datetime import UTC, datetime

import dagster as dg

from orchestration.dagster_internals import UnresolvedAssetJobDefinition
from orchestration.deployments import name_what_serves_if_free
from orchestration.runs import BECAUSE_TAG
from orchestration.watch import look
from orchestration.watch_actions import went_back_by_itself
from orchestration.watch_findings import hand_on
from stillhouse.errors import StillhouseError
from stillhouse.home import Home
from stillhouse.live.feedback import LATE_TRUTH_DAYS
from stillhouse.live.segments import SECONDS_A_DAY, TrafficStore, day_at, end_of
from stillhouse.live.traffic import feedback_about
from stillhouse.live.watch import WatchState, day_of
from stillhouse.recipe.reading import RecipeFile
from stillhouse.records.builds import BuildStore
from stillhouse.records.champions import promoted

SECONDS_BETWEEN_LOOKS = 60
REPORT_IS_FINAL_AT = 3_600.0
"""Seconds after the end of a day, when servers have sealed all of it."""


def watch_sensor(file: RecipeFile, job: UnresolvedAssetJobDefinition) -> dg.SensorDefinition:
    """Look once a minute, and ask for the run that asks the teacher and draws the report up."""

    @dg.sensor(
        name=f"watch_{file.name}",
        job=job,
        minimum_interval_seconds=SECONDS_BETWEEN_LOOKS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=f"Watches the champion of {file.name} on live answers, and takes it back where it has to",
        owners=list(file.recipe.owners),
    )
    def watch(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        builds, at = BuildStore(Home.from_environment()), time.time()
        looked = look(builds, file, at=at)
        lines = [looked.sentence, *hand_on(builds, file)]
        if went_back_by_itself(builds, file.name):
            name_what_serves_if_free(context.instance, builds, file)
        due, today = reports_due(looked.state, at), day_at(at)
        if context.cursor != today and is_sealed(day_at(at - SECONDS_A_DAY), at):
            try:
                due += matured_reports_due(builds, file, looked.state, at)
                context.update_cursor(today)
            except StillhouseError as error:  # a file of an earlier day, which keeps nobody from reporting on this one
                context.log.warning(str(error))
        if not due:
            return dg.SkipReason("\n".join(lines))
        tags = {BECAUSE_TAG: "answers of a day to report on"}
        return dg.SensorResult(
            run_requests=[dg.RunRequest(run_key=key, partition_key=day, tags=tags) for key, day in due]
        )

    return watch


def reports_due(state: WatchState | None, at: float) -> list[tuple[str, str]]:
    """Which days to report on now, and the key of each, under which a run is asked for once.

    Today once an hour, and while inputs drift every ten minutes, since the teacher is asked in that run; the day before
    once it is whole.
    """
    if state is None:
        return []
    seen, today, due = {each.day for each in state.days}, day_at(at), list[tuple[str, str]]()
    if day_of(at) in seen:
        moment = datetime.fromtimestamp(at, UTC)
        part = f"{moment.hour:02}" + (f":{moment.minute // 10}0" if state.drifting else "")
        due.append((f"{today} {part}", today))
    yesterday = day_at(at - SECONDS_A_DAY)
    if day_of(at) - 1 in seen and is_sealed(yesterday, at):
        due.append((f"{yesterday} whole", yesterday))
    return due


def matured_reports_due(
    builds: BuildStore, file: RecipeFile, state: WatchState | None, at: float
) -> list[tuple[str, str]]:
    """Which days to report on again because their truth has matured, as `reports_due` gives them.

    A day is due once when its truth has matured, and again on each of `LATE_TRUTH_DAYS` days after that on which more
    had been said of its answers by the midnight before. The key has how much that was, so that no report is drawn up
    twice of the same. To know it files are read, so it is asked once a day.

    Args:
        builds: with ledger and traffic.
        file: a recipe with `watch:`.
        state: what the watch knows; None while nothing serves.
        at: now, in seconds since 1970, when servers have sealed all of yesterday.
    """
    traffic = file.recipe.traffic
    if state is None or traffic is None:
        return []
    newest = at - (1 + max(traffic.matures_after_days, 1)) * SECONDS_A_DAY  # yesterday is reported on anyway
    promoted_on = promoted(builds.ledger, file.name)[-1].since[:10]  # before it there is no partition
    first, last = max(promoted_on, day_at(newest - LATE_TRUTH_DAYS * SECONDS_A_DAY)), day_at(newest)
    store = TrafficStore(builds.home.artifacts, file.name)
    days = [day for day in store.days() if first <= day <= last and store.segments(day, "requests")]
    said = feedback_about(store, days, before=day_at(at))
    return [(f"{day} matured, {many} said", day) for day, many in said.items()]


def is_sealed(yesterday: str, at: float) -> bool:
    """Whether servers have sealed all of a day that has ended."""
    return at >= end_of(yesterday) + REPORT_IS_FINAL_AT
