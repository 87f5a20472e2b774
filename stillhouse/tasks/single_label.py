"""One label of a fixed set of classes: the answer is the class with the highest logit.

Belongs here: how logits become an answer and an answer right or wrong, so that no other module decides it.
Does not: probabilities (statistics/calibration.py), names of classes (each caller's).
"""

from typing import Any

import numpy as np
import numpy.typing as npt

IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]


def answers(logits: npt.NDArray[np.floating[Any]]) -> IntArray:
    """Class numbers that rows of logits answer; of equal logits the first class.

    Args:
        logits: shape (n, classes), or probabilities, or any other scores.

    Returns:
        Shape (n,).
    """
    return np.asarray(logits.argmax(axis=-1), dtype=np.int64)


def right(logits: npt.NDArray[np.floating[Any]], labels: npt.NDArray[np.integer[Any]]) -> BoolArray:
    """Which rows of logits answer the label.

    Args:
        logits: shape (n, classes).
        labels: shape (n,), class numbers; a row whose label is unknown (negative) is never right.

    Returns:
        Shape (n,).
    """
    return np.asarray(answers(logits) == labels)
