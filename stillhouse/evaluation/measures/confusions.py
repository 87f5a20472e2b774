"""Which label is taken for which, worst first: what a person can act on when there are many classes.

Belongs here: the worst pairs of label and answer, with the teacher's count beside.
Does not: the whole confusion table (metrics.py), drawing (report/figures/confusion.py).
"""

from collections.abc import Sequence

from pydantic import Field

from stillhouse.base import Record
from stillhouse.evaluation.measures.metrics import ConfusionCell

PAIRS_SHOWN = 10
"""What somebody will look into; further down are pairs of a row or two, which are chance."""


class ConfusedPair(Record):
    """Rows of one label that were given another."""

    label: str
    answered: str
    rows: int = Field(description="Rows of the label that the model gave this answer.")
    label_rows: int = Field(description="All golden rows of the label.")
    teacher_rows: int | None = Field(description="Those the teacher gave it; null when its answers were not kept.")


def worst_pairs(
    cells: Sequence[ConfusionCell], teacher: Sequence[ConfusionCell] | None, *, most: int = PAIRS_SHOWN
) -> tuple[ConfusedPair, ...]:
    """The pairs with most rows, where the label is not the answer.

    Args:
        cells: non-empty cells of the model.
        teacher: those of its teacher; None when they were not kept.
        most: how many pairs to give.
    """
    of_label: dict[str, int] = {}
    for cell in cells:
        of_label[cell.label] = of_label.get(cell.label, 0) + cell.rows
    known = None if teacher is None else {(cell.label, cell.predicted): cell.rows for cell in teacher}
    wrong = sorted(
        (cell for cell in cells if cell.label != cell.predicted),
        key=lambda cell: (-cell.rows, cell.label, cell.predicted),
    )
    return tuple(
        ConfusedPair(
            label=cell.label,
            answered=cell.predicted,
            rows=cell.rows,
            label_rows=of_label[cell.label],
            teacher_rows=None if known is None else known.get((cell.label, cell.predicted), 0),
        )
        for cell in wrong[:most]
    )
