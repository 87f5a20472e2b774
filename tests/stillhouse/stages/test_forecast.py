"""The forecast of a run: arithmetic by hand, and the probe on a real small teacher."""

import json
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from stillhouse.economics import amount
from stillhouse.home import Home
from stillhouse.recipe.contract import Recipe
from stillhouse.records.builds import BuildStore
from stillhouse.stages.forecast import (
    EXPORT_SECONDS,
    INT8_SHARE,
    STAGE_SECONDS,
    Forecast,
    Rates,
    RowCounts,
    forecast,
    reckoned,
    servers_of,
    share_of,
)
from stillhouse.stages.names import stage_names
from stillhouse.stages.preview import prompts_to_come
from stillhouse.wording import in_minutes
from tests.small import small_recipe

CONFIG = {
    "model_type": "bert",
    "hidden_size": 10,
    "intermediate_size": 40,
    "num_hidden_layers": 4,
    "num_attention_heads": 2,
}
"""A layer is 4 x 10 x 10 + 2 x 10 x 40 = 1,200 products for each token; with half of the units it is 800."""
COUNTS = RowCounts(train=1000, labelled=500, validation=100, golden=200)
RATES = Rates(learning=0.01, answering=0.001, call=0.02)


def recipe(folder: Path, *students: dict[str, object], **changes: object) -> Recipe:
    return small_recipe(folder, students=list(students), **changes).recipe


def student(**changes: object) -> dict[str, object]:
    training = {"epochs": 3, "max_tokens": 32}
    return {"name": "one", "layers": [0, 1], "feed_forward": 20, "training": training} | changes


def test_a_student_costs_its_share_of_the_teachers_arithmetic(tmp_path: Path) -> None:
    one, whole = student(), student(name="whole", layers=[0, 1, 2, 3], feed_forward=None)
    half, all_of_it = recipe(tmp_path, one, whole).students
    assert share_of(half, CONFIG) == pytest.approx(2 * 800 / (4 * 1200))
    assert share_of(all_of_it, CONFIG) == 1.0


def test_each_stage_by_hand(tmp_path: Path) -> None:
    bare = student(name="bare", layers=[0], feed_forward=None, learns_from="nothing", training=None)
    labels = student(name="labels", learns_from="labels", training={"epochs": 3, "loss": "labels", "max_tokens": 32})
    asked = recipe(tmp_path, student(), labels, bare)
    epochs, rounds = asked.teacher.training.epochs, asked.budget.latency_rounds
    assert asked.stress is None
    found = {each.stage: each.seconds - STAGE_SECONDS for each in reckoned(asked, CONFIG, COUNTS, RATES).stages}
    assert list(found) == stage_names(asked)
    assert found["prompts"] == 0
    assert found["teacher"] == pytest.approx(epochs * (500 * 0.01 + 100 * 0.001))
    assert found["teacher_signal"] == pytest.approx(1200 * 0.001)
    third = 1 / 3
    assert found["candidates/one"] == pytest.approx(3 * third * (1000 * 0.01 + 100 * 0.001))
    assert found["candidates/labels"] == pytest.approx(3 * third * (500 * 0.01 + 100 * 0.001)), "known labels alone"
    assert found["candidates/bare"] == pytest.approx(0.25 * 100 * 0.001), "nothing is trained"
    assert found["exports/one"] == pytest.approx(EXPORT_SECONDS + 100 * 0.02 * third * (1 + INT8_SHARE))
    timed = 120 * (rounds + 1)
    calls = (200 + timed) * 0.02 * INT8_SHARE
    assert found["evaluation"] == pytest.approx(timed * 0.02 + calls * (2 * third + 0.25))
    assert found["error_analysis"] == pytest.approx(1000 * 0.001 * third), "the one learner is expected to hold"


def test_seeds_and_students_that_may_miss_are_trained_again(tmp_path: Path) -> None:
    once = reckoned(recipe(tmp_path, student(training={"epochs": 3, "seed": 0})), CONFIG, COUNTS, RATES)
    twice = student(training={"epochs": 3, "seed": 0}, more_seeds=[1])
    larger = student(name="larger", layers=[0, 1, 2])
    more = reckoned(recipe(tmp_path, twice, larger), CONFIG, COUNTS, RATES)
    by_stage, by_more = ({each.stage: each.seconds for each in found.stages} for found in (once, more))
    seconds = by_stage["candidates/one"] - STAGE_SECONDS
    assert by_more["candidates/one"] - STAGE_SECONDS == pytest.approx(2 * seconds)
    learning = 3 * 1000 * 0.01 / 3
    again = 1000 * 0.001 * (1 / 3 + 1 / 2) + learning / 4 + learning / 2
    assert by_more["error_analysis"] - STAGE_SECONDS == pytest.approx(again)


def test_beside_other_work_both_times_are_said(tmp_path: Path) -> None:
    asked = recipe(tmp_path, student())
    quiet, busy = (reckoned(asked, CONFIG, COUNTS, replace(RATES, share=share)) for share in (0.8, 0.25))
    assert quiet.seconds == busy.seconds and busy.processor_share == 0.25
    assert quiet.sentence == f"about {in_minutes(quiet.seconds)} on this machine, {amount(quiet.cost_usd)} USD"
    assert busy.sentence == (
        f"{quiet.sentence}, with nothing else on it; beside what other processes do there now about "
        f"{in_minutes(4 * quiet.seconds)}"
    )


