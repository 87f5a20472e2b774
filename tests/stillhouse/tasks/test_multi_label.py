"""An answer is the set of the labels that are more probable than not, everywhere."""

import itertools
import math

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy.special import expit

from stillhouse.errors import StillhouseError
from stillhouse.tasks import task_of
from stillhouse.tasks.label_sets import LABELS_AT_MOST
from stillhouse.tasks.multi_label import UNKNOWN, MultiLabel
from stillhouse.tasks.task import Doubt

TASK = MultiLabel(("a", "b", "c"))
LOGITS = arrays.arrays(np.float64, st.tuples(st.integers(1, 20), st.just(3)), elements=st.floats(-30, 30))
SETS = ["[]", '["a"]', '["b"]', '["a","b"]', '["c"]', '["a","c"]', '["b","c"]', '["a","b","c"]']
"""By their numbers."""


def test_a_label_is_in_the_answer_above_one_half_and_not_at_it() -> None:
    logits = np.array([[0.1, -0.1, 3.0], [0.0, 0.0, 0.0], [-1.0, -2.0, -0.5]])
    assert TASK.written(TASK.answers(logits)) == ['["a","c"]', "[]", "[]"]
    assert TASK.answers(logits[0]).tolist() == 5, "of one row, too"


def test_only_the_whole_set_is_right_and_an_unknown_one_never_is() -> None:
    logits = np.tile([2.0, 2.0, -2.0], (5, 1))
    truths = pl.Series(['["a","b"]', '["a"]', '["a","b","c"]', "[]", None])
    assert TASK.right(logits, TASK.targets(truths)).tolist() == [True, False, False, False, False]
    assert TASK.known(TASK.targets(truths)).tolist() == [True, True, True, True, False]


def test_every_set_is_written_as_it_is_read() -> None:
    targets = TASK.targets(pl.Series(SETS))
    assert targets.tolist() == list(range(8)) and TASK.written(targets) == SETS


def test_as_many_labels_as_there_may_be_are_told_apart() -> None:
    names = [f"label {number:02}" for number in range(LABELS_AT_MOST)]
    task = MultiLabel.of(names)
    everything = np.ones((2, LABELS_AT_MOST))
    everything[1, -1] = -1
    written = task.written(task.answers(everything))
    assert task.targets(pl.Series(written)).tolist() == task.answers(everything).tolist()
    assert task.known(task.answers(everything)).all() and len(set(written)) == 2
    with pytest.raises(StillhouseError, match="63 distinct labels"):
        MultiLabel.of([*names, "one more"])


def test_labels_are_those_of_sets_or_the_names_of_outputs() -> None:
    assert task_of("multi_label", ["[]", '["b","a"]', '["c"]']).names == ("a", "b", "c")
    assert task_of("multi_label", ["b", "a"]).names == ("a", "b")
    with pytest.raises(StillhouseError, match="1 distinct labels"):
        task_of("multi_label", ["[]", '["a"]'])


def test_only_sets_in_their_one_spelling_and_of_known_labels_are_held() -> None:
    labels = pl.Series(['["a","b"]', '["b","a"]', '["a", "b"]', '["d"]', "a", None, "[]", "[a"])
    assert TASK.holds(labels).to_list() == [True, False, False, False, False, False, True, False]
    with pytest.raises(KeyError):
        TASK.targets(pl.Series(['["d"]']))


def test_a_number_that_is_no_set_is_refused() -> None:
    with pytest.raises(StillhouseError, match="outside those of 3 labels"):
        TASK.known(np.array([0, 8]))


@given(LOGITS, st.sampled_from([0.5, 1.0, 2.5]))
def test_the_confidence_is_the_largest_probability_of_any_set(logits: np.ndarray, temperature: float) -> None:
    """Over all eight sets, each the product of its labels."""
    there = expit(logits / temperature)
    of_sets = [
        np.prod(np.where(np.array(chosen, bool), there, 1 - there), axis=1)
        for chosen in itertools.product([0, 1], repeat=3)
    ]
    np.testing.assert_allclose(TASK.confidence(logits, temperature), np.max(of_sets, axis=0), rtol=1e-9)


@given(LOGITS, st.sampled_from([0.5, 2.0, 4.0]))
def test_a_temperature_changes_no_answer(logits: np.ndarray, temperature: float) -> None:
    clear = (np.abs(logits) > 1e-6).all(axis=1)
    assert (TASK.answers(logits / temperature) == TASK.answers(logits))[clear].all()


@given(LOGITS, st.integers(0, 99))
def test_the_divergence_is_the_sum_of_those_of_the_labels(logits: np.ndarray, seed: int) -> None:
    other = logits[:, ::-1] + np.random.default_rng(seed).normal(size=logits.shape)
    p, q = expit(logits), expit(other)
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = np.nan_to_num(p * np.log(p / q)) + np.nan_to_num((1 - p) * np.log((1 - p) / (1 - q)))
    close = (np.abs(logits) < 15).all(axis=1) & (np.abs(other) < 15).all(axis=1)
    np.testing.assert_allclose(TASK.divergence(logits, other)[close], terms.sum(axis=1)[close], rtol=1e-6, atol=1e-9)
    assert (TASK.divergence(logits, logits) < 1e-12).all() and (TASK.divergence(logits, other) >= 0).all()


def test_a_certain_teacher_and_a_certain_student_are_a_finite_distance_apart() -> None:
    far = TASK.divergence(np.array([[700.0, -700.0, 0.0]]), np.array([[-700.0, 700.0, 0.0]]))
    assert far == pytest.approx([1400.0])


