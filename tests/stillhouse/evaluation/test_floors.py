"""Floors are proven, not just measured."""

import pytest
from scipy.stats import binomtest

from stillhouse.evaluation.floors import floor_test
from stillhouse.evaluation.statistics import Verdict


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
