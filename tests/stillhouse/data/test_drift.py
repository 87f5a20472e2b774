"""A shift is reported when it is large and real, and only then."""

import numpy as np
import numpy.typing as npt
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.distance import jensenshannon

from stillhouse.data.drift import distribution_shift, length_shift
from stillhouse.recipe.data import DIVERGENCE_LIMIT

NAMES = ["HUM", "LOC", "NUM", "DESC", "ENTY", "ABBR"]
MIX = np.array([0.4, 0.2, 0.15, 0.1, 0.1, 0.05])
values = st.lists(st.sampled_from(["a", "b", "c", None]), min_size=1, max_size=30)


def column(counts: dict[str | None, int]) -> pl.Series:
    return pl.Series([name for name, count in counts.items() for _ in range(count)], dtype=pl.String)


def drawn(rng: np.random.Generator, shares: npt.NDArray[np.float64], rows: int) -> pl.Series:
    return pl.Series(rng.choice(len(shares), p=shares, size=rows)).cast(pl.String)


def series(items: list[str | None]) -> pl.Series:
    return pl.Series(items, dtype=pl.String)


def test_the_same_mix_has_no_divergence_whatever_the_sizes() -> None:
    shift = distribution_shift(column({"x": 30, "y": 10}), column({"x": 3, "y": 1}))
    assert shift.divergence == 0
    assert not shift.exceeds(0)
    assert (shift.reference_rows, shift.observed_rows) == (40, 4)


def test_a_label_at_a_tenth_instead_of_two_fifths_is_found_and_named() -> None:
    others = [100, 75, 50, 50, 25]  # of 300, in the proportions of the reference
    shift = distribution_shift(
        column(dict(zip(NAMES, (MIX * 2000).astype(int), strict=True))),
        column({"HUM": 30, **dict(zip(NAMES[1:], (np.array(others) * 0.9).astype(int), strict=True))}),
    )
    # By hand, as the others keep their proportions: H(0.25) - (H(0.4) + H(0.1)) / 2 = 0.8113 - (0.9710 + 0.4690) / 2.
    assert shift.divergence == pytest.approx(0.0913, abs=0.002)
    assert shift.divergence > 4 * DIVERGENCE_LIMIT
    assert shift.exceeds()
    assert (shift.worst, shift.reference_share) == ("HUM", 0.4)
    assert shift.observed_share == pytest.approx(0.1, abs=0.002)


def test_what_only_one_side_has_counts_nulls_too() -> None:
    apart = distribution_shift(column({"x": 200}), column({"y": 150, None: 50}))
    assert apart.divergence == 1
    gone = distribution_shift(column({"x": 190, "y": 10}), column({"x": 200}))
    assert (gone.worst, gone.reference_share, gone.observed_share) == ("y", 0.05, 0)
    missing = distribution_shift(column({"x": 200}), column({"x": 100, None: 100}))
    assert (missing.worst, missing.exceeds()) == ("(missing)", True)


@pytest.mark.long
def test_values_without_end_are_compared_in_bounded_memory() -> None:
    ids = pl.Series(range(20_000))
    shift = distribution_shift(ids, pl.Series(range(20_000, 40_000)))
    assert shift.reference_share == pytest.approx(1, abs=0.06)
    many = distribution_shift(pl.concat([pl.Series([-1] * 5_000), ids]), pl.concat([pl.Series([-2] * 5_000), ids]))
    assert many.exceeds()
    assert many.worst in {"-1", "-2"}


@pytest.mark.parametrize(("before", "after"), [([], ["x"]), (["x"], [])])
def test_no_rows_have_no_mix(before: list[str | None], after: list[str | None]) -> None:
    with pytest.raises(ValueError, match="no mix to compare"):
        distribution_shift(series(before), series(after))
    with pytest.raises(ValueError, match=r"no (mix|length) to compare"):
        length_shift(series(before), series(after))


@pytest.mark.long
@given(values, values)
def test_the_divergence_is_that_of_scipy_and_the_sides_may_be_swapped(
    before: list[str | None], after: list[str | None]
) -> None:
    shift, back = (distribution_shift(series(a), series(b)) for a, b in ((before, after), (after, before)))
    names = ["a", "b", "c", None]
    oracle = jensenshannon([before.count(n) for n in names], [after.count(n) for n in names], base=2) ** 2
    assert shift.divergence == pytest.approx(oracle, abs=1e-9)
    assert 0 <= shift.divergence <= 1
    assert (back.divergence, back.chance) == (pytest.approx(shift.divergence), shift.chance)


@pytest.mark.long
@given(values, values)
def test_order_and_names_do_not_matter(before: list[str | None], after: list[str | None]) -> None:
    shift = distribution_shift(series(before), series(after))
    mixed = distribution_shift(series(sorted(before, key=str)), series(sorted(after, key=str, reverse=True)))
    assert mixed == shift
    renamed = {"a": "z", "b": None, "c": "b", None: "c"}
    other = distribution_shift(series([renamed[v] for v in before]), series([renamed[v] for v in after]))
    assert (other.divergence, other.chance) == (pytest.approx(shift.divergence), shift.chance)


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.parametrize("shares", [MIX, np.full(50, 0.02)], ids=["6 labels", "50 labels"])
def test_an_unchanged_mix_rarely_alarms_at_any_size(shares: npt.NDArray[np.float64]) -> None:
    rng = np.random.default_rng(0)
    reference = drawn(rng, shares, 5_000)
    shifts = [
        distribution_shift(reference, drawn(rng, shares, int(rows))) for rows in rng.integers(50, 2_000, size=500)
    ]
    assert sum(shift.exceeds() for shift in shifts) <= 5
    # Once in a thousand is what `chance` promises without a limit; five of 500 have a probability of 0.0002.
    assert sum(shift.exceeds(0) for shift in shifts) < 5
    # Without `chance` most small batches of many labels would alarm.
    if len(shares) == 50:
        assert all(shift.divergence > DIVERGENCE_LIMIT for shift in shifts if shift.observed_rows < 200)


def texts(rng: np.random.Generator, rows: int, factor: float = 1.0) -> pl.Series:
    return pl.Series(["x" * int(factor * length) for length in rng.lognormal(4, 0.5, rows)])


@pytest.mark.long
def test_lengths_that_are_unchanged_rarely_alarm_and_halved_ones_do() -> None:
    rng = np.random.default_rng(0)
    reference = texts(rng, 2_000)
    shifts = [length_shift(reference, texts(rng, int(rows))) for rows in rng.integers(50, 1_000, size=100)]
    assert sum(shift.exceeds() for shift in shifts) <= 1
    assert length_shift(reference, texts(rng, 100, 0.5)).exceeds()
    assert length_shift(reference, pl.Series(["x" * 50, None] * 100)).worst == "(missing)"


def test_bins_hold_a_tenth_of_the_reference_and_are_named_by_their_ends() -> None:
    reference = pl.Series(["x" * length for length in range(1, 101)])
    shift = length_shift(reference, pl.Series(["x" * 95] * 50))
    assert (shift.worst, shift.reference_share, shift.observed_share) == ("91 to 100 characters", 0.1, 1)
    same = pl.Series(["x" * 40] * 100)
    assert length_shift(same, same).divergence == 0
    for other, name in (("x" * 39, "up to 39 characters"), ("x" * 41, "more than 40 characters")):
        shorter = length_shift(same, pl.Series([other] * 100))
        assert shorter.divergence == 1
        assert {shorter.worst, name, "40 to 40 characters"} == {name, "40 to 40 characters"}
