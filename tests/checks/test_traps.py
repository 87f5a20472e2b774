"""Each trap of the design ("Gates that hold") that no other test springs.

1 and 2: test_gatekeeper.py; 3, 8, 12 and 13: ../orchestration/test_automation.py; 9 and 10: ../orchestration/
test_sensors.py; 11: test_batches.py; 13: ../orchestration/test_people.py.
"""

from collections.abc import Iterator

import dagster as dg
import polars as pl
import pytest

import checks.contract
from assets.keys import key_of, stage_of
from assets.materializations import newest_materialization
from checks.check_op import in_words
from checks.stages import gates_of
from orchestration.build import definitions
from orchestration.runs import QUIET
from orchestration.schedules import refresh_schedule
from stillhouse.recipe.reading import RecipeFile
from stillhouse.stages.names import BATCHED
from tests.conftest import Place, a_place, failures, verdicts
from tests.small import questions, small_recipe

ROWS = 200


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """An installation whose base batch has prompts."""
    with a_place(tmp_path_factory.mktemp("traps")) as place:
        assert place.run(recipe(place), "contract", "source", "prompts").success
        yield place


@pytest.fixture
def file(place: Place) -> RecipeFile:
    return recipe(place)


def recipe(place: Place) -> RecipeFile:
    """One slice, and that a thin one."""
    thin = {"name": "people", "column": "kind", "values": ["HUM:ind"], "critical": False}
    return small_recipe(place.folder, rows=ROWS, slices=[thin], data__allow_missing_columns=["kind"])


def test_the_checks_of_a_batched_asset_are_batched(file: RecipeFile) -> None:
    """Trap 4: a check without partitions on an asset with them lets bad partitions through."""
    graph = definitions([file]).resolve_asset_graph()
    for key in graph.materializable_asset_keys:
        partitions = graph.get(key).partitions_def
        assert (partitions is not None) == (stage_of(key) in BATCHED)
        for check in graph.get_check_keys_for_assets({key}):
            assert graph.get(check).partitions_def == partitions, check


def test_a_good_batch_does_not_open_the_gates_of_a_bad_one(place: Place, file: RecipeFile) -> None:
    """Trap 4: the newest record of a check is of the good batch, and says `passed`."""
    place.drop(
        "odd.csv",
        pl.DataFrame({"question": ["wh\ufffd\ufffd \ufffd\ufffd ?"] * 9, "service": ["LOC"] * 9, "kind": [None] * 9}),
    )
    assert not place.run(file, "source", batch="odd.csv").success
    place.run(file, "prompts", batch="odd.csv")
    assert place.run(file, "source").success, "the base batch is looked at last"
    assert all(state.is_open for state in place.states("source", "base").values())
    assert place.states("source", "odd.csv")["few_texts_are_garbled"].state == "failed"
    (said,) = failures(place.run(file, "prompts", batch="odd.csv"))
    assert "gate small/source[odd.csv]:few_texts_are_garbled is failed" in said


def test_batches_are_made_one_run_each(file: RecipeFile) -> None:
    """Trap 4: a backfill in a single run stores no partition with its checks, so that they count for none."""
    graph = definitions([file]).resolve_asset_graph()
    for key in graph.materializable_asset_keys:
        policy = graph.get(key).backfill_policy
        assert policy is None or policy.policy_type is dg.BackfillPolicyType.MULTI_RUN, key


def test_advice_is_a_check_of_its_own_and_closes_nothing(place: Place, file: RecipeFile) -> None:
    """Trap 5: a WARN of a blocking check passes in the run and blocks automation; so advice is never blocking."""
    result = place.run(file, "prompts", "teacher")
    (advice,) = [e for e in result.get_asset_check_evaluations() if e.check_name == "no_slice_is_thin"]
    assert not advice.passed and advice.severity is dg.AssetCheckSeverity.WARN and not advice.blocking
    assert result.success and "no_slice_is_thin" not in place.states("prompts", "base")
    graph = definitions([file]).resolve_asset_graph()
    for key in graph.materializable_asset_keys:
        blocking = {check.name for check in graph.get_check_keys_for_assets({key}) if graph.get(check).blocking}
        assert blocking == set(gates_of(stage_of(key)).names(blocking=True))


def test_a_gate_that_closes_is_an_error_and_not_a_warning(place: Place, file: RecipeFile) -> None:
    """Trap 5: the other way round: what blocks has severity ERROR, or its own run would go on."""
    place.drop(
        "odder.csv", pl.DataFrame({"question": ["wh\ufffd\ufffd ?"] * 9, "service": ["LOC"] * 9, "kind": [None] * 9})
    )
    result = place.run(file, "source", batch="odder.csv")
    closed = [e for e in result.get_asset_check_evaluations() if not e.passed and e.blocking]
    assert closed and {e.severity for e in closed} == {dg.AssetCheckSeverity.ERROR}


