"""A gap between parts, against exact limits and sample sizes calculated here."""

import math
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest, norm

from stillhouse.statistics.gap import (
    LEAST_LEVEL,
    GapTest,
    Part,
    PartInGroups,
    _decide,
    _rows_needed,
    gap_test,
    least_difference,
)
from stillhouse.statistics.verdicts import Verdict

parts = st.tuples(st.integers(0, 60), st.integers(1, 60)).map(lambda pair: Part("", min(pair), pair[1]))


def test_the_least_difference_is_made_of_exact_limits() -> None:
    one, other = (binomtest(right, 10).proportion_ci(0.9, "exact") for right in (9, 3))
    expected = 0.6 - math.hypot(0.9 - one.low, other.high - 0.3)
    assert least_difference(Part("", 9, 10), Part("", 3, 10), 0.05) == pytest.approx(expected)


@pytest.mark.long
@given(parts, parts)
def test_what_was_measured_is_never_under_its_bound(one: Part, other: Part) -> None:
    assert least_difference(one, other, 0.05) <= one.accuracy - other.accuracy + 1e-12


THREE = (Part("a", 180, 200), Part("b", 90, 100), Part("c", 120, 150))


def limits(part: Part, alpha: float) -> tuple[float, float]:
    found = binomtest(part.right, part.rows).proportion_ci(1 - 2 * alpha, "exact")
    return found.low, found.high


def rows_for(pooled: float, distance: float, alpha: float = 0.05) -> int:
    """Rows in each of two parts that show a distance with 80 % power: the textbook size for two proportions."""
    z = norm.ppf(1 - alpha) + norm.ppf(0.8)
    return math.ceil(2 * pooled * (1 - pooled) * (z / distance) ** 2)


@pytest.mark.long
@pytest.mark.parametrize("alpha", [0.05, 0.01])
def test_the_bounds_are_the_widest_of_all_pairs(alpha: float) -> None:
    found = gap_test(THREE, limit=0.2, alpha=alpha).measured
    assert found is not None
    uppers, lowers = {}, []
    for one, other in permutations(THREE, 2):
        difference = one.accuracy - other.accuracy
        far = math.hypot(limits(one, alpha)[1] - one.accuracy, other.accuracy - limits(other, alpha)[0])
        uppers[one.name, other.name] = difference + far
        near = math.hypot(one.accuracy - limits(one, alpha / 6)[0], limits(other, alpha / 6)[1] - other.accuracy)
        lowers.append(difference - near)
    assert found.upper_bound == pytest.approx(max(uppers.values()))
    assert found.least_certain == max(uppers, key=lambda pair: uppers[pair])
    assert found.lower_bound == pytest.approx(max(0.0, *lowers))
    assert (found.best, found.worst, found.gap) == ("a", "c", pytest.approx(0.1))
    assert (found.best_accuracy, found.worst_accuracy) == (0.9, 0.8)


@pytest.mark.parametrize(
    ("one", "other", "verdict"),
    [
        ((900, 1000), (895, 1000), Verdict.PASS),
        ((950, 1000), (800, 1000), Verdict.FAIL),  # proven by the lower bound
        ((900, 1000), (845, 1000), Verdict.FAIL),  # measured, on rows enough for two equal parts to have passed
        ((270, 300), (253, 300), Verdict.INCONCLUSIVE),  # the same gap on too few rows
        ((900, 1000), (870, 1000), Verdict.INCONCLUSIVE),
    ],
)
def test_a_gap_is_within_the_limit_beyond_it_or_not_known(
    one: tuple[int, int], other: tuple[int, int], verdict: Verdict
) -> None:
    first, second = Part("one", *one), Part("other", *other)
    for parts_in_any_order in ((first, second), (second, first)):
        found = gap_test(parts_in_any_order, limit=0.05)
        assert found.verdict is verdict
        assert found.measured is not None
        assert (found.measured.rows_needed is not None) == (verdict is Verdict.INCONCLUSIVE)
        assert (found.measured.best, found.measured.worst) == ("one", "other")
    assert (found.limit, found.alpha, found.too_few_rows) == (0.05, 0.05, ())


