"""New rows start exactly one run, and nothing else does."""

from pathlib import Path

import dagster as dg
import polars as pl
import pytest
from dagster._core.utils import make_new_run_id

from orchestration.jobs import distil_job, take_in_job
from orchestration.schedules import refresh_schedule
from orchestration.sensors import lost_updates_sensor, new_rows_sensor
from stillhouse.home import Home
from stillhouse.recipe import RecipeFile
from tests.conftest import Run
from tests.small import questions, small_recipe


@pytest.fixture
def file(tmp_path: Path) -> RecipeFile:
    return small_recipe(tmp_path, rows=100)


def tick(file: RecipeFile, instance: dg.DagsterInstance, cursor: str | None = None) -> dg.SensorResult | dg.SkipReason:
    sensor = new_rows_sensor(file, [take_in_job(file), distil_job(file)])
    answer = sensor(dg.build_sensor_context(instance=instance, cursor=cursor))
    assert isinstance(answer, dg.SensorResult | dg.SkipReason)
    return answer


def drop(home: Home, name: str, content: str) -> None:
    home.inbox("small").mkdir(parents=True, exist_ok=True)
    (home.inbox("small") / name).write_text(content)


def test_an_empty_drop_folder_starts_nothing(file: RecipeFile, home: Home, instance: dg.DagsterInstance) -> None:
    assert isinstance(tick(file, instance), dg.SkipReason)


def asked(answer: dg.SensorResult | dg.SkipReason) -> list[tuple[str | None, str | None]]:
    assert isinstance(answer, dg.SensorResult)
    return [(request.job_name, request.partition_key) for request in answer.run_requests or ()]


def test_new_files_are_taken_in_one_by_one_and_distilled_once(
    file: RecipeFile, home: Home, instance: dg.DagsterInstance
) -> None:
    drop(home, "monday.csv", "question\nWho ?\n")
    drop(home, "tuesday.csv", "question\nWhere ?\n")
    first = tick(file, instance)
    assert asked(first) == [
        ("take_in_small", "base"),
        ("take_in_small", "monday.csv"),
        ("take_in_small", "tuesday.csv"),
        ("distil_small", "base"),
    ]
    assert instance.get_dynamic_partitions("batches_of_small") == ["base", "monday.csv", "tuesday.csv"]
    assert isinstance(first, dg.SensorResult)
    assert isinstance(tick(file, instance, first.cursor), dg.SkipReason)


def test_a_batch_whose_file_is_gone_is_forgotten(file: RecipeFile, home: Home, instance: dg.DagsterInstance) -> None:
    drop(home, "monday.csv", "question\nWho ?\n")
    first = tick(file, instance)
    (home.inbox("small") / "monday.csv").unlink()
    assert isinstance(first, dg.SensorResult)
    assert asked(tick(file, instance, first.cursor)) == [("distil_small", "base")]
    assert instance.get_dynamic_partitions("batches_of_small") == ["base"]


def test_a_batch_that_is_taken_in_is_not_taken_in_again(
    tmp_path: Path, run: Run, home: Home, instance: dg.DagsterInstance
) -> None:
    from orchestration.batches import rounds
    from stillhouse.workshop import Workshop

    file = small_recipe(tmp_path)
    stages = ("contract", "source", "prompts", "teacher", "baselines", "teacher_signal")
    assert run(file, *stages).success
    drop(home, "monday.csv", "question,service,kind\nWho is the mayor of the largest town in Ghana ?,,\n")

    def wanted() -> list[tuple[str, str]]:
        return [(each.job, each.batch) for each in rounds(Workshop(home), file, ["base", "monday.csv"])]

    assert wanted() == [("take_in_small", "monday.csv"), ("distil_small", "base")]
    assert run(file, *stages, batch="monday.csv").success
    assert wanted() == [("distil_small", "base")]
    drop(home, "monday.csv", "question,service,kind\nWho is the mayor of the smallest town in Peru ?,,\n")
    assert wanted() == [("take_in_small", "monday.csv"), ("distil_small", "base")]


def test_the_run_key_is_the_content(file: RecipeFile, home: Home, instance: dg.DagsterInstance) -> None:
    """Regression: run keys de-duplicate for ever, so a key by name or time would lose a file that is put right."""
    drop(home, "monday.csv", "question\nWho ?\n")
    first, again = tick(file, instance), tick(file, instance)
    drop(home, "monday.csv", "question\nWho was it ?\n")
    changed = tick(file, instance)
    assert isinstance(first, dg.SensorResult) and isinstance(again, dg.SensorResult)
    assert isinstance(changed, dg.SensorResult)
    keys = [(result.run_requests or [])[0].run_key for result in (first, again, changed)]
    assert keys[0] == keys[1] != keys[2]


