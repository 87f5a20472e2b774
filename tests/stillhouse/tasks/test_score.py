"""An answer is a number that is right where it is near enough, everywhere, and has one spelling."""

import numpy as np
import polars as pl
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from stillhouse.models.losses import TargetTensors, combined_loss
from stillhouse.models.temperature_scaling import temperature_of
from stillhouse.recipe.data import ScoreSpec
from stillhouse.recipe.losses import OF_NUMBERS
from stillhouse.recipe.training import TrainingConfig
from stillhouse.tasks import label_names, one_name_a_row, task_of
from stillhouse.tasks.numbers import SPELLING, number_in, written_number
from stillhouse.tasks.score import NumericScore
from stillhouse.tasks.task import Doubt

STARS = ScoreSpec(lowest=1, highest=5, tolerance=0.5)
TASK = NumericScore.of(STARS)
NUMBERS = st.floats(-1e9, 1e9)


def outputs(*numbers: float) -> np.ndarray:
    """What a model gives that answers these."""
    return (np.array(numbers)[:, None] - 3) / 2


def test_a_number_is_right_up_to_the_tolerance_and_at_it() -> None:
    truth = TASK.targets(pl.Series(["4"] * 5 + [None]))
    found = TASK.right(outputs(4, 4.5, 3.5, 4.51, 3.49, 4), truth)
    assert found.tolist() == [True, True, True, False, False, False]
    assert TASK.known(truth).tolist() == [True] * 5 + [False]


def test_both_ends_of_the_range_are_one_unit_from_its_middle() -> None:
    assert TASK.targets(pl.Series(["1", "3", "5"])).tolist() == [-1, 0, 1]
    prices = NumericScore(0, 1000, 10)
    assert prices.targets(pl.Series(["0", "250", "1000"])).tolist() == [-1, -0.5, 1]
    assert prices.written(np.array([-1, -0.5, 1.25])) == ["0", "250", "1125"], "also beyond them"


@given(number=NUMBERS)
def test_a_number_is_written_as_it_is_read(number: float) -> None:
    written = written_number(number)
    read = number_in(written)
    assert read is not None and written_number(read) == written
    assert abs(read - number) <= 0.5e-6 + 1e-15 * abs(number)
    assert pl.Series([written]).str.contains(SPELLING)[0]


@pytest.mark.parametrize(
    ("text", "spelled"),
    [("4", "4"), ("4.50", "4.5"), (" +4. ", "4"), ("-0", "0"), ("-0.0000001", "0"), (".5", "0.5"), ("1e3", "1000"),
     ("0.1234567", "0.123457"), ("007", "7")],
)  # fmt: skip
def test_a_number_has_one_spelling(text: str, spelled: str) -> None:
    value = number_in(text)
    assert value is not None and written_number(value) == spelled


@pytest.mark.parametrize("text", ["", "four", "4,5", "1 000", "1_000", "nan", "inf", "1e999", "0x10", "4 stars", "٤"])
def test_what_is_no_number_is_none(text: str) -> None:
    assert number_in(text) is None


def test_only_numbers_in_the_range_and_in_their_spelling_are_held() -> None:
    labels = pl.Series(["1", "5", "4.5", "0.9", "5.1", "4.50", "many", None])
    assert TASK.holds(labels).to_list() == [True, True, True, False, False, False, False, False]


@given(st.lists(st.floats(1, 5).map(lambda value: round(value, 6)), min_size=1, max_size=20))
def test_what_was_labelled_is_written_again(numbers: list[float]) -> None:
    labels = [written_number(number) for number in numbers]
    assert TASK.written(TASK.targets(pl.Series(labels))) == labels


def test_a_number_has_no_probability_decides_nothing_and_is_no_class() -> None:
    said, truth = outputs(1, 2), TASK.targets(pl.Series(["1", "2"]))
    assert TASK.confidence(said) is None and TASK.decisions(said, truth) == [] and TASK.classes is None
    assert temperature_of(TASK, said, truth) == 1.0


