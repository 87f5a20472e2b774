"""Shares that go by the weekday: the test against other tests, the limits against what is true in simulations."""

import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy.stats import chi2_contingency, f, f_oneway, norm, t

from stillhouse.arrays import FloatArray, IntArray
from stillhouse.statistics.detector import Detector, alarm_threshold, reference_limit
from stillhouse.statistics.weekly_pattern import WeeklyPattern, weekday_p_value, weekly_pattern

MONTH = np.arange(28) % 7
WORKDAYS = MONTH < 5
WATCHES = 12


def drawn(random: np.random.Generator, share: FloatArray, rows: IntArray, *, alike: float) -> IntArray:
    """Events of each day, whose share is drawn around its mean so that two rows of one day are `alike`."""
    of_day = random.beta(share * (1 / alike - 1), (1 - share) * (1 / alike - 1)) if alike else share
    return random.binomial(rows, of_day)


def p_value(events: IntArray, rows: IntArray) -> float:
    return weekday_p_value(MONTH.tolist(), events.tolist(), rows.tolist())


def pattern_of(events: IntArray, rows: IntArray, shares: int = WATCHES) -> WeeklyPattern | None:
    return weekly_pattern(MONTH.tolist(), events.tolist(), rows.tolist(), shares=shares)


def strong(rows: int = 400, *, seed: int = 1, alike: float = 1 / 3001) -> WeeklyPattern:
    """A month of 10 % on workdays and 30 % at weekends."""
    of_day = np.full(28, rows)
    found = pattern_of(drawn(np.random.default_rng(seed), np.where(WORKDAYS, 0.1, 0.3), of_day, alike=alike), of_day)
    assert found is not None
    return found


@given(st.lists(st.integers(0, 1000), min_size=28, max_size=28))
def test_where_days_have_equally_many_rows_it_is_the_analysis_of_variance(events: list[int]) -> None:
    shares = np.array(events) / 1000
    found, usual = f_oneway(*(shares[weekday::7] for weekday in range(7))), shares.mean()
    assume(0 < usual < 1)
    within = sum(((shares[weekday::7] - shares[weekday::7].mean()) ** 2).sum() for weekday in range(7)) / 21
    assume(within * 1000 >= usual * (1 - usual))
    assert p_value(np.array(events), np.full(28, 1000)) == pytest.approx(found.pvalue, rel=1e-6, abs=1e-12)


@given(st.lists(st.integers(2, 90), min_size=7, max_size=7), st.lists(st.integers(100, 300), min_size=7, max_size=7))
def test_where_days_of_one_weekday_do_not_differ_it_is_that_of_a_contingency_table(
    events: list[int], rows: list[int]
) -> None:
    """Days that differ by nothing are still no better than independent rows: chi-square over its degrees of freedom."""
    four, of = 4 * np.array(events), 4 * np.array(rows)
    statistic = chi2_contingency(np.stack([four, of - four]), correction=False).statistic
    assert p_value(np.tile(events, 4), np.tile(rows, 4)) == pytest.approx(f.sf(statistic / 6, 6, 21), abs=1e-12)


@given(st.lists(st.integers(0, 50), min_size=28, max_size=28), st.randoms())
def test_which_way_a_share_is_counted_and_the_order_of_days_change_nothing(events: list[int], random) -> None:  # type: ignore[no-untyped-def]
    days = [(place % 7, each, 50 + place) for place, each in enumerate(events)]
    random.shuffle(days)
    weekdays, x, n = zip(*days, strict=True)
    as_it_was = weekly_pattern([*range(7)] * 4, events, range(50, 78), shares=1)
    assert weekly_pattern(weekdays, x, n, shares=1) == (
        None
        if as_it_was is None
        else as_it_was.model_copy(update={"effective_rows": pytest.approx(as_it_was.effective_rows)})
    )
    other = weekly_pattern(weekdays, [of - each for each, of in zip(x, n, strict=True)], n, shares=1)
    assert (other is None) == (as_it_was is None)
    assert weekday_p_value(weekdays, [of - each for each, of in zip(x, n, strict=True)], n) == pytest.approx(
        weekday_p_value(weekdays, x, n), rel=1e-6, abs=1e-12
    )
    if as_it_was is not None and other is not None:
        assert other.events == as_it_was.complement.events
        assert other.effective_rows == pytest.approx(as_it_was.effective_rows)


