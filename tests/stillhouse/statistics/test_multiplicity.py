"""Holm's procedure against a calculation by hand."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stillhouse.statistics.multiplicity import holm, holm_levels


def test_holm_matches_a_hand_calculation() -> None:
    # Sorted: .01 x 4, .02 x 3, .03 x 2 (kept at .06), .04 x 1 (kept at .06).
    assert holm([0.04, 0.01, 0.03, 0.02]) == pytest.approx([0.06, 0.04, 0.06, 0.06])
    assert holm([]) == []


@pytest.mark.long
@given(p_values=st.lists(st.floats(0, 1), max_size=8))
def test_holm_levels_reject_what_holm_rejects(p_values: list[float]) -> None:
    adjusted, levels = holm(p_values), holm_levels(p_values, 0.05)
    for p, q, level in zip(p_values, adjusted, levels, strict=True):
        if abs(q - 0.05) > 1e-9:
            assert (p < level) == (q < 0.05)


def test_holm_levels_are_those_of_a_hand_calculation() -> None:
    # Four tests: 0.05 / 4, / 3, then / 2, at which 0.03 is not rejected; the last keeps that level.
    assert holm_levels([0.04, 0.01, 0.03, 0.012], 0.05) == pytest.approx([0.025, 0.05 / 4, 0.025, 0.05 / 3])
    assert holm_levels([0.05], 0.05) == [0.05] and holm_levels([], 0.05) == []
    at_its_level = holm_levels([0.025, 0.03], 0.05)
    assert at_its_level == [0.025, 0.025], "a p-value at its level is not below it, so the procedure stops"


def test_an_adjusted_p_value_is_no_more_than_one() -> None:
    assert holm([0.9, 0.8]) == [1.0, 1.0] and holm([0.0, 1.0]) == [0.0, 1.0]


@pytest.mark.parametrize("bad", [-0.1, 1.1, float("nan")])
def test_what_is_no_p_value_is_refused(bad: float) -> None:
    for adjust in (holm, lambda p_values: holm_levels(p_values, 0.05)):
        with pytest.raises(ValueError, match=r"p-values must be in \[0, 1\]"):
            adjust([0.5, bad])
    with pytest.raises(ValueError, match="alpha"):
        holm_levels([0.5], 0.5)
