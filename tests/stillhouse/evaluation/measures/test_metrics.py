"""Metrics, against scikit-learn."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn import metrics as oracle

from stillhouse.evaluation.measures import metrics


@pytest.mark.long
@settings(max_examples=50)
@given(pairs=st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=40))
def test_all_agree_with_scikit_learn(pairs: list[tuple[int, int]]) -> None:
    labels, predicted = np.array(pairs).T
    names = [f"class {index}" for index in range(5)]
    confusion = metrics.confusion_matrix(labels, predicted, 5)
    assert (confusion == oracle.confusion_matrix(labels, predicted, labels=range(5))).all()
    table = metrics.per_class(confusion, names)
    assert metrics.macro_f1(table) == pytest.approx(
        oracle.f1_score(labels, predicted, average="macro", zero_division=0)
    )
    precision, recall, f1, rows = oracle.precision_recall_fscore_support(labels, predicted, zero_division=0)
    assert [(m.precision, m.recall, m.f1, m.rows) for m in table] == [
        pytest.approx(row) for row in zip(precision, recall, f1, rows, strict=True)
    ]


def test_confusion_cells_carry_every_row_largest_first() -> None:
    confusion = np.array([[3, 1], [0, 5]])
    cells = metrics.confusion_cells(confusion, ["a", "b"])
    assert [(cell.label, cell.predicted, cell.rows) for cell in cells] == [("b", "b", 5), ("a", "a", 3), ("a", "b", 1)]


def test_no_examples_are_refused() -> None:
    with pytest.raises(ValueError, match="non-empty"):
        metrics.confusion_matrix(np.array([], dtype=np.int64), np.array([], dtype=np.int64), 2)


def test_the_place_of_a_label_is_first_where_it_is_the_answer() -> None:
    logits = np.array([[3.0, 1.0, 2.0], [3.0, 1.0, 2.0], [1.0, 1.0, 1.0], [1.0, 1.0, 1.0]])
    assert metrics.ranks(logits, np.array([0, 1, 0, 2])).tolist() == [0, 2, 0, 2]


@pytest.mark.long
@given(arrays(np.float64, (20, 5), elements=st.integers(-3, 3).map(float)), st.integers(0, 4))
def test_first_place_and_argmax_are_one(logits: np.ndarray, label: int) -> None:
    labels = np.full(20, label)
    assert ((metrics.ranks(logits, labels) == 0) == (logits.argmax(axis=1) == label)).all()
