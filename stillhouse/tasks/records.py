"""A record that is taken out of a text, as text: its spellings, and what of a cell is one.

Belongs here: reading a record, finding its values in the text that it is of, writing it for people again, and writing
it without a word of the text.
Does not: what a model that answers with records is (extraction.py), what a word is (words.py).

A record has two spellings. In the first, JSON without blanks and with the fields in the order of their names, a person
reads it: `{"currency":"EUR","due":null,"total":12.5,"vendor":"Acme Ltd"}`. In the second each value that is in the text
is the place where the text has it first, as the number of its first word and how many words it has:
`{"currency":"EUR","due":null,"total":[9,1],"vendor":[4,2]}`. That one is what rows, answers and truths are compared by,
since a network points at words; with the text beside it each becomes the other.

Where answers are kept and texts may not be, or not as long, a record is in a third spelling, in which no word of a text
is: `{"currency":"EUR","due":null,"total":["dokmcfab...","number"],"vendor":["fbgkahcd...",2]}`. In the place of words
it has a digest of them that is made with a secret, and how many they are; in the place of a number or a date a digest
of its value, and which of the two it is. Two records of one answer that mean the same words and values have the same
one; of two answers not even that is known.
"""

import hmac
import json
import re
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any

from stillhouse.recipe.record import MOST_WORDS_OF_A_VALUE, FieldSpec, RecordSpec
from stillhouse.tasks.numbers_in_texts import number_of_json
from stillhouse.tasks.read_values import has_letters_at_it, readings, values_in
from stillhouse.tasks.words import first_place, plainly_spelled, run_at, spans_of_words, words_of

_JSON = json.JSONDecoder()
_BEGINS = re.compile(r'\{\s*"')
_OBJECTS_AT_MOST = 100
_AS_LETTERS = str.maketrans("0123456789", "ghijklmnop")
"""Of hexadecimal digits: a row of digits may look like a telephone number, and is redacted as one."""
_DIGEST_CHARACTERS = 16
_NO_VALUE = "no value"
_HALVES = re.compile("[\ud800-\udfff]")
"""Of characters: JSON may have them, as where a reply was cut off, and no text can."""


class RecordFault(StrEnum):
    """Why something is no record of a text."""

    NO_RECORD = "no record of the fields of the recipe"
    TEXT_TOO_LONG = "the text has more words than are read"
    TOO_MANY_WORDS = "a value has more words than its field may"
    NOT_IN_TEXT = "a value is not in the text"
    INSIDE_A_WORD = "a value begins or ends inside a word of the text"
    TWO_READINGS = "a value can be read in two ways"
    PERSONAL_DATA = "a value is personal data, which texts do not keep"


class NoRecordError(ValueError):
    """Something is no record; says as a clause why.

    Args:
        fault: which of the reasons that are counted.
        why: the clause.
    """

    def __init__(self, fault: RecordFault, why: str) -> None:
        super().__init__(why)
        self.fault = fault


def record_in_cell(cell: str, spec: RecordSpec, beside: str | None = None) -> str:
    """The first spelling of the record that a cell holds.

    Args:
        cell: a JSON object, in which a field that is not there, null or blank has no value.
        spec: its fields.
        beside: what else it may have, such as why it is so; no part of the record.

    Raises:
        NoRecordError: if it is none, a field is not of the recipe, or a value is none that its field may have.
    """
    held = _object(cell)
    unknown = [name for name in held if name not in spec.fields and name != beside]
    if unknown:
        raise NoRecordError(RecordFault.NO_RECORD, f"the recipe has no field {unknown[0]!r}")
    return _written({name: _value(name, held.get(name), field) for name, field in spec.fields.items()})


def record_in_reply(reply: str, spec: RecordSpec, beside: str | None = None) -> str:
    """The first spelling of the record in what a language model said, which may have words around it.

    Of several records nobody knows which is the answer, unless they are the same; braces that hold no JSON are words.

    Args:
        reply: all of it.
        spec: the fields.
        beside: see `record_in_cell`.

    Raises:
        NoRecordError: see `record_in_cell`; and if several objects of the reply are not the same record.
    """
    objects = _objects_in(reply)
    if len(objects) < 2:
        return record_in_cell(objects[0] if objects else reply, spec, beside)
    if len(found := {record_in_cell(each, spec, beside) for each in objects}) > 1:
        raise NoRecordError(RecordFault.NO_RECORD, f"it has {len(found)} different records")
    return found.pop()


