"""The temperature that makes a model's confidence honest.

Belongs here: fitting it, for teachers and students alike, and the range in which it is looked for.
Does not: what it does to logits (statistics/softmax.py), how calibrated a model then is (statistics/calibration.py).
"""

import numpy as np
import numpy.typing as npt

from stillhouse.tasks.task import Logits, Targets, Task

COLDEST, HOTTEST = 0.05, 20.0
"""Where it is looked for. A classifier that was trained with labels or a teacher ends up between about 0.5 and 5."""


def calibrate_temperature(logits: npt.ArrayLike, labels: npt.ArrayLike) -> float:
    """Find the temperature that makes the likelihood of held-out labels largest (Guo et al. 2017, arXiv:1706.04599).

    Fit it on validation rows only: never on rows the model was trained on, nor on golden rows.

    Args:
        logits: shape (n, classes), from the model in the form in which it is served.
        labels: shape (n,), class numbers.

    Returns:
        T; divide logits by it. Above 1 for a model that is too sure of itself. At the end of the range where the
        likelihood has no maximum inside, as with labels that have nothing to do with the answers (`is_at_an_end`). Nor
        has it one where each answer is right: then the model is as sure on average as so many rows can show.

    Raises:
        ValueError: if there are no rows, the shapes differ, or a label is not the number of a class.
    """
    from scipy.optimize import minimize_scalar
    from scipy.special import log_softmax

    scores, truth = np.asarray(logits, dtype=np.float64), np.asarray(labels, dtype=np.int64)
    if scores.ndim != 2 or len(scores) == 0 or truth.shape != scores.shape[:1]:
        raise ValueError(f"logits {scores.shape} and labels {truth.shape} do not match, or are empty")
    if truth.min() < 0 or truth.max() >= scores.shape[1]:
        raise ValueError(f"labels from {truth.min()} to {truth.max()} are not those of {scores.shape[1]} classes")

    def negative_log_likelihood(log_temperature: float) -> float:
        likelihoods = log_softmax(scores / np.exp(log_temperature), axis=1)
        return float(-likelihoods[np.arange(len(truth)), truth].mean())

    low, high = np.log([COLDEST, HOTTEST])
    if (scores.argmax(axis=1) == truth).all():
        return _as_sure_as_shown(scores)
    best = minimize_scalar(negative_log_likelihood, bounds=(low, high), method="bounded", options={"xatol": 1e-6})
    return float(np.exp(best.x))


def _as_sure_as_shown(scores: npt.NDArray[np.float64]) -> float:
    """The temperature at which answers that are all right are as sure on average as they were found right.

    By Laplace's rule of succession, as what a teacher's answers are worth: with one more that is right and one more
    that is wrong. Any colder one would make them surer by nothing but rounding.
    """
    from scipy.optimize import brentq
    from scipy.special import softmax

    shown = (len(scores) + 1) / (len(scores) + 2)

    def too_sure(log_temperature: float) -> float:
        return float(softmax(scores / np.exp(log_temperature), axis=1).max(axis=1).mean()) - shown

    low, high = np.log([COLDEST, HOTTEST])
    if too_sure(low) <= 0 or too_sure(high) >= 0:
        return COLDEST if too_sure(low) <= 0 else HOTTEST
    return float(np.exp(brentq(too_sure, low, high, xtol=1e-6)))


def temperature_of(task: Task, logits: Logits, targets: Targets) -> float:
    """The temperature of a model's answers; 1 where the kind of answer has no probability that one could change.

    One for all that an answer decides: of a set of labels the likelihood is that of each label, there or not.
    """
    decisions = task.decisions(logits, targets)
    if not decisions:
        return 1.0
    return calibrate_temperature(*(np.concatenate(part) for part in zip(*decisions, strict=True)))


def is_at_an_end(temperature: float) -> bool:
    """Whether a temperature lies within 1 % of either end of the range, so that the search ran into it."""
    return not COLDEST * 1.01 < temperature < HOTTEST / 1.01
