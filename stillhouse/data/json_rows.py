"""Rows from JSON: one object a line, or one array of objects.

Belongs here: an array in parts, paths into nested values, what is no object or holds one where text belongs.
Does not: nested columns of parquet (parquet.py), lines that are no JSON (lines.py).

Lines are parsed from Python's own line iterator, not by `pl.scan_ndjson`. On polars 2.1 it drops a key that first
appears late, turns a nested value into text, and does not name the line at fault. 1M rows of 70 characters took 8 s on
one core.
"""

import json
import re
from collections.abc import Collection, Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple, TextIO

from stillhouse.data.limits import refuse_line
from stillhouse.data.lines import numbered_lines
from stillhouse.data.places import Place, lines_of, opened_as_text
from stillhouse.data.quoting import quoted
from stillhouse.data.rejects import RejectReason
from stillhouse.data.table import LIST_ADVICE, PATHS_NAMED, Record, Table, as_json, as_text, batches, require_columns
from stillhouse.errors import StillhouseError

_ELEMENT_PART = 1_048_576
_JSON, _VISIBLE = json.JSONDecoder(), re.compile(r"[^\s\ufeff]")
_DEEPEST = 8
_NOT_THERE = object()
_PLACE = re.compile(r"-?\d+", re.ASCII)
"""In a list, from its end where it is negative."""


def read_json(
    place: Place,
    columns: Sequence[str],
    optional: Collection[str],
    objects: Collection[str],
    lists: Collection[str] = (),
) -> Table:
    """Read one JSON object a line, or one array of objects, whichever the file begins with.

    A column is a key, or a path such as `ticket.body`, `choices.0.label` or `messages.-1.content` (the last one)
    where no key has that name. What is no object, or holds a list or object where text belongs, is a reject; `objects`
    are the columns in which an object is text, namely its JSON, and `lists` those in which a list is.

    Raises:
        StillhouseError: if a column that is not optional is in no record at all, holds a list or object in all of them,
            or the array is broken.
    """
    table = Table(columns)
    paths: dict[str, None] = {}
    nested: dict[str, dict[str, None]] = {}
    found: set[str] = set()
    several = False
    is_array = holds_an_array(place)
    only: list[_Item] = []
    with opened_as_text(place) as text:
        items = _elements(text, place) if is_array else _objects_by_line(lines_of(text, place))
        for batch in batches(items):
            only += batch[: 2 - len(only)]
            records: list[Record] = []
            for item in batch:
                if not isinstance(item.value, dict):
                    table.rejects.append((item.spelled, RejectReason.NOT_A_JSON_OBJECT, item.where))
                    continue
                if len(paths) < PATHS_NAMED:
                    paths.update(dict.fromkeys(_paths(item.value)))
                values = {name: _at(item.value, name) for name in columns}
                found |= {name for name, value in values.items() if value is not _NOT_THERE}
                values |= {name: as_json(values[name]) for name in objects if isinstance(values[name], dict)}
                values |= {name: as_json(values[name]) for name in lists if isinstance(values[name], list)}
                parts = {name: value for name, value in values.items() if isinstance(value, dict | list)}
                if parts:
                    several |= any(isinstance(value, list) and len(value) > 1 for value in parts.values())
                    table.rejects.append((item.spelled, RejectReason.NESTED_VALUE, item.where))
                    for name, value in parts.items():
                        nested.setdefault(name, {}).update(dict.fromkeys(_paths({name: value})))
                else:
                    records.append([None if value is _NOT_THERE else as_text(value) for value in values.values()])
            table.add(records)
    if not is_array and (nested or not found.issuperset(set(columns) - set(optional))):
        _refuse_all_rows_in_one(only, place)
    if paths:
        existing = list(dict.fromkeys([*paths, *found]))
        require_columns(existing, [name for name in columns if name not in optional], place.uri)
    if table.rows.is_empty() and nested:
        name, below = next(iter(nested.items()))
        raise StillhouseError(
            f"column {name!r} holds lists or objects",
            where=place.uri,
            expected="text, such as " + ", ".join(repr(quoted(path)) for path in list(below)[:PATHS_NAMED]),
            do="Name a field in it by its path." + (f" {LIST_ADVICE}" if several else ""),
        )
    return table


def _refuse_all_rows_in_one(first: Sequence["_Item"], place: Place) -> None:
    """Refuse one object that holds the rows, in a line or over many, by its first items; the columns are not in it."""
    is_over_lines = bool(first) and first[0].value is None and first[0].spelled.strip() == "{"
    is_one = len(first) == 1 and isinstance(first[0].value, dict)
    if is_over_lines or (is_one and any(map(_holds_rows, [first[0].value, *first[0].value.values()]))):
        raise StillhouseError(
            "one object over several lines" if is_over_lines else "one object holds all that is in it",
            where=place.uri,
            expected="one array of objects, or one object a line",
            do="Write it so, as pandas does by `orient=\"records\"`, or as `jq -c '.[]'` does of an array.",
        )


