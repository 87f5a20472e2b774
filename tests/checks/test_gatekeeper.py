"""A closed gate stays closed however an asset is launched (design, "Gates that hold").

Belongs here: what only a real run through Dagster shows.
Does not: which state a gate is in and what a refusal says (test_gate_states.py), what Dagster's event log changes
(test_ledger_decides.py).
"""

from pathlib import Path

import dagster as dg
import polars as pl
import pytest

from assets.keys import key_of
from checks.stages import GATES
from stillhouse.home import Home
from stillhouse.recipe.reading import RecipeFile
from tests.conftest import Run, failures, verdicts
from tests.small import small_recipe


@pytest.fixture
def small(tmp_path: Path) -> RecipeFile:
    return small_recipe(tmp_path, rows=200, slices=[])


def drop(home: Home, name: str, rows: pl.DataFrame) -> None:
    folder = home.inbox("small")
    folder.mkdir(parents=True, exist_ok=True)
    rows.write_csv(folder / name)


EMPTY = {"name": "nobody", "column": "kind", "values": ["NO:such"], "critical": True}
BLANKS = pl.DataFrame(
    {"question": [" "] * 9 + ["What is the last one ?"], "service": ["LOC"] * 10, "kind": ["LOC:city"] * 10}
)


def test_a_failed_gate_stops_downstream_inside_its_run(small: RecipeFile, run: Run, home: Home) -> None:
    """Trap 1: the downstream of a failed blocking check does not run in the same run."""
    run(small, "contract", "source", "prompts")
    drop(home, "blanks.csv", BLANKS)
    result = run(small, "source", "prompts", "teacher", batch="blanks.csv")
    assert verdicts(result)["few_rows_of_the_batch_were_rejected"] is False
    assert not result.success
    assert result.asset_materializations_for_node("small__teacher") == []


@pytest.mark.experiment("B1")
def test_a_failed_gate_refuses_a_downstream_launched_alone(run: Run, tmp_path: Path) -> None:
    """Trap 1: Dagster lets the downstream of a failed blocking check run when it is launched by itself."""
    small = small_recipe(tmp_path, rows=200, slices=[EMPTY])
    run(small, "contract", "source", "prompts")
    (message,) = failures(run(small, "teacher"))
    assert "Refused to read small/prompts[base]" in message
    assert "gate small/prompts[base]:every_slice_has_golden_rows is failed" in message
    assert "empty: nobody" in message
    assert "stillhouse diagnose small" in message and "stillhouse status small" in message


@pytest.mark.experiment("B2")
def test_a_stage_further_down_is_refused_with_the_true_cause_also_after_a_failed_attempt(
    run: Run, tmp_path: Path
) -> None:
    """Regression: after one refused attempt each further refusal spoke of a run that did not get to look."""
    small = small_recipe(tmp_path, rows=200, slices=[])
    assert run(small, "contract", "source", "prompts").success
    one_class = "question,service,kind\n" + "".join(f"Where is place {n} ?,LOC,LOC:city\n" for n in range(200))
    Path(small.recipe.data.source).write_text(one_class)
    assert not run(small, "source").success
    for _ in range(2):
        (message,) = failures(run(small, "prompts"))
        assert "gate small/source[base]:two_classes_are_labelled is failed" in message
        (message,) = failures(run(small, "teacher"))
        assert "small/prompts[base] is stale: it was made from an older small/source[base]" in message
        assert "gate small/source[base]:two_classes_are_labelled is failed" in message


def test_open_gates_let_through_and_are_recorded_in_the_manifest(small: RecipeFile, run: Run, builds) -> None:
    from assets.materializations import newest_artifact

    result = run(small, "contract", "source", "prompts")
    assert result.success
    advice = set(GATES["prompts"].names(blocking=False))
    assert {name for name, passed in verdicts(result).items() if not passed} <= advice
    prompts = newest_artifact(builds, key_of("small", "prompts"), "base")
    assert {(gate.asset, gate.state) for gate in prompts.manifest.relied_on} == {
        ("small/contract", "passed"),
        ("small/source[base]", "passed"),
    }


def test_no_job_is_built_without_its_checks(small: RecipeFile) -> None:
    """Regression: a job whose selection leaves the checks out runs every stage past every gate."""
    from orchestration.build import definitions

    built = definitions([small])
    graph = built.resolve_asset_graph()
    for job in built.resolve_all_job_defs():
        selected = set(job.asset_layer.selected_asset_keys)
        wanted = {key for key in graph.asset_check_keys if key.asset_key in selected}
        assert set(job.asset_layer.asset_graph.asset_check_keys) >= wanted


def test_one_gate_can_be_looked_at_by_itself(small: RecipeFile, run: Run) -> None:
    from orchestration.build import definitions

    run(small, "contract", "source")
    chosen = dg.AssetSelection.checks(dg.AssetCheckKey(key_of("small", "source"), "two_classes_are_labelled"))
    job = dg.Definitions(jobs=[dg.define_asset_job("one", chosen)])
    result = (
        dg.Definitions.merge(definitions([small]), job)
        .resolve_job_def("one")
        .execute_in_process(instance=dg.DagsterInstance.get(), tags={"dagster/partition": "base"})
    )
    assert verdicts(result) == {"two_classes_are_labelled": True}
