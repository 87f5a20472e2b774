"""Whether a model's confidence means what it says.

Belongs here: temperature, softmax, expected calibration error, Brier score; arrays in, numbers out.
Does not: choosing the temperature (models/temperature_scaling.py), bounding the risk of a cascade (serving/).
"""

from collections.abc import Sequence

import numpy as np
from pydantic import Field

from stillhouse.arrays import BoolArray, FloatArray, IntArray
from stillhouse.base import Record

BINS = 15
"""Equal-width confidence bins of the expected calibration error (Guo et al. 2017)."""


class ReliabilityBin(Record):
    """Answers of about one confidence."""

    rows: int
    confidence: float = Field(description="Mean probability of the predicted class.")
    accuracy: float


class Calibration(Record):
    """Calibration of one model on the golden set."""

    expected_calibration_error: float = Field(description="Mean gap between confidence and accuracy, 15 bins.")
    brier: float = Field(description="Mean squared distance of the probabilities from the truth, 0 to 2.")
    mean_confidence: float = Field(description="Mean probability of the predicted class.")
    temperature: float = Field(description="What the logits were divided by first.")
    reliability: tuple[ReliabilityBin, ...] = Field(description="The bins that have rows, by rising confidence.")


def apply_temperature(logits: FloatArray, temperature: float) -> FloatArray:
    """Divide logits by a temperature.

    Args:
        logits: shape (n, classes).
        temperature: above 0; 1 changes nothing, more makes the model less sure.

    Returns:
        Shape (n, classes).

    Raises:
        ValueError: if the temperature is not a positive number.
    """
    if not (np.isfinite(temperature) and temperature > 0):
        raise ValueError(f"temperature must be a positive number, not {temperature}")
    return np.asarray(logits, dtype=np.float64) / temperature


def log_softmax(logits: FloatArray) -> FloatArray:
    """Log probabilities of logits of shape (n, classes), in float64."""
    values = np.asarray(logits, dtype=np.float64)
    shifted: FloatArray = values - values.max(axis=1, keepdims=True)
    normaliser: FloatArray = np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return shifted - normaliser


def probabilities_of(logits: FloatArray, temperature: float) -> FloatArray:
    """Probabilities of logits of shape (n, classes) after a temperature, in float64."""
    served: FloatArray = np.exp(log_softmax(apply_temperature(logits, temperature)))
    return served


def bin_of(confidence: FloatArray, bins: int = BINS) -> IntArray:
    """The equal-width bin of each confidence, from 0; one on an edge belongs to the bin below it."""
    index: IntArray = np.clip(np.ceil(confidence * bins).astype(np.int64) - 1, 0, bins - 1)
    return index


def reliability(confidence: FloatArray, correct: BoolArray, *, bins: int = BINS) -> tuple[ReliabilityBin, ...]:
    """Confidence against accuracy over equal-width bins: the points of a reliability diagram.

    Args:
        confidence: shape (n,), the probability of each answer.
        correct: shape (n,), whether it is right.
        bins: number of bins, see `bin_of`.

    Returns:
        The bins that have rows, by rising confidence.
    """
    index = bin_of(confidence, bins)
    rows, sure, right = (np.bincount(index, weights=each, minlength=bins) for each in (None, confidence, correct))
    return tuple(
        ReliabilityBin(rows=int(rows[place]), confidence=sure[place] / rows[place], accuracy=right[place] / rows[place])
        for place in np.flatnonzero(rows)
    )


def expected_calibration_error(bins: Sequence[ReliabilityBin]) -> float:
    """Mean absolute gap between confidence and accuracy over bins, weighted by rows.

    Returns:
        A fraction; 0 is perfectly calibrated (Naeini et al. 2015, AAAI; Guo et al. 2017, ICML).
    """
    gaps = sum(each.rows * abs(each.accuracy - each.confidence) for each in bins)
    return gaps / sum(each.rows for each in bins)


def brier_score(probabilities: FloatArray, labels: IntArray) -> float:
    """Mean over rows of the squared distance between the probabilities and the one-hot label (Brier 1950).

    Args:
        probabilities: shape (n, classes).
        labels: shape (n,), class indices.

    Returns:
        0 is perfect, 2 is surely wrong.
    """
    of_label = probabilities[np.arange(len(labels)), labels]
    return float(np.mean((probabilities**2).sum(axis=1) - 2 * of_label + 1))


def calibration(logits: FloatArray, labels: IntArray, correct: BoolArray, *, temperature: float = 1.0) -> Calibration:
    """Measure the calibration of logits after a temperature.

    Args:
        logits: shape (n, classes).
        labels: shape (n,), class indices.
        correct: shape (n,), whether the answer is right.
        temperature: what the served model divides its logits by.

    Returns:
        Expected calibration error, Brier score, mean confidence and the points of the reliability diagram.
    """
    probabilities = probabilities_of(logits, temperature)
    bins = reliability(probabilities.max(axis=1), correct)
    return Calibration(
        expected_calibration_error=expected_calibration_error(bins),
        brier=brier_score(probabilities, labels),
        mean_confidence=float(probabilities.max(axis=1).mean()),
        temperature=temperature,
        reliability=bins,
    )
