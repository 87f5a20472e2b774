"""One number for a text, such as a rating or how relevant it is: right where it is near enough.

Belongs here: all that is particular to this kind of answer, so that no other module decides it.
Does not: how a number is written (numbers.py), mean errors and ranks (stillhouse/evaluation/measures/).

A model gives one output, in which the lowest number of the recipe is -1 and the highest is 1: what stars and prices
have in common, so that a training needs no other learning rate for one of them. A number beyond them can be answered.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import polars as pl

from stillhouse.arrays import BoolArray, FloatArray, IntArray
from stillhouse.recipe.data import ScoreSpec
from stillhouse.tasks.numbers import number_in, reach, written_number
from stillhouse.tasks.task import Doubt, Logits, TeacherLoss, contradictions

if TYPE_CHECKING:
    from torch import Tensor

UNKNOWN = float("nan")
"""Stands for a number that nobody knows."""
NAMES = ("score",)
"""What the one output is called."""
_ROUNDING = 2.0**-23
"""What 32 bits, in which a signal has them, may add to the difference of two outputs: grades are often exactly as far
apart as the tolerance."""


@dataclass(frozen=True)
class NumericScore:
    """A number between two others.

    Args:
        lowest: that a label may be.
        highest: likewise, above it.
        tolerance: how far from the label an answer may be and is right.
    """

    lowest: float
    highest: float
    tolerance: float

    names = NAMES
    classes = None

    @classmethod
    def of(cls, spec: ScoreSpec) -> "NumericScore":
        """The numbers that a recipe says."""
        return cls(spec.lowest, spec.highest, spec.tolerance)

    def holds(self, labels: pl.Series) -> pl.Series:
        """Which labels are numbers between the two, in their one spelling."""
        good = [label for label in labels.drop_nulls().unique() if self._is_one(label)]
        return labels.is_in(good).fill_null(False)

    def targets(self, labels: pl.Series) -> FloatArray:
        """As outputs: `UNKNOWN` where there is none."""
        found = [UNKNOWN if label is None else float(label) for label in labels]
        return self.outputs(np.array(found, dtype=np.float64))

    def known(self, targets: npt.NDArray[Any]) -> BoolArray:
        """Which are numbers."""
        return np.asarray(~np.isnan(targets))

    def answers(self, logits: Logits) -> FloatArray:
        """The output itself."""
        return np.asarray(np.asarray(logits, np.float64)[..., 0])

    def numbers(self, answers: npt.NDArray[Any]) -> FloatArray:
        """Answers as the numbers that they stand for."""
        return np.asarray(np.asarray(answers, np.float64) * self.half + self.middle)

    def outputs(self, numbers: FloatArray) -> FloatArray:
        """Numbers as the outputs that answer them."""
        return np.asarray((numbers - self.middle) / self.half)

    def right(self, logits: Logits, targets: npt.NDArray[Any]) -> BoolArray:
        """Which rows answer a number within the tolerance."""
        apart = np.abs(self.answers(logits) - targets)
        return np.asarray(apart * self.half <= reach(self.tolerance) + self.half * _ROUNDING)

    def agree(self, first: Logits, second: Logits) -> BoolArray:
        """Which rows two models give numbers within the tolerance of each other."""
        return self.right(first, self.answers(second))

    def written(self, answers: npt.NDArray[Any]) -> list[str]:
        """Numbers in their one spelling."""
        return [written_number(number) for number in self.numbers(answers).tolist()]

    def confidence(self, logits: Logits, temperature: float = 1.0) -> None:
        """None: a number has no probability."""
        return

    def divergence(self, teacher: Logits, student: Logits) -> FloatArray:
        """Squared difference of the outputs."""
        return np.asarray((self.answers(teacher) - self.answers(student)) ** 2)

    def decisions(self, logits: Logits, targets: npt.NDArray[Any]) -> list[tuple[FloatArray, IntArray]]:
        """None of several choices."""
        return []

    def stated(self, targets: npt.NDArray[Any], accuracy: float) -> FloatArray:
        """The numbers themselves: of how often they are right an output has no word."""
        return np.asarray(targets, np.float64)[:, None]

    def majority(self, targets: npt.NDArray[Any]) -> FloatArray:
        """Their mean: of grades that are whole numbers it says to which of two a text is nearer."""
        return np.asarray([np.mean(targets)])

    def voted(self, targets: npt.NDArray[Any], accuracy: float) -> FloatArray:
        """The output that is their mean, however often each is right."""
        return self.majority(targets)

    def unanswered(self, targets: npt.NDArray[Any], *, right: bool) -> FloatArray:
        """The right numbers, or numbers two tolerances away."""
        return self.stated(targets, 0.0) + (0.0 if right else 2 * self.tolerance / self.half)

    def doubts(self, logits: Logits, targets: npt.NDArray[Any]) -> list[Doubt | None]:
        """A known number decides; without one there is no doubt, since nothing says how sure a number is."""
        return contradictions(self, logits, targets)

    @property
    def teacher_losses(self) -> Mapping[str, TeacherLoss]:
        """Squared difference from the teacher's output."""
        return LOSSES

    def label_loss(self, logits: "Tensor", targets: "Tensor") -> "Tensor":
        """Squared difference from the number."""
        known = ~targets.isnan()
        return (logits[:, 0] - targets.nan_to_num().to(logits.dtype)).square() * known

    def average(self, logits: Logits) -> FloatArray:
        """The mean."""
        return np.asarray(np.mean(np.asarray(logits, np.float64), axis=0))

    def constant(self, targets: npt.NDArray[Any]) -> FloatArray:
        """The number that is near enough for most rows; of several the lowest that a row has."""
        values = np.sort(np.asarray(targets, np.float64))
        within = reach(self.tolerance) / self.half
        near = np.searchsorted(values, values + within, "right") - np.searchsorted(values, values - within, "left")
        return values[[int(near.argmax())]]

    def fit_linear(self, features: Any, targets: npt.NDArray[Any], *, seed: int) -> tuple[FloatArray, FloatArray]:
        """Ridge regression."""
        from sklearn.linear_model import Ridge

        model = Ridge(alpha=1.0, random_state=seed).fit(features, targets)
        return np.asarray(model.coef_, np.float64)[:, None], np.array([float(model.intercept_)])

    def outputs_of(self, scores: FloatArray) -> FloatArray:
        """As they are."""
        return scores

    @property
    def middle(self) -> float:
        """The number whose output is 0."""
        return (self.lowest + self.highest) / 2

    @property
    def half(self) -> float:
        """By how much a number is more where its output is 1 more."""
        return (self.highest - self.lowest) / 2

    def _is_one(self, label: str) -> bool:
        value = number_in(label)
        return value is not None and self.lowest <= value <= self.highest and written_number(value) == label


def output_mse(student_output: "Tensor", teacher_output: "Tensor") -> "Tensor":
    """Squared difference of the outputs; shape (n,)."""
    return (student_output - teacher_output).square().mean(-1)


LOSSES: dict[str, TeacherLoss] = {
    "logit_mse": TeacherLoss(lambda student, teacher, how: output_mse(student, teacher)),
}
"""What learning from a teacher can cost, by the names of `stillhouse/recipe/losses.py`."""
