"""New rows start exactly one run, and nothing else does."""

from pathlib import Path

import dagster as dg
import pytest

from orchestration.jobs import distil_job
from orchestration.schedules import refresh_schedule
from orchestration.sensors import automation_sensor, new_rows_sensor
from stillhouse.home import Home
from stillhouse.recipe import RecipeFile
from tests.small import small_recipe


@pytest.fixture
def file(tmp_path: Path) -> RecipeFile:
    return small_recipe(tmp_path, rows=100)


def tick(file: RecipeFile, cursor: str | None = None) -> dg.SensorResult | dg.SkipReason:
    sensor = new_rows_sensor(file, distil_job(file))
    answer = sensor(dg.build_sensor_context(cursor=cursor))
    assert isinstance(answer, dg.SensorResult | dg.SkipReason)
    return answer


def drop(home: Home, name: str, content: str) -> None:
    home.inbox("small").mkdir(parents=True, exist_ok=True)
    (home.inbox("small") / name).write_text(content)


def test_an_empty_drop_folder_starts_nothing(file: RecipeFile, home: Home) -> None:
    assert isinstance(tick(file), dg.SkipReason)


def test_a_new_file_starts_one_run_and_the_next_tick_none(file: RecipeFile, home: Home) -> None:
    drop(home, "monday.csv", "question\nWho ?\n")
    first = tick(file)
    assert isinstance(first, dg.SensorResult) and len(first.run_requests or ()) == 1
    assert isinstance(tick(file, first.cursor), dg.SkipReason)


def test_the_run_key_is_the_content(file: RecipeFile, home: Home) -> None:
    """Regression: run keys de-duplicate for ever, so a key by name or time would lose a file that is put right."""
    drop(home, "monday.csv", "question\nWho ?\n")
    first, again = tick(file), tick(file)
    drop(home, "monday.csv", "question\nWho was it ?\n")
    changed = tick(file)
    assert isinstance(first, dg.SensorResult) and isinstance(again, dg.SensorResult)
    assert isinstance(changed, dg.SensorResult)
    keys = [(result.run_requests or [])[0].run_key for result in (first, again, changed)]
    assert keys[0] == keys[1] != keys[2]


def test_a_file_that_is_still_being_written_is_not_a_file_of_rows(file: RecipeFile, home: Home) -> None:
    drop(home, "monday.csv.part", "question\nWh")
    drop(home, ".monday.csv", "question\nWh")
    assert isinstance(tick(file), dg.SkipReason)


def test_the_schedule_is_the_refresh_policy(file: RecipeFile) -> None:
    schedule = refresh_schedule(file, distil_job(file))
    assert schedule.cron_schedule == "0 3 * * 1"
    assert schedule.default_status is dg.DefaultScheduleStatus.RUNNING


def test_the_automation_sensor_runs_on_assets_and_checks() -> None:
    """Regression: Dagster's own automation sensor starts STOPPED and leaves checks out."""
    sensor = automation_sensor()
    assert sensor.default_status is dg.DefaultSensorStatus.RUNNING
    assert "asset_checks" in str(sensor.asset_selection) or "AllAssetCheck" in repr(sensor.asset_selection)
