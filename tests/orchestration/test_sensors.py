"""A round is asked for by what is missing or stale, once, and while nothing of its recipe is under way."""

import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest

from orchestration import dispatcher, sensors
from orchestration.jobs import distil_job, ingest_job
from orchestration.runs import (
    ATTEMPT_TAG,
    BECAUSE_TAG,
    OUTCOME_TAG,
    RECIPE_TAG,
    STATE_TAG,
    VERSION_TAG,
    new_run_id,
    process_tag,
    version_of,
)
from orchestration.schedules import refresh_schedule
from orchestration.sensors import rounds_sensor
from stillhouse.home import Home
from stillhouse.recipe.reading import RecipeFile
from stillhouse.records.batches import batches_of
from stillhouse.records.builds import BuildStore
from stillhouse.records.ledger import Ledger
from stillhouse.records.looks import LookKind, last_looks
from tests.conftest import Run
from tests.small import questions, small_recipe

Answer = dg.SensorResult | dg.SkipReason


@pytest.fixture
def file(tmp_path: Path) -> RecipeFile:
    """A recipe whose hundred rows pass every gate on the way to the prompts."""
    return small_recipe(tmp_path, rows=100, slices=[], data__allow_missing_columns=["service"])


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Automation gets no time, and attempts follow one another at once."""
    monkeypatch.setattr(sensors, "SECONDS_FOR_AUTOMATION", -1.0)
    monkeypatch.setattr(dispatcher, "PAUSES", (0.0, 0.0))
    yield


def tick(file: RecipeFile, instance: dg.DagsterInstance, cursor: str | None = None) -> Answer:
    sensor = rounds_sensor(file, [ingest_job(file), distil_job(file)])
    answer = sensor(dg.build_sensor_context(instance=instance, cursor=cursor))
    assert isinstance(answer, Answer)
    return answer


def ticks(file: RecipeFile, instance: dg.DagsterInstance, count: int = 2) -> Answer:
    """Several ticks with the cursor of the one before; what the last one says."""
    sensor = rounds_sensor(file, [ingest_job(file), distil_job(file)])
    cursor: str | None = None
    for _ in range(count):
        context = dg.build_sensor_context(instance=instance, cursor=cursor)
        answer = sensor(context)
        assert isinstance(answer, Answer)
        cursor = context.cursor
    return answer


def drop(home: Home, name: str, content: str) -> Path:
    home.inbox("small").mkdir(parents=True, exist_ok=True)
    (home.inbox("small") / name).write_text(content)
    return home.inbox("small") / name


def requests(answer: Answer) -> list[dg.RunRequest]:
    assert isinstance(answer, dg.SensorResult), answer
    return list(answer.run_requests or ())


def asked(answer: Answer) -> list[tuple[str | None, str | None]]:
    return [(request.job_name, request.partition_key) for request in requests(answer)]


def skipped(answer: Answer) -> str:
    assert isinstance(answer, dg.SkipReason), answer
    return str(answer.skip_message)


def played(instance: dg.DagsterInstance, answer: Answer, status: dg.DagsterRunStatus, **tags: str) -> None:
    """Pretend that the runs that were asked for have been, and how they ended."""

    @dg.job
    def empty() -> None: ...

    for request in requests(answer):
        of_ours = {RECIPE_TAG: "small", "dagster/partition": str(request.partition_key)}
        instance.create_run_for_job(empty, status=status, tags={**request.tags, **of_ours, **tags})


BROKE = {OUTCOME_TAG: "small__source failed: no such file"}


def test_a_recipe_that_nobody_began_waits_for_a_person_or_a_file(
    file: RecipeFile, home: Home, instance: dg.DagsterInstance
) -> None:
    assert "nothing of small was made yet" in skipped(ticks(file, instance))


def test_all_files_of_a_look_are_one_batch_and_a_fresh_recipe_takes_two_runs(
    file: RecipeFile, home: Home, instance: dg.DagsterInstance
) -> None:
    drop(home, "monday.csv", "question\nWho ?\n")
    drop(home, "tuesday.csv", "question\nWhere ?\n")
    assert isinstance(tick(file, instance), dg.SkipReason), "they may still grow"
    answer = tick(file, instance)
    (batch,) = batches_of(BuildStore(home).ledger, "small").values()
    assert [item.name for item in batch.files] == ["monday.csv", "tuesday.csv"]
    assert asked(answer) == [("ingest_small", "base"), ("distil_small", batch.batch)]
    assert instance.get_dynamic_partitions("batches_of_small") == ["base", batch.batch]
    assert {request.tags[BECAUSE_TAG] for request in requests(answer)} == {f"batch {batch.batch}: 2 new files"}
    again = tick(file, instance)
    assert [request.run_key for request in requests(again)] == [request.run_key for request in requests(answer)], (
        "a tick that died after it had asked is made up for, and Dagster starts a run key once"
    )


def test_files_that_keep_arriving_are_one_round_once_they_stop(
    tmp_path: Path, home: Home, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    missing = ["service"]
    file = small_recipe(
        tmp_path, rows=100, slices=[], data__allow_missing_columns=missing, refresh__quiet_minutes=10
    )  # fmt: skip
    for number in range(3):
        drop(home, f"{number}.csv", f"question\nWho is number {number} ?\n")
        assert "a round starts" in skipped(ticks(file, instance)), number
    batches = list(batches_of(BuildStore(home).ledger, "small"))
    assert len(batches) == 3
    later = datetime.now(UTC) + timedelta(minutes=11)
    monkeypatch.setattr(Ledger, "now", lambda ledger: later)
    jobs = [("ingest_small", batch) for batch in ["base", *batches[:-1]]]
    assert asked(tick(file, instance)) == [*jobs, ("distil_small", batches[-1])]


def test_a_recipe_whose_month_is_used_up_waits_and_says_until_when(
    tmp_path: Path, home: Home, instance: dg.DagsterInstance
) -> None:
    file = small_recipe(
        tmp_path, rows=100, slices=[], data__allow_missing_columns=["service"], refresh__rounds_per_month=2
    )  # fmt: skip
    ledger = BuildStore(home).ledger
    ended = {"run_id": "r", "ending": "kept", "sentence": "champion kept", "because": "", "gate": None}
    drop(home, "monday.csv", "question\nWho ?\n")
    ledger.append("round", "small", ended)
    assert asked(ticks(file, instance)) != []
    ledger.append("round", "small", ended)
    assert "2 rounds in 30 days, and refresh.rounds_per_month is 2" in skipped(tick(file, instance))
    by_the_clock = refresh_schedule(file, distil_job(file)).evaluate_tick(
        dg.build_schedule_context(instance=instance, scheduled_execution_time=datetime.now(UTC))
    )
    assert not by_the_clock.run_requests and "the next may start by itself" in str(by_the_clock.skip_message)


def test_a_bad_file_is_named_at_each_tick_and_stops_no_other(
    file: RecipeFile, home: Home, instance: dg.DagsterInstance
) -> None:
    bad = drop(home, "bad.csv", "")
    assert "bad.csv is left out: it is empty" in skipped(ticks(file, instance))
    drop(home, "good.csv", "question\nWho ?\n")
    assert len(asked(ticks(file, instance))) == 2
    bad.write_text("question\nWhere ?\n")
    ticks(file, instance)
    assert [len(batch.files) for batch in batches_of(BuildStore(home).ledger, "small").values()] == [1, 1]


def test_an_upload_that_is_not_finished_is_no_file_of_rows(
    file: RecipeFile, home: Home, instance: dg.DagsterInstance
) -> None:
    drop(home, "monday.csv.part", "question\nWh")
    drop(home, ".monday.csv", "question\nWh")
    assert isinstance(ticks(file, instance), dg.SkipReason)


@pytest.mark.usefixtures("impatient")
def test_what_is_missing_is_asked_for_however_it_came_to_be_so(
    file: RecipeFile, run: Run, instance: dg.DagsterInstance
) -> None:
    """A run that was killed half way leaves nothing but what is missing."""
    assert run(file, "contract", "source").success
    answer = ticks(file, instance)
    assert asked(answer) == [("distil_small", "base")]
    assert requests(answer)[0].tags[BECAUSE_TAG] == "small/prompts[base] was never materialized"


def test_automation_gets_time_to_follow_what_is_stale(
    file: RecipeFile, tmp_path: Path, run: Run, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Trap 8: a change on the tick after a request is lost to automation."""
    assert run(file, "contract", "source", "prompts").success
    questions(101).write_csv(tmp_path / "questions.csv")
    assert run(file, "source").success
    assert "automation may still follow" in skipped(ticks(file, instance, 3))
    monkeypatch.setattr(sensors, "SECONDS_FOR_AUTOMATION", -1.0)
    answer = ticks(file, instance)
    assert asked(answer) == [("distil_small", "base")]
    assert "small/prompts[base] is stale" in requests(answer)[0].tags[BECAUSE_TAG]


