"""Labels that are JSON objects of a few fields, and so are learned as records.

Belongs here: of which kind each field is, by its values and the texts, and how much of a text is read.
Does not: what a record is (stillhouse/tasks/records.py), sentences about it for a person (remarks.py).
"""

import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl
from pydantic import ValidationError

from stillhouse.data.cleaning import normalise
from stillhouse.data.prompt_set import redacted
from stillhouse.recipe.record import MOST_WORDS_OF_A_VALUE, OUTPUTS_AT_MOST, FieldSpec, RecordSpec
from stillhouse.tasks.records import NoRecordError, placed, record_in_cell
from stillhouse.tasks.words import words_of
from stillhouse.wording import percent

_OBJECTS_AT_LEAST = 0.95
"""Of the labelled rows; the others are left out, with the reason."""
_LOOKED_AT = 1_000
"""Labelled rows by which the kind of a field is found."""
_IN_TEXTS = 0.8
"""Of the values of a field, from which they are taken for words of the texts, however few different ones there are."""
_FOUND_AT_LEAST = 0.5
"""Of the values of a field that is looked for in the texts; with fewer, most rows would be left out."""
_MOST_CHOICES, _ROWS_OF_A_CHOICE = 20, 5
"""Different values, and rows of each on average: with fewer of them a value is no class."""
_NEARLY_ALL = 0.99
"""Of values and texts whose words are counted; one that is much longer than the others is left out."""
_WORDS = (512, 256, 128, 64, 32, 16)
"""That a recipe may have read of a text."""
_WORDS_LOOKED_AT = OUTPUTS_AT_MOST // MOST_WORDS_OF_A_VALUE

AnyValue = str | int | float | None


def are_objects(labels: Sequence[str]) -> bool:
    """Whether nearly all labels are JSON objects."""
    return bool(labels) and sum(is_object(each) for each in labels) >= _OBJECTS_AT_LEAST * len(labels)


def is_object(label: str) -> bool:
    """Whether a label is a JSON object."""
    return _object(label) is not None


def record_of(rows: pl.DataFrame) -> RecordSpec | str:
    """What a recipe says of labels that are objects, or as a clause why they cannot be learned as records.

    Args:
        rows: `text` and `label`, as they came.
    """
    labelled = redacted(rows.drop_nulls(["text", "label"]).select("text", "label")).rows
    texts = labelled.select(normalise(pl.col("text")))["text"].to_list()
    known = [
        (text, held)
        for text, label in zip(texts, labelled["label"], strict=True)
        if (held := _object(label)) is not None
    ]
    fields: dict[str, FieldSpec] = {}
    for name in sorted({name for _, held in known for name in held}):
        found = _field(name, [(text, held.get(name)) for text, held in known])
        if isinstance(found, str):
            return found
        fields[name] = found
    return _with_room(fields, [len(words_of(text)) for text, _ in known[:_LOOKED_AT]])


def _object(label: str) -> dict[str, Any] | None:
    try:
        held = json.loads(label)
    except (ValueError, RecursionError):
        return None
    return held if isinstance(held, dict) else None


