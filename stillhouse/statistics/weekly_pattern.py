"""Whether a share goes by the weekday, and what few days of one weekday prove of it.

Belongs here: the criterion, and a limit for each weekday, from counts of days.
Does not: counting days (stillhouse/live/watch.py), the limit of all days together and the alarm (detector.py).

Rows of one day are alike beyond chance, so the unit is the day: by how much Mondays differ says how much a Monday and a
Sunday may differ without a pattern, and how many independent rows four Mondays are worth.
"""

from collections.abc import Sequence
from typing import Annotated

import numpy as np
from pydantic import Field

from stillhouse.arrays import FloatArray, IntArray
from stillhouse.base import Record
from stillhouse.statistics.detector import REFERENCE_ALPHA, TOLERANCE, reference_limit, tolerance_beyond

DAYS_OF_A_WEEK = 7

_A_WEEK = Field(min_length=DAYS_OF_A_WEEK, max_length=DAYS_OF_A_WEEK)


class WeeklyPattern(Record):
    """What a share was on each weekday, Monday first."""

    events: Annotated[tuple[int, ...], _A_WEEK]
    rows: Annotated[tuple[int, ...], _A_WEEK]
    effective_rows: Annotated[tuple[float, ...], _A_WEEK] = Field(
        description="How many independent rows say as much: fewer than there are, as far as those of one day are alike."
    )
    degrees_of_freedom: int = Field(ge=1, description="With which the scatter of days of one weekday was estimated.")

    @property
    def shares(self) -> tuple[float | None, ...]:
        """Of each weekday; None of one without rows."""
        return tuple(events / of if of else None for events, of in zip(self.events, self.rows, strict=True))

    @property
    def complement(self) -> "WeeklyPattern":
        """Of the rows without what is counted."""
        without = tuple(of - events for events, of in zip(self.events, self.rows, strict=True))
        return self.model_copy(update={"events": without})

    def limits(self, *, watches: int, tolerance: float = TOLERANCE) -> tuple[float, ...]:
        """The limit of each weekday: what `detector.reference_limit` is to all days together.

        Its bound is of as many rows as those of the weekday are worth, less by the square of the normal quantile over
        that of t, because the scatter of days was itself estimated from few of them (Korn and Graubard 1998, Survey
        Methodology 24:193). The error rate of a watch is shared by its seven limits.

        Args:
            watches: how many shares are watched side by side.
            tolerance: beyond the bound, as a fraction.

        Returns:
            Seven, Monday first. A weekday without rows has the widest of the others.
        """
        from scipy.special import ndtri, stdtrit

        side_by_side = watches * DAYS_OF_A_WEEK
        quantile = 1 - REFERENCE_ALPHA / side_by_side
        kept = float(ndtri(quantile) / stdtrit(self.degrees_of_freedom, quantile)) ** 2
        found = [
            None
            if share is None
            else reference_limit(share * rows * kept, rows * kept, watches=side_by_side, tolerance=tolerance)
            for share, rows in zip(self.shares, self.effective_rows, strict=True)
        ]
        widest = max(each for each in found if each is not None)
        return tuple(widest if each is None else each for each in found)


def weekly_pattern(
    weekdays: Sequence[int], events: Sequence[int], rows: Sequence[int], *, shares: int
) -> WeeklyPattern | None:
    """What a share was on each weekday, if weekdays are so unlike that one limit does not do for all of them.

    That takes two things. Weekdays differ by more than days of one weekday do (`weekday_p_value`), at 1 % over all
    shares that are asked about. And the highest share of a weekday is above the lowest by at least the tolerance of a
    limit, since less than that is what the tolerance is for.

    Args:
        weekdays: of each day, 0 for Monday.
        events: of each day, the rows that have what is counted.
        rows: of each day; one without any says nothing.
        shares: how many are asked about side by side.

    Returns:
        None where one limit does. Of the complement of a share the answer is the same.

    Raises:
        ValueError: if a weekday or a count is impossible.
    """
    if weekday_p_value(weekdays, events, rows) >= REFERENCE_ALPHA / shares:
        return None
    weekday, x, n = _days(weekdays, events, rows)
    of_weekday, total = _by_weekday(weekday, x), _by_weekday(weekday, n)
    share, usual = of_weekday / np.maximum(total, 1), float(x.sum() / n.sum())
    if np.ptp(share[total > 0]) < tolerance_beyond(min(usual, 1 - usual)):
        return None
    alike = _correlation(weekday, x, n, share[weekday])
    variance = _by_weekday(weekday, n * (1 + (n - 1) * alike))  # of the weekday's events, in those of one row by itself
    return WeeklyPattern(
        events=tuple(map(int, of_weekday)),
        rows=tuple(map(int, total)),
        effective_rows=tuple(map(float, total**2 / np.maximum(variance, 1))),
        degrees_of_freedom=len(n) - int((total > 0).sum()),
    )


