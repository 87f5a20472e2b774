"""What a run would take and could prove, before it is started, and what it took once it was.

Belongs here: the answer of `stillhouse plan`, and the forecast beside what the ledger says.
Does not: the power of the tests (stillhouse/evaluation/planning.py), the reckoning (stillhouse/stages/forecast.py).
"""

import polars as pl
from pydantic import Field

from stillhouse.base import Record
from stillhouse.device import device_of
from stillhouse.errors import MachineError, StillhouseError
from stillhouse.evaluation.planning import Plan, plan
from stillhouse.recipe.reading import RecipeFile
from stillhouse.records.builds import BuildStore
from stillhouse.records.ledger import Ledger
from stillhouse.records.manifest import asset_and_batch
from stillhouse.stages.forecast import Forecast, forecast
from stillhouse.stages.names import BASE, TEACHER, stage_names
from stillhouse.stages.preview import prompts_to_come


class Duration(Record):
    """How long a run takes, stage by stage."""

    forecast: Forecast
    took: dict[str, float] = Field(
        description="Seconds of wall time by stage, of the base batch, as each was last computed; none that never was."
    )

    @property
    def compared(self) -> tuple[float, float]:
        """Seconds that were forecast for the stages that were computed, and seconds that they took."""
        known = [each for each in self.forecast.stages if each.stage in self.took]
        return sum((each.seconds for each in known), 0.0), sum((self.took[each.stage] for each in known), 0.0)


class Planned(Plan):
    """What the golden set can prove, and how long and how much it will take to find out."""

    duration: Duration | None = Field(
        description="Null where the teacher's terms do not allow to learn from it: then it is not loaded at all."
    )


def planned(builds: BuildStore, file: RecipeFile, discordance: float) -> Planned:
    """Plan a run; nothing is made but a copy of the pretrained weights.

    Raises:
        StillhouseError: if the rows or the teacher cannot be read, or a class is named that no row has.
    """
    prompts = prompts_to_come(file)
    golden = prompts.filter(pl.col("split") == "golden")
    claims = plan(golden, file.recipe.bar, file.recipe.slices, discordance=discordance)
    return Planned(**dict(claims), duration=_duration(builds, file, prompts))


def duration(builds: BuildStore, file: RecipeFile) -> Duration | None:
    """Forecast a run, beside what one took.

    Returns:
        None where the teacher's terms do not allow to learn from it: then it is not loaded at all.

    Raises:
        StillhouseError: if the rows or the teacher cannot be read; the recipe's line is named.
    """
    return _duration(builds, file, prompts_to_come(file)) if _may_be_loaded(file) else None


def _may_be_loaded(file: RecipeFile) -> bool:
    return file.recipe.teacher.training_on_outputs == "allowed"


def _duration(builds: BuildStore, file: RecipeFile, prompts: pl.DataFrame) -> Duration | None:
    if not _may_be_loaded(file):
        return None
    device_of(builds.home.device)  # no mistake of the recipe's
    try:
        found = forecast(file, prompts, builds)
    except StillhouseError as error:
        if isinstance(error, MachineError) or error.where.startswith(str(file.path)):
            raise
        raise error.at(f"{file.where('teacher', 'source')}: {error.where}") from error
    return Duration(forecast=found, took=took(builds.ledger, file))


def took(ledger: Ledger, file: RecipeFile) -> dict[str, float]:
    """Seconds of wall time by stage, of the base batch, as each was last computed."""
    seconds: dict[str, float] = {}
    for entry in ledger.entries(file.name, "materialization"):
        asset, batch = asset_and_batch(entry.body["asset"])
        if not entry.body["found_again"] and batch in (None, BASE):
            seconds[asset.removeprefix(f"{file.name}/")] = float(entry.body["wall_seconds"])
    return {stage: seconds[stage] for stage in stage_names(file.recipe) if stage in seconds}


def forecast_of_a_first_run(builds: BuildStore, file: RecipeFile) -> Duration | None:
    """What a first run will take; None once a teacher was taught, since later rounds find most of it again.

    Raises:
        StillhouseError: see `duration`.
    """
    return None if TEACHER in took(builds.ledger, file) else duration(builds, file)
