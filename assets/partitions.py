"""The partitions of stages that are made more than once: by batch, or by day.

Belongs here: which a stage has, and on which day those of a recipe begin.
Does not: new batches (orchestration/batches.py), what is made of a day (stillhouse/stages/traffic.py).
"""

from datetime import UTC, datetime
from functools import cache
from pathlib import Path

import dagster as dg
import sqlalchemy as sa

from assets.keys import batches_of
from stillhouse.home import Home
from stillhouse.recipe.reading import RecipeFile
from stillhouse.records.ledger import Ledger
from stillhouse.stages.names import BATCHED, BY_DAY, LIVE_REPORT, kind_of


def partitions_of(file: RecipeFile, stage: str) -> dg.PartitionsDefinition | None:
    """The partitions of a stage of a recipe; None where there is one of it."""
    if stage in BATCHED:
        return batches_of(file.name)
    if kind_of(stage) not in BY_DAY:
        return None
    return _days_since(Home.from_environment().ledger_url, file.name, with_today=kind_of(stage) == LIVE_REPORT)


@cache
def _days_since(ledger_url: str, recipe: str, *, with_today: bool) -> dg.DailyPartitionsDefinition:
    """Each day since the first promotion; while there is none, since today. Loading again finds the first one.

    Args:
        ledger_url: of the ledger.
        recipe: whose promotion.
        with_today: whether there is one of the day that has not ended; a report is drawn up again as it goes on.
    """
    first = _first_promotion(ledger_url, recipe) or _today()
    return dg.DailyPartitionsDefinition(start_date=first, timezone="UTC", end_offset=int(with_today))


def _first_promotion(ledger_url: str, recipe: str) -> str | None:
    address = sa.make_url(ledger_url)
    if address.get_backend_name() == "sqlite" and not Path(address.database or "").exists():
        return None  # whoever loads definitions makes no ledger
    promotions = Ledger(ledger_url).entries(recipe, "promotion")
    return promotions[0].at[:10] if promotions else None


def _today() -> str:
    return datetime.now(UTC).date().isoformat()
