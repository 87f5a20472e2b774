"""How far answers that are numbers are from the right ones, where accuracy asks whether they are near enough.

Belongs here: mean errors, and whether larger numbers are given to what is larger, of model and teacher.
Does not: the share of rows within the tolerance, which is the bar's (score.py).
"""

import numpy as np
import polars as pl
from pydantic import Field

from stillhouse.arrays import FloatArray
from stillhouse.base import Record
from stillhouse.tasks.score import NumericScore
from stillhouse.tasks.task import Targets, Task


class NumberScores(Record):
    """A model beside its teacher, in the numbers of the rows."""

    lowest: float = Field(description="The least that a label may be.")
    highest: float = Field(description="The most that a label may be.")
    tolerance: float = Field(description="How far from the label an answer may be and counts as right.")
    mean_error: float = Field(description="Of the model: mean absolute difference from the label.")
    teacher_mean_error: float
    spearman: float | None = Field(
        description="Of the model: rank correlation with the labels; null where all answers or all labels are alike."
    )
    teacher_spearman: float | None
    mean_difference: float = Field(description="Mean absolute difference of the model from its teacher.")


def number_scores(task: Task, targets: Targets, teacher: FloatArray, model: FloatArray) -> NumberScores | None:
    """Measure answers that are numbers; None where they are labels.

    Args:
        task: what an answer is.
        targets: shape (n,), the truth.
        teacher: shape (n, 1), its outputs.
        model: shape (n, 1), the model's.
    """
    if not isinstance(task, NumericScore):
        return None
    truth, taught, said = (task.numbers(each) for each in (targets, task.answers(teacher), task.answers(model)))
    return NumberScores(
        lowest=task.lowest,
        highest=task.highest,
        tolerance=task.tolerance,
        mean_error=mean_error(task, task.answers(model), targets),
        teacher_mean_error=mean_error(task, task.answers(teacher), targets),
        spearman=rank_correlation(said, truth),
        teacher_spearman=rank_correlation(taught, truth),
        mean_difference=float(np.abs(said - taught).mean()),
    )


def mean_error(task: NumericScore, answers: FloatArray, targets: Targets) -> float:
    """Mean absolute difference from the truth, in the numbers of the rows.

    Args:
        task: what an answer is.
        answers: shape (n,), as outputs.
        targets: shape (n,), likewise.
    """
    return float(np.abs(task.numbers(answers) - task.numbers(targets)).mean())


def rank_correlation(first: FloatArray, second: FloatArray) -> float | None:
    """Spearman's rho, in [-1, 1]: the correlation of the ranks, of which equal values share the mean one.

    Args:
        first: shape (n,).
        second: shape (n,), of the same rows.

    Returns:
        None where one of the two is the same everywhere.
    """
    one, other = (pl.Series(each).rank("average").to_numpy() for each in (first, second))
    if min(np.ptp(one), np.ptp(other)) == 0:
        return None
    return float(np.clip(np.corrcoef(one, other)[0, 1], -1.0, 1.0))
