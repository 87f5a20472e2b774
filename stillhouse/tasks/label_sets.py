"""A set of labels as text: one spelling of it, and what of a cell is one.

Belongs here: reading and writing such a set, and which labels one carries.
Does not: what a model that answers with sets is (multi_label.py), the spelling of a single label (data/sources.py).

The one spelling is a JSON list without blanks, each label once, sorted by code points: `["legal","refund"]`, and `[]`
where none applies. In it rows, answers, truths and reports have a set, so that two are alike where their texts are.
"""

import json
import re
from collections.abc import Collection, Iterable
from functools import lru_cache

import polars as pl

LABELS_AT_MOST = 62
"""Of a recipe: a set is kept as the bits of one 64-bit number, of which one is the sign and one says `unknown`."""

SEPARATOR = ";"


class NoLabelSetError(ValueError):
    """Some text is no set of labels; says as a clause why."""


def written_set(names: Iterable[str]) -> str:
    """The one spelling of a set."""
    return json.dumps(sorted(set(names)), ensure_ascii=False, separators=(",", ":"))


def names_in_cell(cell: str) -> tuple[str, ...]:
    """The labels that a cell holds: those of a JSON list, or parts between semicolons; of one alone just that.

    Args:
        cell: not blank. A semicolon at the end is that of a program which writes one after each label.

    Returns:
        As they are written, without blanks around them; several times where they are.

    Raises:
        NoLabelSetError: if it is neither.
    """
    text = cell.strip()
    if text.startswith("["):
        return tuple(map(_name, _listed(text)))
    parts = text.split(SEPARATOR)
    return tuple(map(_name, parts[:-1] if len(parts) > 1 and not parts[-1].strip() else parts))


@lru_cache(maxsize=4096)
def names_of(label: str) -> tuple[str, ...]:
    """The labels of a set in its one spelling; what is spelled otherwise is one label, and the name of itself."""
    if not label.startswith("["):
        return (label,)
    try:
        return tuple(map(_name, _listed(label)))
    except NoLabelSetError:
        return (label,)


def set_written(text: str) -> tuple[str, ...] | None:
    """The labels of a set in its one spelling; None of any other text. What anybody may send is not remembered."""
    if not text.startswith("["):
        return None
    names = names_of.__wrapped__(text)
    return names if written_set(names) == text else None


def is_written_set(label: str) -> bool:
    """Whether a text is a set in its one spelling."""
    return set_written(label) is not None


def carries(label: str, names: Collection[str], *, is_set: bool) -> bool:
    """Whether a label is one of these, or a set that has one of them.

    Args:
        label: in its one spelling.
        names: of labels, or of whole sets.
        is_set: whether it is a set; a single label may look like one and is none.
    """
    return label in names or (is_set and not set(names).isdisjoint(names_of(label)))


def carries_any(label: pl.Expr, names: Collection[str], *, are_sets: bool) -> pl.Expr:
    """The same of a column, null where there is no label."""
    is_one = label.is_in(list(names))
    if not are_sets:
        return is_one
    spelled = "|".join(re.escape(json.dumps(name, ensure_ascii=False)) for name in names)
    return is_one | label.str.contains(rf"^\[(?:{_NAME},)*(?:{spelled})[,\]]")


_NAME = r'"(?:[^"\\]|\\.)*"'
"""A name as JSON has it: only by reading all before it is it known which quote begins one."""


def _listed(text: str) -> list[object]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        raise NoLabelSetError("it begins as a JSON list and is none") from None
    assert isinstance(found, list), "what begins with a bracket and is JSON is a list"
    return found


def _name(part: object) -> str:
    """One label of a set; a whole number is one, too, as codes often are."""
    if isinstance(part, bool) or not isinstance(part, str | int):
        raise NoLabelSetError("something in it is neither text nor a whole number")
    name = str(part).strip()
    if any("\ud800" <= each <= "\udfff" for each in name):
        raise NoLabelSetError("a label in it has half of a character")
    if not name:
        raise NoLabelSetError("a label in it is empty")
    if name.startswith("["):
        raise NoLabelSetError("a label in it begins with a bracket, as a list does")
    return name