@pytest.mark.parametrize("accuracy", [1e-9, 0.3, 0.9, 1.0])
def test_a_stated_answer_is_the_answer_and_as_probable_as_it_is_right(accuracy: float) -> None:
    targets = np.arange(8)
    outputs = TASK.stated(targets, accuracy)
    assert TASK.right(outputs, targets).all() and np.isfinite(outputs).all()
    assert TASK.confidence(outputs) == pytest.approx(max(accuracy, 0.51**3), rel=1e-6)


def test_several_answers_come_to_the_labels_that_more_than_half_of_them_have() -> None:
    given = TASK.targets(pl.Series(['["a","b"]', '["a"]', '["a","b","c"]', "[]"]))
    assert TASK.written(TASK.majority(given)) == ['["a"]'], "half of them have b, and that is not more"
    assert TASK.written(TASK.majority(given[:3])) == ['["a","b"]'], "which nobody else has to have said as a whole"
    assert TASK.written(TASK.majority(given[3:])) == ["[]"]


def test_each_label_is_as_probable_as_the_share_of_the_answers_that_have_it() -> None:
    """One answer in 0.729 of which the whole set is right has each label with 0.9."""
    given = TASK.targets(pl.Series(['["a","b"]', '["a"]', '["a"]', '["a"]']))
    assert expit(TASK.voted(given, 0.729)) == pytest.approx([0.9, 0.3, 0.1])
    assert TASK.voted(given[1:], 0.729) == pytest.approx(TASK.stated(given[1:2], 0.729)[0]), "alike: as much as one"


@pytest.mark.long
@given(st.lists(st.integers(0, 7), min_size=1, max_size=9), st.sampled_from([1e-9, 0.3, 0.9, 1.0]))
def test_what_several_answers_say_answers_as_they_come_to_and_is_never_a_row_of_zeros(
    given: list[int], accuracy: float
) -> None:
    outputs = TASK.voted(np.array(given), accuracy)
    assert np.isfinite(outputs).all() and (outputs.astype(np.float32) != 0).all()
    assert TASK.answers(outputs.astype(np.float32)[None]).tolist() == TASK.majority(np.array(given)).tolist()


def test_a_row_that_was_not_answered_counts_as_it_is_told() -> None:
    targets = np.arange(8)
    assert TASK.right(TASK.unanswered(targets, right=True), targets).all()
    assert not TASK.right(TASK.unanswered(targets, right=False), targets).any()
    assert TASK.confidence(TASK.unanswered(targets, right=True)).max() < 0.13, "hardly more than an eighth"


def test_a_set_is_doubted_where_it_is_another_and_not_because_all_of_it_is_seldom_right() -> None:
    sure, guess = [5.0, -5.0, -5.0], [0.2, -5.0, -0.2]
    targets = TASK.targets(pl.Series(['["a"]', '["b"]', None, None, '["a"]', '["a","c"]']))
    assert TASK.doubts(np.array([sure, sure, sure, guess, guess, sure]), targets) == [
        None, Doubt.CONTRADICTS_LABEL, None, None, None, Doubt.CONTRADICTS_LABEL,
    ]  # fmt: skip


def test_the_best_constant_is_the_most_frequent_set_and_not_the_set_of_frequent_labels() -> None:
    targets = TASK.targets(pl.Series(['["a"]'] * 3 + ['["b"]'] * 3 + ["[]"] * 4))
    row = TASK.constant(targets)
    assert TASK.written(TASK.answers(row[None])) == ["[]"] and TASK.confidence(row[None]) == pytest.approx(0.4)
    assert TASK.written(TASK.answers(TASK.constant(targets[:6])[None])) == ['["a"]'], "the first of two as frequent"
    assert np.isfinite(TASK.constant(targets[:1])).all()


def test_each_label_is_fitted_against_the_rest() -> None:
    """The first two features say each whether its label is there; `c` never is."""
    random = np.random.default_rng(0)
    features = random.integers(0, 2, (200, 4)).astype(float)
    targets = (features[:, 0] + 2 * features[:, 1]).astype(np.int64)
    weights, bias = TASK.fit_linear(features, targets, seed=0)
    outputs = TASK.outputs_of(features @ weights + bias)
    assert TASK.right(outputs, targets).all() and outputs[:, 2].max() < -10
    with pytest.raises(StillhouseError, match=r'only the labels \["a"\] occur'):
        TASK.fit_linear(features, np.ones(200, np.int64), seed=0)


def test_the_average_has_the_mean_probability_of_each_label() -> None:
    logits = np.array([[2.0, -1.0, 0.0], [-2.0, -1.0, 40.0]])
    assert expit(TASK.average(logits)) == pytest.approx(expit(logits).mean(axis=0), abs=1e-9)
    assert np.isfinite(TASK.average(np.array([[800.0, -800.0, 0.0]]))).all()


def test_each_label_is_a_decision_between_no_and_yes() -> None:
    logits, targets = np.array([[2.0, -1.0, 0.5], [-3.0, 4.0, -0.5]]), np.array([1, 6])
    decisions = TASK.decisions(logits, targets)
    assert [truth.tolist() for _, truth in decisions] == [[1, 0], [0, 1], [0, 1]]
    for (scores, _), column in zip(decisions, logits.T, strict=True):
        share = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
        assert share[:, 1] == pytest.approx(expit(column))


def test_unknown_is_no_set() -> None:
    assert UNKNOWN < 0 and math.log2(1 << LABELS_AT_MOST) < 63
