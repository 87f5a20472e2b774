"""What one row of logits answers and how sure it is, as a request asks it: half of what a task takes for many rows.

Belongs here: that function.
Does not: what an answer and its confidence are (stillhouse/tasks/); a test holds the two alike to the last bit.
"""

import math

import numpy as np

from stillhouse.arrays import Float32Array, FloatArray
from stillhouse.tasks.single_label import SingleLabel
from stillhouse.tasks.task import Task


def read_row(task: Task, logits: Float32Array, temperature: float) -> tuple[str, float | None]:
    """The answer, and the probability that it is right; None where answers have none.

    Right after a model has run nothing else is in the processor's cache, and each kind of operation on arrays takes as
    long as a hundred on numbers. Only the exponential, and the sum of many, round otherwise in Python.

    Args:
        task: what an answer is.
        logits: shape (1, outputs).
        temperature: what they are divided by for the confidence.
    """
    if isinstance(task, SingleLabel):
        values = logits[0].tolist()
        largest = max(values)
        scaled = largest / temperature
        exponentials = np.exp([value / temperature - scaled for value in values])
        total = _sum(exponentials)
        if math.isfinite(total):
            return task.classes[values.index(largest)], 1.0 / total
    confidence = task.confidence(logits, temperature)
    (answer,) = task.written(task.answers(logits))
    return answer, None if confidence is None else float(confidence[0])


_ADDED_IN_ORDER = 8
"""Fewer numbers than these are added by numpy one after the other, as a loop does it; more of them in pairs."""


def _sum(numbers: FloatArray) -> float:
    if len(numbers) >= _ADDED_IN_ORDER:
        return float(np.add.reduce(numbers))  # what `sum` calls by a detour
    total = 0.0
    for number in numbers.tolist():
        total += number
    return total
