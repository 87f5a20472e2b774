"""Rows that a weak slice asks for bring it over its floor in the next round: real rounds, drop folder and sensor.

The tests are steps on the way of one recipe and run in order. Where its models learn, few questions are for numbers and
all of these ask how many; golden rows ask for dates and distances, too.
"""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import dagster as dg
import polars as pl
import pytest
from typer.testing import CliRunner

from assets.requested_rows import RequestedRows, requested_rows
from orchestration.build import definitions
from orchestration.cli import app
from orchestration.jobs import distil_job, ingest_job
from orchestration.run import distil
from orchestration.runs import QUIET
from orchestration.sensors import rounds_sensor
from orchestration.terminal import Terminal
from stillhouse.data.cleaning import prompt_ids
from stillhouse.data.splits import keyed_uniform
from stillhouse.evaluation.harness import read_evaluations
from stillhouse.evaluation.slices.declared import SliceResult
from stillhouse.recipe.reading import RecipeFile
from stillhouse.records.batches import batches_of
from stillhouse.records.deployments import desired
from stillhouse.records.events import EventKind, pending
from stillhouse.stages.names import EVALUATION, PROMPTS
from stillhouse.statistics.verdicts import Verdict
from tests.conftest import Place, a_place, failures
from tests.orchestration.elsewhere import mostly_right_about, small_recipe_elsewhere
from tests.small import questions

pytestmark = pytest.mark.slow

LABELS = ("DESC", "ENTY", "HUM", "LOC", "NUM")
FLOOR = 0.65
LESS = 0.12
"""What another slice may lose of its measured accuracy, which differs from training to training."""
COUNTS = pl.col("kind") == "NUM:count"
RARE = 40
"""Questions for numbers that there are to learn from."""
BEFORE: dict[str, SliceResult] = {}


def rows() -> tuple[pl.DataFrame, pl.DataFrame]:
    """Questions in which those for numbers are few where models learn, and all of them `How many`; and the others."""
    asked = questions(1_500)
    draw = keyed_uniform(prompt_ids(asked["question"]), key="small", purpose="split")
    held_out, number = draw < 0.45, pl.col("service") == "NUM"
    counts, others = (asked.filter(~held_out & number & each) for each in (COUNTS, ~COUNTS))
    return pl.concat([asked.filter(held_out | ~number), counts.head(RARE)]), others


def recipe(place: Place) -> RecipeFile:
    data = place.folder / "questions.csv"
    if not data.exists():
        rows()[0].write_csv(data)
        answers = questions(1_500).select(
            text="question", answer=pl.col("question").map_elements(mostly_right_about, return_dtype=pl.String)
        )
        answers.write_csv(place.folder / "replies.csv")
    slices = [
        {
            "name": f"of_{each}", "column": "label", "values": [each], "critical": True, "margin": 0.4,
            "floor": FLOOR if each == "NUM" else 0.5,
        }
        for each in LABELS
    ]  # fmt: skip
    # What so small a student loses as int8 is no part of the question.
    return small_recipe_elsewhere(
        place.folder, source=str(place.folder / "replies.csv"), answers={"text": "text", "answer": "answer"}, ask=None,
        changed={
            "bar": {"margin": 0.25}, "slices": slices, "data__hidden_label_share": 0.0,
            "limits": {"int8_agreement_at_least": 0.9},
        },
    )  # fmt: skip


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, shared: Path) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("asked_for")
    with a_place(folder, seeded=shared, baselines=False) as place, pytest.MonkeyPatch.context() as patches:
        patches.setenv("STILLHOUSE_RECIPES", str(folder / "recipes"))
        yield place


def slices_of(place: Place) -> dict[str, SliceResult]:
    judged = next(each for each in read_evaluations(place.newest(EVALUATION).folder) if each.name == "one")
    return {each.name: each for each in judged.slices}