def _field(name: str, cells: Sequence[tuple[str, Any]]) -> FieldSpec | str:
    """What a recipe says of one field, or why none of its kinds is it."""
    if not _is_spelled_as_a_field(name):
        return f"{name!r} is a name that no field can have: it is empty, or has other blanks than one between two words"
    there = [(text, value) for text, value in cells if value is not None and str(value).strip()]
    if not there:
        return f"{name!r} has no value in any row, so nothing can be learned of it"
    scalar = [
        (text, value) for text, value in there if isinstance(value, str | int | float) and not isinstance(value, bool)
    ]
    if len(scalar) < _OBJECTS_AT_LEAST * len(there):
        return f"{name!r} holds lists, objects, true or false"
    optional = {"optional": True} if len(there) < len(cells) else {}
    looked_at = [each for each in scalar[:_LOOKED_AT] if len(words_of(each[0])) <= _WORDS_LOOKED_AT]
    verbatim = _as_it_occurs(looked_at, {"kind": "verbatim", **optional})
    read = max(
        _as_it_is_read(looked_at, {"kind": "number", **optional}, "decimal", ("point", "comma")),
        _as_it_is_read(looked_at, {"kind": "date", **optional}, "order", ("day_first", "month_first")),
        key=lambda found: found[1],
    )
    are_numbers = sum(not isinstance(value, str) for _, value in scalar) > len(scalar) / 2
    best, share = read if read[1] > verbatim[1] or (are_numbers and read[1] == verbatim[1]) else verbatim
    if share >= _IN_TEXTS:
        return best
    choice = _choices(scalar)
    if choice:
        return FieldSpec.model_validate({"kind": "choice", "of": choice, **optional})
    if share >= _FOUND_AT_LEAST:
        return best
    is_one = len({str(value).casefold() for _, value in scalar}) == 1
    return (
        f"of {name!r} only {percent(share)} of the values are words, numbers or dates of their text, and "
        f"{'all are the same, so that there is none' if is_one else 'too many different ones'} to choose among"
    )


def _is_spelled_as_a_field(name: str) -> bool:
    try:
        RecordSpec(fields={name: FieldSpec(kind="verbatim", words_at_most=1)}, words=2)
    except ValidationError:
        return False
    return True


def _as_it_is_read(
    cells: Sequence[tuple[str, AnyValue]], said: Mapping[str, Any], says: str, ways: tuple[str, str]
) -> tuple[FieldSpec, float]:
    """A value that is read in texts, in the way by which more of them are found than without one and by the other."""
    plain = _as_it_occurs(cells, said)
    if plain[1] == 1:  # none has two readings
        return plain
    first, second = (_as_it_occurs(cells, {**said, says: way}) for way in ways)
    better = first if first[1] > second[1] else second
    return better if better[1] > plain[1] and first[1] != second[1] else plain


def _as_it_occurs(cells: Sequence[tuple[str, AnyValue]], said: Mapping[str, Any]) -> tuple[FieldSpec, float]:
    """A field that is looked for in texts, with as many words as its values have, and the share that is found."""
    widest = RecordSpec.model_validate(
        {
            "fields": {"it": {**said, "words_at_most": MOST_WORDS_OF_A_VALUE, "optional": False}},
            "words": _WORDS_LOOKED_AT,
        }
    )
    lengths = []
    for text, value in cells:
        try:
            lengths.append(json.loads(placed(record_in_cell(json.dumps({"it": value}), widest), text, widest))["it"][1])
        except NoRecordError:
            continue
    words = _nearly_all_have(lengths) if lengths else 1
    return FieldSpec.model_validate({**said, "words_at_most": words}), len(lengths) / max(len(cells), 1)


def _nearly_all_have(counts: Sequence[int]) -> int:
    return sorted(counts)[math.ceil(_NEARLY_ALL * len(counts)) - 1]


def _choices(cells: Sequence[tuple[str, AnyValue]]) -> list[str]:
    """The values of a field of few different ones that repeat, each as most rows spell it; none of another field."""
    spelled = Counter(" ".join(str(value).split()) for _, value in cells)
    of_each: dict[str, str] = {}
    for value, _ in spelled.most_common():
        of_each.setdefault(value.casefold(), value)
    few = 2 <= len(of_each) <= min(_MOST_CHOICES, len(cells) / _ROWS_OF_A_CHOICE)
    return sorted(of_each.values()) if few else []


def _with_room(fields: Mapping[str, FieldSpec], lengths: Sequence[int]) -> RecordSpec | str:
    """The record of these fields, of as much of a text as nearly all of them have, or as is possible."""
    if not fields:
        return "they have no field"
    enough = min((words for words in _WORDS if words >= _nearly_all_have(lengths)), default=_WORDS[0])
    for words in (each for each in _WORDS if each <= enough):
        try:
            return RecordSpec(fields=dict(fields), words=words)
        except ValidationError:
            continue
    return f"{len(fields)} fields are more than a network could answer with (docs/own-rows.md#a-record-out-of-a-text)"
