"""What a recipe has cost, and whether its student pays for itself.

Belongs here: spending by kind from the ledger, and the account of the newest evaluated student beside its forecast.
Does not: the arithmetic (stillhouse/economics.py), printing (commands/).
"""

from collections import defaultdict

from pydantic import Field

from assets.keys import key_of
from assets.materializations import newest_artifact, newest_materialization
from stillhouse.base import Record
from stillhouse.economics import Book, Decision, Economics, actual, forecast
from stillhouse.recipe.reading import RecipeFile
from stillhouse.records.builds import BuildStore
from stillhouse.records.corrections import Correction, corrections
from stillhouse.records.ledger import Ledger
from stillhouse.records.manifest import asset_and_batch
from stillhouse.report.reading import read_report
from stillhouse.stages.asking import call_log
from stillhouse.stages.cascade import CascadeFacts
from stillhouse.stages.names import CASCADE, KINDS, SELECTION, kind_of

ANSWERS_PAID = "teacher's answers"
"""What a server was paid, which is no compute of this machine."""
CORRECTED = "compute, corrected"
"""What people have added to compute, whatever it was spent on."""
OTHER = "other"
"""What a stage of an older or newer version is spent on, as far as this one can know: money all the same."""


def spent(ledger: Ledger, recipe: str) -> dict[str, float]:
    """Compute of every run of a recipe so far by kind, in USD, with what led to nothing.

    Args:
        ledger: has wall time and cost of every materialization.
        recipe: its name.
    """
    sums: dict[str, float] = defaultdict(float)
    for entry in ledger.entries(recipe, "materialization"):
        stage = asset_and_batch(entry.body["asset"].removeprefix(f"{recipe}/"))[0]
        sums[KINDS.get(kind_of(stage), OTHER)] += entry.body["cost_usd"]
    return dict(sums)


class Account(Record):
    """Whether the student of a recipe pays for itself. Money in US dollars."""

    recipe: str
    decision: Decision | None = Field(
        description="By what was measured, before that by the forecast; null where the recipe names no prices."
    )
    what: str = Field(description="The decision in a sentence.")
    forecast: Economics | None
    actual: Economics | None = Field(description="Null while no student was evaluated.")
    spent_usd: dict[str, float] = Field(description="Compute and answers so far, by kind, with what was corrected.")
    corrections: tuple[Correction, ...] = Field(
        description="What people have corrected; those of serving are in no sum here, since a student pays for itself "
        "by what calls cost."
    )
    data_share: float | None = Field(
        description="Part of all compute that went into data, capture and evaluation rather than training or a stage "
        "that is not known here; null before any was spent."
    )


def roi(builds: BuildStore, file: RecipeFile) -> Account:
    """Account for a recipe."""
    recipe, costs = file.recipe, spent(builds.ledger, file.name)
    paid = call_log(builds.home).spent(file.name)
    if paid:
        costs[ANSWERS_PAID] = paid
    given = corrections(builds.ledger, file.name)
    if of_compute := sum(each.usd for each in given if each.book is Book.COMPUTE):
        costs[CORRECTED] = of_compute
    expected = measured = None
    if recipe.economics is not None:
        expected = forecast(recipe.economics, recipe.budget, machine_usd_per_hour=recipe.machine_usd_per_hour)
        milliseconds = student_ms(builds, file)
        if milliseconds is not None:
            prices = recipe.economics.model_copy(update=_measured_fallback(builds, file))
            measured = actual(prices, costs, student_ms=milliseconds, machine_usd_per_hour=recipe.machine_usd_per_hour)
    paid_back, total = measured or expected, sum(costs.values())
    return Account(
        recipe=file.name,
        decision=paid_back.decision if paid_back else None,
        what=paid_back.sentence
        if paid_back
        else "the recipe names no prices: fill in `economics`, see `stillhouse schema`",
        forecast=expected,
        actual=measured,
        spent_usd=costs,
        corrections=tuple(given),
        data_share=1 - sum(costs.get(kind, 0.0) for kind in ("training", OTHER, CORRECTED)) / total if total else None,
    )


def _measured_fallback(builds: BuildStore, file: RecipeFile) -> dict[str, float]:
    """The share of golden rows that the teacher answers, in the place of the recipe's guess; where it was measured."""
    key = key_of(file.name, CASCADE)
    if file.recipe.cascade is None or newest_materialization(builds.ledger, key) is None:
        return {}
    return {"fallback_share": newest_artifact(builds, key).facts(CascadeFacts).golden_share}


def student_ms(builds: BuildStore, file: RecipeFile) -> float | None:
    """CPU time of a call of the selected student, or of the best one; by 0.1.0 wall time; None when not evaluated."""
    key = key_of(file.name, SELECTION)
    if newest_materialization(builds.ledger, key) is None:
        return None
    latency = read_report(newest_artifact(builds, key).folder).latency
    return None if latency is None else latency.student_ms
