"""Dates as texts have them: with the name of a month, or in digits in one of three orders.

Belongs here: which date a run of words is, and its one spelling, ISO 8601.
Does not: finding a run (read_values.py), records (records.py, extraction.py).

Most dates say by their form what is what: `2026-11-30`, `30 November 2026`, `Nov. 30th, 2026`, and `30.11.2026`, since
there is no month 30. In `11/12/2026` day and month can be either, and which is meant only people know. Names of months
are English ones, and years have four digits.

It imports nothing but Python, see words.py.
"""

import re
from collections.abc import Iterator
from datetime import date
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from stillhouse.recipe.record import DateOrder

_MONTHS = (
    "january", "february", "march", "april", "may", "june", "july", "august", "september", "october", "november",
    "december",
)  # fmt: skip
_NUMBER_OF_MONTH = {
    spelling: number for number, name in enumerate(_MONTHS, 1) for spelling in (name, name[:3])
} | {"sept": 9}  # fmt: skip
_YEAR, _TWO, _NTH = "([12][0-9]{3})", "([0-9]{1,2})", "(?:st|nd|rd|th)?"
_YEAR_FIRST = re.compile(f"{_YEAR}([-/.]){_TWO}\\2{_TWO}")
_YEAR_LAST = re.compile(rf"{_TWO}(-|/|\. ?){_TWO}\2{_YEAR}")
_DAY_THEN_NAME = re.compile(rf"{_TWO}{_NTH}(?:-|\.? (?:of )?)([a-z]+)(?:-|\.?,? ){_YEAR}", re.IGNORECASE)
_NAME_THEN_DAY = re.compile(rf"([a-z]+)\.? {_TWO}{_NTH},? {_YEAR}", re.IGNORECASE)
_BEFORE_A_SIGN = re.compile(r" (?=[.,])")


def readings_of_date(written: str, order: "DateOrder | None") -> tuple[str, ...]:
    """The dates that a text may be, in ISO 8601: none, one, or two where it has two readings.

    Args:
        written: a run of words, or a value of a label.
        order: whether the day or the month comes first where the form does not say it; None where nobody has said it.
    """
    if not (written[:4].isdecimal() or written[-4:].isdecimal()):
        return ()
    found = [*dict.fromkeys(_read(_BEFORE_A_SIGN.sub("", written), order))]
    if len(found) > 1 and order is not None:
        found = found[:1]
    return tuple(found)


def _read(written: str, order: "DateOrder | None") -> Iterator[str]:
    """What a text may be; of two readings that one first which the order asks for."""
    if match := _YEAR_FIRST.fullmatch(written):
        yield from _existing(match[1], match[3], match[4])
    elif match := _YEAR_LAST.fullmatch(written):
        both = (match[3], match[1]), (match[1], match[3])
        for month, day in both if order != "month_first" else reversed(both):
            yield from _existing(match[4], month, day)
    elif match := _DAY_THEN_NAME.fullmatch(written):
        yield from _existing(match[3], _NUMBER_OF_MONTH.get(match[2].lower(), 0), match[1])
    elif match := _NAME_THEN_DAY.fullmatch(written):
        yield from _existing(match[3], _NUMBER_OF_MONTH.get(match[1].lower(), 0), match[2])


def _existing(year: str, month: str | int, day: str) -> Iterator[str]:
    """A day of the calendar in its spelling; nothing where there is none."""
    try:
        yield date(int(year), int(month), int(day)).isoformat()
    except ValueError:
        return
