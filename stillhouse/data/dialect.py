"""How delimited text is written: what separates its fields, and what is around them.

Belongs here: the dialect of a csv file, what is usual where nothing is said of it, and what names of columns are under
it.
Does not: guessing it from a file (sniffing.py), reading by it (delimited.py), seeing that it is another (header.py).
"""

import csv
import re
import sys
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

Quoting = Literal["none", "double", "single", "escaped"]

TAB = "\t"
SEPARATORS = (TAB, ";", ",", "|")
"""What fields of delimited text are commonly separated by."""

_ESCAPED_QUOTE = re.compile(r'(?<!\\)((?:\\\\)*)\\"')
_NO_SEPARATOR = re.compile(r"[\w \r\n\"']")
# Blanks, and characters that cannot be seen: a mark in the middle of a file, a zero-width space.
_AROUND_A_NAME = re.compile(r"^[\s\ufeff\u200b\u2060]+|[\s\ufeff\u200b\u2060]+$")


@dataclass(frozen=True)
class Dialect:
    """How the fields of delimited text are separated.

    Args:
        separator: one character between two fields.
        quoting: which quotes may be around a field; with `none` a quote is text, and each line is a record. In
            `escaped` ones a backslash before a quote makes it text, and elsewhere a second quote does.
        columns: names of the columns where the file has no header.
    """

    separator: str
    quoting: Quoting
    columns: tuple[str, ...] = ()

    @property
    def quote(self) -> str | None:
        """The character around quoted fields."""
        return {"none": None, "double": '"', "single": "'", "escaped": '"'}[self.quoting]

    def doubled(self, line: str) -> str:
        """A line with its inner quotes doubled, where the dialect escapes them."""
        return _ESCAPED_QUOTE.sub(r'\1""', line) if self.quoting == "escaped" else line

    def has_blanks(self, first_line: str) -> bool:
        """Whether a blank follows each separator, as the first line shows: it is part of no field then."""
        apart = first_line.count(self.separator)
        return apart > 0 and self.separator != TAB and first_line.count(f"{self.separator} ") == apart


def usual_quoting(separator: str) -> Quoting:
    """What is around fields where nothing is said: tab-separated text rarely quotes, and a tweet holds any quote."""
    return "none" if separator == TAB else "double"


def plain_name(name: str) -> str:
    """The name of a column without blanks and invisible characters around it."""
    return _AROUND_A_NAME.sub("", name)


def as_asked_for(header: Sequence[str], columns: Collection[str]) -> list[str]:
    """A header in which a name that is asked for stands as it is asked for, whatever cannot be seen around it."""
    plain = {plain_name(column): column for column in columns if column not in header}
    return [plain.get(plain_name(name), name) if name not in columns else name for name in header]


def separator_in(first_line: str, columns: Collection[str]) -> str | None:
    """The separator under which a first line has these names, among others; None where there is none."""
    found = {mark for mark in first_line if not _NO_SEPARATOR.fullmatch(mark)}
    for mark in dict.fromkeys([*SEPARATORS, *sorted(found)]):
        names = {plain_name(name).strip("\"'") for name in first_line.split(mark)}
        if {plain_name(column) for column in columns} <= names:
            return mark
    return None


@contextmanager
def any_field_size() -> Iterator[None]:
    """Let the csv module take a field of any length, which it refuses above 131,072 characters.

    A whole record has a limit (limits.py), and cleaning.py decides how long a text may be that goes on.
    """
    before = csv.field_size_limit(sys.maxsize)
    try:
        yield
    finally:
        csv.field_size_limit(before)
