"""How alike student and teacher are."""

import numpy as np
import pytest
from scipy.special import softmax
from scipy.stats import entropy

from stillhouse.evaluation.measures.fidelity import fidelity
from stillhouse.tasks.single_label import SingleLabel

LOGITS = {0: [4.0, 0.0, 0.0], 1: [0.0, 4.0, 0.0], 2: [0.0, 0.0, 4.0]}

TASK = SingleLabel(("x", "y", "z"))


def test_divergence_is_that_of_teacher_from_student() -> None:
    generator = np.random.default_rng(1)
    teacher, student = generator.normal(size=(20, 5)) * 3, generator.normal(size=(20, 5))
    expected = [entropy(p, q) for p, q in zip(softmax(teacher, axis=1), softmax(student, axis=1), strict=True)]
    assert TASK.divergence(teacher, student) == pytest.approx(np.array(expected))
    assert TASK.divergence(teacher, teacher) == pytest.approx(0.0)


def test_one_row_that_differs_by_much_shows_in_the_spread_and_hides_in_the_mean() -> None:
    teacher = np.tile([4.0, 0.0, 0.0], (200, 1))
    student = teacher.copy()
    student[0] = [0.0, 40.0, 0.0]
    result = fidelity(teacher, student, np.zeros(200, np.int64), prompt_ids=[str(n) for n in range(200)], task=TASK)
    assert (result.kl.p50, result.kl.p99) == pytest.approx((0.0, 0.0))
    assert result.kl.largest == pytest.approx(200 * result.mean_kl)
    assert result.kl.largest > 30


def test_the_two_by_two_table_and_the_inherited_errors() -> None:
    labels = np.array([0, 0, 0, 0, 0, 0])
    teacher = np.array([LOGITS[k] for k in (0, 0, 1, 1, 1, 0)])
    student = np.array([LOGITS[k] for k in (0, 1, 0, 1, 2, 2)])
    result = fidelity(teacher, student, labels, prompt_ids=list("abcdef"), task=TASK)
    assert result.outcomes.model_dump() == {"both_right": 1, "teacher_only": 2, "student_only": 1, "both_wrong": 2}
    # Three teacher errors; only the fourth row repeats the very same one, the fifth is wrong in another way.
    assert result.inherited_errors == 1
    assert result.inherited_share == pytest.approx(1 / 3)
    assert result.agreement == pytest.approx(2 / 6)


@pytest.mark.parametrize(("wrong", "warned"), [(10, False), (11, True), (40, True)])
def test_a_student_that_follows_a_wrong_teacher_is_warned_of_though_it_agrees(wrong: int, warned: bool) -> None:
    labels = np.zeros(100, dtype=np.int64)
    said = np.array([LOGITS[1]] * wrong + [LOGITS[0]] * (100 - wrong))
    result = fidelity(said, said, labels, prompt_ids=[str(n) for n in range(100)], task=TASK)
    assert result.agreement == 1.0
    warning = result.warning(at_most=0.1)
    assert (warning is not None) == warned
    if wrong == 40:
        assert warning is not None and "on 100.0% of the rows, and 40.0% of all rows" in warning
        assert result.warning(at_most=0.4) is None


def test_the_worst_disagreements_are_lost_rows_first_then_by_divergence() -> None:
    labels = np.array([0, 0, 0, 1])
    teacher = np.array([LOGITS[0], LOGITS[0], [0.0, 20.0, 0.0], LOGITS[1]])
    student = np.array([[0.0, 0.1, 0.0], [0.0, 9.0, 0.0], LOGITS[0], LOGITS[1]])
    result = fidelity(teacher, student, labels, prompt_ids=list("abcd"), task=TASK)
    assert [row.prompt_id for row in result.worst] == ["b", "a", "c"]
    assert [row.lost for row in result.worst] == [True, True, False]
    assert fidelity(teacher, student, labels, prompt_ids=list("abcd"), task=TASK, worst=1).worst == (result.worst[0],)


def test_a_teacher_without_errors_leaves_none_to_inherit() -> None:
    logits = np.array([LOGITS[0]])
    result = fidelity(logits, logits, np.array([0]), prompt_ids=["a"], task=TASK)
    assert result.inherited_share is None
    assert result.worst == ()
