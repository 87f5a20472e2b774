"""How many answers may change before somebody has to look: an exact bound on what changes by itself."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom, binomtest

from stillhouse.teachers.flips import flips, flips_by_chance, heard_twice
from stillhouse.teachers.stored import Failure


def said(**answers: str | None) -> pl.DataFrame:
    return pl.DataFrame(
        [(name, answer) for name, answer in answers.items()],
        schema={"prompt_id": pl.String, "answer": pl.String},
        orient="row",
    )


def test_no_answer_is_an_answer_of_its_own_and_order_does_not_matter() -> None:
    before = said(a="x", b="y", c=None, d=None, e="x")
    assert flips(before, said(e="y", d="x", c=None, b="y", a="x", z="x")) == 2
    assert flips(before, before) == 0


def test_what_a_server_turned_away_then_or_now_is_not_compared() -> None:
    """A reply that is none is one: a model that refuses now answers otherwise than it did."""
    failures = {"a": None, "b": Failure.TURNED_AWAY.value, "c": Failure.REFUSED.value, "d": None}
    before = said(a="x", b=None, c=None, d="x").with_columns(failure=pl.Series([*failures.values()]))
    after = said(a="y", b="y", c="y", d=None).with_columns(
        failure=pl.Series([None, None, None, Failure.TURNED_AWAY.value])
    )
    heard = heard_twice(before, after)
    assert heard["prompt_id"].to_list() == ["a", "c"] and flips(heard, after) == 2


def test_two_numbers_within_the_tolerance_are_one_answer() -> None:
    before = said(a="1", b="1", c=None, d=None, e="2")
    after = said(a="1.5", b="1.6", c=None, d="1", e=None)
    assert (flips(before, after, 0.5), flips(before, after)) == (3, 4)


@pytest.mark.parametrize(("seen", "of"), [(0, 100), (3, 100), (20, 60), (59, 60)])
def test_the_bound_is_that_of_an_exact_test(seen: int, of: int) -> None:
    upper = binomtest(seen, of, alternative="less").proportion_ci(0.95, method="exact").high
    found = flips_by_chance(48, seen=seen, of=of)
    assert binom.sf(found, 48, upper) <= 1e-3 < binom.sf(found - 1, 48, upper)


def test_a_pilot_that_saw_none_change_lets_six_of_48_and_one_that_saw_all_change_lets_all() -> None:
    assert flips_by_chance(48, seen=0, of=100) == 6
    assert flips_by_chance(48, seen=7, of=7) == 48


@pytest.mark.long
@given(st.integers(1, 200), st.integers(1, 150), st.data())
def test_more_seen_allows_more_and_more_asked_twice_allows_less(prompts: int, of: int, data: st.DataObject) -> None:
    seen = data.draw(st.integers(0, of - 1))
    found = flips_by_chance(prompts, seen=seen, of=of)
    assert 0 <= found <= prompts
    assert found <= flips_by_chance(prompts, seen=seen + 1, of=of)
    assert flips_by_chance(prompts, seen=seen, of=2 * of) <= found


@pytest.mark.long
@pytest.mark.parametrize(("by_itself", "found_at_least"), [(0.0, 0.99), (0.02, 0.9), (0.1, 0.5)])
def test_an_honest_server_alarms_less_than_once_in_200_days_and_a_changed_one_soon(
    by_itself: float, found_at_least: float
) -> None:
    """Changed is one of which three in ten answers are others, beside those that change by themselves."""
    random = np.random.default_rng(20261127)
    allowed = [flips_by_chance(48, seen=int(seen), of=100) for seen in random.binomial(100, by_itself, 2000)]
    alarms = random.binomial(48, by_itself, 2000) > allowed
    found = random.binomial(48, 0.3 + 0.7 * by_itself, 2000) > allowed
    assert alarms.mean() < 1 / 200
    assert found.mean() > found_at_least
