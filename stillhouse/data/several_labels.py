"""Rows with several labels each, which is another task than one label of several.

Belongs here: recognising them in one column and in several.
Does not: what is said of it (checks/prompts/labels.py, orchestration/scaffold/remarks.py).
"""

import re
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass

import polars as pl

from stillhouse.data.quoting import quoted
from stillhouse.tasks.label_sets import SEPARATOR, NoLabelSetError, names_in_cell

_LIST = re.compile(r"\s*[\[({](.*)[\])}]\s*")
_SEPARATORS = ("|", ";", ",", "\uff0c", "\uff1b", "\u3001", "\u060c")
_ALSO_IN_NAMES = ("/", "+", "&", "#", "\\n", " ")
"""Separators that stand in the names of classes, too: several labels only where each part is a label by itself."""
_DECIMAL = re.compile(r"[+-]?\d+,\d+")
"""Where pairs of numbers are all that has a comma, it is the decimal mark of half the world."""
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
            f"labels of {self.rows:,} rows hold several classes, such as {quoted(self.example)!r}. A model that gives "
            "one class of several cannot learn them: `data.answer: multi_label` learns sets of labels, written a;b or "
            "as JSON lists; or keep the class that decides"
        )

    @property
    def in_a_set(self) -> str:
        """The same of single labels of sets."""
        return (
            f"single labels of {self.rows:,} rows hold several, such as {quoted(self.example)!r}. The labels of a set "
            "are written a;b or as a JSON list: write them so, or let each be another one by `data.labels`"
        )


def several_in_a_cell(counts: Mapping[str, int]) -> SeveralLabels | None:
    """Find labels that are lists of labels: each of their parts is, or is part of, another label, too.

    Under a separator that names of classes have as well, each part has to be a label by itself.

    Args:
        counts: rows of each label.

    Returns:
        Those of the separator with most such rows, if they are one in twenty; None where labels are single.
    """
    found = [
        *(_under(separator, counts) for separator in _SEPARATORS),
        *(_under(separator, counts, by_itself=True) for separator in _ALSO_IN_NAMES),
    ]
    several = max((each for each in found if each is not None), key=lambda each: each.rows, default=None)
    return several if several is not None and several.rows >= _SHARE * sum(counts.values()) else None


def are_sets(counts: Mapping[str, int]) -> bool:
    """Whether labels are sets of labels as a recipe reads them: some cells are JSON lists, or have semicolons.

    Args:
        counts: rows of each label.
    """
    listed = sum(rows for label, rows in counts.items() if label.startswith("[") and _is_set(label))
    parted = _under(SEPARATOR, counts)
    return max(listed, 0 if parted is None else parted.rows) >= max(_SHARE * sum(counts.values()), 1)


def _is_set(label: str) -> bool:
    try:
        names_in_cell(label)
    except NoLabelSetError:
        return False
    return True


def answers_yes_or_no(labels: Collection[str]) -> bool:
    """Whether labels say no more than whether something is so, as the columns of one label each do."""
    return {label.casefold() for label in labels} in _TWO_ANSWERS


def columns_like(frame: pl.DataFrame, others: Collection[str]) -> list[str]:
    """Columns that say one of two things of each row as the label does, of which each may be a label by itself.

    Args:
        frame: rows with `label` and these columns.
        others: columns beside text and label.
    """
    labels = _values(frame, "label")
    return [name for name in others if (values := _values(frame, name)) == labels or answers_yes_or_no(values)]


def _values(frame: pl.DataFrame, name: str) -> set[str]:
    return {value.casefold() for value in frame[name].drop_nulls().unique()}


def _under(separator: str, counts: Mapping[str, int], *, by_itself: bool = False) -> SeveralLabels | None:
    parts = {label: _parts(label, separator) for label in counts}
    if separator == "," and all(_DECIMAL.fullmatch(label.strip()) for label, held in parts.items() if len(held) > 1):
        return None
    in_labels = Counter(part for held in parts.values() for part in set(held))
    alone = {names[0] for names in parts.values() if len(names) == 1}
    known = alone if by_itself else {name for name, labels in in_labels.items() if labels > 1}
    held = {label: names for label, names in parts.items() if len(names) > 1 and known.issuperset(names)}
    if not held:
        return None
    most = max(held, key=lambda label: (counts[label], label))
    names = {name for names in held.values() for name in names}
    return SeveralLabels(most, sum(counts[label] for label in held), tuple(sorted(names)))


def _parts(label: str, separator: str) -> list[str]:
    listed = _LIST.fullmatch(label)
    pieces = (listed[1] if listed else label).split(separator)
    return [name for name in (piece.strip().strip("'\"").strip() for piece in pieces) if name]
