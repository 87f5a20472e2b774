"""What tests share: an installation of their own, a Dagster instance on it, and running stages of a recipe."""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
import pytest
from hypothesis import settings

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
# As many workers run as there are cores; with a thread for each core in each of them they wait for one another.
os.environ.setdefault("OMP_NUM_THREADS", "1")

from assets.keys import key_of
from assets.materializations import newest_artifact, newest_materialization
from checks.gate_states import GateState, gate_states
from checks.stages import UNWAIVABLE
from orchestration.batches import sync_batches
from orchestration.build import definitions
from orchestration.diagnosis import is_closed_gate
from orchestration.instance import initialise
from orchestration.resources import RESOURCES
from orchestration.runs import QUIET
from stillhouse.data.outside import drop_folder_entries
from stillhouse.evaluation.measures.meter import THIS_MACHINE
from stillhouse.home import Home
from stillhouse.recipe.reading import RecipeFile
from stillhouse.records.batches import Batch, BatchFile, batches_of, record
from stillhouse.records.builds import Artifact, BuildStore
from stillhouse.records.governance import WaiverRules, valid_waivers
from stillhouse.records.ledger import Ledger
from stillhouse.stages.names import BASE, BATCHED
from stillhouse.stages.source import drop_folder
from tests.clock import seconds_to_wait
from tests.quick_dagster import lay_fresh_databases, quick_dagster
from tests.spared import (
    remember_baselines,
    remember_builds,
    shared_folder,
    spare_baselines,
    spare_drawing,
    spare_measuring,
)

# Timings live in benchmarks/. The same examples each time, so that a change fails by what it changed; new ones are
# looked for with `pytest --hypothesis-profile=default`.
settings.register_profile("same", deadline=None, derandomize=True)
settings.load_profile("same")

RULES = WaiverRules(UNWAIVABLE, days_at_most=30)
"""What the recipe `small` says about waivers."""

