"""Label errors by confident learning."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stillhouse.teachers.label_errors import likely_label_errors


def test_by_hand() -> None:
    # bars: class 0 (0.9 + 0.7 + 0.2) / 3 = 0.6, class 1 (0.8 + 0.6) / 2 = 0.7
    probabilities = np.array([[0.9, 0.1], [0.7, 0.3], [0.2, 0.8], [0.2, 0.8], [0.4, 0.6]])
    assert likely_label_errors(probabilities, np.array([0, 0, 0, 1, 1])).tolist() == [False, False, True, False, False]


def test_a_row_that_counts_for_two_classes_is_of_the_more_probable() -> None:
    probabilities = np.array([[0.45, 0.55], [0.45, 0.55]])
    assert likely_label_errors(probabilities, np.array([0, 1])).tolist() == [True, False]


def test_no_row_is_of_a_class_that_nobody_was_given() -> None:
    probabilities = np.array([[0.2, 0.1, 0.7], [0.3, 0.4, 0.3]])
    assert not likely_label_errors(probabilities, np.array([0, 1])).any()


def test_no_rows() -> None:
    assert likely_label_errors(np.empty((0, 3)), np.empty(0, dtype=np.int64)).shape == (0,)


@pytest.mark.parametrize("sureness", [0.95, 0.6])
@pytest.mark.parametrize("share", [0.0, 0.1, 0.2])
def test_flipped_labels_are_found_by_a_sure_and_by_an_unsure_model(sureness: float, share: float) -> None:
    random = np.random.default_rng(0)
    rows, classes = 2000, 5
    truth = random.integers(0, classes, rows)
    flipped = random.random(rows) < share
    labels = np.where(flipped, (truth + random.integers(1, classes, rows)) % classes, truth)
    own = np.clip(random.normal(sureness, 0.02, rows), 0.5, 0.99)
    probabilities = np.repeat(((1 - own) / (classes - 1))[:, None], classes, axis=1)
    probabilities[np.arange(rows), truth] = own
    found = likely_label_errors(probabilities, labels)
    assert not found[~flipped].any()
    assert found.sum() >= 0.9 * flipped.sum()


@given(st.integers(0, 2**32 - 1))
def test_the_names_of_classes_do_not_matter(seed: int) -> None:
    random = np.random.default_rng(seed)
    probabilities, labels = random.dirichlet(np.ones(4), size=30), random.integers(0, 4, 30)
    order = random.permutation(4)
    renamed = likely_label_errors(probabilities[:, order], np.argsort(order)[labels])
    assert renamed.tolist() == likely_label_errors(probabilities, labels).tolist()
