"""Rows with several labels each, which is another task than one label of several.

Belongs here: recognising them in one column and in several.
Does not: what is said of it (checks/prompts.py, orchestration/scaffold.py).
"""

import re
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass

import polars as pl

from stillhouse.data.quoting import quoted

_LIST = re.compile(r"\s*[\[({](.*)[\])}]\s*")
_SEPARATORS = ("|", ";", ",")
_SHARE = 0.05
"""Of the rows; fewer labels with a comma in them are names that happen to have one."""
_TWO_ANSWERS = ({"0", "1"}, {"false", "true"}, {"no", "yes"}, {"n", "y"}, {"f", "t"}, {"0.0", "1.0"})


@dataclass(frozen=True)
class SeveralLabels:
    """Several labels in one cell.

    Args:
        example: a label that holds several.
        rows: that have such a label.
        names: what they hold, sorted.
    """

    example: str
    rows: int
    names: tuple[str, ...]

    @property
    def sentence(self) -> str:
        """What was found, and what to do."""
        return (
            f"labels of {self.rows:,} rows hold several classes, such as {quoted(self.example)!r}. A model here gives "
            "one class of several: keep the class that decides, or make a recipe for each that says whether it is given"
        )


def several_in_a_cell(counts: Mapping[str, int]) -> SeveralLabels | None:
    """Find labels that are lists of labels: each of their parts is, or is part of, another label, too.

    Args:
        counts: rows of each label.

    Returns:
        Those of the separator with most such rows, if they are one in twenty; None where labels are single.
    """
    found = [_under(separator, counts) for separator in _SEPARATORS]
    several = max((each for each in found if each is not None), key=lambda each: each.rows, default=None)
    return several if several is not None and several.rows >= _SHARE * sum(counts.values()) else None


def answers_yes_or_no(labels: Collection[str]) -> bool:
    """Whether labels say no more than whether something is so, as the columns of one label each do."""
    return {label.casefold() for label in labels} in _TWO_ANSWERS


def columns_like(frame: pl.DataFrame, others: Collection[str]) -> list[str]:
    """Columns that say yes or no of each row as the label does, of which each may be a label by itself.

    Args:
        frame: rows with these columns.
        others: columns beside text and label.
    """
    return [name for name in others if answers_yes_or_no(frame[name].drop_nulls().unique().to_list())]


def _under(separator: str, counts: Mapping[str, int]) -> SeveralLabels | None:
    parts = {label: _parts(label, separator) for label in counts}
    in_labels = Counter(part for held in parts.values() for part in set(held))
    held = {label: names for label, names in parts.items() if len(names) > 1 and all(in_labels[n] > 1 for n in names)}
    if not held:
        return None
    most = max(held, key=lambda label: (counts[label], label))
    names = {name for names in held.values() for name in names}
    return SeveralLabels(most, sum(counts[label] for label in held), tuple(sorted(names)))


def _parts(label: str, separator: str) -> list[str]:
    listed = _LIST.fullmatch(label)
    pieces = (listed[1] if listed else label).split(separator)
    return [name for name in (piece.strip().strip("'\"").strip() for piece in pieces) if name]