def placed(record: str, text: str, spec: RecordSpec) -> str:
    """The second spelling of a record: where the text has its values.

    Args:
        record: in its first spelling.
        text: in its one spelling.
        spec: its fields.

    Raises:
        NoRecordError: if a value is not in the text as whole words, or has too many of them, or the text has; or if it
            can be read in two ways.
    """
    words = words_of(text)
    if len(words) > spec.words:
        raise NoRecordError(RecordFault.TEXT_TOO_LONG, f"it has {len(words)} words, and {spec.words} are read")
    values = json.loads(record, parse_int=str, parse_float=str)
    return _written(
        {
            name: _place(name, values[name], words, text, field) if field.points else values[name]
            for name, field in spec.fields.items()
        }
    )


def spelled_out(places: str, text: str, spec: RecordSpec) -> str:
    """The first spelling of a record in its second, as a person reads it.

    Args:
        places: in its second spelling; a number or date has no value where its place is that of none.
        text: that it is of, in its one spelling.
        spec: its fields.
    """
    return _written(
        {
            name: _said_at(text, value, spec.fields[name]) if isinstance(value, list) else value
            for name, value in json.loads(places).items()
        }
    )


def without_words(record: str, spec: RecordSpec, *, key: bytes, id: str) -> str:
    """The third spelling of a record in its first.

    Args:
        record: in its first spelling.
        spec: its fields.
        key: of the installation, for this.
        id: of the answer that it is, or that it is said of.
    """
    held = json.loads(record, parse_int=str, parse_float=str)
    return json.dumps(
        {
            name: value
            if value is None or (field := spec.fields.get(name)) is None or field.kind == "choice"
            else _kept_value(name, value, field, key, id)
            for name, value in held.items()
        },
        separators=(",", ":"),  # in ASCII: what is written down is given one spelling of accents first
    )


def with_words(kept: str, text: str, spec: RecordSpec, *, key: bytes, id: str) -> str | None:
    """The first spelling of a record in its third; None where the text has not these words, or it has other fields.

    Where a text has them in two spellings, of which one is a name and the other is not, nobody knows which was meant.

    Args:
        kept: in its third spelling.
        text: in its one spelling; personal data may have been taken out of it.
        spec: its fields.
        key: see `without_words`.
        id: likewise.
    """
    if not is_of_fields(kept, spec):
        return None
    held = json.loads(kept)
    for name, value in held.items():
        if isinstance(value, list):
            field = spec.fields[name]
            held[name] = (
                _value_meant(name, value, text, field, key, id)
                if field.reads
                else _words_meant(name, value, text, key, id)
            )
            if held[name] is None:
                return None
    try:
        return record_in_cell(_written(held), spec)
    except NoRecordError:
        return None


def is_of_fields(kept: str, spec: RecordSpec) -> bool:
    """Whether a record in its third spelling is of such fields, each of the kind that it is now.

    Words and a number have digests of different things, so that of two kinds nobody can tell whether they are one.
    """
    held = json.loads(kept)
    return held.keys() == spec.fields.keys() and all(
        value is None or _kind_of(value) == spec.fields[name].kind for name, value in held.items()
    )


def _kind_of(kept: str | list[str | int]) -> str:
    if isinstance(kept, str):
        return "choice"
    return kept[1] if isinstance(kept[1], str) else "verbatim"


def counted_of(kept: str) -> tuple[str, ...]:
    """What is counted of a record in its third spelling, see `countable`; of any other text nothing."""
    try:
        held = json.loads(kept)
    except ValueError:
        return ()
    values = held.items() if isinstance(held, dict) else ()
    return tuple(
        f"{name}: {_stood_for(value[1]) if isinstance(value, list) else _NO_VALUE if value is None else value}"
        for name, value in values
    )


