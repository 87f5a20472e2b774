"""A bad batch closes itself and no other, and training waits for it or goes on without it, as the recipe says.

The tests are steps on the way of one recipe and run in order.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
import pytest

from assets.keys import key_of
from checks.gatekeeper import load_gated
from orchestration.batches import PlannedRun, batches_in, plan_runs
from orchestration.stages_now import stages_now
from stillhouse.recipe.reading import RecipeFile
from tests.conftest import Place, a_place, failures, verdicts
from tests.small import questions, small_recipe

pytestmark = pytest.mark.slow

ROWS = 300
BLANKS = pl.DataFrame({"question": [" "] * 9 + ["What is the last one ?"], "service": ["LOC"] * 10})
OF_A_BATCH = ("source", "prompts", "teacher_signal")


def base() -> pl.DataFrame:
    """Labelled questions for three services: few rows teach a few classes."""
    return questions(1000).filter(pl.col("service").is_in(["HUM", "LOC", "NUM"])).head(ROWS)


def fresh(rows: int, skip: int) -> pl.DataFrame:
    """Questions that the base batch does not have, without labels."""
    return questions(rows, skip=1000 + skip).select("question", pl.lit(None, pl.String).alias("service"))


def recipe(place: Place, *, partial: bool) -> RecipeFile:
    """Few rows, a weak teacher, and a budget that no baseline meets: nothing is distilled here."""
    return small_recipe(
        place.folder, slices=[], teacher__minimum_accuracy=0.1,
        budget__latency_ratio_at_least=1e6, refresh__train_on_open_batches=partial,
    )  # fmt: skip


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, shared: Path) -> Iterator[Place]:
    """An installation whose base batch is taken in."""
    with a_place(tmp_path_factory.mktemp("batches"), seeded=shared, baselines=False) as place:
        base().write_csv(place.folder / "questions.csv")
        assert place.run(recipe(place, partial=False), "contract", *OF_A_BATCH, "teacher", "baselines").success
        yield place


def adopt(place: Place, *batches: str, partial: bool) -> RecipeFile:
    """Change the recipe and look at everything again behind its new contract; what did not change is found again."""
    file = recipe(place, partial=partial)
    assert place.run(file, "contract", *OF_A_BATCH, "teacher", "baselines").success
    for batch in batches:
        place.run(file, *OF_A_BATCH, batch=batch)
    return file


@pytest.fixture
def waits(place: Place) -> RecipeFile:
    return recipe(place, partial=False)


def closed(place: Place, batch: str) -> set[str]:
    stages = ("source", "prompts", "teacher_signal")
    return {name for stage in stages for name, state in place.states(stage, batch).items() if not state.is_open}


def stale(place: Place, file: RecipeFile, stage: str) -> tuple[str, ...]:
    """Why a stage no longer counts, as status, diagnose and the gatekeeper say it."""
    stages = stages_now(place.builds, file, batches_in(place.instance, file))
    (state,) = (now.state for now in stages if now.stage == stage)
    return state.stale


def shown(result: dg.ExecuteInProcessResult) -> dict[str, Any]:
    (made,) = result.asset_materializations_for_node("small__transfer_set")
    return {name: value.value for name, value in made.metadata.items()}


def test_a_bad_batch_closes_itself_by_name_and_no_other(place: Place, waits: RecipeFile) -> None:
    place.drop("monday.csv", fresh(25, 0))
    place.drop("blanks.csv", BLANKS)
    assert place.run(waits, *OF_A_BATCH, batch="monday.csv").success
    assert not place.run(waits, *OF_A_BATCH, batch="blanks.csv").success
    state = place.states("prompts", "blanks.csv")["few_rows_of_the_batch_were_rejected"]
    assert state.asset == "small/prompts[blanks.csv]" and state.state == "failed"
    assert state.sentence.startswith("batch blanks.csv: 9 of 10 rows rejected")
    assert closed(place, "base") == closed(place, "monday.csv") == set()


def test_a_changed_recipe_waits_for_its_contract(place: Place) -> None:
    """Otherwise a stage that is launched alone would follow a recipe that no gate has looked at."""
    (said,) = failures(place.run(recipe(place, partial=True), "transfer_set"))
    assert "small/contract is stale: the recipe was changed since it was frozen" in said


def test_training_goes_on_without_it_where_the_recipe_says_so(place: Place) -> None:
    """Trap 11: Dagster's provenance names one partition of a fan-in; the manifest lists every batch that went in."""
    result = place.run(adopt(place, "monday.csv", "blanks.csv", partial=True), "transfer_set")
    assert result.success and shown(result)["batches"] == "base, monday.csv"
    manifest = place.newest("transfer_set").manifest
    batches = {f"small/{stage}[{b}]" for stage in ("prompts", "teacher_signal") for b in ("base", "monday.csv")}
    assert manifest.inputs.keys() == batches and manifest.facts["batches"] == ["base", "monday.csv"]
    for name, read in manifest.inputs.items():
        stage, _, batch = name.removeprefix("small/").removesuffix("]").partition("[")
        assert read.digest == place.newest(stage, batch).digest
    relied_on = {gate.asset for gate in manifest.relied_on}
    assert batches <= relied_on and "small/prompts[blanks.csv]" not in relied_on
    (advice,) = [e for e in result.get_asset_check_evaluations() if e.check_name == "every_batch_is_in"]
    assert not advice.passed and advice.description == "left out, their gates are closed: blanks.csv"


