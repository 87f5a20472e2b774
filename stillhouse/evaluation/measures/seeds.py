"""How much of a score is luck: the same model trained again with other seeds.

Belongs here: the spread of one model over its seeds, and the gain of one over another against the spread of both.
Does not: training with them (assets/candidates.py), the verdict, which is on the model that ships (harness.py).
"""

import math
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import polars as pl
from pydantic import Field

from stillhouse.arrays import BoolArray, FloatArray, IntArray
from stillhouse.base import Record
from stillhouse.evaluation.measures.bar_metric import bar_metric_of
from stillhouse.evaluation.models import EvaluatedModel, align
from stillhouse.recipe.bar import BarSpec, name_of_metric
from stillhouse.statistics.verdicts import check_alpha
from stillhouse.tasks.task import Targets, Task
from stillhouse.wording import percent, points

ONE_SEED = "trained with one seed, so nobody knows how much of its score is luck"


class SeedScore(Record):
    """One training of the model."""

    seed: int
    accuracy: float
    drop: float = Field(description="Teacher minus this one, in the metric of the bar; negative when it is better.")


class SeedSpread(Record):
    """The same model trained with several seeds, on the same golden rows."""

    scores: tuple[SeedScore, ...] = Field(description="At least two; the first is the one that ships.")
    mean: float = Field(description="Of the accuracies.")
    standard_deviation: float = Field(description="Of the accuracies, as of a sample: with n - 1.")
    smallest: float = Field(description="Of the accuracies.")
    largest: float = Field(description="Of the accuracies.")
    metric_in_words: str = Field(description="In which the drops are measured.")
    margin: float = Field(description="Largest acceptable drop, as a fraction.")

    @property
    def beyond_margin(self) -> tuple[SeedScore, ...]:
        """The seeds whose measured drop is the margin or more."""
        return tuple(score for score in self.scores if score.drop >= self.margin)

    @property
    def sentence(self) -> str:
        """The spread in words, and whether every seed measures within the margin."""
        spread = (
            f"{len(self.scores)} seeds: accuracy {percent(self.mean)} on average, "
            f"{percent(self.smallest)} to {percent(self.largest)}, "
            f"standard deviation {points(self.standard_deviation)} points"
        )
        return f"{spread}; {self.warning or f'each drops less than the margin of {points(self.margin)} points'}"

    @property
    def warning(self) -> str:
        """How many seeds measure outside the margin; empty when none does."""
        beyond = len(self.beyond_margin)
        if not beyond:
            return ""
        what = "" if self.metric_in_words == "accuracy" else f" in {self.metric_in_words}"
        return (
            f"{beyond} of {len(self.scores)} seeds {'drops' if beyond == 1 else 'drop'}{what} "
            f"by the margin of {points(self.margin)} points or more"
        )


class SeedGain(Record):
    """By how much one model is better than another on the mean of its seeds, against the spread of both."""

    first_seeds: int
    second_seeds: int
    gain: float = Field(description="Mean accuracy over the seeds of the first minus that of the second.")
    lower: float = Field(description="One-sided 1 - alpha lower bound of the gain.")
    upper: float = Field(description="One-sided 1 - alpha upper bound of the gain.")
    row_variance: float = Field(description="What other golden rows would add to the variance of the gain.")
    seed_variance: float = Field(description="What other seeds would add to the variance of the gain.")
    degrees_of_freedom: float = Field(description="Of the t distribution that the bounds are from.")


def logits_by_seed(model: EvaluatedModel, golden: pl.DataFrame, task: Task) -> dict[int, FloatArray]:
    """The outputs of a model for each of its seeds, what ships first.

    Args:
        model: the model.
        golden: frame with `prompt_id`.
        task: what an answer is.

    Returns:
        Shape (golden rows, outputs) by seed; empty when there is one seed only.

    Raises:
        StillhouseError: if the outputs of a seed and the golden rows do not line up.
    """
    if model.seed is None or not model.more_seeds:
        return {}
    outputs = {model.seed: model.outputs, **model.more_seeds}
    return {
        seed: align(replace(model, name=f"{model.name}, seed {seed}", outputs=predictions), golden, task)
        for seed, predictions in outputs.items()
    }


