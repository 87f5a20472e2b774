"""How a file of delimited text that nobody has described is probably written, by its first lines.

Belongs here: which separator and quotes fit, for a first recipe.
Does not: reading it (delimited.py), which a recipe alone decides.
"""

import csv
from collections.abc import Collection, Sequence
from itertools import islice

from stillhouse.data.counting import SEPARATOR_LINE
from stillhouse.data.dialect import SEPARATORS, Quoting
from stillhouse.data.places import Place, opened

_LINES = 200


def sniffed_separator(place: Place, wanted: Collection[str], header: Sequence[str]) -> str:
    """Find the separator of a csv file.

    Args:
        place: where the file is.
        wanted: columns that its header should have.
        header: names of the columns where the file has no header.
    """
    sample = _sample(place)
    said = SEPARATOR_LINE.fullmatch(sample[0]) if sample else None
    return said[1] if said else _separator(sample, wanted, header)


def sniffed_quoting(place: Place, separator: str) -> Quoting | None:
    """Find the quotes in which all fields of a csv file's first line are wrapped; None where they are in none."""
    sample = [line for line in _sample(place) if not SEPARATOR_LINE.fullmatch(line)]
    return _wrapped_in(sample[0].split(separator)) if sample else None


def _wrapped_in(fields: Sequence[str]) -> Quoting | None:
    quotes: dict[str, Quoting] = {'"': "double", "'": "single"}
    wrapped = (q for q in quotes if all(len(field) > 1 and field[0] == field[-1] == q for field in fields))
    return next((quotes[quote] for quote in wrapped), None)


def _sample(place: Place) -> list[str]:
    with opened(place) as lines:
        return [line.rstrip("\r\n") for line in islice(lines, _LINES)]


def _separator(sample: Sequence[str], wanted: Collection[str], header: Sequence[str]) -> str:
    """The one under which the header has the wanted names, or else under which most lines have as many fields."""
    if not sample:
        return ","
    for mark in SEPARATORS:
        names = {name.strip("\"'") for name in sample[0].split(mark)}
        if set(wanted) <= names and not header:
            return mark

    def likeness(mark: str) -> tuple[int, int, bool]:
        counts = [len(next(csv.reader([line], delimiter=mark), [])) for line in sample]
        fields = len(header) or counts[0]
        alike = sum(count == fields for count in counts) if fields > 1 else 0
        return alike, sum(_wrapped_in(line.split(mark)) is not None for line in sample), mark == ","

    return max(SEPARATORS, key=likeness)
