"""The number of somebody's head becomes one of the recipe by a line that labelled validation rows decide."""

import numpy as np
import pytest

from stillhouse.arrays import FloatArray
from stillhouse.errors import StillhouseError
from stillhouse.teachers.own_scale import FEWEST, OwnScale, own_scale

WHERE = "defs.yaml:7: teacher.source"


def fitted(own: FloatArray, numbers: FloatArray) -> tuple[OwnScale, FloatArray]:
    return own_scale(own, numbers, sigmoid=False, where=WHERE)


def noisy(rows: int = 60, slope: float = 0.15) -> tuple[FloatArray, FloatArray]:
    """Logits from -11 to 11, and grades that follow them."""
    drawn = np.random.default_rng(0)
    own = drawn.uniform(-11, 11, rows)
    return own, np.clip(1.5 + slope * own + drawn.normal(0, 0.4, rows), 0, 3)


def test_a_head_on_another_scale_is_brought_to_the_recipes() -> None:
    own = np.linspace(-11, 11, 40)
    scale, others = fitted(own, 1.5 + own / 8)
    assert (scale.slope, scale.intercept) == pytest.approx((1 / 8, 1.5))
    assert scale.rows == 40 and scale.mean_error == pytest.approx(0) and others == pytest.approx(1.5 + own / 8)


def test_a_head_that_was_trained_on_these_numbers_stays_as_it_is() -> None:
    own = np.linspace(0, 5, 40)
    scale, _ = fitted(own, own)
    assert (scale.slope, scale.intercept) == pytest.approx((1, 0), abs=1e-12)


def test_the_error_of_each_row_is_by_a_line_that_the_row_is_no_part_of() -> None:
    own, numbers = noisy()
    scale, others = fitted(own, numbers)
    expected = [
        np.polyval(np.polyfit(np.delete(own, row), np.delete(numbers, row), 1), own[row]) for row in range(len(own))
    ]
    assert others == pytest.approx(np.array(expected))
    assert scale.mean_error == pytest.approx(np.abs(others - numbers).mean())
    assert (scale.slope, scale.intercept) == pytest.approx(tuple(np.polyfit(own, numbers, 1)))


def test_answers_are_not_spread_further_than_labels_are() -> None:
    own, numbers = noisy()
    scale, _ = fitted(own, numbers)
    assert np.std(scale.slope * own) <= np.std(numbers)


@pytest.mark.parametrize("rows", [0, 1, FEWEST - 1])
def test_too_few_labelled_rows_make_no_line(rows: int) -> None:
    own, numbers = noisy(rows)
    with pytest.raises(StillhouseError, match=rf"defs\.yaml:7: .*{rows} validation rows have a label.*at least 20"):
        fitted(own, numbers)


def test_a_head_that_points_the_other_way_is_refused() -> None:
    own, numbers = noisy()
    with pytest.raises(StillhouseError, match=r"falls where the label rises.*turn the labels round"):
        fitted(-own, numbers)


@pytest.mark.parametrize("slope", [0.0, 0.005])
def test_a_head_of_something_else_is_refused(slope: float) -> None:
    own, numbers = noisy(slope=slope)
    with pytest.raises(StillhouseError, match=r"does not rise with the label.*Choose a teacher of what the labels say"):
        fitted(own, numbers)


def test_a_head_that_says_the_same_to_all_rows_and_labels_that_are_all_alike_make_no_line() -> None:
    own, numbers = noisy()
    for said, labels in ((np.full(60, 0.3), numbers), (own, np.full(60, 2.0))):
        with pytest.raises(StillhouseError, match="does not rise with the label"):
            fitted(said, labels)


def test_the_sentence_says_the_line_and_what_it_is_worth() -> None:
    scale = OwnScale(sigmoid=True, slope=2.98, intercept=-0.125, rows=120, mean_error=0.432)
    assert scale.sentence == (
        "2.98 times the sigmoid of its own - 0.125, the line by least squares of 120 labelled validation rows; "
        "0.432 from the label on average, each row by the line of all others"
    )
