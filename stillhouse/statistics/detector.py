"""Whether a stream without an end has left its limit, with a budget of false alarms a year.

Belongs here: the detector's state and how values move it, its threshold, a limit from reference rows.
Does not: a verdict on a fixed question (betting.py), what is watched and what an alarm leads to.
"""

import math

import numpy as np
from pydantic import Field, model_validator

from stillhouse.arrays import FloatArray
from stillhouse.base import Record
from stillhouse.statistics.betting import BETS, log_growth, log_total

DAYS_OF_A_YEAR = 365

REFERENCE_ALPHA = 0.01
"""Chance, over all watches together, that a reference was so lucky that its limit is too low."""

TOLERANCE = 0.05
LEAST_TOLERANCE = 0.01
"""How far beyond its reference a share may be; weekends move shares by a point or two."""


class Detector(Record):
    """A watch that a mean stays at most at its limit: the Shiryaev-Roberts e-detector with bets placed each day.

    A unit of money is spread over 24 bets at the beginning of each day, and lies beside what is left of those of the
    days before; each value makes each bet grow or shrink as in `betting.log_e_value`. While E[value | past] <= limit,
    all that is staked is expected to be worth at most one unit a day, so in K days at most K / threshold alarms are
    expected, however the days depend on each other (Shin, Ramdas and Rinaldo 2024, e-detectors; optional stopping).
    Nothing of this needs the same limit for all values: only that the limit of each was known before it was seen.

    Values of one day may come in any order and in any batches: the state is the same but for rounding. An alarm is a
    matter of when somebody looks, since what was gained in the morning may be lost by the evening; who looks more often
    is warned earlier, and the budget holds for all of them.
    """

    limit: float = Field(description="The mean that is not to be exceeded.")
    lowest: float = Field(description="A bound of the values, below the limit, known before they are seen.")
    threshold: float = Field(gt=1, description="What all bets together are worth at an alarm; see `alarm_threshold`.")
    day: int | None = Field(default=None, description="The last day that had values, counted from any day.")
    log_capital: tuple[float, ...] | None = Field(
        default=None,
        min_length=BETS,
        max_length=BETS,
        description="Logarithm of what each bet is worth; null where nothing is staked before the next day.",
    )

    @model_validator(mode="after")
    def _can_bet(self) -> "Detector":
        if not self.lowest < self.limit:
            raise ValueError(f"the limit must be above the lowest value, not {self.limit} against {self.lowest}")
        return self

    def advanced(self, day: int, values: FloatArray, counts: FloatArray, *, limit: float | None = None) -> "Detector":
        """The state after further values.

        Args:
            day: on which they arrived; not before the last one. Late ones belong to the day they arrive on.
            values: shape (k,), each at least `lowest`.
            counts: shape (k,), how often each occurred. Without any, nothing changes: a silent day places no bets.
            limit: of these values, where not all are held to the same: it may depend on all that was known before them.

        Returns:
            A new detector; this one is as it was.

        Raises:
            ValueError: if the day is over, or a value is below `lowest`.
        """
        if self.day is not None and day < self.day:
            raise ValueError(f"values of day {day} come after those of day {self.day}; count late ones on arrival")
        growth = counts @ log_growth(values, mean_at_most=self.limit if limit is None else limit, lowest=self.lowest)
        if not counts.any():
            return self
        capital = np.full(BETS, -np.inf) if self.log_capital is None else np.array(self.log_capital)
        if day != self.day:
            capital = np.logaddexp(capital, -math.log(BETS))
        elif self.log_capital is None:
            return self
        return self.model_copy(update={"day": day, "log_capital": tuple((capital + growth).tolist())})

    @property
    def log_evidence(self) -> float | None:
        """Logarithm of what all bets are worth; None where nothing is staked."""
        return None if self.log_capital is None else float(log_total(np.array(self.log_capital)))

    @property
    def alarmed(self) -> bool:
        """Whether the mean has left its limit, as far as the budget lets anybody say so."""
        evidence = self.log_evidence
        return evidence is not None and evidence >= math.log(self.threshold)

    def restarted(self) -> "Detector":
        """After an alarm, or where the past says nothing any more: without a stake until the next day begins."""
        return self.model_copy(update={"log_capital": None})


def alarm_threshold(*, watches: int, false_alarms_per_year: float) -> float:
    """What the bets of one detector must be worth, so that all watches together keep a budget of false alarms.

    Args:
        watches: detectors that run side by side; a share that may neither rise nor fall has two.
        false_alarms_per_year: over all of them, in expectation.

    Returns:
        365 times the watches, divided by the budget: 12 watches and one false alarm in two years give 8,760.

    Raises:
        ValueError: if an argument is out of range.
    """
    if watches < 1 or not 0.0 < false_alarms_per_year < DAYS_OF_A_YEAR * watches:
        raise ValueError(f"impossible: {false_alarms_per_year} false alarms a year over {watches} watches")
    return DAYS_OF_A_YEAR * watches / false_alarms_per_year


def reference_limit(events: float, rows: float, *, watches: int, tolerance: float = TOLERANCE) -> float:
    """The limit of a share that is what it was on reference rows: proven not to be too low, and a little beyond.

    The exact upper bound of the reference's share (Clopper and Pearson 1934, Biometrika 26:404) at 1 % over all
    watches, and the tolerance beyond it, but at most twice the bound and at least one point beyond. A share that must
    not fall is one whose complement must not rise.

    Args:
        events: reference rows that have what is watched.
        rows: all reference rows; as many as they are worth, where they are no independent ones.
        watches: how many limits are set side by side.
        tolerance: as a fraction.

    Returns:
        The limit, at most 1; at 1 nothing is watched, since no share exceeds it.

    Raises:
        ValueError: if the counts are impossible, there are no rows, or an argument is out of range.
    """
    if not 0.0 <= tolerance < 1.0:
        raise ValueError(f"impossible: a tolerance of {tolerance}")
    bound = reference_bound(events, rows, watches=watches)
    return min(1.0, bound + tolerance_beyond(bound, tolerance))


def reference_bound(events: float, rows: float, *, watches: int) -> float:
    """What a share is at most by its reference rows: the exact upper bound, at 1 % over all watches together.

    Args:
        events: see `reference_limit`.
        rows: likewise.
        watches: likewise.

    Raises:
        ValueError: if the counts are impossible, there are no rows, or there is no watch.
    """
    if rows <= 0 or not 0 <= events <= rows or watches < 1:
        raise ValueError(f"impossible: {events} of {rows} rows, {watches} watches")
    from scipy.special import betaincinv

    return float(betaincinv(events + 1, rows - events, 1 - REFERENCE_ALPHA / watches)) if events < rows else 1.0


def tolerance_beyond(share: float, tolerance: float = TOLERANCE) -> float:
    """How far beyond a share is no finding: the tolerance, the share itself if that is less, and one point at least."""
    return max(LEAST_TOLERANCE, min(tolerance, share))
