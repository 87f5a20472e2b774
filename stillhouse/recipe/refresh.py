"""When the next round starts without anybody asking, and what it may cost.

Belongs here: these decisions.
Does not: which events there are (events.py), holding rounds to the limits (stillhouse/records/rounds.py).
"""

from typing import Literal

from pydantic import Field

from stillhouse.recipe.events import Startable
from stillhouse.recipe.fields import Part


class RefreshSpec(Part):
    """When the next round starts without anybody asking."""

    cron: str = Field(description="cron line of the scheduled refresh, in UTC")
    watch_seconds: int = Field(30, ge=5, description="how often the drop folder is looked at")
    train_on_open_batches: bool = Field(
        False, description="train on the batches whose gates are open; otherwise one closed batch stops training"
    )
    # None of these decides anything about a model: other ones are no other contract, and none ships with a release.
    rounds_per_month: int | None = Field(
        None,
        ge=1,
        exclude=True,
        description="rounds in 30 days after which none starts by itself, whoever started them; no limit if left out",
    )
    hours_between_rounds: float = Field(
        0, ge=0, exclude=True, description="hours after the end of a round in which none starts by itself"
    )
    quiet_minutes: float = Field(
        0,
        ge=0,
        exclude=True,
        description="minutes without a new batch before a round starts, so that files in a row are one",
    )
    wait_hours_at_most: float = Field(
        6, gt=0, exclude=True, description="hours after which a batch is waited for no longer, whatever still arrives"
    )
    start: tuple[Startable, ...] = Field(
        (),
        exclude=True,
        description="events that start a round beside new rows, the clock, a change and a person: labels, agreement, "
        "weak_slice, fallback, overdue, webhook (docs/events.md)",
    )
    changed_code: Literal["round", "wait"] = Field(
        "round",
        exclude=True,
        description="what follows when the code of a stage was changed, as by an upgrade: a round, or what is there "
        "stays until something else starts one; gates whose code alone was changed are looked at again either way",
    )
    labels_at_least: int = Field(
        100,
        ge=1,
        exclude=True,
        description="known truths of matured answers that have to wait before they start a round, where start names "
        "labels; those of several days are added up",
    )
    usd_per_month: float | None = Field(
        None,
        gt=0,
        exclude=True,
        description="USD in 30 days, for compute and teacher's answers, after which no round starts by itself; no "
        "limit if left out",
    )
    max_age_days: float | None = Field(
        None,
        gt=0,
        exclude=True,
        description="days after which the champion is overdue unless a round has decided about it; the longest pause "
        "of the clock and a quarter more if left out",
    )
