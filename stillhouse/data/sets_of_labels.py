"""Rows whose label is a set of labels: from what a cell holds to the set's one spelling.

Belongs here: the spelling of each label of a set, cells that are no set.
Does not: what of a text is a set (stillhouse/tasks/label_sets.py), one label of several (sources.py, cleaning.py).
"""

from collections.abc import Mapping, Sequence

import polars as pl

from stillhouse.data.one_text import spelled
from stillhouse.data.rejects import RejectReason
from stillhouse.data.respelled import respelled
from stillhouse.tasks.label_sets import SEPARATOR, NoLabelSetError, names_in_cell, written_set


def with_sets(
    rows: pl.DataFrame, classes: Mapping[str, str]
) -> tuple[pl.DataFrame, list[tuple[str, RejectReason, str]]]:
    """Give each label of a set the spelling that it would have alone, and the set its own.

    Args:
        rows: `text` and `label`, a cell as it came, or null; in the order of the source.
        classes: from a spelling of a label to what a cell may hold: a label, several, or `[]`. One that stands for
            nothing is left out of a set, and a cell of which nothing is left then is unlabelled, as if it stood alone.
            What a whole cell is was looked up already.

    Returns:
        The rows that have a set or nothing, and of the others what they are rejected as, see `Table`.
    """
    known = {spelled(one): other for one, other in classes.items()}
    sets: dict[str, str | None] = {}
    why: dict[str, str] = {}
    for cell in rows["label"].drop_nulls().unique():
        try:
            sets[cell] = _set_in(cell, known)
        except NoLabelSetError as error:
            why[cell] = str(error)
    return respelled(rows, sets, why, RejectReason.NO_SET_OF_LABELS)


def _set_in(cell: str, known: Mapping[str, str]) -> str | None:
    names = names_in_cell(cell)
    meant = [found for name in names if (found := _meant(name, known)) is not None]
    return written_set(label for labels in meant for label in labels) if meant or not names else None


def _meant(name: str, known: Mapping[str, str]) -> Sequence[str] | None:
    """The labels that one of a set stands for; None where it stands for nothing."""
    alone = spelled(name)
    if not alone:
        raise NoLabelSetError("a label in it is empty")
    if alone.startswith("["):
        raise NoLabelSetError("a label in it begins with a bracket, as a list does")
    meant = known.get(alone, alone)
    if SEPARATOR in alone and not meant.startswith("["):  # out of a list, where that is part of a name
        return [meant] if meant else None
    return [spelled(each) for each in names_in_cell(meant)] if meant else None
