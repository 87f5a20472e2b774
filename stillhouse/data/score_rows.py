"""Rows whose label is a number: from what a cell holds to the number's one spelling.

Belongs here: which cells are numbers that a recipe lets in.
Does not: how a number is spelled (stillhouse/tasks/numbers.py), labels that are none (sources.py, sets_of_labels.py).
"""

import polars as pl

from stillhouse.data.rejects import RejectReason
from stillhouse.data.respelled import respelled
from stillhouse.recipe.data import ScoreSpec
from stillhouse.tasks.numbers import number_in, written_number


def with_numbers(rows: pl.DataFrame, score: ScoreSpec) -> tuple[pl.DataFrame, list[tuple[str, RejectReason, str]]]:
    """Give each number its one spelling.

    Args:
        rows: `text` and `label`, a cell as it came, or null; in the order of the source.
        score: between which numbers a label lies.

    Returns:
        The rows that have such a number or nothing, and of the others what they are rejected as, see `Table`.
    """
    spelling, why = dict[str, str](), dict[str, str]()
    for cell in rows["label"].drop_nulls().unique():
        value = number_in(cell)
        if value is None:
            why[cell] = "it is not a number, which is written like 4.5, without separators between thousands"
        elif not score.lowest <= value <= score.highest:
            why[cell] = f"it is not from {score.lowest:g} to {score.highest:g}"
        else:
            spelling[cell] = written_number(value)
    return respelled(rows, spelling, why, RejectReason.NO_NUMBER)
