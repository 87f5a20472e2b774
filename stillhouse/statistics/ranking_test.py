"""Whether a student ranks documents within the margin of its teacher, with queries as the evidence.

Belongs here: non-inferiority in nDCG of scores by query.
Does not: nDCG of a query (ranking.py), the resampling (bootstrap.py), metrics of classes (metric_test.py).
"""

import math

import numpy as np

from stillhouse.arrays import FloatArray
from stillhouse.statistics import bootstrap
from stillhouse.statistics.metric_test import SEED, TAIL_DRAWS, MetricTest, judged
from stillhouse.statistics.ranking import Queries
from stillhouse.statistics.verdicts import check_alpha, check_margin

_NOTHING = bootstrap.Bootstrap(teacher=0.0, student=0.0, drop=0.0, lower=-1.0, upper=1.0, standard_error=0.0, groups=0)
"""Of rows without a query whose order could be wrong: nothing is shown."""


def ranking_test(
    queries: Queries,
    teacher: FloatArray,
    student: FloatArray,
    *,
    margin: float,
    alpha: float = 0.05,
    draws: int = 2000,
) -> MetricTest:
    """Test that the student's mean nDCG is not lower than the teacher's by `margin` or more.

    By the paired BCa bootstrap over queries, read as `metric_test` is. Rows of a query are no evidence of their own:
    with fewer than 20 queries that count the verdict is INCONCLUSIVE. No bound is taken to be less than the drop with
    log(1 / alpha) more queries ranked the wrong way round, those where that costs most.

    Args:
        queries: the documents, and how relevant they are.
        teacher: shape (n,), the teacher's scores of all rows.
        student: shape (n,), the student's, likewise.
        margin: largest acceptable drop, as a fraction in (0, 1).
        alpha: one-sided error rate.
        draws: resamples; never fewer than 10 / alpha are made.

    Raises:
        ValueError: if the shapes differ, or margin or alpha is out of range.
    """
    check_margin(margin)
    check_alpha(alpha)
    if teacher.shape != student.shape:
        raise ValueError(f"need two vectors of one length, not shapes {teacher.shape} and {student.shape}")
    draws, count = max(draws, math.ceil(TAIL_DRAWS / alpha)), len(queries)
    found, unseen = _NOTHING, 1.0
    if count:
        taught, said = queries.ndcg(teacher), queries.ndcg(student)
        found = bootstrap.paired_means(taught, said, draws=draws, alpha=alpha, seed=SEED)
        unseen = _unseen(said - queries.lowest_ndcg, math.log(1 / alpha))
    return judged(
        found, unseen, count, rows_of_a_unit=queries.documents / max(count, 1), metric="ndcg", rows=len(teacher),
        rows_that_count=queries.documents, groups=count, draws=draws, margin=margin, alpha=alpha,
    )  # fmt: skip


def _unseen(falls: FloatArray, lost: float) -> float:
    """By how much the mean would fall with `lost` more queries ranked the wrong way round, where that hurts most."""
    worst = np.sort(falls)[::-1]
    whole = min(int(lost), len(worst))
    part = (lost - whole) * worst[whole] if whole < len(worst) else 0.0
    return float((worst[:whole].sum() + part) / len(worst))
