"""The worst pairs are those with most rows, and right answers are none of them."""

from stillhouse.evaluation.measures.confusions import worst_pairs
from stillhouse.evaluation.measures.metrics import ConfusionCell


def cell(label: str, predicted: str, rows: int) -> ConfusionCell:
    return ConfusionCell(label=label, predicted=predicted, rows=rows)


CELLS = [cell("a", "a", 90), cell("a", "b", 4), cell("b", "a", 7), cell("b", "c", 4), cell("c", "c", 5)]


def test_most_rows_come_first_and_equals_by_name() -> None:
    found = worst_pairs(CELLS, [cell("b", "a", 2), cell("b", "b", 9)])
    assert [(pair.label, pair.answered, pair.rows, pair.label_rows, pair.teacher_rows) for pair in found] == [
        ("b", "a", 7, 11, 2),
        ("a", "b", 4, 94, 0),
        ("b", "c", 4, 11, 0),
    ]


def test_what_the_teacher_answered_is_unknown_where_it_was_not_kept() -> None:
    (pair,) = worst_pairs(CELLS, None, most=1)
    assert (pair.rows, pair.teacher_rows) == (7, None)