def test_equal_parts_on_so_many_rows_as_were_asked_for_would_have_passed() -> None:
    pooled = (270 + 253) / 600
    few = gap_test([Part("one", 270, 300), Part("other", 253, 300)], limit=0.05).measured
    assert few is not None and few.rows_needed == rows_for(pooled, 0.05)
    near = gap_test([Part("one", 900, 1000), Part("other", 870, 1000)], limit=0.05).measured
    assert near is not None and near.rows_needed == rows_for(0.885, 0.05 - 0.03)


def test_rows_enough_are_those_of_the_smaller_part_mostly() -> None:
    """The harmonic mean of the two sizes counts; of 2,000 and 320 rows it is 552."""
    one, other = Part("one", 1800, 2000), Part("other", 270, 320)
    pooled = (1800 + 270) / 2320
    enough = rows_for(pooled, 0.0512)
    assert pytest.approx(551.7, abs=0.1) == 2 / (1 / 2000 + 1 / 320) and enough < 551
    assert gap_test([one, other], limit=0.0512).verdict is Verdict.FAIL
    assert gap_test([one, Part("other", 185, 219)], limit=0.0512).verdict is Verdict.INCONCLUSIVE


def test_a_lucky_sample_is_not_planned_with() -> None:
    """Parts without a miss are planned for as if half the limit were missed, and those without a hit likewise."""
    for right in (0, 10):
        found = gap_test([Part("one", right, 10), Part("other", right, 10)], limit=0.2).measured
        assert found is not None and found.gap == 0.0
        assert found.rows_needed == rows_for(0.1, 0.2)


def test_a_pair_that_is_measured_beyond_the_limit_needs_no_number_of_rows() -> None:
    assert _rows_needed(Part("", 900, 1000), Part("", 840, 1000), 0.05, 0.05) is None
    assert _rows_needed(Part("", 840, 1000), Part("", 900, 1000), 0.05, 0.05) is None
    assert _rows_needed(Part("", 1, 2), Part("", 0, 2), 0.5, 0.05) == rows_for(0.25, 0.5)


def verdict_and_too_few(*parts: Part, fewest: int) -> tuple[Verdict, tuple[str, ...], bool]:
    found: GapTest = gap_test(parts, limit=0.05, fewest_rows=fewest)
    return found.verdict, found.too_few_rows, found.measured is None


def test_a_part_with_too_few_rows_withholds_a_pass_and_no_failure() -> None:
    good, same, bad = (Part(name, right, 1000) for name, right in (("a", 900), ("b", 895), ("c", 700)))
    small = Part("small", 9, 9)
    assert verdict_and_too_few(good, same, fewest=1000) == (Verdict.PASS, (), False)
    assert verdict_and_too_few(good, same, small, fewest=10) == (Verdict.INCONCLUSIVE, ("small",), False)
    assert verdict_and_too_few(good, bad, small, fewest=10) == (Verdict.FAIL, ("small",), False)
    assert verdict_and_too_few(good, small, fewest=10) == (Verdict.INCONCLUSIVE, ("small",), True)
    withheld = gap_test([good, same, small], limit=0.05, fewest_rows=10).measured
    assert withheld is not None and withheld.rows_needed is None, "more rows of the compared parts would not help"


@pytest.mark.parametrize("limit", [0.0, 1.0, -0.1])
def test_a_limit_is_a_fraction(limit: float) -> None:
    with pytest.raises(ValueError, match="limit must be a fraction"):
        gap_test(THREE, limit=limit)
    with pytest.raises(ValueError, match="alpha"):
        gap_test(THREE, limit=0.1, alpha=0.5)


def test_one_part_without_a_hit_or_a_miss_has_a_limit_of_its_own() -> None:
    all_right, none_right = Part("", 10, 10), Part("", 0, 10)
    assert (all_right.upper(0.05), none_right.lower(0.05)) == (1.0, 0.0)
    assert all_right.lower(0.05) == pytest.approx(0.05 ** (1 / 10))
    assert none_right.upper(0.05) == pytest.approx(1 - 0.05 ** (1 / 10))


