"""Metrics of one model against labels.

Belongs here: per-class precision, recall and F1, ranks, the confusion table; arrays in, numbers out.
Does not: comparing two models (fidelity.py, statistics/), probabilities (statistics/softmax.py).
"""

from collections.abc import Sequence

import numpy as np
from pydantic import Field

from stillhouse.arrays import FloatArray, IntArray
from stillhouse.base import Record
from stillhouse.tasks import answers_with_sets
from stillhouse.tasks.task import Targets, Task, classes_of


class ClassMetrics(Record):
    """How well one class is found."""

    label: str
    rows: int = Field(description="Golden rows of this class.")
    precision: float = Field(
        description="Of the rows given this class, the share that has it; 0 when none was given it."
    )
    recall: float = Field(description="Of the rows that have this class, the share found; 0 when there is none.")
    f1: float


class ConfusionCell(Record):
    """How often rows of one label were given another."""

    label: str
    predicted: str
    rows: int


def ranks(logits: FloatArray, labels: IntArray) -> IntArray:
    """Where each row's label stands in the ranking of its classes.

    Args:
        logits: shape (n, classes).
        labels: shape (n,), class indices.

    Returns:
        Shape (n,); 0 is the first rank. Of equal logits the first class stands first, as with `argmax`.
    """
    of_label = logits[np.arange(len(labels)), labels][:, None]
    earlier = np.arange(logits.shape[1]) < labels[:, None]
    before: IntArray = ((logits > of_label) | ((logits == of_label) & earlier)).sum(axis=1)
    return before


def confusion_matrix(labels: IntArray, predicted: IntArray, classes: int) -> IntArray:
    """Count how often each label was given each class.

    Args:
        labels: shape (n,), class indices below `classes`.
        predicted: shape (n,), class indices below `classes`.
        classes: number of classes.

    Returns:
        Shape (classes, classes), rows are labels and columns are predictions.
    """
    _same_shape(labels, predicted)
    counts = np.bincount(labels * classes + predicted, minlength=classes * classes)
    return counts.reshape(classes, classes).astype(np.int64)


def confusion_of(task: Task, logits: FloatArray, targets: Targets) -> tuple[IntArray, tuple[str, ...]]:
    """The confusion matrix of a model's outputs, and the names of its classes; see `confusion_matrix`."""
    classes = classes_of(task)
    return confusion_matrix(targets, task.answers(logits), len(classes)), classes


def per_class(confusion: IntArray, classes: Sequence[str]) -> tuple[ClassMetrics, ...]:
    """Precision, recall and F1 of every class that occurs as a label or as a prediction.

    Args:
        confusion: shape (classes, classes), rows are labels and columns are predictions.
        classes: names, in the order of the matrix.

    Returns:
        One entry per occurring class, in class order. An undefined ratio counts as 0, as in scikit-learn.
    """
    right = np.diag(confusion)
    of_label, of_prediction = confusion.sum(axis=1), confusion.sum(axis=0)
    return tuple(
        ClassMetrics(
            label=classes[int(index)],
            rows=int(of_label[index]),
            precision=_ratio(right[index], of_prediction[index]),
            recall=_ratio(right[index], of_label[index]),
            f1=_ratio(2 * right[index], of_label[index] + of_prediction[index]),
        )
        for index in np.flatnonzero(of_label + of_prediction)
    )


def per_label(task: Task, logits: FloatArray, targets: Targets) -> tuple[ClassMetrics, ...]:
    """Precision, recall and F1 of every label of a set that occurs, in a truth or in an answer.

    Args:
        task: whose answers are sets of labels.
        logits: shape (n, labels).
        targets: shape (n,), known.
    """
    found = []
    for name, counts in zip(task.names, _counts_of_labels(task, logits, targets), strict=True):
        right, answered, there = counts
        if answered + there:
            found.append(
                ClassMetrics(
                    label=name,
                    rows=there,
                    precision=_ratio(right, answered),
                    recall=_ratio(right, there),
                    f1=_ratio(2 * right, answered + there),
                )
            )
    return tuple(found)


def micro_f1(task: Task, logits: FloatArray, targets: Targets) -> float:
    """F1 over all labels of all rows, each counted by itself; 0 where no row has one or is given one."""
    right, answered, there = np.sum(_counts_of_labels(task, logits, targets), axis=0)
    return _ratio(2 * right, answered + there)


def _counts_of_labels(task: Task, logits: FloatArray, targets: Targets) -> list[tuple[int, int, int]]:
    """Of each label the rows that have it and are given it, those that are given it, and those that have it."""
    counts = []
    for scores, truth in task.decisions(logits, targets):
        given = scores[:, 1] > scores[:, 0]
        counts.append((int((given & (truth == 1)).sum()), int(given.sum()), int((truth == 1).sum())))
    return counts


def macro_f1(metrics: Sequence[ClassMetrics]) -> float:
    """Mean F1 over the classes that occur, each weighing the same."""
    return float(np.mean([metric.f1 for metric in metrics]))


def by_name(task: Task, logits: FloatArray, targets: Targets) -> tuple[ClassMetrics, ...]:
    """How well each class is found, or each label of sets; empty where an answer is neither, or none occurs.

    Args:
        task: what an answer is.
        logits: shape (n, outputs).
        targets: shape (n,), known.
    """
    if task.classes is not None:
        return per_class(*confusion_of(task, logits, targets))
    return per_label(task, logits, targets) if answers_with_sets(task) else ()


def confusion_cells(confusion: IntArray, classes: Sequence[str]) -> tuple[ConfusionCell, ...]:
    """The non-empty cells of a confusion matrix, most rows first: what a report can carry for 150 classes."""
    labels, predictions = np.nonzero(confusion)
    order = np.argsort(-confusion[labels, predictions], kind="stable")
    return tuple(
        ConfusionCell(label=classes[row], predicted=classes[column], rows=int(confusion[row, column]))
        for row, column in zip(labels[order], predictions[order], strict=True)
    )


def _ratio(part: int, whole: int) -> float:
    return float(part / whole) if whole else 0.0


def _same_shape(labels: IntArray, predicted: IntArray) -> None:
    if labels.shape != predicted.shape or labels.ndim != 1 or len(labels) == 0:
        raise ValueError(f"need two non-empty vectors of one length, not shapes {labels.shape} and {predicted.shape}")