@pytest.mark.usefixtures("impatient")
def test_a_changed_recipe_is_followed(file: RecipeFile, tmp_path: Path, run: Run, instance: dg.DagsterInstance) -> None:
    assert run(file, "contract", "source", "prompts").success
    changed = small_recipe(tmp_path, slices=[], bar={"margin": 0.2})
    assert asked(ticks(changed, instance)) == [("distil_small", "base")]


@pytest.mark.usefixtures("impatient")
def test_a_closed_gate_waits_for_a_person_but_a_new_batch_is_tried_once(
    tmp_path: Path, run: Run, home: Home, instance: dg.DagsterInstance
) -> None:
    terms = {"teacher__training_on_outputs": "unknown", "data__allow_missing_columns": ["service"]}
    file = small_recipe(tmp_path, rows=100, slices=[], **terms)
    assert not run(file, "contract").success
    closed = skipped(ticks(file, instance, 3))
    assert "gate small/contract:terms_allow_training_on_outputs is failed" in closed
    assert "A person has to decide" in closed
    drop(home, "monday.csv", "question\nWho ?\n")
    answer = ticks(file, instance)
    (batch,) = batches_of(BuildStore(home).ledger, "small")
    assert asked(answer) == [("ingest_small", "base"), ("distil_small", batch)]
    played(instance, answer, dg.DagsterRunStatus.FAILURE, **BROKE)
    assert "A person has to decide" in skipped(ticks(file, instance))


