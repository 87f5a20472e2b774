"""A difference of two accuracies is at least what the exact limits of both leave of it."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from stillhouse.statistics.gap import Part, least_difference

parts = st.tuples(st.integers(0, 60), st.integers(1, 60)).map(lambda pair: Part("", min(pair), pair[1]))


def test_the_least_difference_is_made_of_exact_limits() -> None:
    one, other = (binomtest(right, 10).proportion_ci(0.9, "exact") for right in (9, 3))
    expected = 0.6 - math.hypot(0.9 - one.low, other.high - 0.3)
    assert least_difference(Part("", 9, 10), Part("", 3, 10), 0.05) == pytest.approx(expected)


@given(parts, parts)
def test_what_was_measured_is_never_under_its_bound(one: Part, other: Part) -> None:
    assert least_difference(one, other, 0.05) <= one.accuracy - other.accuracy + 1e-12
