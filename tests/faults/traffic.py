"""Faults of a day of traffic, in an installation of its own with one release in the ledger.

Belongs here: how each is planted.
Does not: which gate has to close on it (beside the tests of that gate, tests/checks), what is asked of it (asked.py).
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

import polars as pl

from stillhouse.digests import digest_of
from stillhouse.live.segments import TrafficStore, day_at, sealed
from stillhouse.recipe.reading import RecipeFile
from stillhouse.serving.traffic_logs import log_of
from tests.faults.bench import NAME, Bench, Plant
from tests.stillhouse.serving.killed import served

NOON = datetime(2027, 3, 1, 12, tzinfo=UTC).timestamp()
DAY = day_at(NOON)
RELEASE = digest_of("release")
KEY = "0123456789abcdef" * 2


def a_day(bench: Bench, *, release: str = RELEASE, **changes: object) -> RecipeFile:
    """A recipe whose champion answered twice on `DAY`, to be asked about on the next one."""
    file = bench.recipe(**{"traffic": {"days": 90, "text_days": 14}, **changes})
    body = {"digest": RELEASE, "manifest": digest_of("m"), "student": "one", "run_id": "r"}
    at = datetime.fromtimestamp(NOON, UTC).isoformat()
    bench.place.builds.ledger.append("promotion", NAME, {**body, "since": at})
    log = log_of(bench.place.home, file, "r1")
    for id in ("a", "b"):
        log.put(replace(served(id, at=NOON, key=KEY), release=release))
    log.close()
    return file


def store_of(bench: Bench) -> TrafficStore:
    return TrafficStore(bench.place.home.artifacts, NAME)


def written_otherwise(kind: str, change: Callable[[pl.DataFrame], pl.DataFrame]) -> Plant:
    """Somebody writes other rows than the servers did."""

    def plant(bench: Bench) -> RecipeFile:
        file, store = a_day(bench), store_of(bench)
        (segment,) = store.segments(DAY, kind)  # type: ignore[arg-type]
        store.replace(segment, change(store.frame(DAY, kind)))  # type: ignore[arg-type]
        return file

    return plant


def keeps_texts_where_none_may_be(bench: Bench) -> RecipeFile:
    """The servers were started before the recipe said so."""
    a_day(bench)
    return bench.recipe(traffic={"keep_texts": False})


def of_a_release_that_nobody_promoted(bench: Bench) -> RecipeFile:
    return a_day(bench, release=digest_of("another"))


def of_a_replica_that_vanished(bench: Bench) -> RecipeFile:
    file, store = a_day(bench), store_of(bench)
    (tally,) = store.tallies(DAY)
    store.publish(tally.model_copy(update={"replica": "r2", "final": False}))
    return file


def stays_for_ever(bench: Bench) -> RecipeFile:
    """Nothing is removed, though the recipe says when."""
    file = a_day(bench)
    frame = store_of(bench).frame(DAY, "texts")
    store_of(bench).put(day_at(NOON - 20 * 86_400), "texts", sealed(frame))
    for module in ("stages.traffic", "serving.traffic_logs"):
        bench.patch(f"stillhouse.{module}:expire", lambda real: lambda *_: None)
    return file


SAYS_WHERE = pl.lit("mail jane.doe@example.org").alias("text")
SAYS_WHO = pl.lit('{"kind":"jane.doe@example.org"}').alias("columns")
