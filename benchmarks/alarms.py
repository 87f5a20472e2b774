"""`make bench-alarms`: how often is a live verdict wrong, and how long does it take to be right?

Everything is simulated, so the truth is known. Promises, each held to three standard errors of its simulation:

* a challenger exactly at the margin is promoted in at most 5 %, though somebody looks at every 50 of 20,000 requests;
* traffic that only sways by weekday has at most 0.5 alarms a recipe and year, in 400 simulated years of 12 watches that
  are looked at four times a day; so has traffic exactly at the limit of each watch, the worst that is no fault, and
  traffic with a strong week after a month of it has become the baseline;
* the threshold of a cascade breaks its margin in at most delta of 500 calibrations.

Beside them what is done without: the test for a fixed number of rows, looked at as often; a chi-square test a day; the
threshold whose measured drop is below the margin. Then tables of delays and of half-widths, each with the figure that
the design measured, which bind nothing.

The last line is JSON, `{"false_alarms_per_year", "promoted_at_margin"}`. Exit code 1 if a promise is broken.

Belongs here: drawing traffic, counting alarms and verdicts, the limits.
Does not: the statistics themselves (stillhouse/statistics/).
"""

import json
import math
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from scipy.stats import beta, chi2

from stillhouse.arrays import BoolArray, FloatArray
from stillhouse.statistics.accuracy_test import non_inferiority_p_value
from stillhouse.statistics.betting import BETS, log_e_value, log_growth, log_total
from stillhouse.statistics.detector import Detector, alarm_threshold, reference_limit
from stillhouse.statistics.fixed_sequence import THRESHOLDS, cascade_threshold
from stillhouse.statistics.live_agreement import AskingPlan, debiased_disagreement, plan_asking
from stillhouse.statistics.score_test import normal_quantile, statistic, uses_exact
from stillhouse.statistics.weekly_pattern import weekly_pattern

SIMULATIONS = 4_000
SEED = 20261128
STANDARD_ERRORS = 3
ALPHA = 0.05

PAIRS = np.array([1.0, -1.0, 0.0])  # lost, won, neither
EVENTS = np.array([1.0, 0.0])

CHALLENGER_MARGIN, DISCORDANCE = 0.02, 0.05
STEP, LOOKS = 50, 400

YEARS, DAYS, LOOKS_A_DAY, REQUESTS_A_DAY = 400, 365, 4, 2000
LABELS = np.array([0.23, 0.22, 0.21, 0.17, 0.15, 0.02])
WEEKEND = np.array([0.02, -0.01, -0.01, 0.0, 0.0, 0.0])
OVERDISPERSION = 3000.0
REFERENCE_ROWS = 1450
WATCHES = 2 * len(LABELS)
BUDGET = 0.5
THRESHOLD = alarm_threshold(watches=WATCHES, false_alarms_per_year=BUDGET)


@dataclass
class Promises:
    """What was promised and is not kept, beyond the error of the simulation."""

    broken: list[str] = field(default_factory=list)

    def at_most(self, limit: float, what: str, found: float, standard_error: float) -> None:
        """Note a figure above its limit."""
        if found > limit + STANDARD_ERRORS * standard_error:
            self.broken.append(f"{what}: {found:.3g}, promised {limit:g}, standard error {standard_error:.2g}")