Run = Callable[..., dg.ExecuteInProcessResult]


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Let no test begin when the day is about to end."""
    time.sleep(seconds_to_wait(datetime.now(UTC)))


@pytest.fixture(scope="session", autouse=True)
def nothing_is_waited_for() -> Iterator[None]:
    """Nothing of Dagster's that no test asks about."""
    with quick_dagster():
        yield


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that all workers have, for what one of them makes for all."""
    return shared_folder(tmp_path_factory)


@pytest.fixture(scope="session", autouse=True)
def keys_and_witness_of_the_tests(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Not those of whoever runs the tests; the processes that tests start inherit the variables."""
    outside = tmp_path_factory.mktemp("outside")
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("STILLHOUSE_KEYS", str(outside / "keys"))
        environment.setenv("STILLHOUSE_WITNESS", str(outside / "witness.ndjson"))
        yield


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    monkeypatch.setenv("STILLHOUSE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "home" / "dagster"))
    monkeypatch.setenv("STILLHOUSE_KEYS", str(tmp_path / "keys"))
    monkeypatch.setenv("STILLHOUSE_WITNESS", str(tmp_path / "witness.ndjson"))
    monkeypatch.delenv("STILLHOUSE_RECIPES", raising=False)
    return Home.from_environment()


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    """An empty ledger of no installation."""
    return Ledger(f"sqlite:///{tmp_path / 'ledger.db'}")


@pytest.fixture
def builds(home: Home) -> BuildStore:
    return BuildStore(home)


@pytest.fixture
def instance(home: Home) -> Iterator[dg.DagsterInstance]:
    lay_fresh_databases(home)
    with initialise(home) as instance:
        yield instance


@pytest.fixture
def run(instance: dg.DagsterInstance) -> Run:
    """Run some stages of a recipe, with or without their gates, as the UI would: `run(file, "source", "prompts")`."""
    return partial(run_stages, instance)


def run_stages(
    instance: dg.DagsterInstance, file: RecipeFile, *stages: str, gates: bool = True, batch: str = BASE
) -> dg.ExecuteInProcessResult:
    """Run some stages of a recipe, or the whole way when none is named."""
    built = definitions([file])
    ingest(instance, file)
    selection = dg.AssetSelection.assets(*(key_of(file.name, stage) for stage in stages))
    job = dg.define_asset_job("some", selection if gates else selection.without_checks())
    some = dg.Definitions.merge(built, dg.Definitions(jobs=[job])) if stages else built
    name = "some" if stages else f"distil_{file.name}"
    is_of_a_batch = not stages or not {*stages}.isdisjoint(BATCHED)
    return some.resolve_job_def(name).execute_in_process(
        instance=instance,
        raise_on_error=False,
        run_config=QUIET,
        partition_key=batch if is_of_a_batch else None,
    )


def ingest(instance: dg.DagsterInstance, file: RecipeFile) -> None:
    """Make each file of the drop folder a batch that bears its name, which is easier to read in a test than our names.

    A file that was changed is a new edition of its batch; a file that is gone takes its batch with it.
    """
    builds = BuildStore(Home.from_environment())
    known = batches_of(builds.ledger, file.name)
    there = {entry.name: entry for entry in drop_folder_entries(drop_folder(file, builds.home))}
    for name, entry in there.items():
        digest = entry.keep(builds.store, file.recipe.data.limits)
        kept = BatchFile(name=name, digest=digest, size=entry.size)
        if name not in known or known[name].files != (kept,):
            record(builds.ledger, file.name, Batch(batch=name, files=(kept,), because="a test"))
    for name in known.keys() - there.keys():
        record(builds.ledger, file.name, Batch(batch=f"-{name}", files=(), replaces=(name,), because="a test"))
    sync_batches(instance, builds, file)


@dataclass(frozen=True)
class Place:
    """An installation that the tests of one module share, each a step further on the way of one recipe."""

    folder: Path
    home: Home
    instance: dg.DagsterInstance

    @property
    def builds(self) -> BuildStore:
        return BuildStore(self.home)

    def run(self, file: RecipeFile, *stages: str, **how: Any) -> dg.ExecuteInProcessResult:
        """See `run_stages`."""
        return run_stages(self.instance, file, *stages, **how)

    def drop(self, name: str, rows: pl.DataFrame) -> None:
        """Put a file of rows into the drop folder of the recipe `small`."""
        self.home.inbox("small").mkdir(parents=True, exist_ok=True)
        rows.write_csv(self.home.inbox("small") / name)

    def newest(self, stage: str, batch: str | None = None) -> Artifact:
        """The newest artifact of a stage of the recipe `small`."""
        return newest_artifact(self.builds, key_of("small", stage), batch)

    def states(self, stage: str, batch: str | None = None) -> dict[str, GateState]:
        """Each blocking gate of a stage of the recipe `small`, as it is now."""
        key = key_of("small", stage)
        waivers = valid_waivers(self.builds.ledger, "small", RULES)
        newest = newest_materialization(self.builds.ledger, key, batch)
        return {state.name: state for state in gate_states(self.builds.ledger, waivers, key, newest, batch)}


@contextmanager
def a_place(
    folder: Path, *, seeded: Path | None = None, baselines: bool = True, measured: bool = False, drawn: bool = False
) -> Iterator[Place]:
    """Open an installation of its own, for a fixture of wider scope than one test.

    Args:
        folder: where it lies.
        seeded: the folder `shared`, to be given what other tests built for the same orders; see `remember_builds`.
        baselines: whether those that ask a network are fitted and asked; else they answer as the majority class does.
        measured: whether speed and memory are measured, a little; else every model is as fast as every other.
        drawn: whether pictures are drawn; they are where speed is measured.
    """
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("STILLHOUSE_HOME", str(folder / "home"))
        environment.setenv("DAGSTER_HOME", str(folder / "home" / "dagster"))
        environment.setenv("STILLHOUSE_KEYS", str(folder / "keys"))
        environment.setenv("STILLHOUSE_WITNESS", str(folder / "witness.ndjson"))
        environment.delenv("STILLHOUSE_RECIPES", raising=False)
        if measured:
            environment.setitem(RESOURCES, "meter", replace(THIS_MACHINE, timed_texts=20))
        else:
            spare_measuring(environment)
        if not (measured or drawn):
            spare_drawing(environment)
        if seeded is not None:
            remember_builds(environment, seeded)
            if baselines:
                remember_baselines(environment, seeded)
        if not baselines:
            spare_baselines(environment)
        home = Home.from_environment()
        lay_fresh_databases(home)
        with initialise(home) as instance:
            yield Place(folder, home, instance)


def failures(result: dg.ExecuteInProcessResult) -> list[str]:
    """What the failed steps of a run say to a person, but for closed gates, which `verdicts` names."""
    data = [event.step_failure_data for event in result.all_events if event.is_step_failure]
    return [d.user_failure_data.description or "" for d in data if d.user_failure_data and not is_closed_gate(d)]


def verdicts(result: dg.ExecuteInProcessResult) -> dict[str, bool]:
    """Each gate that was looked at in a run, and whether it was open."""
    return {evaluation.check_name: evaluation.passed for evaluation in result.get_asset_check_evaluations()}