def countable(spec: RecordSpec) -> tuple[str, ...]:
    """All that can be counted of records: of a choice its values, of words how many, and that there is a value or none.

    So `currency: EUR`, `vendor: 2 words`, `total: a number` and `due: no value`: records themselves are all different,
    as their words are. A number or a date may be missing in any field, since a text may have none.
    """
    return tuple(
        f"{name}: {value}"
        for name, field in spec.fields.items()
        for value in (
            *([_NO_VALUE] if field.optional or field.reads else []),
            *(field.of if field.kind == "choice" else map(_stood_for, _lengths(field))),
        )
    )


def _lengths(field: FieldSpec) -> Sequence[int | str]:
    """What a field that is not a choice may have beside its digest."""
    return [field.kind] if field.reads else range(1, field.words_at_most + 1)


def _stood_for(many: int | str) -> str:
    """What a digest stands for: so many words, or a number or a date."""
    return f"a {many}" if isinstance(many, str) else f"{many} word{'' if many == 1 else 's'}"


def _kept_value(name: str, value: str, field: FieldSpec, key: bytes, id: str) -> list[str | int]:
    """What stands for a value that is words, a number or a date."""
    words = [value] if field.reads else words_of(value)
    return _digested(name, words, field.kind if field.reads else len(words), key, id)


def _digested(name: str, words: Sequence[str], beside: int | str, key: bytes, id: str) -> list[str | int]:
    """Stands for words, in whatever case, in a field of one answer; and what is said beside."""
    meant = "\0".join([id, name, *(word.casefold() for word in words)])
    digest = hmac.digest(key, meant.encode(), "sha256").hex().translate(_AS_LETTERS)
    return [digest[:_DIGEST_CHARACTERS], beside]


def _value_meant(name: str, kept: list[str | int], text: str, field: FieldSpec, key: bytes, id: str) -> str | None:
    """The number or date of a text that is meant by what stands for it."""
    runs = values_in(text, spans_of_words(text), field.words_at_most, field)
    for value in {found[0] for _, found in runs if len(found) == 1}:
        if _digested(name, [value], field.kind, key, id) == kept:
            return _as_json(value, field)
    return None


def _words_meant(name: str, kept: list[str | int], text: str, key: bytes, id: str) -> str | None:
    """The words of a text that are meant by what stands for them."""
    words, many = words_of(text), int(kept[1])
    runs = [words[first : first + many] for first in range(len(words) - many + 1)]
    places = [first for first, run in enumerate(runs) if _digested(name, run, many, key, id) == kept]
    return run_at(text, places[0], many) if len({tuple(runs[first]) for first in places}) == 1 else None


def fields_of(record: object) -> tuple[str, ...]:
    """The names of the fields of a record, in either spelling; none where there is no record."""
    return tuple(json.loads(record)) if isinstance(record, str) else ()


def written_places(values: Mapping[str, tuple[int, int] | str | None]) -> str:
    """The second spelling of a record.

    Args:
        values: by field, in their order: the number of a first word and of words, a value of a choice, or nothing.
    """
    return _written(values)


class _Number(str):
    """A number of JSON, as it is written: `12.50` has two digits after its point, which no float knows."""


def _written(values: Mapping[str, Any]) -> str:
    return "{" + ",".join(f"{_json(name)}:{_json(value)}" for name, value in values.items()) + "}"


def _json(value: Any) -> str:
    return value if isinstance(value, _Number) else json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _said_at(text: str, place: list[int], field: FieldSpec) -> str | None:
    """What a text says at a place: its words, or the value that they are read as, if they are one."""
    run = run_at(text, *place)
    if run is None or not field.reads:
        return run
    found = readings(run, field)
    return _as_json(found[0], field) if len(found) == 1 else None


def _as_json(value: str, field: FieldSpec) -> str:
    """A value that was read, as a record has it."""
    return _Number(value) if field.kind == "number" else value


def _objects_in(reply: str) -> list[str]:
    """The JSON objects in a reply that are in no other one, as they are written."""
    found, at = list[str](), reply.find("{")
    while at >= 0 and len(found) < _OBJECTS_AT_MOST:
        try:
            _, end = _JSON.raw_decode(reply, at)
        except (ValueError, RecursionError):
            if _BEGINS.match(reply, at):
                return [reply[at:]]  # what is inside of one that is broken is a part of it, and no record
            end = at + 1
        else:
            found.append(reply[at:end])
        at = reply.find("{", end)
    return found


