"""A kill rule about live answers closes a recipe: rows as servers seal them, the assets of their days, and a tick."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest

from assets.keys import key_of
from orchestration.build import definitions
from orchestration.jobs import distil_job, ingest_job
from orchestration.kill_rules import beside_the_ledger, served_on
from orchestration.sensors import rounds_sensor
from stillhouse.home import Home
from stillhouse.live.segments import SECONDS_A_DAY, TrafficStore
from stillhouse.recipe.reading import RecipeFile
from stillhouse.records.builds import BuildStore
from stillhouse.records.ledger import Ledger
from stillhouse.records.plays import closure_of
from stillhouse.stages.asking import call_log
from stillhouse.stages.names import TRAFFIC
from tests.promotions import serve
from tests.small import small_recipe
from tests.stillhouse.live.made import put, rows

PLAY = {"name": "costs", "on": ["fallback"], "owner": "team:a", "do": "look at the rows", "cadence": "weekly"}
DAYS = 3


def recipe(folder: Path, kill: str) -> RecipeFile:
    return small_recipe(folder, rows=100, name="r", traffic={}, plays=[{**PLAY, "kill": kill}])


@pytest.fixture
def builds(home: Home) -> BuildStore:
    """A release serves for ten days."""
    builds = BuildStore(home)
    serve(Ledger(builds.ledger.url, clock=lambda: datetime.now(UTC) - timedelta(days=10)), "a")
    return builds


def a_day(builds: BuildStore, back: int, *, handed_on: int, away: int = 0, replica: str = "r1") -> str:
    """A day of 100 answers, some of them the teacher's, and some that the student gave in its place."""
    at = datetime.now(UTC).timestamp() - back * SECONDS_A_DAY
    source = ["teacher"] * handed_on + ["student"] * (100 - handed_on)
    degraded = [False] * handed_on + [True] * away + [False] * (100 - handed_on - away)
    frame = rows(100, at=at, first=1000 * back, replica=replica, release="a", source=source, degraded=degraded)
    put(TrafficStore(builds.home.artifacts, "r"), frame)
    return datetime.fromtimestamp(at, UTC).date().isoformat()


def summed_up(file: RecipeFile, instance: dg.DagsterInstance, day: str) -> None:
    """The asset of a day is made, as its schedule does."""
    job = dg.define_asset_job("some", dg.AssetSelection.assets(key_of("r", TRAFFIC)).without_checks())
    some = dg.Definitions.merge(definitions([file]), dg.Definitions(jobs=[job])).resolve_job_def("some")
    assert some.execute_in_process(instance=instance, partition_key=day).success


def tick(file: RecipeFile, instance: dg.DagsterInstance) -> None:
    rounds_sensor(file, [ingest_job(file), distil_job(file)])(dg.build_sensor_context(instance=instance))


def test_too_much_that_the_teacher_answers_on_each_of_some_days_closes_the_recipe(
    builds: BuildStore, tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    file = recipe(tmp_path, f"fallback_share > 0.4 for {DAYS} days")
    days = [a_day(builds, back, handed_on=30, away=20 if back < DAYS else 8) for back in range(1, DAYS + 1)]
    for day in days:
        assert served_on(builds, "r", datetime.fromisoformat(day).date()) is None
        summed_up(file, instance, day)
    served = [served_on(builds, "r", datetime.fromisoformat(day).date()) for day in days]
    assert [(each.answers, each.handed_on) for each in served if each is not None] == [(100, 50), (100, 50), (100, 38)]
    tick(file, instance)
    assert closure_of(builds.ledger, "r") is None, "not on the first of them"
    a_day(builds, DAYS, handed_on=100, replica="late")
    summed_up(file, instance, days[-1])
    tick(file, instance)
    closure = closure_of(builds.ledger, "r")
    assert closure is not None and closure.play == "costs"
    assert f"is given up at fallback_share > 0.4 for {DAYS} days" in closure.sentence


def test_the_bill_of_the_teacher_counts_as_it_does_for_the_budget(
    builds: BuildStore, tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    file, calls = recipe(tmp_path, "usd > 20"), call_log(builds.home)
    tick(file, instance)
    assert closure_of(builds.ledger, "r") is None
    calls.reserve("a question", "r", usd=25.0, usd_at_most=100.0)
    assert beside_the_ledger(builds, file).paid_usd(datetime.now(UTC) - timedelta(days=1)) == 25.0
    tick(file, instance)
    closure = closure_of(builds.ledger, "r")
    assert closure is not None
    assert closure.sentence == "usd is 25, and the play 'costs' is given up at usd > 20 in 30 days"


def test_what_was_saved_is_not_known_before_a_student_was_timed(builds: BuildStore, tmp_path: Path) -> None:
    prices = {
        "calls_per_month": 1e6, "teacher_usd_per_1000_calls": 1.0, "engineering_hours": 1,
        "engineering_usd_per_hour": 100,
    }  # fmt: skip
    play = {**PLAY, "kill": "saving_usd < 0"}
    file = small_recipe(tmp_path, rows=100, name="r", traffic={}, economics=prices, plays=[play])
    assert beside_the_ledger(builds, file).prices() is None