def test_two_models_agree_where_their_numbers_are_near() -> None:
    first, second = outputs(4, 4, 1), outputs(4.4, 4.6, 1)
    assert TASK.agree(first, second).tolist() == [True, False, True]
    assert TASK.divergence(first, second) == pytest.approx([0.04, 0.09, 0])


def test_only_a_known_number_gives_reason_to_doubt() -> None:
    truth = TASK.targets(pl.Series(["4", "4", None]))
    assert TASK.doubts(outputs(4.2, 2, 2), truth) == [None, Doubt.CONTRADICTS_LABEL, None]


def test_answers_from_elsewhere_count_as_they_are_meant() -> None:
    truth = TASK.targets(pl.Series(["1", "5"]))
    assert TASK.right(TASK.stated(truth, 0.3), truth).all()
    assert TASK.right(TASK.unanswered(truth, right=True), truth).all()
    assert not TASK.right(TASK.unanswered(truth, right=False), truth).any()


def test_the_best_single_number_is_near_enough_for_most_rows() -> None:
    """By hand: 4.5 is within 0.5 of the three highest, and no other number is within 0.5 of as many."""
    truth = TASK.targets(pl.Series(["1", "1", "2.6", "4.1", "4.5", "5"]))
    assert TASK.written(TASK.answers(TASK.constant(truth)[None])) == ["4.5"]


@given(st.lists(st.integers(10, 50), min_size=1, max_size=25))
def test_no_other_number_of_the_rows_is_near_enough_for_more(tenths: list[int]) -> None:
    truth = TASK.targets(pl.Series([written_number(each / 10) for each in tenths]))
    best = TASK.right(np.tile(TASK.constant(truth), (len(truth), 1)), truth).sum()
    assert best == max(int(TASK.right(np.full((len(truth), 1), each), truth).sum()) for each in truth)


def test_a_linear_head_learns_numbers() -> None:
    features = np.random.default_rng(0).normal(size=(200, 3))
    truth = features @ [0.2, -0.1, 0.0] + 0.3
    weights, bias = TASK.fit_linear(features, truth, seed=0)
    assert weights.shape == (3, 1) and weights[:, 0] == pytest.approx([0.2, -0.1, 0.0], abs=0.01)
    assert bias == pytest.approx([0.3], abs=0.01)


@given(seed=st.integers(0, 99))
@pytest.mark.parametrize("loss", sorted(OF_NUMBERS))
def test_a_loss_costs_each_row_a_squared_difference(loss: str, seed: int) -> None:
    random = np.random.default_rng(seed)
    said, taught, labels = (random.normal(size=8) for _ in range(3))
    labels[random.random(8) < 0.3] = np.nan
    known = ~np.isnan(labels)
    targets = TargetTensors(
        torch.from_numpy(labels), torch.from_numpy(known), teacher_logits=torch.from_numpy(taught[:, None])
    )
    config = TrainingConfig(loss=loss)  # type: ignore[arg-type]
    cost = combined_loss(
        torch.from_numpy(said[:, None]), torch.zeros(8, 1, dtype=torch.float64), targets, task=TASK, config=config
    )
    expected = (said - taught) ** 2 if loss == "logit_mse" else np.where(known, (said - np.nan_to_num(labels)) ** 2, 0)
    assert float(cost) == pytest.approx(float(expected.sum()))


def test_of_numbers_the_output_has_a_name_and_no_row_one() -> None:
    labels = pl.Series(["1", "2.5", None])
    assert label_names("score", labels) == ("score",) == task_of("score", ["1", "2.5"], STARS).names
    assert one_name_a_row("score", pl.DataFrame({"label": labels})).is_empty()


def test_what_several_say_is_their_mean() -> None:
    said = TASK.targets(pl.Series(["1", "5", "2", "2"]))
    assert TASK.written(TASK.majority(said)) == ["2.5"]
    assert TASK.answers(TASK.voted(said, 0.9)[None]) == pytest.approx(TASK.majority(said))