@pytest.mark.long
@pytest.mark.parametrize("alike", [0.0, 1 / 3001, 0.02])
@pytest.mark.parametrize("weekend", [2000, 200, 20_000])
def test_without_a_pattern_one_is_found_no_more_often_than_promised(alike: float, weekend: int) -> None:
    random, rows = np.random.default_rng(7), np.where(WORKDAYS, 2000, weekend)
    found = [p_value(drawn(random, np.full(28, 0.15), rows, alike=alike), rows) < 0.05 for _ in range(600)]
    assert np.mean(found) <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / 600)


def test_it_takes_a_difference_that_is_proven_and_more_than_the_tolerance_absorbs() -> None:
    many = np.full(28, 20_000)
    for spread, is_one in ((0.04, False), (0.06, True)):
        events = np.round(many * np.where(WORKDAYS, 0.15, 0.15 + spread)).astype(int)
        assert p_value(events, many) < 1e-6 and (pattern_of(events, many) is not None) is is_one
    rare = np.round(many * np.where(WORKDAYS, 0.01, 0.04)).astype(int)
    assert pattern_of(rare, many) is not None, "of a rare share the tolerance is the share itself"
    assert pattern_of(many - rare, many) is not None, "and of its complement"
    no_sundays = np.where(MONTH == 6, 0, many)
    small = np.round(no_sundays * np.where(MONTH < 3, 0.15, 0.17)).astype(int)
    assert p_value(small, no_sundays) < 1e-6 and pattern_of(small, no_sundays) is None, "no rows are no share of 0"
    random = np.random.default_rng(3)
    unlike = np.round(many * np.where(WORKDAYS, 0.15, 0.25) + many * random.normal(0, 0.1, 28)).clip(0, 20_000)
    assert pattern_of(unlike.astype(int), many) is None, "days of one weekday differ as much"
    assert weekly_pattern([*range(7)], [10] * 5 + [300] * 2, [1000] * 7, shares=1) is None, "one week shows no scatter"
    assert weekly_pattern([], [], [], shares=1) is None and weekly_pattern([0, 1], [0, 0], [0, 0], shares=1) is None
    for weekdays, events_, rows_ in (([7], [1], [2]), ([-1], [1], [2]), ([0], [3], [2]), ([0], [-1], [2])):
        with pytest.raises(ValueError, match="impossible"):
            weekly_pattern(weekdays, events_, rows_, shares=1)


def test_of_many_shares_one_has_to_be_proven_the_more() -> None:
    rows = np.full(28, 100)
    events = drawn(np.random.default_rng(7), np.where(WORKDAYS, 0.15, 0.28), rows, alike=0.02)
    assert 0.01 / WATCHES < p_value(events, rows) < 0.01
    assert pattern_of(events, rows, shares=1) is not None and pattern_of(events, rows, shares=WATCHES) is None


