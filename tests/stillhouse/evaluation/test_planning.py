"""Which claims a golden set can support."""

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stillhouse.evaluation.planning import EVERYTHING, plan
from stillhouse.recipe.bar import BarSpec, SliceSpec
from stillhouse.statistics.accuracy_test import rows_needed_for


def golden(**kinds: int) -> pl.DataFrame:
    return pl.DataFrame({"kind": [kind for kind, rows in kinds.items() for _ in range(rows)]})


def of(kind: str, *, critical: bool, margin: float | None = None) -> SliceSpec:
    return SliceSpec(name=kind, column="kind", values=(kind,), critical=critical, margin=margin)


def test_one_row_too_few_is_too_few() -> None:
    needed = rows_needed_for(0.02, 0.06)
    for rows in (needed, needed - 1):
        (claim,) = plan(golden(a=rows), BarSpec(margin=0.02), [], discordance=0.06).claims
        said = (claim.name, claim.rows, claim.rows_needed, claim.supported)
        assert said == (EVERYTHING, rows, needed, rows == needed)
        assert claim.smallest_margin == pytest.approx(0.02, abs=2e-4)


def test_critical_slices_pay_for_their_family_and_the_others_for_themselves() -> None:
    slices = [of("a", critical=True), of("b", critical=True, margin=0.1), of("c", critical=False)]
    whole, a, b, c = plan(golden(a=300, b=300, c=50), BarSpec(margin=0.05), slices, discordance=0.1).claims
    assert (whole.alpha, a.alpha, b.alpha, c.alpha) == (0.05, 0.025, 0.025, 0.05)
    assert a.rows_needed == rows_needed_for(0.05, 0.1, 0.025) and b.rows_needed == rows_needed_for(0.1, 0.1, 0.025)
    assert [claim.supported for claim in (whole, a, b, c)] == [True, False, True, False]


def labelled(**labels: int) -> pl.DataFrame:
    return pl.DataFrame({"label": [label for label, rows in labels.items() for _ in range(rows)]})


def test_the_recall_of_a_class_rests_on_its_rows() -> None:
    bar = BarSpec(margin=0.05, metric="recall", metric_class="fraud")
    (claim,) = plan(labelled(bug=900, fraud=100), bar, []).claims
    assert (claim.name, claim.rows, claim.supported) == ("rows of class 'fraud'", 100, False)
    assert plan(labelled(bug=900), bar, []).claims[0].rows == 0


def test_macro_f1_is_held_back_by_a_rare_class() -> None:
    """By hand: 2 squared over (1/900 + 1/100); evenly spread rows count in full."""
    bar = BarSpec(margin=0.05, metric="macro_f1")
    assert plan(labelled(bug=900, fraud=100), bar, []).claims[0].rows == 360
    assert plan(labelled(bug=500, fraud=500), bar, []).claims[0].rows == 1000


def test_only_what_binds_is_missing_rows_and_a_slice_without_any_supports_nothing() -> None:
    slices = [of("nobody", critical=True), of("a", critical=False)]
    planned = plan(golden(a=100), BarSpec(margin=0.2), slices)
    assert [claim.name for claim in planned.unsupported] == ["nobody"]
    assert planned.unsupported[0].smallest_margin is None


@given(st.integers(1, 5000), st.floats(0.005, 0.5), st.floats(0.01, 1.0))
def test_the_smallest_margin_is_where_support_begins(rows: int, margin: float, discordance: float) -> None:
    (claim,) = plan(golden(a=rows), BarSpec(margin=margin), [], discordance=discordance).claims
    if claim.smallest_margin is None:
        assert not claim.supported
    elif abs(claim.smallest_margin - margin) > 2e-4:
        assert claim.supported == (margin > claim.smallest_margin)
