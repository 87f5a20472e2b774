"""An answer is the class with the highest logit, everywhere."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy.special import softmax

from stillhouse.home import CHECKOUT
from stillhouse.tasks.single_label import SingleLabel, answers

LOGITS = arrays.arrays(np.float64, st.tuples(st.integers(1, 20), st.integers(2, 6)), elements=st.floats(-50, 50))


def test_the_first_of_equal_logits_answers_and_an_unknown_label_is_never_right() -> None:
    logits = np.array([[0.0, 2.0, 2.0], [1.0, 0.0, -1.0], [0.0, 0.0, 3.0]])
    assert answers(logits).tolist() == [1, 0, 2]
    assert SingleLabel(("a", "b", "c")).right(logits, np.array([2, 0, -1])).tolist() == [False, True, False]


@pytest.mark.long
@given(LOGITS, st.floats(-5, 5), st.sampled_from([0.5, 2.0, 4.0]))
def test_neither_a_shift_nor_a_temperature_changes_an_answer(logits: np.ndarray, shift: float, factor: float) -> None:
    top = np.sort(logits, axis=1)
    clear = top[:, -1] - top[:, -2] > 1e-6
    assert (answers(logits * factor + shift) == answers(logits))[clear].all()


@pytest.mark.long
@given(LOGITS, st.sampled_from([0.5, 1.0, 2.5]))
def test_the_confidence_is_the_largest_share_of_scipys_softmax(logits: np.ndarray, temperature: float) -> None:
    task = SingleLabel(tuple("abcdef"[: logits.shape[1]]))
    largest = softmax(logits / temperature, axis=1).max(axis=1)
    assert task.confidence(logits, temperature) == pytest.approx(largest, rel=1e-12)


def test_several_answers_are_averaged_as_what_each_is_worth() -> None:
    task = SingleLabel(("a", "b", "c"))
    assert task.voted(np.array([1] * 5), 0.8) == pytest.approx(task.stated(np.array([1]), 0.8)[0]), "as much as one"
    assert np.exp(task.voted(np.array([0, 2, 0, 0]), 0.8)) == pytest.approx([0.625, 0.1, 0.275])


@pytest.mark.long
@given(st.lists(st.integers(0, 3), min_size=1, max_size=20))
def test_several_answers_are_a_distribution_in_their_own_order_and_the_most_frequent_counts(given: list[int]) -> None:
    task, answered = SingleLabel(tuple("abcd")), np.array(given)
    found = np.exp(task.voted(answered, 0.7))
    assert found.sum() == pytest.approx(1) and (found > 0).all()
    for one in range(4):
        for other in range(4):
            assert given.count(one) <= given.count(other) or found[one] > found[other]
    first_of_most = min(range(4), key=lambda index: (-given.count(index), index))
    assert task.majority(answered).tolist() == [first_of_most]


def test_no_other_module_decides_what_a_row_of_logits_answers() -> None:
    """Another kind of answer is another module here, and not a search through twenty."""
    decides = re.compile(r"(logits|probabilities|says?|said|answers)[^\n]*\.argmax\(")
    found = {
        str(file.relative_to(CHECKOUT))
        for room in ("stillhouse", "assets", "checks", "orchestration")
        for file in (CHECKOUT / room).rglob("*.py")
        if decides.search(file.read_text())
    }
    assert found == {"stillhouse/tasks/single_label.py"}