def test_a_file_that_is_still_being_written_is_not_a_file_of_rows(
    file: RecipeFile, home: Home, instance: dg.DagsterInstance
) -> None:
    drop(home, "monday.csv.part", "question\nWh")
    drop(home, ".monday.csv", "question\nWh")
    assert isinstance(tick(file, instance), dg.SkipReason)


def test_the_schedule_is_the_refresh_policy(file: RecipeFile) -> None:
    schedule = refresh_schedule(file, distil_job(file))
    assert schedule.cron_schedule == "0 3 * * 1"
    assert schedule.default_status is dg.DefaultScheduleStatus.RUNNING


@pytest.fixture
def plain(tmp_path: Path) -> RecipeFile:
    """A recipe whose hundred rows pass every gate on the way to the prompts."""
    return small_recipe(tmp_path, rows=100, slices=[])


def look_for_lost_updates(
    file: RecipeFile, instance: dg.DagsterInstance, cursor: str | None
) -> tuple[dg.SensorResult | dg.SkipReason, str | None]:
    context = dg.build_sensor_context(instance=instance, cursor=cursor)
    answer = lost_updates_sensor(file, [take_in_job(file), distil_job(file)])(context)
    assert isinstance(answer, dg.SensorResult | dg.SkipReason)
    return answer, context.cursor


def test_a_lost_update_is_followed_once_automation_has_had_its_chance(
    plain: RecipeFile, tmp_path: Path, run: Run, home: Home, instance: dg.DagsterInstance
) -> None:
    """Trap 8: a change on the tick after a request is lost to automation."""
    assert run(plain, "contract", "source", "prompts").success
    answer, cursor = look_for_lost_updates(plain, instance, None)
    assert isinstance(answer, dg.SkipReason) and not cursor, "a teacher that was never made is not a lost update"

    questions(101).write_csv(tmp_path / "questions.csv")
    assert run(plain, "source").success
    answer, cursor = look_for_lost_updates(plain, instance, cursor)
    assert isinstance(answer, dg.SkipReason) and "automation may still follow" in str(answer.skip_message)
    asked_for, again = look_for_lost_updates(plain, instance, cursor)
    assert asked(asked_for) == [("distil_small", "base")]
    assert isinstance(asked_for, dg.SensorResult)
    (first,) = asked_for.run_requests or ()
    assert first.tags["stillhouse/because"] == "small/prompts[base] is stale"
    repeated, _ = look_for_lost_updates(plain, instance, again)
    assert isinstance(repeated, dg.SensorResult)
    assert [request.run_key for request in repeated.run_requests or ()] == [first.run_key], "which Dagster runs once"

    assert run(plain, "prompts").success
    answer, cursor = look_for_lost_updates(plain, instance, again)
    assert isinstance(answer, dg.SkipReason) and not cursor, "it was followed"


def test_a_closed_gate_and_a_changed_recipe_are_no_lost_updates(
    plain: RecipeFile, tmp_path: Path, run: Run, home: Home, instance: dg.DagsterInstance
) -> None:
    assert run(plain, "contract", "source", "prompts").success
    blank = pl.DataFrame({"question": [" "] * 90, "service": ["LOC"] * 90, "kind": ["LOC:city"] * 90})
    pl.concat([questions(100), blank]).write_csv(tmp_path / "questions.csv")
    run(plain, "source", "prompts")
    changed = small_recipe(tmp_path, slices=[], bar={"margin": 0.2})
    for each in (plain, changed):
        cursor = None
        for _ in range(3):
            answer, cursor = look_for_lost_updates(each, instance, cursor)
            assert isinstance(answer, dg.SkipReason)


def test_nothing_is_asked_for_while_something_is_under_way(
    plain: RecipeFile, tmp_path: Path, run: Run, home: Home, instance: dg.DagsterInstance
) -> None:
    assert run(plain, "contract", "source", "prompts").success
    questions(101).write_csv(tmp_path / "questions.csv")
    assert run(plain, "source").success
    _, cursor = look_for_lost_updates(plain, instance, None)
    instance.add_run(dg.DagsterRun(job_name="another", run_id=make_new_run_id(), status=dg.DagsterRunStatus.STARTED))
    answer, _ = look_for_lost_updates(plain, instance, cursor)
    assert isinstance(answer, dg.SkipReason) and "under way" in str(answer.skip_message)
