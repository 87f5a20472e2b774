"""What kill rules are measured by that is kept beside the ledger.

Belongs here: what runs paid for answers, what servers answered on a day, what a call costs.
Does not: the rules (stillhouse/recipe/plays.py), when one is met (stillhouse/records/plays.py).

A day of answers is read from the artifact that sums it up, which holds counts alone and is kept for good: rows of
traffic expire.
"""

from datetime import date, datetime

import polars as pl

from assets.keys import key_of
from assets.materializations import newest_artifact_if_any
from orchestration.economics import student_ms
from stillhouse.economics import usd_per_1000_calls
from stillhouse.recipe.reading import RecipeFile
from stillhouse.records.builds import BuildStore
from stillhouse.records.plays import BesideTheLedger, Prices, ServedDay
from stillhouse.stages.asking import call_log
from stillhouse.stages.names import TRAFFIC
from stillhouse.stages.traffic import TrafficFacts


def beside_the_ledger(builds: BuildStore, file: RecipeFile) -> BesideTheLedger:
    """What the kill rules of a recipe may ask for; nothing is read before they do."""

    def paid_usd(since: datetime) -> float:
        return call_log(builds.home).spent(file.name, since=since)

    def served(day: date) -> ServedDay | None:
        return served_on(builds, file.name, day)

    def prices() -> Prices | None:
        milliseconds, economics = student_ms(builds, file), file.recipe.economics
        if milliseconds is None or economics is None:
            return None
        student = usd_per_1000_calls(milliseconds, file.recipe.machine_usd_per_hour)
        return Prices(teacher=economics.teacher_usd_per_1000_calls, student=student)

    return BesideTheLedger(paid_usd, served, prices)


def served_on(builds: BuildStore, recipe: str, day: date) -> ServedDay | None:
    """What servers answered on a day, those answers that a full log let go included; None where it is not summed up."""
    found = newest_artifact_if_any(builds, key_of(recipe, TRAFFIC), day.isoformat())
    if found is None:
        return None
    rows = found.frame("answers").filter(pl.col("status") == 200)
    kept = found.facts(TrafficFacts).kept_share
    handed_on = rows.filter((pl.col("source") == "teacher") | pl.col("degraded"))
    return ServedDay(answers=int(rows["rows"].sum()) / kept, handed_on=int(handed_on["rows"].sum()) / kept)
