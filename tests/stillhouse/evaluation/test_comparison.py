"""Whether the teacher was worth it."""

import pytest

from stillhouse.evaluation.comparison import compare_with_control
from stillhouse.evaluation.models import ModelKind
from stillhouse.statistics.verdicts import Verdict
from stillhouse.tasks.single_label import SingleLabel

CLASSES = ("balance", "block", "travel")


@pytest.mark.parametrize(
    ("rows", "student_wrong", "control_wrong", "verdict", "words"),
    [
        (600, range(0, 10), range(0, 40), Verdict.PASS, "distillation helped: student is 5.0 points above"),
        (600, range(0, 40), range(0, 10), Verdict.FAIL, "distillation did not help: student is 5.0 points below"),
        (1200, [1], [2], Verdict.FAIL, "distillation did not help: student is 0.0 points above"),
        (60, [], [1, 2], Verdict.INCONCLUSIVE, "cannot tell whether distillation helped: student is 3.3 points above"),
    ],
)
def test_the_verdict_in_words(subject, golden, rows, student_wrong, control_wrong, verdict, words) -> None:
    student = subject(rows, student_wrong)
    control = subject(rows, control_wrong, name="labels only", kind=ModelKind.CONTROL)
    result = compare_with_control(student, control, golden(rows), task=SingleLabel(tuple(CLASSES)))
    assert result.verdict is verdict
    assert result.sentence.startswith(words)
    assert result.gain_interval[0] <= result.gain <= result.gain_interval[1]


@pytest.mark.parametrize(
    ("chained_wrong", "direct_wrong", "verdict", "words"),
    [
        (
            range(0, 10),
            range(0, 40),
            Verdict.PASS,
            "a student between helped: student is 5.0 points above the one that ",
        ),
        (range(0, 40), range(0, 10), Verdict.FAIL, "a student between did not help: student is 5.0 points below the "),
    ],
)
def test_a_chain_is_held_against_the_same_student_without_the_one_between(
    subject, golden, chained_wrong, direct_wrong, verdict, words
) -> None:
    """By the same rule as a control: only the sentence is about another thing."""
    task = SingleLabel(tuple(CLASSES))
    chained, direct = subject(600, chained_wrong), subject(600, direct_wrong, name="direct")
    found = compare_with_control(chained, direct, golden(600), task=task, against="direct")
    assert (found.verdict, found.against) == (verdict, "direct") and found.sentence.startswith(words)
    as_control = compare_with_control(chained, direct, golden(600), task=task)
    assert (found.test, found.gain_interval) == (as_control.test, as_control.gain_interval)


@pytest.mark.parametrize(
    ("student_wrong", "control_wrong", "nothing"),
    [
        (range(0, 20), range(30, 52), "; a difference of 2 of 2,470 rows is nothing, chance alone gives as much"),
        (range(0, 22), range(30, 50), "; a difference of 2 of 2,470 rows is nothing, chance alone gives as much"),
        (range(0, 10), range(30, 60), ""),
    ],
)
def test_a_win_or_loss_of_two_rows_is_said_to_be_nothing(
    subject, golden, student_wrong, control_wrong, nothing
) -> None:
    student, control = subject(2470, student_wrong), subject(2470, control_wrong, name="c", kind=ModelKind.CONTROL)
    sentence = compare_with_control(student, control, golden(2470), task=SingleLabel(tuple(CLASSES))).sentence
    assert sentence.endswith(f"on one seed){nothing}")


def test_helped_needs_more_than_four_rows_won() -> None:
    """0.5^4 = 6 % and 0.5^5 = 3 %: with four rows won and none lost chance is not excluded at 5 %."""
    import numpy as np

    from stillhouse.statistics.proportions import paired_mcnemar

    won = np.arange(100) < 4
    assert paired_mcnemar(np.ones(100, bool), ~won).p_first_better == pytest.approx(0.5**4)