def test_a_student_that_hardly_saw_a_label_fails_its_floor_and_rows_of_it_are_asked_for(place: Place) -> None:
    outcome = distil(recipe(place), place.home, Terminal(quiet=True))
    assert not outcome.succeeded and desired(place.builds.ledger, "small") is None
    BEFORE.update(slices_of(place))
    weak = BEFORE["of_NUM"]
    assert weak.floor is not None and weak.floor.verdict is Verdict.FAIL and weak.student_accuracy is not None
    assert weak.student_accuracy < FLOOR
    failing = {name for name, each in BEFORE.items() if each.verdict is not Verdict.PASS}
    assert failing == {"of_NUM"}
    asked = wanted(place)
    assert (asked.critical, asked.rows_needed) == (True, RARE)
    assert "more rows of it are needed to learn from" in asked.sentence


def asked_by_the_sensor(place: Place, file: RecipeFile) -> list[dg.RunRequest]:
    """What `rounds_small` asks for once a file has been there for two looks."""
    sensor = rounds_sensor(file, [ingest_job(file), distil_job(file)])
    for _ in range(2):
        answer = sensor(dg.build_sensor_context(instance=place.instance))
    assert isinstance(answer, dg.SensorResult), answer
    return list(answer.run_requests or ())


def made(place: Place, file: RecipeFile) -> set[str]:
    """Do what the sensor asks for; which gates were not open in the last of the runs."""
    closed = set[str]()
    for each in asked_by_the_sensor(place, file):
        result = (
            definitions([file])
            .resolve_job_def(str(each.job_name))
            .execute_in_process(
                instance=place.instance,
                partition_key=each.partition_key,
                tags=dict(each.tags),
                raise_on_error=False,
                run_config=QUIET,
            )
        )
        assert failures(result) == []
        closed = {
            each.check_name
            for each in result.get_asset_check_evaluations()
            if not each.passed and each.severity is dg.AssetCheckSeverity.ERROR
        }
    return closed


def wanted(place: Place) -> RequestedRows:
    (asked,) = (each for each in requested_rows(place.builds, recipe(place)) if each.slice == "of_NUM")
    return asked


def test_those_rows_in_the_drop_folder_start_a_round_in_which_a_person_accepts_that_they_are_of_one_kind(
    place: Place,
) -> None:
    needed = wanted(place).rows_needed
    assert needed is not None
    place.drop("numbers.csv", rows()[1].head(needed))
    assert made(place, recipe(place)) == {"the_batch_is_like_the_base"}
    (batch,) = batches_of(place.builds.ledger, "small")
    assert place.newest(PROMPTS, batch).frame("prompts").height == needed
    gate, until = f"small/prompts[{batch}]:the_batch_is_like_the_base", place.builds.ledger.now() + timedelta(days=7)
    signed = ["--by", "Ann Lee <ann@example.org>", "--reason", "they were asked for", "--until", f"{until:%Y-%m-%d}"]
    ended = CliRunner().invoke(app, ["waive", gate, *signed], catch_exceptions=False)
    assert ended.exit_code == 0, ended.output


def test_the_next_round_releases(place: Place) -> None:
    assert made(place, recipe(place)) == set()
    assert desired(place.builds.ledger, "small") is not None


def test_the_slice_is_over_its_floor_and_no_other_slice_has_lost_more_than_its_margin(place: Place) -> None:
    after = slices_of(place)
    weak = after["of_NUM"]
    assert weak.rows == BEFORE["of_NUM"].rows, "judged by the same golden rows"
    assert weak.floor is not None and weak.floor.verdict is Verdict.PASS and weak.floor.lower_bound >= FLOOR
    for name, each in after.items():
        before = BEFORE[name]
        assert each.student_accuracy is not None and before.student_accuracy is not None
        assert each.student_accuracy >= before.student_accuracy - LESS, name
        assert each.verdict is Verdict.PASS, name


def test_nobody_is_asked_for_them_any_more(place: Place) -> None:
    assert [each for each in requested_rows(place.builds, recipe(place)) if each.critical] == []
    assert [each for each in pending(place.builds.ledger, "small") if each.kind is EventKind.WEAK_SLICE] == []
