"""Which of two releases that answer with numbers is right: each by itself, within the tolerance."""

import polars as pl

from stillhouse.live.shadow import ALL, BOTH, outcomes, tallied, with_both_right

THREE = {
    "champion": ["3", "3", "3", "3", "3", "3", "nan", "3", "3"],
    "challenger": ["3", "3.2", "3.8", "2.6", "nan", None, "3", "4", "3.1"],
    "right": ["3.4", "3.6", "3.4", "2.2", "3", "3", "3", None, None],
}
"""Of the first both are right; the second only the challenger has right, though they are near each other; of the third
both are right, though they are far apart; and so on."""


def test_of_two_numbers_each_is_right_by_itself_however_near_the_other_is() -> None:
    found = with_both_right(outcomes(pl.DataFrame(THREE), 0.5), 0.5)
    assert found["won"].to_list() == [False, True, False, True, False, False, True, False, False]
    assert found["lost"].to_list() == [False, False, False, False, True, True, False, False, False]
    assert found[BOTH].to_list() == [True, False, True, False, False, False, False, False, False]
    assert found["differ"].to_list() == [False, True, True, True, True, True, True, True, True]
    assert found["unanswered"].to_list() == [False] * 7 + [True] * 2, "of numbers that are not the same each is judged"
    told = found.with_columns(plain=pl.lit(True), characters=pl.lit(4), columns=pl.lit(None, pl.String))
    counts = tallied(told, []).filter(slice=ALL).row(0, named=True)
    assert (counts["rows"], counts["lost"], counts["won"], counts[BOTH]) == (7, 2, 3, 2)


def test_of_labels_the_outcomes_are_what_they_were() -> None:
    labels = pl.DataFrame(
        {"champion": ["x", "x", "x", "x", "x"], "challenger": ["x", "y", "y", None, "y"],
         "right": ["y", "x", "y", "x", None]}
    )  # fmt: skip
    found = with_both_right(outcomes(labels))
    assert found["lost"].to_list() == [False, True, False, True, False]
    assert found["won"].to_list() == [False, False, True, False, False]
    assert found[BOTH].to_list() == [False] * 5 and found["unanswered"].to_list() == [False] * 4 + [True]
