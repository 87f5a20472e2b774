"""Every run that nobody works on any more is ended, no other one is, and one that has lost its lock ends itself."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from orchestration import dead_runs
from orchestration.dead_runs import dead_runs_sensor, end_dead_runs
from orchestration.instance import initialise
from orchestration.runs import PROCESS_TAG, RECIPE_TAG, process_of, process_tag
from stillhouse import processes
from stillhouse.home import Home
from stillhouse.processes import ProcessName
from stillhouse.records.builds import Artifact, BuildRequest, BuildStore
from stillhouse.records.locks import recipes_locked
from stillhouse.stages.names import CONTRACT, SOURCE
from tests.conftest import a_place, failures
from tests.small import small_recipe

Status = dg.DagsterRunStatus


@dg.job
def empty() -> None: ...


def named(run_id: str, pid: int, started: str | None = None, **changes: str) -> dict[str, str]:
    here = ProcessName.of_this_process()
    where = {"host": here.host, "boot": here.boot, **changes}
    return {PROCESS_TAG: f"{run_id} {ProcessName(pid=pid, started=started or processes._started(pid), **where)}"}


def a_run(instance: dg.DagsterInstance, status: Status, tags: dict[str, str] | None = None) -> str:
    """A run of the recipe `small`."""
    run = instance.create_run_for_job(empty, status=status, tags={RECIPE_TAG: "small", **(tags or {})})
    return run.run_id


def status_of(instance: dg.DagsterInstance, run_id: str) -> Status:
    run = instance.get_run_by_id(run_id)
    assert run is not None
    return run.status


@pytest.fixture
def gone() -> int:
    """Number of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No run is old."""
    monkeypatch.setattr(dead_runs, "GRACE_SECONDS", 1e6)
    yield


@pytest.mark.experiment("C5")
@pytest.mark.usefixtures("patient")
@pytest.mark.parametrize(
    ("status", "then"),
    [
        (Status.NOT_STARTED, Status.FAILURE),
        (Status.STARTING, Status.FAILURE),
        (Status.STARTED, Status.FAILURE),
        (Status.CANCELING, Status.CANCELED),
    ],
)
def test_a_run_whose_process_is_gone_is_ended(
    instance: dg.DagsterInstance, home: Home, gone: int, status: Status, then: Status
) -> None:
    run_id = a_run(instance, status)
    instance.add_run_tags(run_id, named(run_id, gone, started="1"))
    assert end_dead_runs(instance, home) == [run_id]
    assert status_of(instance, run_id) is then


@pytest.mark.usefixtures("patient")
def test_a_run_whose_process_lives_is_left_alone(instance: dg.DagsterInstance, home: Home) -> None:
    run_id = a_run(instance, Status.STARTED)
    instance.add_run_tags(run_id, process_tag(run_id))
    assert process_of(run_id, {**process_tag(run_id)}) == ProcessName.of_this_process()
    assert end_dead_runs(instance, home) == [] and status_of(instance, run_id) is Status.STARTED


@pytest.mark.usefixtures("patient")
def test_a_reused_number_and_another_boot_are_not_the_process_of_a_run(
    instance: dg.DagsterInstance, home: Home
) -> None:
    here = ProcessName.of_this_process()
    reused, rebooted = a_run(instance, Status.STARTED), a_run(instance, Status.STARTED)
    instance.add_run_tags(reused, named(reused, here.pid, started="1"))
    instance.add_run_tags(rebooted, named(rebooted, here.pid, boot="another/1"))
    assert set(end_dead_runs(instance, home)) == {reused, rebooted}


@pytest.mark.usefixtures("patient")
def test_the_process_of_the_run_that_is_executed_again_says_nothing(
    instance: dg.DagsterInstance, home: Home, gone: int
) -> None:
    """Dagster copies the tags of a run to the one that repeats it."""
    repeated = a_run(instance, Status.STARTING, named("the run before", gone, started="1"))
    assert end_dead_runs(instance, home) == [] and status_of(instance, repeated) is Status.STARTING


@pytest.mark.parametrize("status", [Status.NOT_STARTED, Status.STARTING, Status.STARTED])
def test_a_run_with_which_no_process_has_begun_is_ended_after_a_while(
    instance: dg.DagsterInstance, home: Home, monkeypatch: pytest.MonkeyPatch, status: Status
) -> None:
    run_id = a_run(instance, status)
    assert end_dead_runs(instance, home) == []
    monkeypatch.setattr(dead_runs, "GRACE_SECONDS", -1.0)
    assert end_dead_runs(instance, home) == [run_id] and status_of(instance, run_id) is Status.FAILURE


def test_a_launcher_that_can_be_asked_is_not_hurried(
    instance: dg.DagsterInstance, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On Kubernetes a run may wait minutes for its image; Dagster's daemon asks the launcher."""
    a_run(instance, Status.STARTING)
    monkeypatch.setattr(dead_runs, "GRACE_SECONDS", -1.0)
    monkeypatch.setattr(type(instance.run_launcher), "supports_check_run_worker_health", True)
    assert end_dead_runs(instance, home) == []


