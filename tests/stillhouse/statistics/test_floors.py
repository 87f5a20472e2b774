"""Floors are proven, not just measured."""

import math

import numpy as np
import pytest
from scipy.stats import binomtest, norm

from stillhouse.statistics.floors import floor_test, floor_test_by_groups
from stillhouse.statistics.verdicts import Verdict


def test_bounds_are_clopper_pearson() -> None:
    result = floor_test(95, 100, 0.9, resolution=0.03)
    assert result.lower_bound == pytest.approx(binomtest(95, 100, alternative="greater").proportion_ci(0.95).low)
    assert result.upper_bound == pytest.approx(binomtest(95, 100, alternative="less").proportion_ci(0.95).high)


@pytest.mark.parametrize(
    ("successes", "rows", "verdict"),
    [
        (980, 1000, Verdict.PASS),
        (800, 1000, Verdict.FAIL),
        (895, 1000, Verdict.FAIL),  # under the floor on enough rows to have shown a good student
        (9, 10, Verdict.INCONCLUSIVE),
        (25, 25, Verdict.INCONCLUSIVE),  # 0.9^25 = 7 %: a student at the floor manages that too often
        (29, 29, Verdict.PASS),  # 0.9^29 = 4.7 %
        (0, 0, Verdict.INCONCLUSIVE),
        (905, 1000, Verdict.INCONCLUSIVE),
    ],
)
def test_verdicts(successes: int, rows: int, verdict: Verdict) -> None:
    result = floor_test(successes, rows, 0.9, resolution=0.03)
    assert result.verdict is verdict
    assert (result.rows_needed is not None) == (verdict is Verdict.INCONCLUSIVE)
    assert result.rows_needed is None or result.rows_needed > rows


@pytest.mark.parametrize(("rows_of_a_group", "verdict"), [(1, Verdict.PASS), (30, Verdict.INCONCLUSIVE)])
def test_rows_that_are_wrong_together_are_less_evidence_of_a_floor(rows_of_a_group: int, verdict: Verdict) -> None:
    """60 of 1,200 rows are wrong: two whole groups of 30, or 60 rows of 1,200."""
    correct = np.arange(1200) >= 60
    result = floor_test_by_groups(correct, np.arange(1200) // rows_of_a_group, 0.93)
    assert result.verdict is verdict
    assert result.lower_bound < 0.95 < result.upper_bound


def test_single_rows_as_groups_give_about_the_exact_bounds() -> None:
    correct = np.arange(1000) >= 100
    exact = floor_test(900, 1000, 0.85, resolution=0.03)
    resampled = floor_test_by_groups(correct, np.arange(1000), 0.85)
    assert resampled.verdict is exact.verdict is Verdict.PASS
    assert resampled.lower_bound == pytest.approx(exact.lower_bound, abs=0.004)
    assert resampled.upper_bound == pytest.approx(exact.upper_bound, abs=0.004)


def rows_for(floor: float, distance: float, alpha: float = 0.05) -> float:
    """Rows that show a student so far above the floor with 80 % power."""
    return floor * (1 - floor) * ((norm.ppf(1 - alpha) + norm.ppf(0.8)) / distance) ** 2


def test_so_many_rows_are_needed_as_would_show_a_student_a_resolution_above_the_floor() -> None:
    few = floor_test(80, 100, 0.8, resolution=0.05)
    assert few.rows_needed == math.ceil(rows_for(0.8, 0.05))
    assert floor_test(80, 100, 0.8, resolution=0.05, alpha=0.01).rows_needed == math.ceil(rows_for(0.8, 0.05, 0.01))
    only_by_luck = floor_test(9, 10, 0.9, resolution=0.5)
    assert only_by_luck.rows_needed == math.ceil(math.log(0.05) / math.log(0.9)), "29 right in a row are the fewest"


def test_with_rows_enough_the_measured_distance_decides_how_many_more() -> None:
    near = floor_test(905, 1000, 0.9, resolution=0.03)
    assert near.verdict is Verdict.INCONCLUSIVE
    assert near.rows_needed == math.ceil(rows_for(0.9, 0.005))
    at_the_floor = floor_test(900, 1000, 0.9, resolution=0.03)
    assert at_the_floor.verdict is Verdict.INCONCLUSIVE
    assert at_the_floor.rows_needed == pytest.approx(math.ceil(rows_for(0.9, 1 / 1000)), abs=1)


def test_under_the_floor_is_a_failure_from_the_rows_on_that_were_enough() -> None:
    needed = math.ceil(rows_for(0.8, 0.05))
    right = math.floor(0.79 * needed)
    assert floor_test(right, needed, 0.8, resolution=0.05).verdict is Verdict.FAIL
    fewer = floor_test(right - 1, needed - 1, 0.8, resolution=0.05)
    assert (fewer.verdict, fewer.rows_needed) == (Verdict.INCONCLUSIVE, needed)
    assert floor_test(10, 100, 0.8, resolution=0.05).verdict is Verdict.FAIL, "the upper bound alone shows it"


def test_a_set_without_a_hit_or_a_miss_has_a_bound_of_its_own() -> None:
    none, every, empty = (floor_test(right, rows, 0.5, resolution=0.1) for right, rows in ((0, 5), (5, 5), (0, 0)))
    assert (none.lower_bound, none.upper_bound) == (0.0, pytest.approx(1 - 0.05 ** (1 / 5)))
    assert (every.lower_bound, every.upper_bound) == (pytest.approx(0.05 ** (1 / 5)), 1.0)
    assert (empty.lower_bound, empty.upper_bound, empty.verdict) == (0.0, 1.0, Verdict.INCONCLUSIVE)
    assert empty.rows_needed == math.ceil(rows_for(0.5, 0.1))


@pytest.mark.parametrize(
    ("counts", "change", "message"),
    [
        ((-1, 10), {}, "impossible"),
        ((11, 10), {}, "impossible"),
        ((5, 10), {"floor": 0.0}, "impossible"),
        ((5, 10), {"floor": 1.0}, "impossible"),
        ((5, 10), {"resolution": 0.0}, "impossible"),
        ((5, 10), {"resolution": 1.0}, "impossible"),
        ((5, 10), {"alpha": 0.5}, "alpha"),
    ],
)
def test_what_makes_no_sense_is_refused(counts: tuple[int, int], change: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        floor_test(*counts, **{"floor": 0.9, "resolution": 0.03, **change})


@pytest.mark.long
def test_a_floor_of_whole_groups_says_what_it_rests_on() -> None:
    found = floor_test_by_groups(np.arange(1200) >= 60, np.arange(1200) // 30, 0.93)
    assert (found.floor, found.groups) == (0.93, 40)
    assert found.rows_needed is not None and found.rows_needed > 1200
    wrong = floor_test_by_groups(np.arange(1200) < 60, np.arange(1200) // 30, 0.93)
    assert wrong.verdict is Verdict.FAIL and wrong.upper_bound < 0.93
    strict = floor_test_by_groups(np.arange(1200) >= 60, np.arange(1200), 0.93, alpha=0.001)
    assert strict.lower_bound < floor_test_by_groups(np.arange(1200) >= 60, np.arange(1200), 0.93).lower_bound
