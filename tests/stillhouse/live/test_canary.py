"""What callers of a challenger met: by caller and day, held against the champion's callers at the same time."""

import math
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from stillhouse.live.canary import CALLERS_AT_LEAST, CanaryFound, canary_found
from stillhouse.live.segments import TrafficStore, columns_of, sealed
from stillhouse.recipe.rollout import CanarySpec
from stillhouse.statistics.betting import log_e_value
from stillhouse.statistics.verdicts import Verdict

DAY = 20_000 * 86_400.0
DAYS = ["2024-10-04", "2024-10-05"]
NEW, OLD = "n" * 64, "o" * 64
Row = tuple[str | None, str, str, int, float, float]
"""Key, arm, release, status, latency, seconds after the first day began."""


@pytest.fixture
def store(tmp_path: Path) -> TrafficStore:
    return TrafficStore(str(tmp_path), "small")


def keep(store: TrafficStore, rows: Sequence[Row], day: int = 0) -> None:
    found = [
        (
            n,
            f"{day}-{n}",
            DAY + day * 86_400 + after,
            release,
            1,
            "student",
            "x",
            0.5,
            False,
            status,
            ms,
            3,
            2,
            key,
            arm,
            None,
            None,
            None,
            1.0,
            None,
        )
        for n, (key, arm, release, status, ms, after) in enumerate(rows, start=1)
    ]
    store.put(DAYS[day], "requests", sealed(columns_of("requests", f"r{day}", found)))


def callers(count: int, arm: str = "challenger", release: str = NEW, ms: float = 5.0, first: int = 0) -> Iterator[Row]:
    for n in range(first, first + count):
        yield f"{arm}{n}", arm, release, 200, ms, 60.0 + n


def look(store: TrafficStore, since: float = DAY) -> CanaryFound:
    return canary_found(store, DAYS, challenger=NEW, offered=DAY, since=since, spec=CanarySpec())


def test_without_a_request_nothing_is_found_and_all_is_missing(store: TrafficStore) -> None:
    found = look(store)
    assert (found.callers, found.failed, found.missing) == (0, None, CALLERS_AT_LEAST)
    assert found.failures.mean is None and found.failures.verdict is Verdict.INCONCLUSIVE


def test_callers_that_are_answered_are_counted_by_day_and_find_no_harm(store: TrafficStore) -> None:
    keep(store, [*callers(80), *callers(80)])
    keep(
        store, [*callers(80), (None, "challenger", NEW, 200, 5.0, 1.0), (None, "challenger", NEW, 200, 5.0, 2.0)], day=1
    )
    found = look(store)
    assert (found.callers, found.requests, found.missing) == (162, 242, 0), "who gives no key is another one each time"
    assert found.failed is None and found.failures.mean == 0.0
    assert look(store, since=DAY + 86_400).of_this_stage == 82


def test_a_challenger_that_fails_a_few_callers_in_twenty_is_found(store: TrafficStore) -> None:
    """The champion answered in its place: the caller saw nothing, the row has the champion's release."""
    failed = [(f"f{n}", "challenger", OLD, 200, 5.0, 60.0) for n in range(5)]
    keep(store, [*callers(80), *failed, *callers(200, "champion", OLD)])
    found = look(store)
    assert found.failures.verdict is Verdict.FAIL
    assert found.failed is not None and found.failed.startswith("5.9% of the requests of a caller failed, over 85")
    evidence = log_e_value(np.array([0.0, 1.0]), np.array([80.0, 5.0]), mean_at_most=0.005, lowest=0.0)
    assert found.failures.e_value == pytest.approx(math.exp(evidence))
    assert found.slow.verdict is Verdict.INCONCLUSIVE


def test_one_caller_whose_every_request_fails_is_one_and_proves_nothing(store: TrafficStore) -> None:
    """Counted by request, 50 failures of one caller would withdraw what fails nobody else."""
    keep(store, [*callers(300), *[("same", "challenger", OLD, 200, 5.0, 61.0)] * 50])
    found = look(store)
    assert (found.callers, found.requests) == (301, 350)
    assert found.failed is None


def test_a_slow_machine_is_no_fault_of_the_challenger(store: TrafficStore) -> None:
    slow = 500.0
    keep(store, [*callers(100, ms=slow), *callers(300, "champion", OLD, ms=slow)])
    found = look(store)
    assert found.failed is None and found.slow.champions == 1.0


def test_a_challenger_that_is_slow_beside_a_quick_champion_is_found(store: TrafficStore) -> None:
    keep(store, [*callers(60, ms=5.0), *callers(40, ms=500.0, first=60), *callers(300, "champion", OLD)])
    found = look(store)
    assert found.failed is not None and "were slow" in found.failed


def test_the_time_that_a_teacher_takes_is_no_slowness_of_the_challenger(store: TrafficStore) -> None:
    """Regression: a challenger with a cascade, beside a champion without one, was withdrawn as slow."""
    keep(store, [*callers(100, ms=500.0), *callers(300, "champion", OLD)])
    assert look(store).failed is not None
    for segment, frame in store.whole(DAYS[0], "requests"):
        behind = pl.when(pl.col("arm") == "challenger").then(pl.lit("y")).alias("student_label")
        store.replace(segment, frame.with_columns(behind))
    found = look(store)
    assert (found.failed, found.slow.mean, found.callers) == (None, None, 100)


def test_a_refusal_because_the_teacher_is_away_is_no_failure_of_the_challenger(store: TrafficStore) -> None:
    keep(store, [(f"c{n}", "challenger", NEW, 503, 5.0, 60.0) for n in range(100)])
    assert look(store).failures.mean == 0.0


def test_rows_from_before_the_offer_and_other_arms_are_not_counted(store: TrafficStore) -> None:
    keep(store, [*callers(50), ("i", "instead", "p" * 64, 200, 900.0, 70.0), ("e", "challenger", OLD, 200, 5.0, -5.0)])
    found = look(store)
    assert found.callers == 50 and found.failures.champions is None
