"""Whether to get more rows is told from the last doubling: a climbing curve says yes, a flat one no."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import ttest_1samp

from stillhouse.error_analysis.data_scaling import SAID, RowsCurve, rows_curve
from stillhouse.statistics.verdicts import Verdict

ROWS = (250, 500, 1000)


def curve(half: float, full: float, noise: float = 0.05, asked: int = 300) -> RowsCurve:
    """Students whose divergence is so much on average, alike on most rows."""
    random = np.random.default_rng(1)
    base, spread = random.exponential(size=asked), random.normal(0, noise, asked)
    base, spread = base / base.mean(), spread - spread.mean()
    return rows_curve(ROWS, [base, half * base, full * base + spread], [0.7, 0.8, 0.85])


@pytest.mark.parametrize(
    ("half", "full", "noise", "verdict"),
    [
        (0.5, 0.38, 0.05, Verdict.PASS),
        (0.5, 0.5, 0.05, Verdict.FAIL),
        (0.5, 0.6, 0.05, Verdict.FAIL),
        # Proven and not worth its price: 4 % of what was left.
        (0.5, 0.48, 0.01, Verdict.FAIL),
        (0.5, 0.38, 3.0, Verdict.INCONCLUSIVE),
        (0.5, 0.5, 3.0, Verdict.INCONCLUSIVE),
    ],
    ids=["climbing", "flat", "falling", "hardly_climbing", "climbing_in_noise", "flat_in_noise"],
)
def test_the_curve_decides(half: float, full: float, noise: float, verdict: Verdict) -> None:
    found = curve(half, full, noise)
    assert found.verdict is verdict
    assert found.improvement == pytest.approx(half - full)
    assert found.smallest_worthwhile == pytest.approx(half / 10)
    assert found.sentence.startswith(f"{SAID[verdict]}: from 500 to 1,000 rows")


def test_bounds_are_those_of_students_t() -> None:
    random = np.random.default_rng(2)
    before, after = random.exponential(size=40), random.exponential(size=40)
    found = rows_curve((10, 20), [before, after], [0.5, 0.6])
    theirs = ttest_1samp(before - after, 0).confidence_interval(0.9)
    assert found.improvement_bounds == pytest.approx((theirs.low, theirs.high))
    assert [point.mean_kl for point in found.points] == pytest.approx([before.mean(), after.mean()])
    assert found.points[1].standard_error == pytest.approx(after.std(ddof=1) / np.sqrt(40))


def test_a_student_that_is_its_teacher_needs_no_more_rows() -> None:
    found = rows_curve((10, 20), [np.zeros(9), np.zeros(9)], [1.0, 1.0])
    assert found.verdict is Verdict.FAIL and "no divergence from the teacher left" in found.sentence


@pytest.mark.long
@given(st.floats(0.01, 100), st.floats(0.2, 1.2), st.permutations(range(30)))
def test_neither_the_unit_nor_the_order_of_rows_decides(unit: float, share: float, order: list[int]) -> None:
    random = np.random.default_rng(3)
    half = random.exponential(size=30)
    full = share * half + random.normal(0, 0.1, 30)
    said = rows_curve((1, 2), [half, full], [0.5, 0.5])
    again = rows_curve((1, 2), [unit * half[order], unit * full[order]], [0.5, 0.5])
    assert again.verdict is said.verdict


@pytest.mark.parametrize(
    ("rows", "lengths"), [((20, 10), (5, 5)), ((10, 10), (5, 5)), ((10, 20), (5, 4)), ((10, 20), (1, 1)), ((10,), (5,))]
)
def test_what_is_no_curve_is_refused(rows: tuple[int, ...], lengths: tuple[int, ...]) -> None:
    with pytest.raises(ValueError):
        rows_curve(rows, [np.ones(length) for length in lengths], [0.5] * len(rows))