@pytest.mark.parametrize(
    ("gap", "upper", "lower", "fair_chance", "verdict"),
    [
        (0.02, 0.05, 0.0, True, Verdict.PASS),  # up to the limit is within it
        (0.05, 0.06, 0.05, True, Verdict.INCONCLUSIVE),  # and no gap of the limit itself is beyond it
        (0.051, 0.06, 0.0, True, Verdict.FAIL),
        (0.051, 0.06, 0.0, False, Verdict.INCONCLUSIVE),
        (0.07, 0.09, 0.051, False, Verdict.FAIL),
    ],
)
def test_the_limit_itself_is_within_it(
    gap: float, upper: float, lower: float, fair_chance: bool, verdict: Verdict
) -> None:
    assert _decide(gap, upper, lower, 0.05, fair_chance) is verdict


def in_groups(name: str, shares: list[float], *, rows: int = 10, together: bool = True) -> PartInGroups:
    """Groups of so many rows, of each of which a share is right."""
    correct = np.concatenate([np.arange(rows) < round(share * rows) for share in shares])
    codes = np.repeat(np.arange(len(shares)), rows)
    return PartInGroups.of(name, correct, codes if together else np.arange(len(codes)))


def test_where_each_row_is_a_group_of_its_own_the_limits_are_about_the_exact_ones() -> None:
    part, exact = in_groups("a", [0.9] * 30, together=False), Part("a", 270, 300)
    assert (part.right, part.rows, part.accuracy) == (270, 300, 0.9)
    assert part.lower(0.05) == pytest.approx(exact.lower(0.05), abs=0.006)
    assert part.upper(0.05) == pytest.approx(exact.upper(0.05), abs=0.006)


def test_rows_that_stand_and_fall_together_prove_less_of_a_gap() -> None:
    """Of 40 groups in each part two lose all rows, or of 400 rows 20: equal parts, and no gap."""
    shares = [0.0] * 2 + [1.0] * 38
    alone = gap_test([Part(name, 380, 400) for name in "ab"], limit=0.06)
    whole = gap_test([in_groups(name, shares) for name in "ab"], limit=0.06)
    assert (alone.verdict, whole.verdict) == (Verdict.PASS, Verdict.INCONCLUSIVE)
    assert whole.measured is not None and whole.measured.gap == 0
    many = whole.measured.rows_needed
    assert many is not None and many > 400
    times = -(-many // 400)
    assert gap_test([in_groups(name, shares * times) for name in "ab"], limit=0.06).verdict is Verdict.PASS


def test_a_gap_by_groups_fails_by_its_lower_bound_alone() -> None:
    """Ten groups of 60 lose everything, where row by row the measured gap is enough on so many rows."""
    good, bad = [1.0] * 60, [0.0] * 10 + [1.0] * 50
    assert gap_test([Part("good", 600, 600), Part("bad", 500, 600)], limit=0.12).verdict is Verdict.FAIL
    near = gap_test([in_groups("good", good), in_groups("bad", bad)], limit=0.12)
    assert near.verdict is Verdict.INCONCLUSIVE and near.measured is not None and near.measured.rows_needed is None
    assert gap_test([in_groups("good", good), in_groups("bad", bad * 2)], limit=0.05).verdict is Verdict.FAIL


def test_a_part_in_few_groups_withholds_a_pass_and_is_named() -> None:
    good, few = in_groups("good", [1.0] * 200), in_groups("few", [1.0] * 19)
    found = gap_test([good, in_groups("as good", [1.0] * 200), few], limit=0.05)
    assert (found.verdict, found.too_few_groups, found.too_few_rows) == (Verdict.INCONCLUSIVE, ("few",), ())
    assert found.measured is not None and found.measured.upper_bound <= 0.05
    assert gap_test([good, few], limit=0.05).measured is None
    assert gap_test([good, in_groups("enough", [1.0] * 20)], limit=0.5).verdict is Verdict.PASS
    assert GapTest.model_validate_json(found.model_dump_json()) == found
    assert "too_few_groups" not in gap_test([good, good], limit=0.5).model_dump()


def test_limits_of_many_parts_are_of_no_more_resamples_than_one_can_wait_for() -> None:
    part = in_groups("a", [0.5, 1.0] * 20)
    assert part.lower(LEAST_LEVEL / 50) == part.lower(LEAST_LEVEL) < part.lower(0.05)
