"""What Dagster's daemon does: sensors at their ticks, schedules at their times, and the runs that they ask for, here.

Belongs here: cursors, keys of runs that were asked for, running in this process.
Does not: what sensors and schedules decide (orchestration/).
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

import dagster as dg

from assets.cron import ticks
from orchestration.build import definitions
from orchestration.runs import QUIET, new_run_id, process_tag
from stillhouse.recipe.reading import RecipeFile
from tests.conftest import failures


@dataclass
class Daemon:
    """The daemon of one recipe.

    Args:
        instance: Dagster's.
        file: the recipe, as the code location has it now.
        ticked: until when schedules were looked at.
    """

    instance: dg.DagsterInstance
    file: RecipeFile
    ticked: datetime
    runs: Counter[str] = field(default_factory=Counter)
    broken: list[str] = field(default_factory=list)
    _cursors: dict[str, str | None] = field(default_factory=dict)
    _asked: set[tuple[str, str]] = field(default_factory=set)
    _loaded: tuple[str, dg.Definitions] | None = None

    def sensors(self, *prefixes: str) -> None:
        """Tick some sensors of the recipe once, and run what they ask for."""
        for prefix in prefixes:
            name = f"{prefix}_{self.file.name}"
            repository = self._definitions.get_repository_def()
            sensor = repository.get_sensor_def(name)
            with dg.build_sensor_context(
                self.instance,
                cursor=self._cursors.get(name),
                repository_def=repository,
                instance_ref=self.instance.get_ref(),
            ) as context:
                tick = sensor.evaluate_tick(context)
            self._cursors[name] = tick.cursor
            self._run(name, tick.run_requests or (), sensor.jobs[0].name)

    def schedules(self) -> None:
        """Tick each schedule whose time has come since the last call."""
        now = datetime.now(UTC)
        for schedule in self._definitions.schedules or ():
            assert isinstance(schedule, dg.ScheduleDefinition)
            for at in _between(str(schedule.cron_schedule), self.ticked, now):
                with dg.build_schedule_context(
                    instance=self.instance,
                    scheduled_execution_time=at,
                    repository_def=self._definitions.get_repository_def(),
                ) as context:
                    requests = schedule.evaluate_tick(context).run_requests or ()
                self._run(schedule.name, requests, schedule.job.name)
        self.ticked = now

    @property
    def _definitions(self) -> dg.Definitions:
        content = self.file.path.read_text()
        if self._loaded is None or self._loaded[0] != content:
            self._loaded = content, definitions([self.file])
        return self._loaded[1]

    def _run(self, by: str, requests: Sequence[dg.RunRequest], job: str) -> None:
        for request in requests:
            asked = by, str(request.run_key)
            if request.run_key is not None and asked in self._asked:
                continue
            self._asked.add(asked)
            name, run_id = request.job_name or job, new_run_id()
            self.runs[name] += 1
            done = self._definitions.resolve_job_def(name).execute_in_process(
                instance=self.instance,
                raise_on_error=False,
                run_id=run_id,
                partition_key=request.partition_key,
                asset_selection=list(request.asset_selection) if request.asset_selection else None,
                tags={**request.tags, **process_tag(run_id)},
                run_config=QUIET,
            )
            self.broken += failures(done)


def _between(cron: str, after: datetime, until: datetime) -> Iterator[datetime]:
    for at in ticks(cron, since=after.timestamp() + 1):
        if at > until:
            return
        yield at
