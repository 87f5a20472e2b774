"""A number as text: one spelling of it.

Belongs here: reading and writing such a number.
Does not: what a model that answers with numbers is (score.py), which rows are left out (data/score_rows.py).

The one spelling is decimal, without an exponent, with at most six digits after the point and no zero at their end:
`4`, `4.5`, `-0.25`. In it rows, answers and reports have a number, so that two are alike where their texts are.
"""

import json
import math
import re
from typing import Any

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
DIGITS = 6
"""After the point, at most."""
SPELLING = rf"^-?\d+(\.\d{{0,{DIGITS - 1}}}[1-9])?$"
"""What the one spelling of a number matches."""
SLACK = 10.0**-DIGITS
"""What rounding to the one spelling may add to a difference."""


def reach(tolerance: float) -> float:
    """How far apart two numbers are at most that count as one."""
    return tolerance + SLACK


def written_number(value: float) -> str:
    """The one spelling of a finite number."""
    rounded = f"{value:.{DIGITS}f}".rstrip("0").rstrip(".")
    return "0" if rounded == "-0" else rounded


def number_in(text: str) -> float | None:
    """The number that a text is; None where it is none, such as `4,5`, `1 000`, `nan`, or more than a float holds."""
    stripped = text.strip()
    if _NUMBER.fullmatch(stripped) is None:
        return None
    value = float(stripped)
    return value if math.isfinite(value) else None


def number_in_reply(reply: str, name: str) -> float | None:
    """The number in what a language model said, which may have words around it; None where none, or not one alone, is.

    Of a JSON object it is what stands under the name, or else its only number. Of words it is the only one with
    digits. What has letters is a word, such as `GPT-4`; whatever else has digits and is no number, such as `2/3`, `½`,
    `4,5` or `80 %`, leaves open what was meant, and so do words that make it another number: `minus 4`, `> 4`.

    Args:
        reply: with single blanks.
        name: of the number in an object.
    """
    if (begin := reply.find("{")) >= 0:
        return _number_in_object(reply[begin : reply.rfind("}") + 1], name)
    said = _TAG.sub(" ", reply)
    if _MADE_ANOTHER.search(said):
        return None
    words = [word.rstrip(_ENDS) for word in _BETWEEN.split(said.replace(" %", "%"))]
    found = [
        word for word in words if _DIGIT.search(word) and (number_in(word) is not None or not _LETTER.search(word))
    ]
    return number_in(found[0]) if len(found) == 1 else None


_TAG = re.compile(r"</?[A-Za-z]\w*>")
_MADE_ANOTHER = re.compile(
    r"\b(?:minus|negative)\s+\d|\d\s+(?:and a half|hundred|thousand|million|billion|percent|per cent)\b"
    r"|(?<![-=])[<>\u2264\u2265]\s*[+-]?\.?\d",  # an arrow, `->` or `=>`, points at what is meant
    re.IGNORECASE,
)
_BETWEEN = re.compile(r"[\s()<>\[\]\"'`*:;=|]+")
"""What parts words of a reply."""
_ENDS = ".,!?"
_FRACTIONS = "\u00bc-\u00be\u2150-\u215e"
"""Of one sign, such as `½`: to `re` they are no digits, and letters."""
_DIGIT, _LETTER = re.compile(rf"[\d{_FRACTIONS}]"), re.compile(rf"[^\W\d_{_FRACTIONS}]")


def _number_in_object(written: str, name: str) -> float | None:
    try:
        held = json.loads(
            written, parse_int=str, parse_float=str, parse_constant=str, object_pairs_hook=_with_each_name_once
        )
    except (ValueError, RecursionError):
        return None
    numbers = {each: number_in(value) for each, value in held.items() if isinstance(value, str)}
    if name in held:
        return numbers.get(name)
    found = [value for value in numbers.values() if value is not None]
    return found[0] if len(found) == 1 else None


def _with_each_name_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    held = dict(pairs)
    if len(held) < len(pairs):
        raise ValueError("a name stands there twice")
    return held