def _holds_rows(value: Any) -> bool:
    """Whether a value is a list of several, or an object whose keys are their numbers."""
    if not isinstance(value, list | dict) or len(value) < 2:
        return False
    return isinstance(value, list) or all(key.isdigit() for key in value)


class _Item(NamedTuple):
    """One thing that should be a JSON object, where it is, and how it is spelled."""

    where: str
    spelled: str
    value: Any


def holds_an_array(place: Place) -> bool:
    """Whether the first character of a JSON file that is no blank opens an array."""
    with opened_as_text(place) as text:
        return next((part.lstrip("\ufeff \t\r\n") for part in iter(partial(text.read, 4096), "")), "").startswith("[")


def _objects_by_line(lines: Iterator[str]) -> Iterator[_Item]:
    return (_Item(f"line {number}", line, _json_value(line)) for number, line in numbered_lines(lines))


class _ArrayText:
    """The text of one JSON array, of which no more is held than one element takes."""

    def __init__(self, text: TextIO, place: Place) -> None:
        self._text, self._place = text, place
        self._held, self._at, self.number = "", 0, 0

    def next_mark(self) -> str:
        """Go on to the next character that is no blank, and give it; nothing at the end."""
        while True:
            found = _VISIBLE.search(self._held, self._at)
            if found:
                self._at = found.start()
                return found[0]
            self._held, self._at = self._text.read(_ELEMENT_PART), 0
            if not self._held:
                return ""

    def skip(self) -> None:
        """Leave a character behind."""
        self._at += 1

    def element(self) -> _Item:
        """Read on until an element is whole."""
        self.number += 1
        where = f"record {self.number}"
        if self._at > _ELEMENT_PART:
            self._held, self._at = self._held[self._at :], 0
        while True:
            try:
                value, end = _JSON.raw_decode(self._held, self._at)
                problem = "the end of the array is missing"
            except RecursionError as error:
                raise self.broken("too many lists in each other") from error
            except json.JSONDecodeError as error:
                value, end, problem = None, len(self._held), error.msg
            refuse_line(self._place.limits, end - self._at, f"{self._place.uri}, {where}")
            # What ends where the text that is held ends may go on, as a number does.
            if end < len(self._held):
                spelled, self._at = self._held[self._at : end], end
                return _Item(where, spelled, value)
            more = self._text.read(max(_ELEMENT_PART, len(self._held) - self._at))
            if not more:
                raise self.broken(problem)
            self._held += more

    def broken(self, problem: str) -> StillhouseError:
        """What is wrong with the array, of which nothing after this place can be read."""
        return StillhouseError(
            f"not readable as JSON ({problem})",
            where=f"{self._place.uri}, record {self.number}",
            expected="one array of objects, or one object a line",
            do="Fix the file, or write it as ndjson.",
        )


def _elements(text: TextIO, place: Place) -> Iterator[_Item]:
    """Give each element of the array that a file holds."""
    array = _ArrayText(text, place)
    array.next_mark()
    array.skip()
    mark = array.next_mark()
    while mark != "]":
        yield array.element()
        mark = array.next_mark()
        if mark == ",":
            array.skip()
            array.next_mark()
        elif mark != "]":
            raise array.broken("a comma or the end of the array is missing")
    array.skip()
    if array.next_mark():
        raise array.broken("something follows the array")


def _at(found: dict[str, Any], name: str) -> Any:
    """The value of a key, or where there is none of that name at the end of a path of keys and places in lists."""
    if name in found:
        return found[name]
    value: Any = found
    for part in name.split("."):
        if isinstance(value, dict) and part in value:
            value = value[part]
        elif isinstance(value, list) and _PLACE.fullmatch(part) and -len(value) <= int(part) < len(value):
            value = value[int(part)]
        else:
            return _NOT_THERE
    return value


def _paths(value: Any, before: str = "", depth: int = 0) -> Iterator[str]:
    """The paths to all values that are neither list nor object; of a list, those in its first element."""
    inside = value.items() if isinstance(value, dict) else list(enumerate(value))[:1] if isinstance(value, list) else ()
    if not inside or depth > _DEEPEST:
        yield before
    for key, item in inside:
        yield from _paths(item, f"{before}.{key}" if before else str(key), depth + 1)


def _json_value(line: str) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None