def test_a_weekday_counts_as_many_rows_as_its_days_are_worth() -> None:
    """By hand: days of 100 and of 300 of 1,000 rows, and their like two points up and down."""
    centre, rows = np.where(WORKDAYS, 0.1, 0.3), np.full(28, 1000)
    events = np.round(rows * (centre + 0.02 * np.where(np.arange(28) // 7 % 2, 1, -1))).astype(int)
    found = pattern_of(events, rows)
    assert found is not None
    assert (found.events, found.rows, found.degrees_of_freedom) == ((400,) * 5 + (1200,) * 2, (4000,) * 7, 21)
    pearson = sum(1000 * 0.02**2 / (each * (1 - each)) for each in centre)
    assert found.effective_rows == pytest.approx((4000 / (pearson / 21),) * 7)
    same = pattern_of(np.round(rows * centre).astype(int), rows)
    assert same is not None and same.effective_rows == (4000.0,) * 7, "never worth more than independent rows"


def test_a_limit_is_that_of_fewer_rows_and_one_error_rate_for_the_week() -> None:
    found = strong()
    above = 1 - 0.01 / (WATCHES * 7)
    kept = (norm.ppf(above) / t.ppf(above, 21)) ** 2
    for pattern in (found, found.complement):
        worth = [each * kept for each in pattern.effective_rows]
        assert pattern.limits(watches=WATCHES) == pytest.approx(
            [reference_limit(share * rows, rows, watches=7 * WATCHES)
             for share, rows in zip(pattern.shares, worth, strict=True) if share is not None]
        )  # fmt: skip
    monday, sunday = found.limits(watches=WATCHES)[0], found.limits(watches=WATCHES)[6]
    assert 0.15 < monday < 0.21 and 0.35 < sunday < 0.45
    assert strong(alike=0.01).limits(watches=WATCHES)[0] > monday, "days that scatter prove less"


def test_a_weekday_that_had_no_rows_has_the_widest_limit_and_no_share() -> None:
    rows = np.where(MONTH == 6, 0, 400)
    events = np.round(rows * np.where(WORKDAYS, 0.1, 0.3)).astype(int)
    found = pattern_of(events, rows)
    assert found is not None and found.shares[6] is None and found.degrees_of_freedom == 18
    limits = found.limits(watches=WATCHES)
    assert limits[6] == limits[5] == max(limits)


@pytest.mark.long
@pytest.mark.parametrize("weekend", [400, 40])
@pytest.mark.parametrize("alike", [0.0, 1 / 3001, 0.02])
def test_a_bound_is_below_the_true_share_as_seldom_as_promised(weekend: int, alike: float) -> None:
    """Of 4,200 weekdays at 1 % over seven; one point of a limit is the least tolerance, which is taken off again."""
    random, share, rows = np.random.default_rng(11), np.where(WORKDAYS, 0.1, 0.4), np.where(WORKDAYS, 400, weekend)
    months = [pattern_of(drawn(random, share, rows, alike=alike), rows) for _ in range(600)]
    missed = [
        limit - 0.01 < true
        for found in months
        if found is not None
        for limit, true in zip(found.limits(watches=1, tolerance=0.0), share[:7], strict=True)
    ]
    assert len(missed) > 3500
    promised = 0.01 / 7
    assert np.mean(missed) <= promised + 3 * math.sqrt(promised / len(missed))


THRESHOLD = alarm_threshold(watches=WATCHES, false_alarms_per_year=0.5)


def alarms(events: IntArray, rows: int, limits: tuple[float, ...] | float) -> list[int]:
    """The days of alarms; the first is a Monday."""
    detector, found = Detector(limit=0.5, lowest=0.0, threshold=THRESHOLD), []
    for day, each in enumerate(events):
        limit = limits if isinstance(limits, float) else limits[day % 7]
        counts = np.array([each, rows - each], dtype=np.float64)
        detector = detector.advanced(day, np.array([1.0, 0.0]), counts, limit=limit)
        if detector.alarmed:
            found.append(day)
            detector = detector.restarted()
    return found


@pytest.mark.long
def test_with_a_limit_for_each_weekday_a_pattern_is_no_alarm_and_a_shift_within_it_is_found() -> None:
    """Ten years of 10 % on workdays and 30 % at weekends, by a month of each: one limit alarms on that, or is blind."""
    rows, random, by_weekday, by_one, wide = 400, np.random.default_rng(5), list[int](), list[int](), list[int]()
    workdays_rise, weekends_fall, unseen = list[int](), list[int](), list[int]()

    def days(many: int, workday: float, weekend: float) -> IntArray:
        share = np.where(np.arange(many) % 7 < 5, workday, weekend)
        return drawn(random, share, np.full(many, rows), alike=1 / 3001)

    for seed in range(10):
        rises, falls = (month := strong(rows, seed=seed)), month.complement
        limits = [each.limits(watches=WATCHES) for each in (rises, falls)]
        one = [reference_limit(sum(each.events), sum(each.rows), watches=WATCHES) for each in (rises, falls)]
        stable, up, down = days(364, 0.10, 0.30), days(28, 0.25, 0.30), days(28, 0.10, 0.12)
        by_weekday += [*alarms(stable, rows, limits[0]), *alarms(rows - stable, rows, limits[1])]
        by_one += alarms(stable, rows, one[0])
        wide += [*alarms(stable, rows, max(limits[0])), *alarms(up, rows, max(limits[0]))]
        workdays_rise += alarms(up, rows, limits[0])[:1]
        weekends_fall += alarms(rows - down, rows, limits[1])[:1]
        unseen += alarms(rows - down, rows, one[1])
    assert by_weekday == [] and len(by_one) > 200
    assert wide == [], "one limit that lets weekends pass sees no workday that is like one"
    assert unseen == [], "and one that does not sees no weekend that is like a workday"
    assert len(workdays_rise) == len(weekends_fall) == 10
    assert np.median(workdays_rise) <= 3 and np.median(weekends_fall) <= 14


def test_days_of_one_weekday_have_nothing_to_be_compared_with() -> None:
    assert weekday_p_value([2] * 6, [1, 30, 2, 40, 3, 50], [100] * 6) == 1.0
