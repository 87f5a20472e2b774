"""The moments that a cron line names, as Dagster's own scheduler finds them.

Belongs here: the one use of that function of Dagster, which is not public.
Does not: what a recipe's clock is for (orchestration/schedules.py, freshness.py), whether a line is one
(orchestration/recipe_check.py).
"""

from collections.abc import Iterator
from datetime import datetime

from dagster._utils.schedules import cron_string_iterator


def ticks(cron: str, *, since: float) -> Iterator[datetime]:
    """Every moment of a cron line in UTC, from one on and without end.

    Args:
        cron: the line.
        since: in seconds since 1970; a moment that is just then counts.
    """
    return cron_string_iterator(since, cron, "UTC")
