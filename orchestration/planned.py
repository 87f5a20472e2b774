"""What a run would take and could prove, before it is started, and what it took once it was.

Belongs here: the answer of `stillhouse plan`, the forecast beside what the ledger says, and what servers were paid.
Does not: the power of the tests (stillhouse/evaluation/planning.py), the reckoning (stillhouse/stages/forecast.py).
"""

import polars as pl
from pydantic import Field

from stillhouse.base import Record
from stillhouse.device import device_of
from stillhouse.economics import Book, amount
from stillhouse.errors import MachineError, StillhouseError
from stillhouse.evaluation.planning import Plan, plan
from stillhouse.recipe.reading import RecipeFile
from stillhouse.records.builds import BuildStore
from stillhouse.records.corrections import corrected_usd
from stillhouse.records.ledger import Ledger
from stillhouse.records.manifest import asset_and_batch
from stillhouse.stages.asking import call_log
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


class Paid(Record):
    """What a teacher behind servers was paid so far."""

    usd: float = Field(description="For all calls of the recipe, with what people have corrected.")
    corrected_usd: float = Field(description="Of that, what was corrected; see `stillhouse correct`.")
    usd_at_most: float = Field(description="That all calls of the recipe may cost together.")

    @property
    def sentence(self) -> str:
        """What is spent, and what is left."""
        of_it = "" if not self.corrected_usd else f", {self.corrected_usd:+.4g} of it corrected by people"
        left = amount(max(self.usd_at_most - self.usd, 0.0))
        return f"answers so far: {amount(max(self.usd, 0.0))} USD{of_it}; {left} of usd_at_most are left"


class Planned(Plan):
    """What the golden set can prove, and how long and how much it will take to find out."""

    duration: Duration | None = Field(
        description="Null where the teacher's terms do not allow to learn from it: then it is not loaded at all."
    )
    paid: Paid | None = Field(description="Null where no server is asked.")


def planned(builds: BuildStore, file: RecipeFile, discordance: float) -> Planned:
    """Plan a run; nothing is made but a copy of the pretrained weights.

    Raises:
        StillhouseError: if the rows or the teacher cannot be read, or a class is named that no row has.
    """
    prompts = prompts_to_come(file)
    golden = prompts.filter(pl.col("split") == "golden")
    claims = plan(
        golden,
        file.recipe.bar,
        file.recipe.slices,
        are_sets=file.recipe.gives_sets,
        queries=file.recipe.queries,
        discordance=discordance,
    )
    return Planned(**dict(claims), duration=_duration(builds, file, prompts), paid=paid_so_far(builds, file))


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
    return Duration(forecast=found, took=seconds_by_stage(builds.ledger, file))


def paid_so_far(builds: BuildStore, file: RecipeFile) -> Paid | None:
    """What the servers of a recipe were paid so far; None where none is asked."""
    server = next(iter(file.recipe.teacher.servers.values()), None)  # they share one cap
    if server is None or server.endpoint is None:
        return None
    return Paid(
        usd=call_log(builds.home).spent(file.name),
        corrected_usd=corrected_usd(builds.ledger, file.name, Book.ANSWERS),
        usd_at_most=server.endpoint.usd_at_most,
    )


def seconds_by_stage(ledger: Ledger, file: RecipeFile) -> dict[str, float]:
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
    return None if TEACHER in seconds_by_stage(builds.ledger, file) else duration(builds, file)
