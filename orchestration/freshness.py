"""How old a decision about the champion may become before it is overdue.

Belongs here: that age, whether it is reached, and the freshness policies that show it in the UI.
Does not: what starts a round then (new_events.py, dispatcher.py).
"""

from collections.abc import Collection
from datetime import datetime, timedelta
from itertools import islice, pairwise

import dagster as dg

from assets.cron import ticks
from assets.keys import key_of
from stillhouse.recipe.reading import RecipeFile
from stillhouse.records.ledger import Entry, Ledger
from stillhouse.stages.names import CHAMPION, SELECTION

TICKS_LOOKED_AT = 50
DECISIONS = (SELECTION, CHAMPION)
"""What a refresh decides again, whether or not anything has changed."""


def overdue_after(file: RecipeFile) -> timedelta:
    """How old what a refresh decides may become: as the recipe says, or else by its clock.

    That is its longest pause, and a quarter more for the round.
    """
    refresh = file.recipe.refresh
    if refresh.max_age_days is not None:
        return timedelta(days=refresh.max_age_days)
    times = [tick.timestamp() for tick in islice(ticks(refresh.cron, since=0.0), TICKS_LOOKED_AT)]
    pause = timedelta(seconds=max(later - earlier for earlier, later in pairwise(times)))
    return pause + max(pause / 4, timedelta(hours=1))


def overdue_decision(ledger: Ledger, file: RecipeFile, now: datetime) -> Entry | None:
    """The newest decision about the champion, where it is older than the recipe allows."""
    decided = ledger.newest(file.name, "materialization", subject=f"{file.name}/{CHAMPION}")
    return None if decided is None or now - decided.moment <= overdue_after(file) else decided


def freshness_of(file: RecipeFile) -> dg.FreshnessPolicy:
    """The same as Dagster has it."""
    return dg.FreshnessPolicy.time_window(fail_window=overdue_after(file))


def refreshed(file: RecipeFile, assets: Collection[dg.AssetsDefinition]) -> list[dg.AssetsDefinition]:
    """Give what a refresh decides the freshness policy that follows from its clock."""
    policy, keys = freshness_of(file), {key_of(file.name, stage) for stage in DECISIONS}
    return [
        asset.map_asset_specs(
            lambda spec: spec.replace_attributes(freshness_policy=policy) if spec.key in keys else spec
        )
        for asset in assets
    ]
