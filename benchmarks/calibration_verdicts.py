"""How often the verdict on a limit of the calibration error is wrong, for models whose true error is known.

A model is a way to draw confidences, and what is right of the answers that have each; its true error is the mean gap
between the two. Of models at the limit or above it at most 5 % may pass, and of models right at the limit at most 5 %
may fail. Of calibrated ones on as many rows as a golden set should have, at least 80 % must pass. Beside them, with no
promise: what passes where the bins are 15 of equal width, as they were before those of `bin_of`.

Belongs here: such models, and how each is judged. Does not: the other verdicts (verdicts.py), which runs this,
the test itself (stillhouse/statistics/).
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from unittest.mock import patch

import numpy as np
from scipy.special import expit, logit

from stillhouse.arrays import FloatArray, IntArray
from stillhouse.statistics import calibration_test as test_module
from stillhouse.statistics.verdicts import Verdict

LIMIT = 0.05
ROWS = (300, 700, 1500)
DRAWS = 400
SEED = 20261130
_TRUTH_BY = 400_000

Draw = Callable[[np.random.Generator, int], FloatArray]


@dataclass(frozen=True)
class Model:
    """One whose calibration is known.

    Args:
        name: in a few words.
        confidence: draws so many.
        accuracy: how often an answer of each confidence is right.
        passes_from: rows from which at least 80 % must pass; None where that is not promised.
    """

    name: str
    confidence: Draw
    accuracy: Callable[[FloatArray], FloatArray]
    passes_from: int | None = None

    @property
    def error(self) -> float:
        """The true one: the mean gap between confidence and accuracy, without any bins."""
        confidence = self.confidence(np.random.default_rng(SEED), _TRUTH_BY)
        return float(np.abs(confidence - self.accuracy(confidence)).mean())


@dataclass(frozen=True)
class Shares:
    """Of so many models, what passed and what failed."""

    passed: float
    failed: float


def _logistic(centre: float, spread: float) -> Draw:
    """Log odds of a normal distribution: as those of networks are."""
    return lambda generator, rows: expit(generator.normal(centre, spread, rows))


def _votes(shares: dict[float, float]) -> Draw:
    return lambda generator, rows: generator.choice(list(shares), rows, p=list(shares.values()))


def _two_clumps(low: tuple[float, float], high: tuple[float, float]) -> Draw:
    def draw(generator: np.random.Generator, rows: int) -> FloatArray:
        below = generator.random(rows) < 0.5
        return np.where(below, generator.uniform(*low, rows), generator.uniform(*high, rows))

    return draw


def _as_sure_as_right(confidence: FloatArray) -> FloatArray:
    return confidence


def _of_another_temperature(temperature: float) -> Callable[[FloatArray], FloatArray]:
    """The logits should have been divided by so much more."""
    return lambda confidence: expit(logit(np.clip(confidence, 1e-9, 1 - 1e-9)) / temperature)


def _in_turns(draw: Draw, parts: int, gap: float) -> Callable[[FloatArray], FloatArray]:
    """Too modest and too sure by turns, in parts of equally many rows."""
    known = np.sort(draw(np.random.default_rng(SEED), _TRUTH_BY))

    def accuracy(confidence: FloatArray) -> FloatArray:
        part = np.searchsorted(known, confidence) * parts // (len(known) + 1)
        return np.clip(confidence + np.where(part % 2, gap, -gap), 0, 1)

    return accuracy


_CROWDED, _MIDDLING = _logistic(3.2, 1.6), _logistic(2.0, 1.3)

CALIBRATED = (
    Model("confidences near 1", _CROWDED, _as_sure_as_right, passes_from=700),
    Model("confidences of 70 to 95 %", _MIDDLING, _as_sure_as_right, passes_from=1500),
    Model("confidences spread evenly", lambda generator, rows: generator.uniform(0.35, 1, rows), _as_sure_as_right),
    Model("votes of three", _votes({0.45: 0.05, 0.7: 0.2, 0.95: 0.75}), _as_sure_as_right, passes_from=700),
    Model("votes of five", _votes({0.4: 0.05, 0.55: 0.1, 0.75: 0.15, 0.97: 0.7}), _as_sure_as_right, passes_from=700),
)
ABOVE = (
    Model(
        "modest at 0.94, too sure at 0.99",
        _two_clumps((0.934, 0.944), (0.985, 1.0)),
        lambda confidence: np.where(confidence < 0.96, 1.0, confidence - 0.0625),
    ),
    Model(
        "too sure to 0.9, modest above",
        lambda generator, rows: generator.uniform(0.868, 0.932, rows),
        lambda confidence: np.where(confidence < 0.9, confidence - 0.07, confidence + 0.065),
    ),
    Model("in turns, ten parts", _MIDDLING, _in_turns(_MIDDLING, 10, 0.075)),
    Model("too hot, near 1", _CROWDED, _of_another_temperature(1.75)),
    Model("too hot, of 70 to 95 %", _MIDDLING, _of_another_temperature(1.5)),
)
FINER = (Model("in turns, twenty parts", _MIDDLING, _in_turns(_MIDDLING, 20, 0.075)),)
"""Gaps whose sign changes more often than there are bins: what no bins show, so that nothing is promised of it."""

LIMITS = (0.03, 0.05, 0.10)
AT_LIMIT_ROWS = (100, 300, 1000)


def at(limit: float) -> tuple[Model, ...]:
    """Models whose true error is a limit to the digit, with hardly a bin in which the sign of their gap turns."""
    return (
        Model("too sure", lambda generator, rows: generator.uniform(0.6, 1, rows), lambda sure: sure - limit),
        Model("modest", lambda generator, rows: generator.uniform(0.5, 1 - limit, rows), lambda sure: sure + limit),
        Model(
            "modest below 0.6",
            lambda generator, rows: generator.uniform(0.34, 0.86, rows),
            lambda sure: sure + np.where(sure > 0.6, -limit, limit),
        ),
        Model("sure", lambda generator, rows: np.full(rows, 0.999), lambda sure: sure - limit),
        Model(
            "a quarter of it",
            _votes({0.56: 0.25, 0.97: 0.75}),
            lambda sure: np.where(sure < 0.6, sure - 4 * limit, sure),
        ),
    )


def shares(model: Model, rows: int, models: int, *, limit: float = LIMIT) -> Shares:
    """Judge so many models of one kind on so many golden rows each."""
    generator = np.random.default_rng(SEED)
    found = []
    for _ in range(models):
        confidence = model.confidence(generator, rows)
        correct = generator.random(rows) < model.accuracy(confidence)
        found.append(test_module.calibration_test(confidence, correct, limit=limit, draws=DRAWS).verdict)
    return Shares(*(found.count(verdict) / models for verdict in (Verdict.PASS, Verdict.FAIL)))


def shares_in_bins_of_equal_width(model: Model, rows: int, models: int) -> Shares:
    """The same with 15 bins of equal width."""
    with patch.object(test_module, "bin_of", _equal_width):
        return shares(model, rows, models)


def at_the_limit(models: int) -> Iterator[tuple[str, Shares]]:
    """Models right at the limit, with what each line is called."""
    for limit in LIMITS:
        for model in at(limit):
            for rows in AT_LIMIT_ROWS:
                yield f"{model.name}, limit {limit:.0%}, {rows:,} rows", shares(model, rows, models, limit=limit)


def _equal_width(confidence: FloatArray) -> IntArray:
    bins: IntArray = np.clip(np.ceil(confidence * 15).astype(np.int64) - 1, 0, 14)
    return bins
