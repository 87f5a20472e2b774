"""The bar's own metric of two models, where a test of accuracy, row by row, answers another question.

Belongs here: what of a model's answers each metric is taken from, of two models and of one.
Does not: the test itself (stillhouse/statistics/metric_test.py), accuracy row by row (statistics/accuracy_test.py).
"""

import numpy as np

from stillhouse.arrays import FloatArray, IntArray
from stillhouse.evaluation.measures import metrics
from stillhouse.evaluation.measures.field_scores import values_of
from stillhouse.evaluation.measures.ranking_scores import queries_of
from stillhouse.recipe.bar import BarSpec
from stillhouse.statistics.field_test import field_f1_test
from stillhouse.statistics.metric_test import MetricTest, metric_test
from stillhouse.statistics.ranking_test import ranking_test
from stillhouse.tasks.extraction import Extraction
from stillhouse.tasks.task import Targets, Task

_RIGHT_OR_WRONG = ("wrong", "right")


def bar_metric_test(
    bar: BarSpec,
    task: Task,
    targets: Targets,
    first: FloatArray,
    second: FloatArray,
    *,
    groups: IntArray | None,
    margin: float,
) -> MetricTest:
    """Test by resampling that the bar's metric of the second model is not lower than the first one's by the margin.

    Args:
        bar: names the metric; its error rate counts, its margin does not.
        task: what an answer is. Where answers are no classes a row is right or wrong, nDCG is of numbers by group, and
            F1 of the values of records.
        targets: shape (rows,), the truth.
        first: shape (rows, outputs), of the model that is not to be fallen behind.
        second: shape (rows, outputs), of the other.
        groups: shape (rows,), equal where rows belong together; None where every row stands alone.
        margin: largest acceptable drop, as a fraction in (0, 1).
    """
    names = task.names
    if bar.metric == "field_f1":
        assert isinstance(task, Extraction), "the harness refuses F1 of fields where answers are no records"
        taught, said = (values_of(task, targets, logits) for logits in (first, second))
        fields = len(task.fields)
        return field_f1_test(taught, said, fields=fields, groups=groups, margin=margin, alpha=bar.alpha)
    if bar.metric == "ndcg" and task.classes is None:
        queries = queries_of(task, targets, groups, at=bar.ndcg_at)
        assert queries is not None, "the harness refuses nDCG of answers that are neither classes nor numbers in groups"
        return ranking_test(queries, task.answers(first), task.answers(second), margin=margin, alpha=bar.alpha)
    if bar.metric == "ndcg":
        answers = [metrics.ranks(logits, targets) for logits in (first, second)]
    elif task.classes is None:
        names = _RIGHT_OR_WRONG
        answers = [task.right(logits, targets).astype(np.int64) for logits in (first, second)]
        targets = np.ones(len(targets), dtype=np.int64)
    else:
        answers = [task.answers(logits) for logits in (first, second)]
    return metric_test(
        targets, answers[0], answers[1], bar.metric, classes=names, metric_class=bar.metric_class,
        groups=groups, margin=margin, alpha=bar.alpha,
    )  # fmt: skip


def bar_metric_of(
    bar: BarSpec, task: Task, targets: Targets, logits: FloatArray, *, groups: IntArray | None = None
) -> float:
    """The bar's metric of one model.

    Args:
        bar: names the metric.
        task: what an answer is.
        targets: shape (rows,), the truth.
        logits: shape (rows, outputs), of the model.
        groups: shape (rows,), equal where rows belong together; None where every row stands alone.
    """
    queries = queries_of(task, targets, groups, at=bar.ndcg_at) if bar.metric == "ndcg" else None
    if queries is not None:
        return float(queries.ndcg(task.answers(logits)).mean()) if len(queries) else 0.0
    if bar.metric == "accuracy":
        return float(task.right(logits, targets).mean())
    if bar.metric == "field_f1":
        assert isinstance(task, Extraction), "the harness refuses F1 of fields where answers are no records"
        return values_of(task, targets, logits).f1
    if bar.metric == "ndcg":
        return float(np.mean(1 / np.log2(metrics.ranks(logits, targets) + 2)))
    by_class = metrics.per_class(*metrics.confusion_of(task, logits, targets))
    if bar.metric == "macro_f1":
        return metrics.macro_f1(by_class)
    return next((each.recall for each in by_class if each.label == bar.metric_class), 0.0)
