"""Rarefaction against sums by hand, all samples of a small population, and draws."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stillhouse.statistics.diversity import expected_distinct

small = st.lists(st.integers(1, 4), min_size=1, max_size=4)


@given(small, st.data())
def test_it_is_the_mean_over_all_samples(counts: list[int], data: st.DataObject) -> None:
    things = [number for number, count in enumerate(counts) for _ in range(count)]
    draws = data.draw(st.integers(0, len(things)))
    samples = [len(set(sample)) for sample in combinations(things, draws)]
    assert expected_distinct(np.array(counts), draws) == pytest.approx(np.mean(samples))


def test_large_counts_keep_their_digits() -> None:
    # Two things that are equally often there: each is missed with a chance near 2 ** -draws.
    many = np.array([10_000_000, 10_000_000])
    assert expected_distinct(many, 10) == pytest.approx(2 - 2 * 0.5**10, rel=1e-6)
    assert expected_distinct(many, 20_000_000) == 2


@pytest.mark.parametrize(("counts", "draws"), [([1, 2], 4), ([1, 2], -1), ([1, 0], 1)])
def test_what_cannot_be_drawn_is_refused(counts: list[int], draws: int) -> None:
    with pytest.raises(ValueError, match=f"{draws} draws from counts of {sum(counts)} in all"):
        expected_distinct(np.array(counts), draws)


def test_nothing_holds_nothing() -> None:
    assert expected_distinct(np.array([], dtype=np.int64), 0) == 0
