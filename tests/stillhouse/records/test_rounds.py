"""When a recipe's own limits let a round start by itself: as functions of the ledger and the hour."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest

from stillhouse.recipe.refresh import RefreshSpec
from stillhouse.records.events import Event, EventKind
from stillhouse.records.ledger import GENESIS, Entry, Ledger
from stillhouse.records.rounds import held_back

NOW = datetime(2026, 3, 31, 12, tzinfo=UTC)


class AtNoon:
    """A ledger of which only kinds and times matter, at noon of the last of March."""

    def __init__(self, rounds: Sequence[timedelta], batches: Sequence[timedelta], ending: str) -> None:
        self.bodies: dict[str, dict[str, Any]] = {
            "round": {"ending": ending}, "batch": {}, "materialization": {"cost_usd": 1.5}
        }  # fmt: skip
        self.ages = {"round": rounds, "batch": batches, "materialization": hours(1, 24 * 29, 24 * 31)}

    def now(self) -> datetime:
        return NOW

    def entries(self, recipe: str, kind: str, *, subject: str | None = None) -> list[Entry]:
        times = sorted(NOW - age for age in self.ages.get(kind, ()))
        return [Entry(1, at.isoformat(), kind, recipe, self.bodies[kind], GENESIS, GENESIS) for at in times]


def why(
    *,
    rounds: Sequence[timedelta] = (),
    batches: Sequence[timedelta] = (),
    ending: str = "kept",
    paid_usd: float = 0.0,
    events: Sequence[timedelta] = (),
    **limits: float,
) -> str | None:
    refresh, ledger = RefreshSpec.model_validate({"cron": "0 5 * * 1", **limits}), AtNoon(rounds, batches, ending)
    happened = [Event(EventKind.WEBHOOK, str(age), NOW - age, NOW, 9, "asked", {}) for age in events]
    return held_back(cast(Ledger, ledger), "r", refresh, paid_usd=paid_usd, events=happened)


def hours(*ages: float) -> list[timedelta]:
    return [timedelta(hours=age) for age in ages]


def test_without_limits_nothing_is_held_back() -> None:
    assert why() is None
    assert why(rounds=hours(0, 1, 2, 3), batches=hours(0, 0, 1)) is None


@pytest.mark.parametrize(
    ("days", "limit", "free"),
    [
        ((1, 2, 3), 4, None),
        ((1, 2, 3), 3, "2026-04-27 12:00"),
        ((1, 2, 3, 29), 3, "2026-04-27 12:00"),
        ((1, 31, 60), 2, None),
        ((29.5,), 1, "2026-04-01 00:00"),
    ],
)
def test_a_month_has_so_many_rounds(days: Sequence[float], limit: int, free: str | None) -> None:
    found = why(rounds=[timedelta(days=age) for age in days], rounds_per_month=limit)
    assert found is None if free is None else found is not None and f"the next may start by itself {free} UTC" in found


def test_a_run_that_only_took_a_batch_in_is_no_round() -> None:
    assert why(rounds=hours(1, 2), ending="taken in", rounds_per_month=1, hours_between_rounds=9) is None


def test_after_a_round_there_is_a_pause() -> None:
    assert why(rounds=hours(30, 5), hours_between_rounds=5) is None
    found = why(rounds=hours(30, 4.5), hours_between_rounds=5)
    assert found is not None and found.endswith("the next may start by itself 2026-03-31 12:30 UTC")


@pytest.mark.parametrize(
    ("rounds", "batches", "due"),
    [
        ((), (0.05, 0.2), "12:07"),
        ((), (0.2,), None),
        ((), (0.01, 2, 5.99), "12:00"),
        ((), (0.01, 2, 6), None),
        ((0.1,), (0.15,), None),
        ((0.1,), (0.05, 7), "12:07"),
    ],
    ids=["still arriving", "quiet", "the first waits nearly too long", "the first waits too long", "in a round already",
         "only those after the round"],
)  # fmt: skip
def test_files_that_go_on_arriving_are_waited_for(
    rounds: Sequence[float], batches: Sequence[float], due: str | None
) -> None:
    found = why(rounds=hours(*rounds), batches=hours(*batches), quiet_minutes=10)
    assert found is None if due is None else found is not None and f"a round starts 2026-03-31 {due} UTC" in found


@pytest.mark.parametrize(
    ("events", "quiet", "due"),
    [((0.01, 0.2), 0, "12:00"), ((0.02, 0.2), 0, None), ((0.02, 0.2), 10, "12:08"), ((0.01, 5.99), 10, "12:00"),
     ((0.01, 6), 10, None)],
)  # fmt: skip
def test_events_that_go_on_happening_are_waited_for_a_minute_at_least(
    events: Sequence[float], quiet: float, due: str | None
) -> None:
    found = why(events=hours(*events), quiet_minutes=quiet)
    assert found is None if due is None else found is not None and f"a round starts 2026-03-31 {due} UTC" in found


@pytest.mark.parametrize(("paid", "limit", "spent"), [(0, 3, "3"), (0, 3.01, None), (2, 5, "5"), (1.9, 5, None)])
def test_a_month_has_so_much_money_for_compute_and_for_answers(paid: float, limit: float, spent: str | None) -> None:
    """Two materializations of 1.50 USD are of the last 30 days, and one is older."""
    found = why(paid_usd=paid, usd_per_month=limit)
    assert found is None if spent is None else found is not None and found.startswith(f"{spent} USD spent in 30 days")


def test_no_limit_is_part_of_the_contract() -> None:
    limits = {"rounds_per_month": 3, "quiet_minutes": 10, "usd_per_month": 5, "max_age_days": 9, "start": ["webhook"]}
    with_limits = RefreshSpec.model_validate({"cron": "0 5 * * 1", **limits})
    assert with_limits.model_dump() == RefreshSpec.model_validate({"cron": "0 5 * * 1"}).model_dump()