def test_each_asset_has_one_check_op_with_one_named_check_for_each_gate(file: RecipeFile) -> None:
    """Trap 6: a check op on several assets blocks the downstream of all of them when it fails on one."""
    built = definitions([file])
    of = [{spec.asset_key for spec in op.check_specs} for op in built.asset_checks or () if hasattr(op, "check_specs")]
    assert all(len(keys) == 1 for keys in of)
    assert sorted(key for keys in of for key in keys) == sorted(built.resolve_asset_graph().materializable_asset_keys)
    for op in built.asset_checks or ():
        assert isinstance(op, dg.AssetChecksDefinition)
        names = [spec.name for spec in op.check_specs]
        assert len(names) == len(set(names))


def test_a_check_that_raises_leaves_its_gate_closed(
    place: Place, file: RecipeFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Trap 7: an exception in a check is no verdict; whoever catches it to pass opens the gate."""

    def broken(*_: object) -> None:
        raise OSError("the disk is on fire")

    with monkeypatch.context() as patch:
        patch.setattr(checks.contract, "memory_gb", broken)
        result = place.run(file, "contract", "source")
        assert not result.success and result.asset_materializations_for_node("small__source") == []
    assert place.states("contract")["training_fits_into_memory"].state == "stale"
    (said,) = failures(place.run(file, "source"))
    assert "gate small/contract:training_fits_into_memory is stale" in said
    assert place.run(file, "contract").success


def test_a_refusal_is_never_retried(place: Place, file: RecipeFile) -> None:
    """Trap 7: a retry policy repeats what raised; a closed gate is as closed the second time."""
    again = dg.RetryPolicy(max_retries=2, delay=0)
    job = dg.define_asset_job("again", dg.AssetSelection.assets(key_of("small", "champion")), op_retry_policy=again)
    result = (
        dg.Definitions.merge(definitions([file]), dg.Definitions(jobs=[job]))
        .resolve_job_def("again")
        .execute_in_process(
            instance=place.instance,
            raise_on_error=False,
            run_config=QUIET,
        )
    )
    (said,) = failures(result)
    assert "small/release was never materialized" in said
    assert not [event for event in result.all_events if event.is_step_up_for_retry or event.is_step_restarted]


def test_a_change_that_nobody_followed_is_refused_where_it_would_be_read(place: Place, file: RecipeFile) -> None:
    """Trap 8: automation loses an update that lands on the tick after a request.

    What was made before it is stale, and refused; and the clock asks for the whole way, whatever automation remembers.
    """
    questions(ROWS + 1).write_csv(place.folder / "questions.csv")
    try:
        assert place.run(file, "source").success
        (said,) = failures(place.run(file, "teacher"))
        assert "small/prompts[base] is stale: it was made from an older small/source[base] than the current" in said
    finally:
        questions(ROWS).write_csv(place.folder / "questions.csv")
    built = definitions([file])
    job = built.resolve_job_def("distil_small")
    assert set(job.asset_layer.selected_asset_keys) == built.resolve_asset_graph().materializable_asset_keys
    assert refresh_schedule(file, next(j for j in built.jobs or () if j.name == job.name)).job_name == job.name  # type: ignore[arg-type]


def test_a_check_made_in_the_run_of_a_batch_counts_for_what_it_looked_at(place: Place, file: RecipeFile) -> None:
    """Trap 14: Dagster ties the check of an asset without batches to no materialization in the run of a batch.

    So every check says itself which materialization it looked at.
    """
    result = place.run(file, "contract", "source")
    contract = [e for e in result.get_asset_check_evaluations() if e.asset_key == key_of("small", "contract")]
    assert contract and {e.target_materialization_data for e in contract} == {None}, "Dagster has mended it"
    newest = newest_materialization(place.builds.ledger, key_of("small", "contract"))
    assert newest is not None and newest.run_id == result.run_id
    assert {str(e.metadata["looked_at"].value) for e in contract} == {in_words(newest)}
    assert {state.state for state in place.states("contract").values()} == {"passed"}

    assert place.run(file, "contract", gates=False).success
    assert {state.state for state in place.states("contract").values()} == {"stale"}
    assert all("is stale" in said for said in failures(place.run(file, "source")))
    assert verdicts(place.run(file, "contract")) and {s.state for s in place.states("contract").values()} == {"passed"}
