"""Whether a model's confidence means what it says.

Belongs here: expected calibration error, Brier score; arrays in, numbers out.
Does not: probabilities (softmax.py), choosing the temperature (models/temperature_scaling.py), bounding the risk of a
cascade (serving/).
"""

import math
from collections.abc import Sequence

import numpy as np
from pydantic import Field

from stillhouse.arrays import BoolArray, FloatArray, IntArray
from stillhouse.base import Record
from stillhouse.statistics.softmax import probabilities_of

BINS, BINS_AT = 15, 1500
"""So many bins for so many rows; for others the bins grow with the cube root of the rows, see `bin_of`."""

_DIGITS = 9
"""Decimals to which confidences are compared: equal ones that were summed in another order stay equal."""


class ReliabilityBin(Record):
    """Answers of about one confidence."""

    rows: int
    confidence: float = Field(description="Mean probability of the predicted class.")
    accuracy: float


class Calibration(Record):
    """Calibration of one model on the golden set."""

    expected_calibration_error: float = Field(
        description="Mean gap between confidence and accuracy, over bins of about equally many rows."
    )
    brier: float = Field(description="Mean squared distance of the probabilities from the truth, 0 to 2.")
    mean_confidence: float = Field(description="Mean probability of the predicted class.")
    temperature: float = Field(description="What the logits were divided by first.")
    reliability: tuple[ReliabilityBin, ...] = Field(description="The bins, by rising confidence.")


def number_of_bins(rows: int) -> int:
    """How many bins so many rows are put into, at least one.

    More bins see gaps that change their sign more often, and more of what they measure is chance. Both errors are
    small together where bins grow with the cube root of the rows, as those of a histogram do.
    """
    return max(1, round(BINS * math.cbrt(rows / BINS_AT)))


def bin_of(confidence: FloatArray) -> IntArray:
    """Put confidences into bins of about equally many rows, by nothing but the confidences.

    Bins of equal width (Guo et al. 2017, ICML) hold nearly all rows in one where confidences crowd near 1, and gaps of
    opposite signs cancel in it. With equal mass they cancel only in the bins in which the sign turns, and the measured
    error is less biased (Nixon et al. 2019, CVPR workshops; Roelofs et al. 2022, AISTATS). Equal confidences are in one
    bin, that of the middle of their ranks, so that the order of rows does not matter; one that fills two bins or more
    has a bin for itself.

    Args:
        confidence: shape (n,), at least one row.

    Returns:
        Shape (n,), numbered from 0 by rising confidence without a gap: at most `number_of_bins`, fewer where there are
        few distinct confidences.
    """
    _, places, rows = np.unique(np.round(confidence, _DIGITS), return_inverse=True, return_counts=True)
    middle_ranks = np.cumsum(rows) - rows / 2
    bins = np.floor(middle_ranks * number_of_bins(len(confidence)) / len(confidence))
    numbers: IntArray = np.unique(bins, return_inverse=True)[1][places]
    return numbers


def reliability(confidence: FloatArray, correct: BoolArray) -> tuple[ReliabilityBin, ...]:
    """Confidence against accuracy over bins of about equally many rows: the points of a reliability diagram.

    Args:
        confidence: shape (n,), the probability of each answer; at least one row.
        correct: shape (n,), whether it is right.

    Returns:
        The bins of `bin_of`, by rising confidence.
    """
    bins = bin_of(confidence)
    rows, sure, right = (np.bincount(bins, weights=each) for each in (None, confidence, correct))
    return tuple(
        ReliabilityBin(rows=int(count), confidence=sum_sure / count, accuracy=sum_right / count)
        for count, sum_sure, sum_right in zip(rows, sure, right, strict=True)
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
