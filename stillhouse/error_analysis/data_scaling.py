"""Whether a student would be better for more rows: the learning curve by rows, and its decision.

Belongs here: the curve from what students of fewer rows say to the same validation rows; numbers in, a decision out.
Does not: training those students (assets/error_analysis.py), drawing the curve
(report/figures/rows_curve.py).
"""

import math
from collections.abc import Sequence

from pydantic import Field

from stillhouse.arrays import FloatArray
from stillhouse.base import Record
from stillhouse.error_analysis.generalisation import TEACHER
from stillhouse.statistics.verdicts import Verdict
from stillhouse.wording import percent

ALPHA = 0.05
"""Error rate of each bound."""

WORTHWHILE = 0.1
"""Share of the divergence that a doubling of the rows must take away to be worth its price. Error falls with rows as a
power of about -0.07 to -0.35 (Hestness et al. 2017, arXiv:1712.00409), so by 5 to 22 % with each doubling: under a
tenth, four times the rows take away less than a fifth."""


SAID = {
    Verdict.PASS: "more data helps",
    Verdict.FAIL: "more data does not help",
    Verdict.INCONCLUSIVE: "cannot tell whether more data helps",
}
"""The decision in words."""


class RowsPoint(Record):
    """A student that learned from so many rows, on the validation rows."""

    rows: int = Field(gt=0, description="Rows it learned from; those of a smaller point are among those of a larger.")
    accuracy: float = Field(description="Share of validation rows answered right; a few hundred cannot tell a point.")
    mean_kl: float = Field(description="Mean KL(teacher || student) of the validation rows, in nats.")
    standard_error: float = Field(description="Of that mean.")


class RowsCurve(Record):
    """The learning curve by rows and what the last doubling was worth."""

    points: tuple[RowsPoint, ...] = Field(description="By rising rows; the last one is the candidate itself.")
    validation_rows: int
    improvement: float = Field(description="Mean fall of the divergence from the last point but one to the last, nats.")
    improvement_bounds: tuple[float, float] = Field(description="One-sided 95 % bounds of it, Student's t on the rows.")
    smallest_worthwhile: float = Field(description="A smaller fall is not worth more rows: a tenth of what was left.")
    verdict: Verdict = Field(description="PASS if more rows are shown to help, FAIL if not to.")
    sentence: str


def rows_curve(
    rows: Sequence[int],
    divergences: Sequence[FloatArray],
    accuracies: Sequence[float],
    *,
    learned_from: str = TEACHER,
) -> RowsCurve:
    """Decide from the last doubling of the rows whether the next one would be worth it.

    By divergence from the teacher and not by accuracy: every validation row says how far it is off, so a few hundred
    tell what would take thousands that are only right or wrong. Paired by row, since the students answered the same.
    All of them trained for as many epochs, as the next one would: what more rows bring includes the steps they bring.

    Args:
        rows: how many each student learned from, rising, at least two; the last is the candidate.
        divergences: of each student, shape (validation rows,), KL(teacher || student) of the same rows in one order.
        accuracies: of each student on the validation rows that have a label.
        learned_from: whose answers they learned, which the divergences are from.

    Returns:
        The curve: more data helps if the fall is proven and at least a tenth; it does not if a tenth is ruled out;
        else nobody can tell.

    Raises:
        ValueError: if there are fewer than two points or validation rows, or the lengths differ.
    """
    sizes = {len(each) for each in divergences}
    if not len(rows) == len(divergences) == len(accuracies) >= 2 or len(sizes) != 1 or min(sizes) < 2:
        raise ValueError(f"need two or more points on the same two or more rows, not {len(rows)} of {sorted(sizes)}")
    if sorted(set(rows)) != list(rows):
        raise ValueError(f"rows must rise from point to point, not {list(rows)}")
    before, after = divergences[-2], divergences[-1]
    improvement, error = _mean(before - after)
    reach = _quantile(len(after) - 1) * error
    lower, upper = improvement - reach, improvement + reach
    left = float(before.mean())
    smallest = WORTHWHILE * left
    if upper <= smallest:
        verdict = Verdict.FAIL
    elif lower > 0 and improvement >= smallest:
        verdict = Verdict.PASS
    else:
        verdict = Verdict.INCONCLUSIVE
    return RowsCurve(
        points=tuple(
            RowsPoint(rows=number, accuracy=accuracy, mean_kl=mean, standard_error=spread)
            for number, accuracy, (mean, spread) in zip(rows, accuracies, map(_mean, divergences), strict=True)
        ),
        validation_rows=len(after),
        improvement=improvement,
        improvement_bounds=(lower, upper),
        smallest_worthwhile=smallest,
        verdict=verdict,
        sentence=f"{SAID[verdict]}: {_fall(rows, len(after), left, (improvement, lower, upper), learned_from)}",
    )


def _fall(rows: Sequence[int], asked: int, left: float, falls: tuple[float, float, float], learned_from: str) -> str:
    if left == 0:
        return f"with {rows[-2]:,} rows there was no divergence from {learned_from} left on {asked:,} validation rows"
    estimate, lower, upper = (percent(each / left) for each in falls)
    return (
        f"from {rows[-2]:,} to {rows[-1]:,} rows the divergence from {learned_from} on {asked:,} validation rows fell "
        f"by {estimate} ({lower} to {upper}), where {percent(WORTHWHILE)} or more are worth the price of more rows"
    )


def _mean(values: FloatArray) -> tuple[float, float]:
    return float(values.mean()), float(values.std(ddof=1)) / math.sqrt(len(values))


def _quantile(degrees_of_freedom: int) -> float:
    from scipy.special import stdtrit

    return float(stdtrit(degrees_of_freedom, 1 - ALPHA))