def test_a_run_of_another_machine_is_dead_once_nobody_holds_its_lock(
    instance: dg.DagsterInstance, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = a_run(instance, Status.STARTED)
    instance.add_run_tags(run_id, named(run_id, 1, host="elsewhere", boot="another/1"))
    assert end_dead_runs(instance, home) == [], "it may be about to take its lock"
    monkeypatch.setattr(dead_runs, "GRACE_SECONDS", -1.0)
    other = (
        "import sys, time; from pathlib import Path; from stillhouse.home import Home\n"
        "from stillhouse.records.locks import recipes_locked\n"
        f"home = Home(Path({str(home.root)!r}), '', {home.ledger_url!r})\n"
        "with recipes_locked(home, ['small'], by='run', waiting=print): print('locked', flush=True); time.sleep(600)"
    )
    holder = subprocess.Popen([sys.executable, "-c", other], stdout=subprocess.PIPE)
    try:
        assert holder.stdout is not None and holder.stdout.readline() == b"locked\n"
        assert end_dead_runs(instance, home) == []
    finally:
        holder.kill()
        holder.wait()
    assert end_dead_runs(instance, home) == [run_id]
    with recipes_locked(home, ["small"], by="a test", waiting=lambda *_: pytest.fail("the look kept the lock")):
        pass


@pytest.mark.usefixtures("patient")
def test_whoever_opens_the_installation_and_a_sensor_end_dead_runs(
    instance: dg.DagsterInstance, home: Home, gone: int
) -> None:
    first, second = a_run(instance, Status.STARTED), a_run(instance, Status.STARTED)
    instance.add_run_tags(first, named(first, gone, started="1"))
    with initialise(home) as opened:
        assert status_of(opened, first) is Status.FAILURE
    instance.add_run_tags(second, named(second, gone, started="1"))
    answer = dead_runs_sensor(dg.build_sensor_context(instance=instance))
    assert isinstance(answer, dg.SkipReason) and second[:8] in str(answer.skip_message)
    assert dead_runs_sensor.default_status is dg.DefaultSensorStatus.RUNNING


def test_a_run_that_has_lost_the_lock_of_its_recipe_fails_and_writes_nothing_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with a_place(tmp_path) as place:
        file = small_recipe(place.folder, rows=50)
        make = BuildStore.make

        def lost_in_the_middle(builds: BuildStore, order: BuildRequest, build: Any) -> Artifact:
            if order.stage == SOURCE:
                (place.home.locks / "small.lock").unlink()
            return make(builds, order, build)

        monkeypatch.setattr(BuildStore, "make", lost_in_the_middle)
        result = place.run(file, CONTRACT, SOURCE)
        (said,) = failures(result)
        assert not result.success and "the lock of small was lost while run " in said and "Start it again" in said
        made = place.builds.ledger.entries("small", "materialization")
        assert [entry.body["asset"] for entry in made] == ["small/contract"]
        assert not place.builds.ledger.entries("small", "verdict", subject="small/source[base]")

        monkeypatch.undo()
        again = place.run(file, CONTRACT, SOURCE)
        made = place.builds.ledger.entries("small", "materialization", subject="small/source[base]")
        assert [entry.body["run_id"] for entry in made] == [again.run_id], failures(again)
        assert place.builds.ledger.entries("small", "verdict", subject="small/source[base]")