def weekday_p_value(weekdays: Sequence[int], events: Sequence[int], rows: Sequence[int]) -> float:
    """Of the hypothesis that a share is the same on all weekdays, however much days of one weekday differ.

    An F test of binomial counts with overdispersion (McCullagh and Nelder 1989, Generalized Linear Models, 4.5), which
    is estimated from days of one weekday and never taken to be less than none. A day counts as many independent rows as
    it is worth. Where all days have equally many rows this is the analysis of variance of their shares.

    Args:
        weekdays: of each day, 0 for Monday.
        events: of each day.
        rows: of each day; one without any says nothing.

    Returns:
        1 where there is nothing to compare: one weekday, one day of each, or a share that is always 0 or 1.

    Raises:
        ValueError: if a weekday or a count is impossible.
    """
    from scipy.special import fdtrc

    weekday, x, n = _days(weekdays, events, rows)
    groups = len(np.unique(weekday))
    freedom = len(n) - groups
    if groups < 2 or freedom < 1 or not 0 < x.sum() < n.sum():
        return 1.0
    usual = np.full(len(n), x.sum() / n.sum())
    worth = n / (1 + (n - 1) * _correlation(weekday, x, n, usual))
    of_weekday = (_by_weekday(weekday, worth * x / n)[weekday]) / _by_weekday(weekday, worth)[weekday]
    of_all = (worth * x / n).sum() / worth.sum()
    in_units = worth / (usual * (1 - usual))
    between = float((in_units * (of_weekday - of_all) ** 2).sum()) / (groups - 1)
    within = float((in_units * (x / n - of_weekday) ** 2).sum()) / freedom
    return float(fdtrc(groups - 1, freedom, between / max(1.0, within)))


def _correlation(weekday: IntArray, x: FloatArray, n: FloatArray, share: FloatArray) -> float:
    """How alike two rows of one day are (intraclass correlation), by how much days of one weekday differ.

    The moment estimate of Williams (1982, Applied Statistics 31:144), one for all weekdays; 0 where days differ less
    than those of independent rows do.

    Args:
        weekday: of each day.
        x: events of each day.
        n: rows of each day.
        share: of each day, that of which independent rows would have the variance.
    """
    varies = (share > 0) & (share < 1)
    weekday, x, n, share = weekday[varies], x[varies], n[varies], share[varies]
    total = _by_weekday(weekday, n)[weekday]
    free = 1 - n / total
    spread = n * (x / n - _by_weekday(weekday, x)[weekday] / total) ** 2 / (share * (1 - share))
    of_alike_rows = float((free * (n - 1)).sum())
    if of_alike_rows <= 0:
        return 0.0
    return float(np.clip((spread.sum() - free.sum()) / of_alike_rows, 0.0, 1.0))


def _by_weekday(weekday: IntArray, values: FloatArray) -> FloatArray:
    return np.bincount(weekday, weights=values, minlength=DAYS_OF_A_WEEK).astype(np.float64)


def _days(
    weekdays: Sequence[int], events: Sequence[int], rows: Sequence[int]
) -> tuple[IntArray, FloatArray, FloatArray]:
    weekday = np.array(weekdays, np.int64)
    x, n = np.array(events, np.float64), np.array(rows, np.float64)
    if not ((weekday >= 0) & (weekday < DAYS_OF_A_WEEK) & (x >= 0) & (x <= n)).all():
        raise ValueError(f"impossible: {events} of {rows} rows on the weekdays {weekdays}")
    some = n > 0
    return weekday[some], x[some], n[some]