def test_money_is_the_time_at_the_recipes_price(tmp_path: Path) -> None:
    found = reckoned(recipe(tmp_path, student(), machine_usd_per_hour=3.6), CONFIG, COUNTS, RATES)
    assert found.seconds == pytest.approx(sum(each.seconds for each in found.stages))
    assert found.cost_usd == pytest.approx(found.seconds * 0.001)


def test_more_rows_and_longer_trainings_take_longer(tmp_path: Path) -> None:
    few = reckoned(recipe(tmp_path, student()), CONFIG, COUNTS, RATES).seconds
    many = reckoned(recipe(tmp_path, student()), CONFIG, RowCounts(9000, 4500, 900, 2000), RATES).seconds
    long = reckoned(recipe(tmp_path, student(training={"epochs": 30})), CONFIG, COUNTS, RATES).seconds
    assert many > 3 * few
    assert long - few == pytest.approx(27 * (1000 * 0.01 + 100 * 0.001) / 3), "27 more epochs"


@pytest.mark.long
def test_the_probe_works_on_the_recipes_own_rows_and_teacher_and_keeps_nothing(tmp_path: Path, home: Home) -> None:
    file = small_recipe(tmp_path, rows=300)
    found = forecast(file, prompts_to_come(file), BuildStore(home))
    assert [each.stage for each in found.stages] == stage_names(file.recipe)
    assert all(each.seconds >= STAGE_SECONDS for each in found.stages)
    assert found.seconds < 600, "a teacher of two small layers"
    assert not home.ledger_url.startswith("sqlite") or not Path(home.ledger_url.removeprefix("sqlite:///")).exists()


def test_a_student_that_learns_from_its_parent_waits_for_the_parents_answers(tmp_path: Path) -> None:
    middle = student(name="middle", layers=[0, 1, 2], feed_forward=None)
    small = student(layers=[0, 1], feed_forward=None, parent="middle")
    by_teacher, by_parent = (recipe(tmp_path, middle, {**small, "learns_from": of}) for of in ("teacher", "parent"))
    seconds = [
        {each.stage: each.seconds for each in reckoned(asked, CONFIG, COUNTS, RATES).stages}
        for asked in (by_teacher, by_parent)
    ]
    more = seconds[1]["candidates/one"] - seconds[0]["candidates/one"]
    assert more == pytest.approx(COUNTS.train * RATES.answering * 3 / 4)


@pytest.mark.parametrize(("learns_from", "of_the_teacher"), [("teacher", 1), ("parent", 3 / 4)])
def test_the_states_that_layers_learn_are_asked_once_more(
    tmp_path: Path, learns_from: str, of_the_teacher: float
) -> None:
    middle = student(name="middle", layers=[0, 1, 2], feed_forward=None)
    small = {**student(layers=[0, 1], feed_forward=None, parent="middle"), "learns_from": learns_from}
    states = {"mixture": [{"embedding_loss": "mse", "layers": "as_cut"}]}
    asked = [recipe(tmp_path, middle, each) for each in (small, {**small, "training": {**small["training"], **states}})]
    without, with_states = (
        {stage.stage: stage.seconds for stage in reckoned(each, CONFIG, COUNTS, RATES).stages} for each in asked
    )
    more = with_states["candidates/one"] - without["candidates/one"]
    assert more == pytest.approx(COUNTS.train * RATES.answering * of_the_teacher)


def test_what_servers_may_cost_is_counted_in_bytes_before_any_is_asked(tmp_path: Path) -> None:
    """A prompt of b bytes around a text of 4: b + 4 + 10 tokens at 1 USD a million read, and 8 at 2 USD written."""
    (tmp_path / "prompt.md").write_text("{text}")
    prices = {"usd_per_million_in": 1.0, "usd_per_million_out": 2.0, "usd_at_most": 5, "tokens_around": 10}
    ask = {"model": "large", "prompt": str(tmp_path / "prompt.md"), "settings": {"max_tokens": 8}}
    cheap = {**ask, "model": "mini", "usd_per_million_in": 0.1, "usd_per_million_out": 0.2}
    teacher = {
        "kind": "endpoint", "source": "https://host/v1", "revision": "October", "licence": "terms", "ask": ask,
        "endpoint": prices, "training_on_outputs": "allowed", "reason": "It is right.", "minimum_accuracy": 0.8,
        "alternatives": [cheap],
    }  # fmt: skip
    file = small_recipe(
        tmp_path, teacher=teacher, students=[student(training={"epochs": 1, "loss": "kl", "max_tokens": 32})],
        base={"source": str(tmp_path / "teacher"), "revision": "r", "licence": "Apache-2.0"},
        budget={"latency_ms_at_most": 20}, data__provenance={"teacher_may_see": ["internal"]},
    )  # fmt: skip
    prompts = pl.DataFrame(
        {"text": ["who?"] * 10, "label": ["HUM", "LOC"] * 5, "split": ["train"] * 6 + ["golden", "validation"] * 2}
    )
    large, mini = servers_of(file, prompts)
    around = len(json.dumps([{"role": "user", "content": ""}]).encode())
    a_prompt = ((around + 4 + 10) * 1.0 + 8 * 2.0) / 1e6
    assert (large.model, large.prompts, large.usd_at_most) == ("large", 10, pytest.approx(10 * a_prompt))
    assert (mini.model, mini.prompts, mini.usd_at_most) == ("mini", 4, pytest.approx(0.4 * a_prompt))
    assert "at most for what servers are asked, in USD: large" in Forecast(
        stages=(), seconds=60.0, cost_usd=0.0, servers=(large, mini)
    ).sentence  # fmt: skip