def main(simulations: int) -> int:
    """Simulate, show, and judge."""
    start, generator, promises = time.perf_counter(), np.random.default_rng(SEED), Promises()
    promoted = _looks(simulations, generator, promises)
    _requests_of_one_user(max(simulations // 10, 4), generator)
    false_alarms = _stable_years(max(YEARS * simulations // SIMULATIONS, 2), generator, promises)
    _strong_weeks(max(YEARS * simulations // SIMULATIONS, 2), promises)
    few = max(simulations // 8, 4)
    _delays(few, generator)
    _agreement(max(simulations // 20, 4), generator)
    _cascade(few, generator, promises)
    print(f"\n{time.perf_counter() - start:.0f} s", *(promises.broken or ["every promise holds"]), sep="\n")
    print(json.dumps({"false_alarms_per_year": false_alarms, "promoted_at_margin": promoted}))
    return 1 if promises.broken else 0


def _first(reached: BoolArray) -> FloatArray:
    """At which look, counted from 1, it was first reached, infinity where never: from shape (n, looks) to (n,)."""
    return np.where(reached.any(axis=1), 1.0 + reached.argmax(axis=1), np.inf)


# Rollouts


def _looks(simulations: int, generator: np.random.Generator, promises: Promises) -> float:
    """Challengers at the margin and equal ones, margin 2 points, discordance 5 %, a look at every 50 requests."""
    known: dict[tuple[int, int, int], bool] = {}
    at_margin = [
        (_first(_promotes(counts)), _first(_fixed_promotes(counts, known)))
        for counts in _rollouts(CHALLENGER_MARGIN, simulations, generator)
    ]
    promoted, by_fixed = (float(np.isfinite(np.concatenate(each)).mean()) for each in zip(*at_margin, strict=True))
    promises.at_most(ALPHA, "promoted at the margin", promoted, math.sqrt(ALPHA * (1 - ALPHA) / simulations))
    equal = STEP * np.concatenate([_first(_promotes(counts)) for counts in _rollouts(0.0, simulations, generator)])
    print(f"{simulations:,} challengers, margin 2 points, discordance 5 %, a look at every 50 of 20,000 requests")
    print(f"  at the margin, promoted by e-value                 {promoted:>8.2%}   design 1.4 to 2.0 %")
    print(f"  at the margin, promoted by the test for fixed rows {by_fixed:>8.2%}   design 34 to 36 %")
    print(f"  equal, requests to promotion at the median         {np.median(equal):>8,.0f}   design 1,150")
    print(f"  equal, requests by which 80 % are promoted         {np.quantile(equal, 0.8):>8,.0f}   design 1,850")
    print("rows until harm is found in one of nine slices, at the median (against no loss at all)")
    for loss, design in ((0.20, 94), (0.10, 253), (0.06, 346)):
        rates = [loss + 0.025, 0.025, 1 - loss - 0.05]
        found = _median_rows(PAIRS, rates, 0.0, -1.0, ALPHA / 9, simulations // 8, generator)
        print(f"  {loss:.0%} more lost than won, 2.5 % won {found:>8,.0f}   design {design}")
    print("keys until one of six guardrails on errors, limit 0.5 %, fails, at the median")
    for share, design in ((0.02, 450), (0.05, 85), (0.50, 5)):
        found = _median_rows(EVENTS, [share, 1 - share], 0.005, 0.0, ALPHA / 6, simulations // 8, generator)
        print(f"  {share:.0%} errors {found:>8,.0f}   design {design}")
    return promoted


def _rollouts(drop: float, simulations: int, generator: np.random.Generator) -> Iterator[FloatArray]:
    """Rows lost, won and neither at each look, shape (some, looks, 3)."""
    rates = [(DISCORDANCE + drop) / 2, (DISCORDANCE - drop) / 2, 1 - DISCORDANCE]
    for some in _portions(simulations, 500):
        yield generator.multinomial(STEP, rates, size=(some, LOOKS)).cumsum(axis=1).astype(np.float64)


def _promotes(counts: FloatArray) -> BoolArray:
    log_e = log_e_value(-PAIRS, counts, mean_at_most=-CHALLENGER_MARGIN, lowest=-1.0)
    return np.asarray(log_e >= -math.log(ALPHA))


def _fixed_promotes(counts: FloatArray, known: dict[tuple[int, int, int], bool]) -> BoolArray:
    """Whether `non_inferiority_p_value` is below alpha at each look; asked itself where it would be exact."""
    passes = np.zeros(counts.shape[:2], dtype=np.bool_)
    for look in range(counts.shape[1]):
        lost, won, rows = counts[:, look, 0], counts[:, look, 1], STEP * (look + 1)
        passes[:, look] = statistic(lost, won, rows, CHALLENGER_MARGIN) > normal_quantile(1 - ALPHA)
        if uses_exact(rows, CHALLENGER_MARGIN):
            # The exact p-value is the larger one here, so what the normal one does not pass need not be asked.
            for place in np.flatnonzero(passes[:, look]):
                pair = int(lost[place]), int(won[place]), rows
                if pair not in known:
                    known[pair] = non_inferiority_p_value(*pair, margin=CHALLENGER_MARGIN) < ALPHA
                passes[place, look] = known[pair]
    return passes


def _median_rows(
    values: FloatArray,
    rates: list[float],
    mean_at_most: float,
    lowest: float,
    alpha: float,
    simulations: int,
    generator: np.random.Generator,
) -> float:
    """Rows until the e-value, looked at after each, disproves the mean, at the median."""
    first = []
    for some in _portions(simulations, 50):
        counts = generator.multinomial(1, rates, size=(some, 2000)).cumsum(axis=1).astype(np.float64)
        first.append(_first(log_e_value(values, counts, mean_at_most=mean_at_most, lowest=lowest) >= -math.log(alpha)))
    return float(np.median(np.concatenate(first)))


def _requests_of_one_user(simulations: int, generator: np.random.Generator) -> None:
    """A share exactly at its limit of 10 %, 400 users with 50 requests each and an intraclass correlation of 0.1."""
    share, users, requests = 0.1, 400, 50
    of_user = generator.beta(share * 9, (1 - share) * 9, size=(simulations, users))
    events = generator.binomial(requests, of_user)
    by_request = np.stack([events, requests - events], axis=-1).cumsum(axis=1).astype(np.float64)
    grown = log_growth(np.arange(requests + 1) / requests, mean_at_most=share, lowest=0.0)[events].cumsum(axis=1)
    alarmed = [
        (log_e >= -math.log(ALPHA)).any(axis=1).mean()
        for log_e in (
            log_e_value(EVENTS, by_request, mean_at_most=share, lowest=0.0),
            log_total(grown) - math.log(BETS),
        )
    ]
    print("a share at its limit, 50 requests a user, intraclass correlation 0.1, a look after each of 400 users")
    print(f"  failed, counted by request {alarmed[0]:>8.1%}   design 51 %")
    print(f"  failed, counted by user    {alarmed[1]:>8.1%}   design 1.7 %")


def _portions(simulations: int, largest: int) -> list[int]:
    full, rest = divmod(simulations, largest)
    return [largest] * full + [rest] * (rest > 0)


# Alarms


class Streams:
    """Many detectors at once: the arithmetic of `Detector`, with a new start the day after an alarm."""

    def __init__(self, shape: tuple[int, ...], threshold: float = THRESHOLD) -> None:
        self.threshold = threshold
        self.log_capital = np.full((*shape, BETS), -np.inf)
        self.waits = np.zeros(shape, dtype=np.bool_)

    def new_day(self) -> None:
        """Place the bets of a day."""
        self.log_capital = np.logaddexp(self.log_capital, -math.log(BETS))
        self.waits[:] = False

    def look(self, growth: FloatArray) -> BoolArray:
        """Let the bets grow, shape (..., 24); which streams have an alarm now."""
        self.log_capital = np.where(self.waits[..., None], -np.inf, self.log_capital + growth)
        staked = np.asarray(np.isfinite(self.log_capital).any(axis=-1))
        total = np.where(staked, log_total(np.where(staked[..., None], self.log_capital, 0.0)), -np.inf)
        alarmed = total >= math.log(self.threshold)
        self.log_capital[alarmed] = -np.inf
        self.waits |= alarmed
        return np.asarray(alarmed)


def _stable_years(years: int, generator: np.random.Generator, promises: Promises) -> float:
    """Alarms a year on traffic that only sways, and on traffic at every limit."""
    _assert_streams_are_detectors()
    reference = generator.multinomial(REFERENCE_ROWS, LABELS, size=years)
    both_ways = np.concatenate([reference, REFERENCE_ROWS - reference], axis=1)
    limits = np.vectorize(lambda events: reference_limit(int(events), REFERENCE_ROWS, watches=WATCHES))(both_ways)
    growth = np.stack([_growth_by_limit(limits, value) for value in EVENTS])
    alarms, chi_square = np.zeros(years), 0
    streams = Streams(limits.shape)
    for day in range(DAYS):
        mix = LABELS + WEEKEND * (day % 7 >= 5)
        shares = generator.dirichlet(OVERDISPERSION * mix, size=years)
        counts = generator.multinomial(REQUESTS_A_DAY // LOOKS_A_DAY, shares[:, None, :], size=(years, LOOKS_A_DAY))
        chi_square += int((_chi_square_p(counts.sum(axis=1), reference) < ALPHA).sum())
        streams.new_day()
        for look in range(LOOKS_A_DAY):
            alarms += streams.look(_grown(counts[:, look], growth)).sum(axis=1)
    at_limit = _years_at_the_limit(years, generator)
    spread = [float(each.std(ddof=1)) / math.sqrt(years) for each in (alarms, at_limit)]
    stable, worst = float(alarms.mean()), float(at_limit.mean())
    promises.at_most(BUDGET, "alarms a year on stable traffic", stable, spread[0])
    promises.at_most(BUDGET, "alarms a year at the limits", worst, spread[1])
    print(f"{years} years, {WATCHES} watches on six labels, threshold {THRESHOLD:,.0f}, four looks a day")
    print(f"  alarms a year, 2 points of weekend and overdispersion {stable:>7.3f}   design 0")
    print(f"  alarms a year, every watch exactly at its limit       {worst:>7.3f}   at most {BUDGET}")
    print(f"  alarms a month of one chi-square test a day at 5 %    {chi_square / years / 12:>7.1f}   design 7.4")
    return stable


WEEK, SHIFTED_WEEK = (0.10, 0.30), (0.25, 0.30)
"""Shares of a label on workdays and at weekends, and after a shift that stays within what a weekend was."""


def _strong_weeks(years: int, promises: Promises) -> None:
    """Alarms of one label with a strong week, which has two of the watches, in the year after its baseline."""
    generator = np.random.default_rng(SEED)  # of its own, so that it moves no other figure
    weekday, many = np.arange(28) % 7, [REQUESTS_A_DAY] * 28
    limits, one = np.empty((years, 2, 7)), np.empty((years, 2, 7))
    for year, events in enumerate(_weeks(WEEK, 28, years, generator)[..., 0].T):
        found = weekly_pattern(weekday.tolist(), events.tolist(), many, shares=len(LABELS))
        assert found is not None, "twenty points are seen in any month"
        for place, of in enumerate((found, found.complement)):
            limits[year, place] = of.limits(watches=WATCHES)
            one[year, place] = reference_limit(sum(of.events), sum(of.rows), watches=WATCHES)
    stable = _weeks(WEEK, DAYS, years, generator)
    worst = np.stack([generator.binomial(REQUESTS_A_DAY, limits[..., day % 7]) for day in range(DAYS)])
    by_weekday, by_one, at_limits = (
        _by_weekday(each, events).sum(axis=0) for each, events in ((limits, stable), (one, stable), (limits, worst))
    )
    budget, shifted = BUDGET * 2 / WATCHES, _weeks(SHIFTED_WEEK, 28, years, generator)
    for what, found_alarms in (("of a strong week", by_weekday), ("at the limits of weekdays", at_limits)):
        error = float(found_alarms.std(ddof=1)) / math.sqrt(years)
        promises.at_most(budget, f"alarms a year {what}", float(found_alarms.mean()), error)
    days = np.median(_first(_by_weekday(limits, shifted).T > 0))
    print("one label, 10 % on workdays and 30 % at weekends, in the year after a month of it has become the baseline")
    print(f"  alarms a year, one limit                              {by_one.mean():>7.3f}")
    print(f"  alarms a year, a limit for each weekday               {by_weekday.mean():>7.3f}   at most {budget:.3f}")
    print(f"  alarms a year, each day exactly at its limit          {at_limits.mean():>7.3f}   at most {budget:.3f}")
    print(f"  days to find 25 % on workdays by the limit of each    {days:>7.0f}")


def _weeks(shares: tuple[float, float], days: int, years: int, generator: np.random.Generator) -> npt.NDArray[np.int64]:
    """Requests of a label and all others, shape (days, years, 2), with the overdispersion of all traffic here."""
    workday, weekend = shares
    share = np.where(np.arange(days) % 7 < 5, workday, weekend)[:, None]
    of_day = generator.beta(share * OVERDISPERSION, (1 - share) * OVERDISPERSION, size=(days, years))
    events = generator.binomial(REQUESTS_A_DAY, of_day)
    return np.stack([events, REQUESTS_A_DAY - events], axis=-1)


def _by_weekday(limits: FloatArray, events: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Alarms, shape (days, years), of limits of shape (years, 2, 7), with a look when a day is over."""
    won, lost = (_growth_by_limit(limits, value) for value in EVENTS)
    streams, alarms = Streams(limits.shape[:2]), []
    for day, of_day in enumerate(events):
        streams.new_day()
        counts = of_day[..., None]
        growth = counts * won[:, :, day % 7] + (REQUESTS_A_DAY - counts) * lost[:, :, day % 7]
        alarms.append(streams.look(growth).sum(axis=1))
    return np.array(alarms)


def _growth_by_limit(limits: FloatArray, value: float) -> FloatArray:
    rows = [log_growth(np.array([value]), mean_at_most=limit, lowest=0.0)[0] for limit in limits.ravel()]
    return np.stack(rows).reshape(*limits.shape, BETS)


def _grown(counts: npt.NDArray[np.int64], growth: FloatArray) -> FloatArray:
    """Of the rise and of the fall of each label: from counts (years, labels) to growth (years, 2 labels, 24)."""
    events = np.concatenate([counts, counts.sum(axis=1, keepdims=True) - counts], axis=1)[..., None]
    return np.asarray(events * growth[0] + (counts.sum(axis=1)[:, None, None] - events) * growth[1])


def _years_at_the_limit(years: int, generator: np.random.Generator) -> FloatArray:
    """Alarms in each year of 12 watches of shares that are what their limits allow."""
    limits = np.tile(np.linspace(0.06, 0.9, WATCHES), (years, 1))
    growth = np.stack([_growth_by_limit(limits[:1], value) for value in EVENTS])
    streams, alarms, at_once = Streams(limits.shape), np.zeros(years), REQUESTS_A_DAY // LOOKS_A_DAY
    for _ in range(DAYS):
        streams.new_day()
        for _ in range(LOOKS_A_DAY):
            events = generator.binomial(at_once, limits)[..., None]
            alarms += streams.look(events * growth[0] + (at_once - events) * growth[1]).sum(axis=1)
    return alarms


def _chi_square_p(day: npt.NDArray[np.int64], reference: npt.NDArray[np.int64]) -> FloatArray:
    """Of the hypothesis that a day's labels are mixed as the reference's are, for each year."""
    both = np.stack([day, reference])
    totals = both.sum(axis=2, keepdims=True)
    expected = totals * both.sum(axis=0) / totals.sum(axis=0)
    return np.asarray(chi2.sf(((both - expected) ** 2 / np.maximum(expected, 1e-9)).sum(axis=(0, 2)), len(LABELS) - 1))


def _assert_streams_are_detectors() -> None:
    """A hundred days at a limit and a low threshold, so that there are alarms and new starts."""
    generator = np.random.default_rng(SEED)
    streams, one = Streams((1,), 20.0), Detector(limit=0.1, lowest=0.0, threshold=20.0)
    growth, alarms = log_growth(EVENTS, mean_at_most=0.1, lowest=0.0), 0
    for day in range(100):
        streams.new_day()
        for _ in range(3):
            events = generator.binomial(40, 0.1)
            counts = np.array([events, 40 - events], dtype=np.float64)
            one = one.advanced(day, EVENTS, counts)
            assert streams.look((counts @ growth)[None]).tolist() == [one.alarmed]
            if one.alarmed:
                one, alarms = one.restarted(), alarms + 1
            expected = -math.inf if one.log_capital is None else np.array(one.log_capital)
            assert np.allclose(streams.log_capital, expected)
    assert alarms


def _delays(simulations: int, generator: np.random.Generator) -> None:
    """Median hours from a change, at any hour of the fifteenth day, to its alarm, with a look every hour."""
    cases = (
        ("label 15 % (limit 22 %) -> 30 %", 0.15, 0.22, 0.30, (62, 7, 1)),
        ("rare class 2 % (limit 8 %) -> 12 %", 0.02, 0.08, 0.12, (104, 12, 2)),
        ("rare class 2 % (limit 8 %) -> 20 %", 0.02, 0.08, 0.20, (16, 2, 1)),
        ("fallback 12 % (limit 17 %) -> 22 %", 0.12, 0.17, 0.22, (121, 13, 2)),
    )
    print(f"\nhours to an alarm at the median of {simulations} streams; in brackets the design's")
    print(f"{'':36}{'10 an hour':>14}{'100':>14}{'1,000':>14}")
    for name, before, limit, now, design in cases:
        found = [_median_hours(before, limit, now, hourly, simulations, generator) for hourly in (10, 100, 1000)]
        print(f"{name:36}" + "".join(f"{f'{hours:.0f} ({of})':>14}" for hours, of in zip(found, design, strict=True)))


def _median_hours(
    before: float, limit: float, now: float, hourly: int, simulations: int, generator: np.random.Generator
) -> float:
    growth = log_growth(EVENTS, mean_at_most=limit, lowest=0.0)
    streams, quiet, longest = Streams((simulations,)), 14 * 24, 40 * 24
    changes = quiet + generator.integers(24, size=simulations)
    found = np.full(simulations, np.inf)
    for hour in range(quiet + longest):
        if hour % 24 == 0:
            streams.new_day()
        events = generator.binomial(hourly, np.where(hour >= changes, now, before))[:, None]
        alarmed = streams.look(events * growth[0] + (hourly - events) * growth[1])
        late = alarmed & (hour >= changes) & np.isinf(found)
        found[late] = hour + 1 - changes[late]
        if np.isfinite(found).mean() > 0.6:
            break
    return float(np.median(found))


# Agreement

AGREEMENT = beta(2.5, 0.24).ppf((np.arange(400) + 0.5) / 400)
"""Calibrated chances that student and teacher agree, 0.912 on average, as 400 equally likely values."""

HANDED_ON_BELOW = 0.8
FALL_OF_6, FALL_OF_4 = 0.06, 0.04


def _agreement(simulations: int, generator: np.random.Generator) -> None:
    """Half-widths over 20,000 requests, and days until a fall is seen, with a tolerance of 2 points."""
    mean = float(AGREEMENT.mean())
    sampled = math.sqrt(mean * (1 - mean) / 0.05)
    ways = (
        ("sampled answers alone", sampled, 1.75),
        ("with the chance of agreement", _spread(np.full_like(AGREEMENT, 0.05)), 1.52),
        ("asked where unsure", _spread(plan_asking(AGREEMENT, threshold=0.0, budget=0.05).chance(AGREEMENT)), 1.24),
        ("beside a cascade", _spread(_plan(0.05).chance(AGREEMENT)), 0.91),
    )
    handed_on = float((AGREEMENT < HANDED_ON_BELOW).mean())
    print(f"\nagreement {mean:.3f}, a cascade hands on {handed_on:.0%}; half-width over 20,000 requests, budget 5 %")
    for name, spread, points in ways:
        print(f"  {name:30}{196 * spread / math.sqrt(20_000):>6.2f} points   design {points}")
    print(f"days to see agreement fall at the median of {simulations} streams, 1,000 requests a day; (the design's)")
    print(f"{'answers a day beyond the cascade':34}" + "".join(f"{answers:>12}" for answers in (20, 50, 200, 500)))
    for fall, design in ((FALL_OF_6, (28, 14, 5, 3)), (FALL_OF_4, (77, 40, 14, 7.5))):
        found = [_median_days(answers, fall, simulations, generator) for answers in (20, 50, 200, 500)]
        cells = "".join(f"{f'{days:.0f} ({of:g})':>12}" for days, of in zip(found, design, strict=True))
        print(f"  a fall of {fall * 100:.0f} points{'':16}{cells}")
    alarms = sum(_alarms_when_stable(answers, simulations, generator) for answers in (20, 50, 200, 500))
    print(f"  alarms in {4 * simulations} streams of 120 days without a fall: {alarms}   design 0 of 240")


def _plan(budget: float) -> AskingPlan:
    return plan_asking(AGREEMENT, threshold=HANDED_ON_BELOW, budget=budget)


def _spread(chance: FloatArray) -> float:
    """Standard deviation of one request's debiased value, where the chances of agreement are true."""
    return math.sqrt(float(AGREEMENT.var() + (AGREEMENT * (1 - AGREEMENT) / chance).mean()))


def _days_of_agreement(
    answers: int, fall: float, simulations: int, generator: np.random.Generator
) -> tuple[Streams, Callable[[], BoolArray]]:
    """Streams that watch agreement, and what lets a day of 1,000 requests pass and looks.

    A request is one of 1,200 kinds: its chance of agreement; not asked, asked and agreed, asked and did not.
    """
    kept = float((AGREEMENT >= HANDED_ON_BELOW).mean())
    plan = _plan(min(1.0, answers / (1000 * kept)))
    chance, true = plan.chance(AGREEMENT), AGREEMENT * (1 - fall / AGREEMENT.mean())
    yes, no = np.ones(len(AGREEMENT), dtype=np.bool_), np.zeros(len(AGREEMENT), dtype=np.bool_)
    kinds = ((no, no, 1 - chance), (yes, yes, chance * true), (yes, no, chance * (1 - true)))
    values = np.concatenate([debiased_disagreement(AGREEMENT, chance, asked, agreed) for asked, agreed, _ in kinds])
    rates = np.concatenate([rate for *_, rate in kinds]) / len(AGREEMENT)
    limit = 1 - (float(AGREEMENT.mean()) - 0.02)
    growth = log_growth(values, mean_at_most=limit, lowest=plan.lowest_disagreement)
    streams = Streams((simulations,))

    def pass_a_day() -> BoolArray:
        streams.new_day()
        return streams.look(generator.multinomial(1000, rates, size=simulations) @ growth)

    return streams, pass_a_day


def _median_days(answers: int, fall: float, simulations: int, generator: np.random.Generator) -> float:
    """A release that is worse from its first day on: a detector begins with it."""
    _, pass_a_day = _days_of_agreement(answers, fall, simulations, generator)
    found = np.full(simulations, np.inf)
    for day in range(1, 400):
        found = np.where(pass_a_day() & np.isinf(found), day, found)
        if np.isfinite(found).mean() > 0.6:
            break
    return float(np.median(found))


def _alarms_when_stable(answers: int, simulations: int, generator: np.random.Generator) -> int:
    _, pass_a_day = _days_of_agreement(answers, 0.0, simulations, generator)
    return int(sum(pass_a_day().sum() for _ in range(120)))


# The cascade's threshold

MARGIN, DELTA = 0.02, 0.10
WORLD = beta(3.0, 0.53)
"""Confidences of a student that is right with the chance it says, 85 % on average."""

TEACHER_RIGHT = (0.02, 0.5)
"""The teacher is wrong on 2 % of the rows that the student gets right, and right on half of those it does not."""


def _cascade(resamples: int, generator: np.random.Generator, promises: Promises) -> None:
    """How often the threshold drops by more than the margin in truth, and what it hands on."""
    confidence = WORLD.ppf((np.arange(200_000) + 0.5) / 200_000)
    wrong, right = TEACHER_RIGHT
    drops = np.cumsum(((1 - confidence) * right - confidence * wrong)[::-1])[::-1] / len(confidence)
    oracle = float((drops >= MARGIN).mean())

    def true_drop(threshold: float) -> float:
        place = int(np.searchsorted(confidence, threshold))
        return float(drops[place]) if place < len(drops) else 0.0

    print(f"\ncascade: margin 2 points, delta 10 %, {resamples} calibrations; an oracle hands on {oracle:.0%}")
    print(f"{'rows':>6}{'handed on':>12}{'margin broken':>15}{'by measured drop':>18}   design: handed on, broken")
    for rows, design in ((300, "41 %, 7.6 %"), (1000, "28 %, 9.2 %"), (3000, "25 %, 5.6 %")):
        handed_on, broken, naive = [], 0, 0
        for _ in range(resamples):
            sure = WORLD.rvs(rows, random_state=generator)
            student = generator.random(rows) < sure
            teacher = np.where(student, generator.random(rows) >= wrong, generator.random(rows) < right)
            found = cascade_threshold(sure, teacher, student, margin=MARGIN, delta=DELTA)
            handed_on.append(found.handed_on)
            broken += found.threshold is not None and true_drop(found.threshold) >= MARGIN
            measured = [np.mean((sure >= each) * (teacher * 1.0 - student)) for each in THRESHOLDS]
            naive += true_drop(THRESHOLDS[np.flatnonzero(np.array(measured) < MARGIN)[-1]]) >= MARGIN
        share = broken / resamples
        error = math.sqrt(DELTA * (1 - DELTA) / resamples)
        promises.at_most(DELTA, f"margin broken after {rows} rows", share, error)
        print(f"{rows:>6,}{np.mean(handed_on):>12.0%}{share:>15.1%}{naive / resamples:>18.1%}   {design}")


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if sys.argv[1:] else SIMULATIONS))