@pytest.mark.parametrize("how", ["tag", "selection", "lock"])
@pytest.mark.usefixtures("impatient")
def test_nothing_is_asked_for_while_something_of_the_recipe_is_under_way(
    file: RecipeFile, run: Run, home: Home, instance: dg.DagsterInstance, how: str
) -> None:
    assert run(file, "contract", "source").success

    def going(recipe: str) -> None:
        tags = {RECIPE_TAG: recipe} if how == "tag" else {}
        selected = None if how == "tag" else frozenset({dg.AssetKey([recipe, "prompts"])})
        started = dg.DagsterRunStatus.STARTED
        instance.add_run(dg.DagsterRun("any", run_id=new_run_id(), status=started, tags=tags, asset_selection=selected))

    going("another")
    assert asked(ticks(file, instance)) == [("distil_small", "base")], "two recipes run beside each other"
    if how != "lock":
        going("small")
        assert "is under way" in skipped(ticks(file, instance))
        return
    command = (
        "import time; from stillhouse.home import Home; from stillhouse.records.locks import recipes_locked\n"
        "with recipes_locked(Home.from_environment(), ['small'], by='run 1a2b3c4d', waiting=print):\n"
        "    print('locked', flush=True); time.sleep(600)"
    )
    holder = subprocess.Popen([sys.executable, "-c", command], stdout=subprocess.PIPE)
    try:
        assert holder.stdout is not None and holder.stdout.readline() == b"locked\n"
        assert "run 1a2b3c4d is under way" in skipped(ticks(file, instance))
    finally:
        holder.kill()
        holder.wait()


@pytest.mark.usefixtures("impatient")
def test_a_plan_that_nobody_started_holds_nobody_up_and_one_of_a_process_does(
    file: RecipeFile, run: Run, instance: dg.DagsterInstance
) -> None:
    assert run(file, "contract", "source").success

    @dg.job
    def empty() -> None: ...

    planned = instance.create_run_for_job(empty, tags={RECIPE_TAG: "small"})
    assert len(asked(ticks(file, instance))) == 1
    instance.add_run_tags(planned.run_id, process_tag(planned.run_id))
    assert "is under way" in skipped(ticks(file, instance))


@pytest.mark.usefixtures("impatient")
def test_what_fails_three_times_is_left_to_a_person_who_hears_what_and_where(
    file: RecipeFile, run: Run, instance: dg.DagsterInstance
) -> None:
    assert run(file, "contract", "source").success
    keys = set()
    for number in ("1", "2", "3"):
        answer = ticks(file, instance)
        (request,) = requests(answer)
        assert request.tags[ATTEMPT_TAG] == number and request.tags[STATE_TAG]
        keys.add(request.run_key)
        played(instance, answer, dg.DagsterRunStatus.FAILURE, **BROKE)
    assert len(keys) == 3
    said = skipped(ticks(file, instance))
    assert "small/prompts[base] was never materialized; 3 attempts changed nothing" in said
    assert "the last: small__source failed: no such file" in said and "`stillhouse run small`" in said
    assert run(file, "prompts").success
    assert len(asked(ticks(file, instance))) == 1, "another state is counted from the beginning"


