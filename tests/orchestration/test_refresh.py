"""A scheduled refresh brings a recipe up to date with no run that fails, and how it ended is on the champion.

The tests are steps on the way of one recipe and run in order.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg
import polars as pl
import pytest

from assets.keys import key_of
from orchestration.build import definitions
from orchestration.freshness import DECISIONS, overdue_after
from orchestration.jobs import distil_job
from orchestration.runs import OUTCOME_TAG, QUIET
from orchestration.schedules import refresh_schedule
from orchestration.status import status
from stillhouse.recipe.reading import RecipeFile
from stillhouse.records.batches import batches_of
from stillhouse.records.events import EventKind, pending
from stillhouse.stages.facts import TeacherFacts
from stillhouse.stages.names import BATCHED, CHAMPION, stage_names
from stillhouse.stages.source import has_other_rows
from tests.conftest import Place, a_place, failures
from tests.orchestration.fresh import freshness
from tests.small import questions, small_recipe, students_after

pytestmark = pytest.mark.slow

ROWS = 600
AT = datetime(2030, 1, 7, 3, tzinfo=UTC)


def asked(rows: int, skip: int = 0) -> pl.DataFrame:
    """Questions of all classes but the rarest, of which a few rows decide a gate."""
    return questions(10_000).filter(pl.col("service") != "ABBR").slice(skip, rows)


def recipe(place: Place, **changes: Any) -> RecipeFile:
    """A student that a short training lets clear the bar; what is taken as it is, is too large."""
    bar = {"margin": 0.6, "champion_margin": 0.5}
    doubted = {"data__wrong_labels_at_most": 0.99}  # of so few rows the teacher doubts many labels
    people = {"name": "people", "column": "label", "values": ["HUM"], "critical": False, "margin": 0.001}
    return small_recipe(place.folder, students=students_after(5), slices=[people], bar=bar, **doubted, **changes)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """An installation with a champion, for which a later batch was taken in."""
    with a_place(tmp_path_factory.mktemp("refresh"), baselines=False) as place:
        asked(ROWS).write_csv(place.folder / "questions.csv")
        result = place.run(recipe(place))
        assert result.success, failures_in_words(result)
        later = asked(60, skip=ROWS + 50).select("question", pl.lit(None, pl.String).alias("service"))
        place.drop("monday.csv", later)
        result = place.run(recipe(place), batch="monday.csv")
        assert result.success, failures_in_words(result)
        yield place


def failures_in_words(result: dg.ExecuteInProcessResult) -> list[str]:
    """What a run that did not succeed says: its failures, and each gate that it closed."""
    looked_at = result.get_asset_check_evaluations()
    return failures(result) + [f"{one.check_name}: {one.description}" for one in looked_at if not one.passed]


def week(number: int) -> datetime:
    return AT + timedelta(weeks=number)


def refresh(place: Place, file: RecipeFile, number: int) -> list[dg.ExecuteInProcessResult]:
    """Ask the schedule what it would start in a week, and run that in the order asked."""
    built = definitions([file])
    # It opens the instance once more, and Dagster goes on asking that one for definitions until it is closed.
    with dg.build_schedule_context(
        instance=place.instance,
        scheduled_execution_time=week(number),
        repository_def=built.get_repository_def(),
    ) as context:
        requests = refresh_schedule(file, distil_job(file)).evaluate_tick(context).run_requests or []
    assert len({request.run_key for request in requests}) == len(requests)
    job = built.resolve_job_def("distil_small")
    return [
        job.execute_in_process(
            instance=place.instance,
            raise_on_error=False,
            partition_key=request.partition_key,
            asset_selection=list(request.asset_selection) if request.asset_selection else None,
            tags=dict(request.tags),
            run_config=QUIET,
        )
        for request in requests
    ]


def computed(place: Place, file: RecipeFile) -> set[str]:
    """The stages, and batches of them, whose newest artifact was not found again."""
    batches = ["base", *batches_of(place.builds.ledger, file.name)]
    made = [(stage, batch) for stage in stage_names(file.recipe) for batch in (batches if stage in BATCHED else [None])]
    found = [place.newest(stage, batch) for stage, batch in made]
    return {artifact.address for artifact in found if artifact.manifest.made_by is None}


def observed(place: Place) -> dict[str, Any]:
    """The newest observation of the champion, as its page in the UI has it."""
    records = place.instance.fetch_observations(key_of("small", CHAMPION), limit=1).records
    observation = records[0].asset_observation
    assert observation is not None
    return {name: value.value for name, value in observation.metadata.items()}


def champion(place: Place) -> str:
    promoted = place.builds.ledger.champion("small")
    assert promoted is not None
    return f"{promoted['student']} {promoted['digest'][:12]}"


def test_a_refresh_where_the_base_has_changed_succeeds_and_costs_one_run_for_each_batch(place: Place) -> None:
    """Regression: the run of the base failed at the transfer set, because the later batch was held against the old one.

    Rounds that followed by themselves put it right.
    """
    file = recipe(place)
    asked(ROWS + 10).write_csv(place.folder / "questions.csv")
    results = refresh(place, file, 1)
    assert [result.success for result in results] == [True, True], [failures_in_words(result) for result in results]
    assert place.newest("transfer_set").manifest.facts["batches"] == ["base", "monday.csv"]
    assert status(place.instance, place.builds, [file]).all_is_well
    assert results[-1].asset_materializations_for_node("small__champion"), "the champion is decided again"
    assert "small__champion" not in {event.step_key for event in results[0].all_events}


def test_how_the_round_ended_is_on_the_champion_as_it_is_on_the_run_and_in_the_ledger(place: Place) -> None:
    said, recorded = observed(place), place.builds.ledger.newest("small", "round")
    assert recorded is not None and recorded.body["ending"] in ("promoted", "kept")
    assert said["round"] == recorded.body["sentence"] and champion(place) in said["round"]
    assert (said["ending"], said["run"]) == (recorded.body["ending"], recorded.body["run_id"])
    assert said["because"] == "refresh policy 0 3 * * 1"
    run = place.instance.get_run_by_id(said["run"])
    assert run is not None and run.tags[OUTCOME_TAG] == said["round"]


def test_the_round_has_answered_the_clock_and_the_other_teacher_and_asks_for_rows_of_a_weak_slice(place: Place) -> None:
    ledger = place.builds.ledger
    ended, begun = ledger.newest("small", "round"), ledger.newest("small", "round_begun")
    assert ended is not None and begun is not None and begun.sequence < ended.sequence
    assert begun.body["run_id"] == ended.body["run_id"] and f"clock:{week(1).isoformat()}" in begun.body["events"]
    teacher = place.newest("teacher").facts(TeacherFacts).fingerprint
    assert ended.body["events"] == [*begun.body["events"], f"teacher:{teacher}"]
    (weak,) = [event for event in pending(ledger, "small")]
    assert weak.kind is EventKind.WEAK_SLICE and weak.facts["evaluation"] == place.newest("evaluation").digest
    (asked,) = status(place.instance, place.builds, [recipe(place)]).recipes["small"].requested_rows
    assert (asked.slice, asked.rows_needed) == ("people", weak.facts["rows_needed"])
    assert asked.rows_needed is not None and asked.rows_needed > 0


def test_a_refresh_with_nothing_new_is_one_run_that_computes_nothing_and_the_champion_is_fresh_again(
    place: Place,
) -> None:
    decided = place.builds.ledger.newest("small", "materialization", subject="small/champion")
    assert decided is not None
    overdue = datetime.fromisoformat(decided.at) + overdue_after(recipe(place)) + timedelta(seconds=1)
    assert freshness(place.instance, recipe(place), overdue) == dict.fromkeys(DECISIONS, "FAIL")
    (result,) = refresh(place, recipe(place), 2)
    assert freshness(place.instance, recipe(place), overdue) == dict.fromkeys(DECISIONS, "PASS")
    assert result.success, failures_in_words(result)
    later = {f"small/{stage}[monday.csv]" for stage in BATCHED}  # not looked at again
    assert computed(place, recipe(place)) <= later
    assert observed(place)["round"] == f"champion kept: {champion(place)}"


def test_a_round_that_a_gate_stops_says_on_the_champion_at_which_and_why_and_decides_nothing(place: Place) -> None:
    before, newest = champion(place), place.newest(CHAMPION).digest
    closed = recipe(place, teacher__training_on_outputs="unknown")
    assert not refresh(place, closed, 3)[0].success
    said = observed(place)
    assert (said["ending"], said["gate"]) == ("closed", "small/contract:terms_allow_training_on_outputs")
    assert "small/contract:terms_allow_training_on_outputs is failed: " in said["round"]
    assert (champion(place), place.newest(CHAMPION).digest) == (before, newest)
    # Regression: Dagster painted the serving champion red, because the run was planned to make it and failed.
    (record,) = place.instance.fetch_materializations(key_of("small", CHAMPION), limit=1).records
    planned = place.instance.get_latest_planned_materialization_info(key_of("small", CHAMPION))
    assert planned is not None and record.run_id == planned.run_id, "what the UI takes for materialized in that run"
    event = record.asset_materialization
    assert event is not None and (event.description or "").startswith(
        "Serves on. The round: small/contract:terms_allow"
    )
    page = {name: value.value for name, value in event.metadata.items()}
    assert (page["digest"], page["round"]) == (newest, said["round"]) and 0 < page["accuracy"] <= 1
    assert page["batches"] == "base, monday.csv" and page["report"] == "/stillhouse/reports/small.champion.html"
    file = recipe(place)
    assert [result.success for result in refresh(place, file, 4)][-1]
    shown = status(place.instance, place.builds, [file])
    assert shown.recipes["small"].dagster == () and shown.all_is_well


def test_a_batch_that_a_gate_has_closed_is_looked_at_again_in_the_first_round_after_what_closed_it_changed(
    place: Place,
) -> None:
    """Regression: the round after a change of the recipe was refused at the transfer set; only the next one was not."""
    place.drop("tuesday.csv", asked(60, skip=ROWS + 150).select("question"))
    assert not place.run(recipe(place), batch="tuesday.csv").success, "a file without its labels is not taken in"
    file = recipe(place, data__allow_missing_columns=["service"])
    results = refresh(place, file, 6)
    assert [result.success for result in results] == [True] * 3, [failures_in_words(result) for result in results]
    assert place.newest("transfer_set").manifest.facts["batches"] == ["base", "monday.csv", "tuesday.csv"]
    assert status(place.instance, place.builds, [file]).all_is_well


def test_another_sample_of_traffic_is_no_reason_to_take_later_batches_in_again(place: Place) -> None:
    traffic = place.folder / "traffic.csv"
    asked(400, skip=2000).write_csv(traffic)
    file = recipe(place, data__traffic=str(traffic), data__allow_missing_columns=["service"])
    for result in refresh(place, file, 7):
        assert result.success, failures_in_words(result)
    asked(400, skip=2400).write_csv(traffic)
    assert not has_other_rows(file, place.newest("source", "base").manifest)
    assert [result.success for result in refresh(place, file, 8)] == [True]
    assert status(place.instance, place.builds, [file]).all_is_well
