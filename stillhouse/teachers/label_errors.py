"""Which given labels are probably wrong, going by a model that has not seen them.

Belongs here: confident learning.
Does not: what follows from it (checks/teacher_signal.py), which rows are held out (data/splits.py).
"""

import numpy as np

from stillhouse.arrays import BoolArray, FloatArray, IntArray
from stillhouse.tasks import single_label


def likely_label_errors(probabilities: FloatArray, given: IntArray) -> BoolArray:
    """Find the off-diagonal rows of the confident joint (Northcutt, Jiang and Chuang 2021, JAIR 70:1373).

    A row counts for a class when its probability is at least the mean over the rows that were given that class. The
    bar for each class is thus as high as the model is sure of it, so a model that learned from wrong labels, and is
    unsure of everything, finds them too.

    Args:
        probabilities: shape (rows, classes), of a model that was not trained on these rows.
        given: shape (rows,), class indices.

    Returns:
        Shape (rows,), true where the most probable of the classes that a row counts for is not the given one.
    """
    rows, classes = probabilities.shape
    own = probabilities[np.arange(rows), given]
    counts = np.bincount(given, minlength=classes)
    sums = np.bincount(given, weights=own, minlength=classes)
    bars = np.full(classes, np.inf)
    np.divide(sums, counts, out=bars, where=counts > 0)
    counted = np.where(probabilities >= bars, probabilities, -1.0)
    wrong: BoolArray = (counted.max(axis=1, initial=-1.0) >= 0) & (single_label.answers(counted) != given)
    return wrong
