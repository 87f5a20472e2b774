"""How well a model that scores documents ranks those of each query.

Belongs here: nDCG and MRR of model and teacher on the golden rows, by the groups that the recipe names.
Does not: nDCG of a query (stillhouse/statistics/ranking.py), whether the bar is held (bar_metric.py).
"""

import numpy as np
from pydantic import Field

from stillhouse.arrays import FloatArray, IntArray
from stillhouse.base import Record
from stillhouse.statistics.ranking import Queries
from stillhouse.tasks.score import NumericScore
from stillhouse.tasks.task import Targets, Task


class RankingScores(Record):
    """A model beside its teacher, in the mean over queries."""

    at: int = Field(description="Places of a ranking that nDCG looks at.")
    queries: int = Field(description="Groups of golden rows that have an order to get right: not all labels are alike.")
    other_queries: int = Field(description="Groups without one, which do not count.")
    ndcg: float = Field(description="Of the model; a label is worth how far it is above the lowest.")
    teacher_ndcg: float
    mrr: float = Field(description="Of the model: mean of 1 / place of the first document above the lowest label.")
    teacher_mrr: float


def queries_of(task: Task, targets: Targets, groups: IntArray | None, *, at: int) -> Queries | None:
    """The golden rows as documents of queries; None where answers are no numbers, or rows stand alone.

    Args:
        task: what an answer is.
        targets: shape (n,), the truth.
        groups: shape (n,), equal where rows are of one query.
        at: places that count.
    """
    if groups is None or not isinstance(task, NumericScore):
        return None
    # Rounded as labels are, so that two of them that are alike are worth the same.
    gains = np.maximum(np.round(task.numbers(targets) - task.lowest, 6), 0.0)
    return Queries.of(gains, groups, at=at)


def ranking_scores(
    task: Task, targets: Targets, teacher: FloatArray, model: FloatArray, groups: IntArray | None, *, at: int
) -> RankingScores | None:
    """Measure rankings; None where there are none, or no query has an order to get right.

    Args:
        task: what an answer is.
        targets: shape (n,), the truth.
        teacher: shape (n, 1), its outputs.
        model: shape (n, 1), the model's.
        groups: shape (n,), equal where rows are of one query; None where every row stands alone.
        at: places that count.
    """
    queries = queries_of(task, targets, groups, at=at)
    if queries is None or groups is None or not len(queries):
        return None
    taught, said = task.answers(teacher), task.answers(model)
    return RankingScores(
        at=at,
        queries=len(queries),
        other_queries=len(np.unique(groups)) - len(queries),
        ndcg=float(queries.ndcg(said).mean()),
        teacher_ndcg=float(queries.ndcg(taught).mean()),
        mrr=float(queries.reciprocal_ranks(said).mean()),
        teacher_mrr=float(queries.reciprocal_ranks(taught).mean()),
    )
