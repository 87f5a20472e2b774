"""Floors are proven, not just measured."""

import numpy as np
import pytest
from scipy.stats import binomtest

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