def test_the_next_attempt_waits_and_one_that_was_killed_is_repeated_at_once(
    file: RecipeFile, run: Run, instance: dg.DagsterInstance
) -> None:
    assert run(file, "contract", "source").success
    for _ in range(2):
        played(instance, ticks(file, instance), dg.DagsterRunStatus.FAILURE)
    answer = ticks(file, instance)
    assert requests(answer)[0].tags[ATTEMPT_TAG] == "3"
    played(instance, answer, dg.DagsterRunStatus.FAILURE, **BROKE)
    assert "the next follows in" in skipped(ticks(file, instance))


def test_a_run_that_dies_each_time_is_not_repeated_for_ever(
    file: RecipeFile, run: Run, instance: dg.DagsterInstance
) -> None:
    assert run(file, "contract", "source").success
    for _ in range(9):
        played(instance, ticks(file, instance), dg.DagsterRunStatus.FAILURE)
    assert "9 attempts changed nothing, the last: its process was killed" in skipped(ticks(file, instance))


@pytest.mark.usefixtures("impatient")
def test_a_run_that_a_person_cancelled_is_not_asked_for_again(
    file: RecipeFile, run: Run, instance: dg.DagsterInstance
) -> None:
    assert run(file, "contract", "source").success
    played(instance, ticks(file, instance), dg.DagsterRunStatus.CANCELED)
    assert "was cancelled" in skipped(ticks(file, instance))


@pytest.mark.usefixtures("impatient")
def test_a_stop_counts_however_far_the_run_had_come_until_something_is_new(
    file: RecipeFile, home: Home, run: Run, instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    """Regression: a run that had made a stage before it was cancelled was asked for again, as the state was another."""
    assert run(file, "contract", "source").success
    answer = ticks(file, instance)
    assert run(file, "prompts").success
    played(instance, answer, dg.DagsterRunStatus.CANCELED, **{VERSION_TAG: version_of(file)})
    said = skipped(ticks(file, instance))
    assert "small/teacher was never materialized; the run that should have made it was cancelled" in said
    assert "`stillhouse run small` tries again" in said

    changed = small_recipe(tmp_path, rows=100, slices=[], data__allow_missing_columns=["service"], bar={"margin": 0.06})
    assert len(asked(ticks(changed, instance))) == 1, "another recipe"
    drop(home, "monday.csv", "question\nWho ?\n")
    assert "was cancelled" in skipped(tick(file, instance)), "it may still grow"
    assert [job for job, _ in asked(tick(file, instance))] == ["ingest_small", "distil_small"], "new rows"


@pytest.mark.usefixtures("impatient")
def test_a_run_that_a_person_starts_after_a_stop_lifts_it(
    file: RecipeFile, run: Run, instance: dg.DagsterInstance
) -> None:
    assert run(file, "contract", "source").success
    answer = ticks(file, instance)
    assert run(file, "prompts").success
    played(instance, answer, dg.DagsterRunStatus.CANCELED)
    played(instance, answer, dg.DagsterRunStatus.FAILURE, **BROKE)
    assert len(asked(ticks(file, instance))) == 1


def test_partitions_of_version_0_1_0_go_on_as_batches(
    file: RecipeFile, home: Home, instance: dg.DagsterInstance
) -> None:
    drop(home, "monday.csv", "question\nWho ?\n")
    instance.add_dynamic_partitions("batches_of_small", ["base", "monday.csv", "gone.csv"])
    ticks(file, instance)
    assert instance.get_dynamic_partitions("batches_of_small") == ["base", "monday.csv"]
    entries = {
        entry.body["batch"]: entry.body["because"] for entry in BuildStore(home).ledger.entries("small", "batch")
    }
    assert entries == {
        "monday.csv": "it was a batch of its own under version 0.1.0",
        "gone.csv": "its file is gone",
    }


def test_the_schedule_is_the_refresh_policy(file: RecipeFile) -> None:
    schedule = refresh_schedule(file, distil_job(file))
    assert schedule.cron_schedule == "0 3 * * 1"
    assert schedule.default_status is dg.DefaultScheduleStatus.RUNNING


def test_a_tick_says_that_somebody_has_looked(home: Home, instance: dg.DagsterInstance, file: RecipeFile) -> None:
    began = datetime.now(UTC)
    tick(file, instance)
    assert began <= last_looks(home.ledger_url, "small")[LookKind.ROUNDS] <= datetime.now(UTC)