def seed_spread(
    targets: Targets,
    teacher: FloatArray,
    by_seed: Mapping[int, FloatArray],
    *,
    bar: BarSpec,
    task: Task,
    groups: IntArray | None = None,
) -> SeedSpread | None:
    """Measure a model for each of its seeds.

    Args:
        targets: shape (n,), the truth.
        teacher: shape (n, outputs), the teacher's.
        by_seed: shape (n, outputs) each, the model's by seed, what ships first.
        bar: names the metric of the drops, and the margin.
        task: what an answer is.
        groups: shape (n,), equal where rows belong together; None where every row stands alone.

    Returns:
        The spread, or None for fewer than two seeds: nothing is known of it then.
    """
    if len(by_seed) < 2:
        return None
    reference = bar_metric_of(bar, task, targets, teacher, groups=groups)
    scores = tuple(
        SeedScore(
            seed=seed,
            accuracy=float(task.right(logits, targets).mean()),
            drop=reference - bar_metric_of(bar, task, targets, logits, groups=groups),
        )
        for seed, logits in by_seed.items()
    )
    accuracies = [score.accuracy for score in scores]
    return SeedSpread(
        scores=scores,
        mean=float(np.mean(accuracies)),
        standard_deviation=float(np.std(accuracies, ddof=1)),
        smallest=min(accuracies),
        largest=max(accuracies),
        metric_in_words=name_of_metric(bar.metric, bar.metric_class),
        margin=bar.margin,
    )


def gain_over_seeds(first_correct: BoolArray, second_correct: BoolArray, *, alpha: float = 0.05) -> SeedGain:
    """Compare two models over their seeds, so that neither lucky rows nor a lucky seed makes a winner.

    Rows and seeds are both samples. The gain of the means varies with the rows, by the variance over rows of the
    difference of the shares of seeds that are right, divided by n; and with the seeds, by the variance of the
    accuracies over the seeds of each model, divided by their number. The parts are added, though the second holds a
    little of the first: that errs against a winner. The bounds are of a t distribution with the degrees of freedom of
    such a sum (Satterthwaite 1946, Biometrics Bulletin 2:110). Radiology compares two ways of reading over several
    readers and cases by the same two parts (Obuchowski and Rockette 1995, Communications in Statistics 24:285).

    Args:
        first_correct: shape (seeds, n), True where the first model was right; at least two seeds and two rows.
        second_correct: shape (seeds, n), the same rows in the same order; seeds may be of another number.
        alpha: one-sided error rate.

    Returns:
        The gain with its one-sided bounds and what its variance is made of.

    Raises:
        ValueError: if there are fewer than two seeds or rows, the rows differ in number, or alpha is out of range.
    """
    first, second = np.asarray(first_correct, dtype=np.float64), np.asarray(second_correct, dtype=np.float64)
    if first.ndim != 2 or second.ndim != 2 or first.shape[1] != second.shape[1] or min(*first.shape, *second.shape) < 2:
        raise ValueError(f"need two seeds or more and the same rows, not shapes {first.shape} and {second.shape}")
    check_alpha(alpha)
    by_row = first.mean(axis=0) - second.mean(axis=0)
    gain = float(by_row.mean())
    # Each a variance of a mean, with the degrees of freedom it was estimated with.
    parts = [(_variance_of_mean(values), len(values) - 1) for values in (by_row, first.mean(1), second.mean(1))]
    variance = sum(part for part, _ in parts)
    freedom = variance**2 / sum(part**2 / degrees for part, degrees in parts) if variance else float(parts[0][1])
    half = _t_quantile(1 - alpha, freedom) * math.sqrt(variance)
    return SeedGain(
        first_seeds=len(first),
        second_seeds=len(second),
        gain=gain,
        lower=gain - half,
        upper=gain + half,
        row_variance=parts[0][0],
        seed_variance=parts[1][0] + parts[2][0],
        degrees_of_freedom=freedom,
    )


def _variance_of_mean(values: FloatArray) -> float:
    return float(values.var(ddof=1)) / len(values)


def _t_quantile(probability: float, degrees_of_freedom: float) -> float:
    from scipy.special import stdtrit

    return float(stdtrit(degrees_of_freedom, probability))
