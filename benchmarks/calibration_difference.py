"""Whether one model is worse calibrated than another by more than a margin, over rounds of training.

Belongs here: what models said of the rows that judge them, the error that is compared, its difference with bounds, the
verdict.
Does not: the error that reports show and a bar limits (stillhouse/statistics/), fitting a temperature, training.
"""

import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import NormalDist
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from pydantic import Field

from stillhouse.arrays import BoolArray, FloatArray, IntArray
from stillhouse.base import Record
from stillhouse.models.temperature_scaling import calibrate_temperature
from stillhouse.statistics.softmax import probabilities_of
from stillhouse.statistics.verdicts import Verdict

BINS = 10
ALPHA = 0.05
DRAWS = 500
SEED = 0


@dataclass(frozen=True)
class Answers:
    """What the models of one round said of the rows that none of them learned from.

    Args:
        rows: shape (n,), what each row is called; a row of several rounds is called the same in each.
        golden: shape (n,), True where the row judges, False where it only chooses temperatures.
        targets: shape (n,), class numbers.
        logits: by model, shape (n, classes) each, as they are served.
    """

    rows: npt.NDArray[Any]
    golden: BoolArray
    targets: IntArray
    logits: Mapping[str, FloatArray]

    def packed(self) -> bytes:
        """Bytes of a file of numpy's."""
        file = io.BytesIO()
        named: dict[str, Any] = {f"logits {name}": logits for name, logits in self.logits.items()}
        np.savez(file, rows=self.rows.astype(str), golden=self.golden, targets=self.targets, **named)
        return file.getvalue()

    @classmethod
    def unpacked(cls, file: Path) -> Self:
        """Read what `packed` wrote."""
        with np.load(file) as found:
            logits = {name.removeprefix("logits "): found[name] for name in found if name.startswith("logits ")}
            return cls(found["rows"], found["golden"], found["targets"], logits)


class CalibrationDifference(Record):
    """By how much the first model is worse calibrated than the second, on the mean of the rounds."""

    margin: float = Field(description="By how much it may be worse, as a fraction.")
    first: float = Field(description="Mean error of the first model; see `calibration_error`.")
    second: float = Field(description="Mean error of the second model.")
    difference: float = Field(description="The first minus the second: above 0 where the first is worse.")
    lower: float = Field(description="One-sided 95 % lower bound of the difference; from the margin on is a FAIL.")
    upper: float = Field(description="One-sided 95 % upper bound of the difference; below the margin is a PASS.")
    by_round: tuple[float, ...] = Field(description="The difference in each round.")
    verdict: Verdict


def calibration_error(confidence: FloatArray, correct: BoolArray) -> float:
    """Root mean square of the gap between confidence and accuracy, over bins of as many rows each, less what is chance.

    The square of a bin's measured gap is too large by the variance of its accuracy, which is taken away (Bröcker 2012,
    Climate Dynamics 39:655; Ferro and Fricker 2012, QJRMS 138:1954; Kumar, Liang and Ma 2019, NeurIPS). With bins of
    equal mass that is one of the two estimators that Roelofs et al. (2022, AISTATS) found least biased. Without it
    models that are well calibrated all measure alike: what they measure is chance.

    Args:
        confidence: shape (n,), the probability of each answer, as it is served.
        correct: shape (n,), whether it is right; at least two rows for each bin.

    Returns:
        A fraction; 0 where the gaps are no larger than chance makes them.
    """
    square = 0.0
    for part in np.array_split(np.argsort(confidence, kind="stable"), BINS):
        accuracy = correct[part].mean()
        chance = accuracy * (1 - accuracy) / (len(part) - 1)
        square += len(part) / len(confidence) * ((confidence[part].mean() - accuracy) ** 2 - chance)
    return float(np.sqrt(max(square, 0.0)))


def calibration_difference(
    rounds: Sequence[Answers], first: str, second: str, *, margin: float, draws: int = DRAWS
) -> CalibrationDifference:
    """Compare the calibration of two models on the same rows, each at the temperature that validation rows choose.

    What is judged is the mean over the rounds of the first error minus the second. Its standard error is that over
    resamples of the rows: each draws all rows again, validation and golden, and a row of several rounds in all of them,
    chooses all temperatures again and measures all errors again. So both the rows that judge and those that chose the
    temperatures count as chance. What does not is the training: the rounds are few, and are shown each.

    * PASS: the upper bound is below the margin: not worse, as far as the margin goes.
    * FAIL: the lower bound is at the margin or above.
    * INCONCLUSIVE: anything else.

    Args:
        rounds: what the models said in each.
        first, second: names of models.
        margin: by how much the first may be worse, as a fraction.
        draws: resamples.

    Returns:
        Errors, difference, one-sided 95 % bounds and the verdict.
    """
    rows = np.unique(np.concatenate([each.rows for each in rounds]))
    places = [np.searchsorted(rows, each.rows) for each in rounds]

    def errors(counts: IntArray) -> FloatArray:
        """Of both models in each round, shape (rounds, 2)."""
        of_rounds = zip(rounds, places, strict=True)
        return np.array([[_error(each, name, counts[place]) for name in (first, second)] for each, place in of_rounds])

    measured = errors(np.ones(len(rows), np.int64))
    by_round = measured[:, 0] - measured[:, 1]
    difference = float(by_round.mean())
    resampled = [float(np.subtract(*errors(counts).mean(axis=0))) for counts in _counts(len(rows), draws)]
    reach = NormalDist().inv_cdf(1 - ALPHA) * float(np.std(resampled, ddof=1))
    lower, upper = difference - reach, difference + reach
    verdict = Verdict.PASS if upper < margin else Verdict.FAIL if lower >= margin else Verdict.INCONCLUSIVE
    return CalibrationDifference(
        margin=margin,
        first=float(measured[:, 0].mean()),
        second=float(measured[:, 1].mean()),
        difference=difference,
        lower=lower,
        upper=upper,
        by_round=tuple(by_round.tolist()),
        verdict=verdict,
    )


def _counts(rows: int, draws: int) -> Iterator[IntArray]:
    """How often each row is drawn."""
    generator = np.random.default_rng(SEED)
    for _ in range(draws):
        yield generator.multinomial(rows, np.full(rows, 1 / rows))


def _error(answers: Answers, name: str, counts: IntArray) -> float:
    """Of one model where each row is there so many times."""
    choosing, judging = (np.repeat(np.flatnonzero(side), counts[side]) for side in (~answers.golden, answers.golden))
    logits, targets = answers.logits[name], answers.targets
    temperature = calibrate_temperature(logits[choosing], targets[choosing])
    confidence = probabilities_of(logits[judging], temperature).max(axis=1)
    return calibration_error(confidence, logits[judging].argmax(axis=1) == targets[judging])