def test_a_batch_that_is_known_but_was_never_taken_in_is_closed(place: Place) -> None:
    place.drop("blanks.csv", fresh(20, 30))
    place.drop("tuesday.csv", fresh(20, 60))
    goes_on = recipe(place, partial=True)
    assert place.run(goes_on, *OF_A_BATCH, batch="blanks.csv").success
    (why,) = stale(place, goes_on, "transfer_set")
    assert why.startswith("it was made of the batches base, monday.csv, not ") and "tuesday.csv" not in why
    result = place.run(goes_on, "transfer_set")
    assert shown(result)["batches"] == "base, blanks.csv, monday.csv"
    assert stale(place, goes_on, "transfer_set") == ()
    assert verdicts(result)["every_batch_is_in"] is False
    (said,) = failures(place.run(adopt(place, "monday.csv", "blanks.csv", partial=False), "transfer_set"))
    assert "small/prompts[tuesday.csv] was never materialized" in said


def test_a_batch_that_is_put_right_is_let_in(place: Place, waits: RecipeFile) -> None:
    """`blanks.csv` was mended above; `tuesday.csv` is taken in here."""
    assert place.run(waits, *OF_A_BATCH, batch="tuesday.csv").success
    result = place.run(waits, "transfer_set")
    assert result.success and all(verdicts(result).values())
    assert shown(result)["batches"] == "base, blanks.csv, monday.csv, tuesday.csv"
    assert len(place.newest("transfer_set").manifest.inputs) == 8


def test_a_teacher_whose_gates_nobody_has_looked_at_is_one_run_and_not_one_for_each_batch(
    place: Place, waits: RecipeFile
) -> None:
    """As a kill between the teacher and its gates leaves it; what was said by it still counts once they are open."""
    batches = batches_in(place.instance, waits)
    assert len(batches) == 4
    whole_way = [PlannedRun("distil_small", "base")]
    assert plan_runs(place.builds, waits, batches) == whole_way
    assert place.run(waits, "teacher", gates=False).success
    assert not all(state.is_open for state in place.states("teacher").values())
    assert plan_runs(place.builds, waits, batches) == whole_way
    assert place.run(waits, "teacher").success
    assert place.run(waits, "transfer_set").success


def test_a_changed_base_makes_what_was_held_against_it_stale(place: Place, waits: RecipeFile) -> None:
    pl.concat([base(), questions(1, skip=2000)]).write_csv(place.folder / "questions.csv")
    result = place.run(waits, "source", "prompts")
    assert result.success, (failures(result), verdicts(result))
    held_against = "small/prompts[monday.csv] is stale: it was made from an older small/prompts[base] than the current"
    with pytest.raises(dg.Failure, match=re.escape(held_against)):
        load_gated(place.builds, waits.recipe, key_of("small", "prompts"), "monday.csv")
    with pytest.raises(dg.Failure, match=re.escape("small/teacher_signal[base] is stale")):
        load_gated(place.builds, waits.recipe, key_of("small", "teacher_signal"), "base")
    (said,) = failures(place.run(waits, "transfer_set"))
    assert "is stale: it was made from an older small/prompts[base] than the current" in said
    batches = ["base", "blanks.csv", "monday.csv", "tuesday.csv"]
    planned = plan_runs(place.builds, waits, batches)
    assert [each.batch for each in planned] == batches, "each is taken in, and with the last one goes the whole way"
    assert [each.job for each in planned] == ["ingest_small"] * 3 + ["distil_small"]
    assert place.run(waits, "prompts", batch="monday.csv").success
    assert load_gated(place.builds, waits.recipe, key_of("small", "prompts"), "monday.csv").batch == "monday.csv"
