"""From the number that a published head gives, which is on a scale of its own, to a number of the recipe: a line.

Belongs here: fitting the line on validation rows, and what it is worth.
Does not: what the head gives (models/network.py), taking it (classifier.py), when a number is right (tasks/score.py).

A cross-encoder gives logits from -11 to 11, a head for similarity 0 to 1 or 0 to 5, and nobody has written down which
of them is a 3 of somebody's rows. A line keeps the order of all answers, ties and all, so that what a model ranks stays
as it is; it has two numbers to learn from rows of which there are few; and it is part of the network, so that students
begin with it. Steps (isotonic regression) would come nearer where the relation is bent, and make ties of what they do
not tell apart, which costs a ranking. The line by least squares never spreads answers more than the labels are spread.
"""

import numpy as np
from pydantic import Field

from stillhouse.arrays import FloatArray
from stillhouse.base import Record
from stillhouse.errors import StillhouseError

FEWEST = 20
"""Labelled validation rows below which no line is fitted."""
_ERRORS = 2.0
"""Standard errors by which its slope has to be above 0, so that the order is no accident."""


class OwnScale(Record):
    """How the number that a published head gives becomes one of the recipe."""

    sigmoid: bool = Field(description="Whether the head's number is between 0 and 1, as its config says.")
    slope: float = Field(description="By how much the recipe's number is more where the head's is 1 more.")
    intercept: float = Field(description="The recipe's number where the head's is 0.")
    rows: int = Field(description="Labelled validation rows that the line was fitted on.")
    mean_error: float = Field(
        description="Mean distance from the label, of each of these rows by the line of all the others."
    )

    @property
    def sentence(self) -> str:
        """The line, and what it is worth."""
        own = "the sigmoid of its own" if self.sigmoid else "its own"
        sign = "-" if self.intercept < 0 else "+"
        return (
            f"{self.slope:.4g} times {own} {sign} {abs(self.intercept):.4g}, the line by least squares of "
            f"{self.rows:,} labelled validation rows; {self.mean_error:.3g} from the label on average, each row by the "
            "line of all others"
        )


def own_scale(own: FloatArray, numbers: FloatArray, *, sigmoid: bool, where: str) -> tuple[OwnScale, FloatArray]:
    """Fit the line on rows that judge nothing else than the teacher.

    Args:
        own: shape (n,), what the head gives to validation rows.
        numbers: shape (n,), their labels.
        sigmoid: see `OwnScale`.
        where: what to name in an error.

    Returns:
        The line, and of shape (n,) what each row gets by the line of all the others.

    Raises:
        StillhouseError: if there are too few rows, or it does not show that the one rises with the other.
    """
    rows = len(own)
    if rows < FEWEST:
        raise StillhouseError(
            f"{rows} validation rows have a label, by which the teacher's own numbers become those of the recipe",
            where=where,
            expected=f"at least {FEWEST}",
            do="Label more rows, or raise split.validation_share.",
        )
    apart = own - own.mean()
    spread = float(apart @ apart)
    slope = float(apart @ (numbers - numbers.mean())) / spread if spread > 0 else 0.0
    intercept = float(numbers.mean() - slope * own.mean())
    left = numbers - (slope * own + intercept)
    error = float(np.sqrt(left @ left / (rows - 2) / spread)) if spread > 0 else 0.0
    if slope - _ERRORS * error <= 0:
        falls = slope + _ERRORS * error < 0
        raise StillhouseError(
            f"on {rows:,} labelled validation rows the teacher's own number "
            + ("falls where the label rises" if falls else "does not rise with the label")
            + f" (slope {slope:.3g}, standard error {error:.2g})",
            where=where,
            expected="a teacher whose number is higher where the label is",
            do="Choose a teacher that points the same way, or turn the labels round."
            if falls
            else "Choose a teacher of what the labels say, or label more validation rows.",
        )
    # A row's weight in its own fit (the diagonal of the hat matrix) gives the others' line without fitting it.
    weight = 1 / rows + apart**2 / spread
    others = numbers - left / np.maximum(1 - weight, np.finfo(np.float64).eps)
    scale = OwnScale(
        sigmoid=sigmoid,
        slope=slope,
        intercept=intercept,
        rows=rows,
        mean_error=float(np.abs(numbers - others).mean()),
    )
    return scale, others
