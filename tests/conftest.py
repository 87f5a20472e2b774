"""What tests share: an installation of their own, a Dagster instance on it, and running stages of a recipe."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import dagster as dg
import pytest

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

from assets.keys import BASE, BATCHED, key_of
from orchestration.batches import sync_batches
from orchestration.build import definitions
from orchestration.instance import initialise
from stillhouse.home import Home
from stillhouse.recipe import RecipeFile
from stillhouse.workshop import Workshop

Run = Callable[..., dg.ExecuteInProcessResult]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    monkeypatch.setenv("STILLHOUSE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "home" / "dagster"))
    monkeypatch.delenv("STILLHOUSE_RECIPES", raising=False)
    return Home.from_environment()


@pytest.fixture
def workshop(home: Home) -> Workshop:
    return Workshop(home)


@pytest.fixture
def instance(home: Home) -> Iterator[dg.DagsterInstance]:
    with initialise(home) as instance:
        yield instance


@pytest.fixture
def run(instance: dg.DagsterInstance) -> Run:
    """Run some stages of a recipe, with or without their gates, as the UI would: `run(file, "source", "prompts")`."""

    def run_stages(file: RecipeFile, *stages: str, gates: bool = True, batch: str = BASE) -> dg.ExecuteInProcessResult:
        built = definitions([file])
        sync_batches(instance, Workshop(Home.from_environment()), file)
        selection = dg.AssetSelection.assets(*(key_of(file.name, stage) for stage in stages))
        job = dg.define_asset_job("some", selection if gates else selection.without_checks())
        some = dg.Definitions.merge(built, dg.Definitions(jobs=[job])) if stages else built
        name = "some" if stages else f"distil_{file.name}"
        quiet = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
        is_of_a_batch = not stages or not {*stages}.isdisjoint(BATCHED)
        return some.resolve_job_def(name).execute_in_process(
            instance=instance,
            raise_on_error=False,
            run_config=quiet,
            partition_key=batch if is_of_a_batch else None,
        )

    return run_stages


def failures(result: dg.ExecuteInProcessResult) -> list[str]:
    """What the failed steps of a run say to a person."""
    data = [event.step_failure_data for event in result.all_events if event.is_step_failure]
    return [d.user_failure_data.description or "" for d in data if d.user_failure_data is not None]


def verdicts(result: dg.ExecuteInProcessResult) -> dict[str, bool]:
    """Each gate that was looked at in a run, and whether it was open."""
    return {evaluation.check_name: evaluation.passed for evaluation in result.get_asset_check_evaluations()}
