"""What differs between two recipes, or between two bars: field by field, from what to what.

Belongs here: walking two sets of JSON values side by side, and how a difference is said.
Does not: whether a difference matters (checks/contract.py), showing it (stillhouse/summaries/contract.py).
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from stillhouse.base import Record

UNSET = "not set"


class Difference(Record):
    """One field that is not as it was."""

    field: str
    was: str
    is_: str

    @property
    def sentence(self) -> str:
        """The field with both values."""
        return f"{self.field} was {self.was} and is {self.is_}"


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[Difference]:
    """Every field whose value differs, in the order of the fields.

    Args:
        before: JSON values.
        after: JSON values.
    """
    old, new = dict(fields_of(before)), dict(fields_of(after))
    return [
        Difference(field=field, was=old.get(field, UNSET), is_=new.get(field, UNSET))
        for field in {**new, **old}
        if old.get(field, UNSET) != new.get(field, UNSET)
    ]


def fields_of(values: Any, field: str = "") -> Iterator[tuple[str, str]]:
    """Each field and its value as text; parts of a list go by their name or column, where they have one.

    Args:
        values: JSON values.
        field: what they are the value of.
    """
    if isinstance(values, Mapping) and values:
        for name, value in values.items():
            yield from fields_of(value, f"{field}.{name}".lstrip("."))
    elif isinstance(values, list | tuple) and any(isinstance(each, Mapping) for each in values):
        for index, each in enumerate(values):
            named = each.get("name", each.get("column", index)) if isinstance(each, Mapping) else index
            yield from fields_of(each, f"{field}.{named}")
    else:
        yield field, _written(values)


def _written(value: Any) -> str:
    if value is None:
        return UNSET
    if isinstance(value, list | tuple):
        return ", ".join(map(_written, value)) or "none"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
