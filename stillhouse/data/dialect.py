"""How delimited text is written: what separates its fields, and what is around them.

Belongs here: the dialect of a csv file, and what is usual where nothing is said of it.
Does not: guessing it from a file (sniffing.py), reading by it (delimited.py), seeing that it is another (header.py).
"""

from dataclasses import dataclass
from typing import Literal

Quoting = Literal["none", "double", "single"]

TAB = "\t"
SEPARATORS = (TAB, ";", ",", "|")
"""What fields of delimited text are commonly separated by."""


@dataclass(frozen=True)
class Dialect:
    """How the fields of delimited text are separated.

    Args:
        separator: one character between two fields.
        quoting: which quotes may be around a field; with `none` a quote is text, and each line is a record.
        columns: names of the columns where the file has no header.
    """

    separator: str
    quoting: Quoting
    columns: tuple[str, ...] = ()

    @property
    def quote(self) -> str | None:
        """The character around quoted fields."""
        return {"none": None, "double": '"', "single": "'"}[self.quoting]


def usual_quoting(separator: str) -> Quoting:
    """What is around fields where nothing is said: tab-separated text rarely quotes, and a tweet holds any quote."""
    return "none" if separator == TAB else "double"
