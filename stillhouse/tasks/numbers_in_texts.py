"""Numbers as texts have them: with either sign before the fraction, and with groups of three digits.

Belongs here: which number a run of words is, and its one plain spelling.
Does not: finding a run (read_values.py), numbers that are answers by themselves (numbers.py), records (records.py).

Most numbers say by their form which sign begins their fraction: `1,931.00`, `1.931,00`, `12,5`, `1'931.00`, `1 931,00`,
`1.931.000` and `0.125` can be read in one way. One point or comma before exactly three digits, as in `1,931`, can be
read in two, and which is meant only people know. In the plain spelling each number is written in one way: `1931`,
`-12.5`, with a point, without groups and without a zero at the end of its fraction.

It imports nothing but Python, see words.py.
"""

import re
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from stillhouse.recipe.record import DecimalSign

_SIGN = "([+\\-\u2212]?)"
_PLAIN = re.compile(rf"{_SIGN}([0-9]+)(?:([.,])([0-9]+))?")
_GROUPED = re.compile(rf"{_SIGN}([1-9][0-9]{{0,2}}([.,'\u2019 ])[0-9]{{3}}(?:\3[0-9]{{3}})*)(?:(?!\3)[.,]([0-9]+))?")
_INSIDE = re.compile("[0-9](?:[0-9.,'\u2019]*[0-9])?")
_BETWEEN_GROUPS = re.compile("[.,'\u2019 ]")
_SIGNS = {"point": ".", "comma": ","}
BEGINS_A_NUMBER = "+-\u22120123456789"
LONGEST = 40
"""Characters of a value that is read, and digits of a number of JSON on either side of its point: none has more."""


def readings_of_number(written: str, decimal: "DecimalSign | None") -> tuple[str, ...]:
    """The numbers that a text may be, plainly spelled: none, one, or two where it has two readings.

    Args:
        written: a run of words, or a value of a label.
        decimal: which sign begins a fraction where the form does not say it; None where nobody has said it.
    """
    if len(written) > LONGEST:
        return ()
    plain, grouped = _PLAIN.fullmatch(written), _GROUPED.fullmatch(written)
    if plain and grouped and decimal:
        plain, grouped = (plain, None) if plain[3] == _SIGNS[decimal] else (None, grouped)
    found = [(plain[1], plain[2], plain[4])] if plain else []
    found += [(grouped[1], _BETWEEN_GROUPS.sub("", grouped[2]), grouped[4])] if grouped else []
    return tuple(_spelled(sign, whole, rest or "") for sign, whole, rest in found)


def number_of_json(written: str) -> str | None:
    """A number of JSON, plainly spelled, which can be read in one way; None where it is longer than any amount."""
    try:
        value = Decimal(written)
    except InvalidOperation:  # an exponent that no Decimal holds
        return None
    _, digits, exponent = value.as_tuple()
    if not isinstance(exponent, int) or max(len(digits), abs(exponent)) > LONGEST:
        return None
    whole, _, rest = f"{abs(value):f}".partition(".")
    return _spelled("-" if value < 0 else "", whole, rest)


def is_inside_a_word(number: str, text: str, decimal: "DecimalSign | None") -> bool:
    """Whether a text has a number only with letters at it, as `EUR12.50`.

    Args:
        number: plainly spelled.
        text: in its one spelling.
        decimal: see `readings_of_number`.
    """
    return any(number.lstrip("-") in readings_of_number(digits, decimal) for digits in _INSIDE.findall(text))


def _spelled(sign: str, whole: str, rest: str) -> str:
    whole, rest = whole.lstrip("0") or "0", rest.rstrip("0")
    number = f"{whole}.{rest}" if rest else whole
    return f"-{number}" if sign in ("-", "\u2212") and number != "0" else number
