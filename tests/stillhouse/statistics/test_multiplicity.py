"""Holm's procedure against a calculation by hand."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stillhouse.statistics.multiplicity import holm, holm_levels


def test_holm_matches_a_hand_calculation() -> None:
    # Sorted: .01 x 4, .02 x 3, .03 x 2 (kept at .06), .04 x 1 (kept at .06).
    assert holm([0.04, 0.01, 0.03, 0.02]) == pytest.approx([0.06, 0.04, 0.06, 0.06])
    assert holm([]) == []


@given(p_values=st.lists(st.floats(0, 1), max_size=8))
def test_holm_levels_reject_what_holm_rejects(p_values: list[float]) -> None:
    adjusted, levels = holm(p_values), holm_levels(p_values, 0.05)
    for p, q, level in zip(p_values, adjusted, levels, strict=True):
        if abs(q - 0.05) > 1e-9:
            assert (p < level) == (q < 0.05)