def _object(cell: str) -> dict[str, Any]:
    """A JSON object whose numbers are the text that they are written as: 12.50 is a price, and 12.5 another text."""
    try:
        held = json.loads(
            cell, parse_int=_Number, parse_float=_Number, parse_constant=str, object_pairs_hook=_with_each_name_once
        )
    except NoRecordError:
        raise
    except (ValueError, RecursionError):
        raise NoRecordError(RecordFault.NO_RECORD, "it is no JSON") from None
    if not isinstance(held, dict):
        raise NoRecordError(RecordFault.NO_RECORD, "it is JSON, and no object")
    return held


def _with_each_name_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    held = dict(pairs)
    if len(held) < len(pairs):
        raise NoRecordError(RecordFault.NO_RECORD, "it has a field twice")
    return held


def _value(name: str, held: object, field: FieldSpec) -> str | None:
    if held is not None and not isinstance(held, str):
        raise NoRecordError(RecordFault.NO_RECORD, f"{name} is neither a text nor a number")
    value = _spelled(held or "")
    if not value:
        if field.optional:
            return None
        raise NoRecordError(RecordFault.NO_RECORD, f"{name} has no value, and is not optional")
    if field.kind == "verbatim":
        return str(value)
    if field.reads:
        return _read(name, _Number(value) if isinstance(held, _Number) else value, field)
    for known in field.of:
        if _spelled(known).casefold() == value.casefold():
            return known
    raise NoRecordError(RecordFault.NO_RECORD, f"{name} is none of {', '.join(field.of)}")


def _read(name: str, value: str, field: FieldSpec) -> str:
    """The value that a label says: a number of JSON by its rules, and a text as texts of this field are read."""
    if isinstance(value, _Number) and field.kind == "number":
        plain = number_of_json(value)
        found: tuple[str, ...] = () if plain is None else (plain,)
    else:
        found = readings(value, field)
    if len(found) > 1:
        raise _two_readings(name, field)
    if not found:
        raise NoRecordError(RecordFault.NO_RECORD, f"{name} is no {field.kind}")
    return _as_json(found[0], field)


def _two_readings(name: str, field: FieldSpec) -> NoRecordError:
    says = "decimal" if field.kind == "number" else "order"
    why = f"{name} can be read in two ways, and `{says}` of the field does not say in which"
    return NoRecordError(RecordFault.TWO_READINGS, why)


def _spelled(value: str) -> str:
    """A value in the one spelling that texts have, whose words it has to be."""
    return plainly_spelled(_HALVES.sub("\ufffd", value))


def _place(name: str, value: str | None, words: list[str], text: str, field: FieldSpec) -> tuple[int, int] | None:
    if value is None:
        return None
    if field.reads:
        return _place_of_what_is_read(name, value, text, field)
    run = words_of(value)
    if len(run) > field.words_at_most:
        raise NoRecordError(
            RecordFault.TOO_MANY_WORDS, f"{name} has {len(run)} words, and may have {field.words_at_most}"
        )
    first = first_place(words, run) if run else None
    if first is None:
        if value.casefold() in text.casefold():
            raise NoRecordError(RecordFault.INSIDE_A_WORD, f"{name} begins or ends inside a word of the text")
        raise NoRecordError(RecordFault.NOT_IN_TEXT, f"{name} is not in the text")
    return first, len(run)


def _place_of_what_is_read(name: str, value: str, text: str, field: FieldSpec) -> tuple[int, int]:
    """Where a text has a number or a date first, however it is written there."""
    among = dict(values_in(text, spans_of_words(text), MOST_WORDS_OF_A_VALUE, field))
    places = [place for place, found in among.items() if found == (value,)]
    for place in places:
        if place[1] <= field.words_at_most:
            return place
    if places:
        most, has = field.words_at_most, places[0][1]
        raise NoRecordError(RecordFault.TOO_MANY_WORDS, f"{name} has {has} words, and may have {most}")
    if any(value in found for found in among.values()):
        raise _two_readings(name, field)
    if has_letters_at_it(value, text, field):
        raise NoRecordError(RecordFault.INSIDE_A_WORD, f"{name} begins or ends inside a word of the text")
    raise NoRecordError(RecordFault.NOT_IN_TEXT, f"{name} is not in the text")
