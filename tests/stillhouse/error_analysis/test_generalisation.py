"""Underfit, overfit, leak and good are told apart by tests of counts, and none of them by eye."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stillhouse.error_analysis.generalisation import Counts, FitRegime, Share, generalisation


def counts(
    training: tuple[int, int] = (992, 1000),
    comparable: tuple[int, int] = (301, 312),
    *,
    validation_agreement: tuple[int, int] | None = None,
    validation: tuple[int, int] = (304, 329),
    golden: tuple[int, int] = (1284, 1434),
) -> Counts:
    """Those of the demo's student of five layers, where nothing else is said."""
    shares = (training, (481, 482), validation_agreement or comparable, comparable, validation, golden)
    names = Counts.model_fields
    return Counts(**{name: Share(hits=hits, rows=rows) for name, (hits, rows) in zip(names, shares, strict=True)})


@pytest.mark.parametrize(
    ("regime", "given_counts"),
    [
        (FitRegime.GOOD, counts()),
        # The demo's student of two layers: 99.2 % against 94.2 %, of which two points are shown.
        (FitRegime.OVERFIT, counts(comparable=(294, 312), validation=(298, 329), golden=(1248, 1434))),
        (FitRegime.UNDERFIT, counts((800, 1000), (250, 312))),
        # Both, and the loss to new rows (30 points) is the larger one; then the lack of fit (20 points) is.
        (FitRegime.OVERFIT, counts((900, 1000), (187, 312))),
        (FitRegime.UNDERFIT, counts((800, 1000), (218, 312))),
        # 98 % of validation rows right and 80 % of golden ones: no chance makes that.
        (FitRegime.LEAK, counts(validation=(322, 329), golden=(1147, 1434))),
        # More like its teacher on validation rows than on its own.
        (FitRegime.LEAK, counts((900, 1000), validation_agreement=(326, 329))),
        # A leak is named before anything else.
        (FitRegime.LEAK, counts((800, 1000), (250, 312), validation=(322, 329), golden=(1147, 1434))),
    ],
    ids=["good", "overfit", "underfit", "mostly_overfit", "mostly_underfit", "above_golden", "above_training", "first"],
)
def test_counts_hit_the_right_branch(regime: FitRegime, given_counts: Counts) -> None:
    found = generalisation(given_counts)
    assert found.regime is regime
    assert found.sentence.startswith(f"{regime}: answers as the teacher does on")


def test_a_handful_of_rows_accuses_nobody() -> None:
    """Nine points under its training rows, and fifteen above golden ones: of twenty rows that is chance."""
    few = counts(comparable=(18, 20), validation=(17, 20), golden=(14, 20))
    assert generalisation(few).regime is FitRegime.GOOD


def test_rows_that_are_easier_by_luck_are_no_leak() -> None:
    """Regression: on 77 classes and clean rows, validation rows were 2.4 points easier, and each round cried leak."""
    lucky = counts(validation=(1226, 1300), golden=(2270, 2470))
    assert generalisation(lucky).regime is FitRegime.GOOD
    assert generalisation(counts(validation=(1252, 1300), golden=(2270, 2470))).regime is FitRegime.LEAK, "4.4 points"


def test_no_comparable_row_is_no_gap_and_no_verdict() -> None:
    found = generalisation(counts(comparable=(0, 0)))
    assert (found.gap, found.regime) == (None, FitRegime.GOOD)
    assert "on none validation rows" in found.sentence


@given(st.integers(0, 1000), st.integers(0, 312))
def test_only_a_student_that_fits_its_rows_and_keeps_that_is_good(training: int, comparable: int) -> None:
    found = generalisation(counts((training, 1000), (comparable, 312), validation_agreement=(0, 329)))
    if found.regime is FitRegime.GOOD:
        assert training > 930 and training / 1000 - comparable / 312 < 0.1
    assert found.gap == pytest.approx(training / 1000 - comparable / 312)
