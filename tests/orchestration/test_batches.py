"""Which runs bring a recipe up to date, and in which order, by the state of its batches."""

from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import pytest

import orchestration.batches as batches
from orchestration.batches import BatchState, PlannedRun, plan_runs
from orchestration.build import definitions
from orchestration.jobs import distil_job
from orchestration.schedules import refresh_schedule
from stillhouse.home import Home
from stillhouse.recipe.reading import RecipeFile
from stillhouse.records.builds import BuildStore
from tests.conftest import a_place
from tests.small import small_recipe

IN, WANTED, CLOSED, AGAIN = BatchState.IN, BatchState.WANTED, BatchState.CLOSED, BatchState.AGAIN


def recipe(folder: Path, partial: bool) -> RecipeFile:
    return small_recipe(folder, rows=50, refresh={"cron": "0 3 * * 1", "train_on_open_batches": partial})


@pytest.mark.parametrize(
    ("base", "first", "second", "other_rows", "partial", "expected"),
    [
        (IN, IN, IN, False, False, ["distil base"]),
        (IN, WANTED, IN, False, False, ["distil first"]),
        (IN, CLOSED, WANTED, False, False, ["distil second"]),
        (IN, AGAIN, WANTED, False, False, ["ingest first", "distil second"]),
        (IN, WANTED, AGAIN, False, False, ["ingest second", "distil first"]),
        (IN, IN, AGAIN, False, False, ["distil second"]),
        (IN, IN, AGAIN, False, True, ["ingest second", "distil base"]),
        (WANTED, IN, CLOSED, True, False, ["ingest base", "ingest second", "distil first"]),
        (AGAIN, IN, IN, False, False, ["distil base"]),
        (WANTED, CLOSED, CLOSED, True, True, ["ingest base", "ingest first", "ingest second", "distil base"]),
    ],
)
def test_what_may_close_again_goes_first_and_never_the_whole_way_where_the_recipe_can_do_without_it(
    base: BatchState, first: BatchState, second: BatchState, other_rows: bool, partial: bool, expected: list[str],
    tmp_path: Path, home: Home, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    states = {"base": base, "first": first, "second": second}
    monkeypatch.setattr(batches, "batch_state", lambda look, file, batch: states[batch])
    monkeypatch.setattr(batches, "_base_has_other_rows", lambda builds, file: other_rows)
    planned = plan_runs(BuildStore(home), recipe(tmp_path, partial), states)
    assert planned == [PlannedRun(f"{job}_small", batch) for job, batch in map(str.split, expected)]


def test_a_refresh_that_takes_the_base_batch_in_and_goes_its_whole_way_is_two_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Regression: both had one run key, so that Dagster started the first and left out the second."""
    planned = [
        PlannedRun("ingest_small", "base"),
        PlannedRun("ingest_small", "first"),
        PlannedRun("distil_small", "base"),
    ]
    monkeypatch.setattr("orchestration.schedules.plan_runs", lambda *about: planned)
    monkeypatch.setattr("orchestration.schedules.sync_batches", lambda *about: ["base", "first"])
    with a_place(tmp_path) as place:
        place.instance.add_dynamic_partitions("batches_of_small", ["base", "first"])
        file = recipe(tmp_path, partial=True)
        with dg.build_schedule_context(
            instance=place.instance,
            scheduled_execution_time=datetime(2030, 1, 7, 3, tzinfo=UTC),
            repository_def=definitions([file]).get_repository_def(),
        ) as context:
            requests = refresh_schedule(file, distil_job(file)).evaluate_tick(context).run_requests or []
    assert [request.partition_key for request in requests] == ["base", "first", "base"]
    assert len({request.run_key for request in requests}) == 3
