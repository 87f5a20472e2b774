"""A daemon that is killed in the middle of a look at a recipe has lost nothing and does nothing twice.

Belongs here: a kill before each write of a tick that takes in a batch and a call. Does not: what a tick decides
(test_sensors.py, test_events.py), kills of the real daemon at any moment (tests/end_to_end/test_rounds.py).
"""

import signal
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from assets.keys import CALLS, outside
from stillhouse.home import Home
from stillhouse.recipe.reading import RecipeFile
from stillhouse.records.batches import batches_of
from stillhouse.records.builds import BuildStore
from stillhouse.records.events import EventKind, history
from tests.orchestration.test_sensors import drop, requests, tick
from tests.small import small_recipe
from tests.warm import WarmParent, warm_parent

WRITES = 20
"""And commits of such a tick: fewer would end before the last kill."""
A_TICK = """
    import sys
    from pathlib import Path
    import dagster as dg
    from stillhouse.recipe.reading import read_recipe
    from tests.killing import killed_before
    from tests.orchestration.test_sensors import tick

    file, number = read_recipe(Path(sys.argv[1])), int(sys.argv[2])
    with dg.DagsterInstance.get() as instance, killed_before(number):
        tick(file, instance)
"""


@pytest.fixture
def file(tmp_path: Path) -> RecipeFile:
    missing = ["service"]
    return small_recipe(
        tmp_path, rows=100, slices=[], data__allow_missing_columns=missing, refresh__start=["webhook"]
    )  # fmt: skip


@pytest.fixture(scope="module")
def parent() -> Iterator[WarmParent]:
    """Runs ticks that are killed."""
    with warm_parent(["tests.orchestration.test_sensors", "tests.killing"]) as parent:
        yield parent


@pytest.mark.slow
@pytest.mark.parametrize("number", range(1, WRITES + 1))
def test_a_tick_killed_before_any_write_takes_a_file_and_a_call_in_once(
    file: RecipeFile, home: Home, instance: dg.DagsterInstance, number: int, parent: WarmParent
) -> None:
    drop(home, "monday.csv", "question\nWho ?\n")
    tick(file, instance)  # a file may still grow until it was seen twice
    instance.report_runless_asset_event(dg.AssetMaterialization(outside("small", CALLS), description="please"))
    killed = parent.run(A_TICK, file.path, number)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    asked, again = (requests(tick(file, instance)) for _ in range(2))
    ledger = BuildStore(home).ledger
    (batch,) = batches_of(ledger, "small").values()
    assert len(ledger.entries("small", "batch")) == 1 and [each.name for each in batch.files] == ["monday.csv"]
    assert instance.get_dynamic_partitions("batches_of_small") == ["base", batch.batch]
    noted = sorted((each.event.kind, each.event.times) for each in history(ledger, "small"))
    assert noted == [(EventKind.NEW_ROWS, 1), (EventKind.WEBHOOK, 1)]
    assert [(each.job_name, each.partition_key) for each in asked] == [
        ("ingest_small", "base"), ("distil_small", batch.batch)
    ]  # fmt: skip
    assert [each.run_key for each in again] == [each.run_key for each in asked], "Dagster starts a run key once"
    assert ledger.problems() == []
