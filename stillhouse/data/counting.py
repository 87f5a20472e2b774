"""Counting the records of a file without the parser that gives its rows, so that a parser that loses some is found.

Belongs here: one count for each format, made from lines, quotes or the file's own account; what a line that is a row
by itself looks like.
Does not: parsing (delimited.py, parquet.py, ...), comparing the two counts (checks/source.py).
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import chain

from stillhouse.data.dialect import Dialect
from stillhouse.data.places import Place, in_memory, is_packed, opened, opened_as_text

SEPARATOR_LINE = re.compile(r"sep=(.)\r?\n?")
"""Excel's own way to say which separator follows; such a first line is no record."""

_PART = 1_048_576
# A string, whose end may be in the next part, or anything else that is no blank.
_JSON_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*+(")?|[\[\]{},]|[^\s"\[\]{},\ufeff]+', re.DOTALL)


@dataclass(frozen=True)
class RowShape:
    """What a line of a csv file looks like that is a row by itself.

    A quote that is never closed makes one text of the rows up to the next one, and the csv module does not mind. A text
    that really has several lines does not look like rows: its lines have no label of the file where labels stand.

    Args:
        separator: between two fields.
        fields: how many the header has.
        label_at: index of the field with the label; None where there is none.
        labels: those of the records that are one line.
    """

    separator: str
    fields: int
    label_at: int | None
    labels: frozenset[str]

    def are_rows(self, lines: Sequence[str]) -> bool:
        """Whether lines that a quoted field holds together are rows by themselves.

        Where labels are known, two of them with a label of the file are enough, as a record has one; where none is,
        every line has to have all fields.
        """
        alone = sum(map(self._is_row, lines))
        return alone >= 2 if self.labels else alone == len(lines) >= 2

    def _is_row(self, line: str) -> bool:
        if self.fields < 2 or line.count(self.separator) != self.fields - 1:
            return False
        values = line.rstrip("\r\n").split(self.separator)
        # In a sentence a comma is followed by a blank, in a row by the next field.
        if any(value[:1].isspace() for value in values[1:]):
            return False
        if self.labels and self.label_at is not None:
            return values[self.label_at].strip(" \"'") in self.labels
        return all(value.strip() for value in values)


def count_csv(place: Place, shape: RowShape, dialect: Dialect) -> int:
    """Count the records of delimited text by its lines, and by where a quote is open at the end of one.

    Args:
        place: where the file is.
        shape: of its rows; lines inside a quoted field that have it are counted each.
        dialect: how it is written; where it has no quotes each line is a record, and without names of columns the
            first record is none.
    """
    with opened(place) as lines:
        filled: Iterator[str] = (line for line in lines if line.rstrip("\r\n"))
        first = next(filled, "")
        if SEPARATOR_LINE.fullmatch(first):
            first = next(filled, "")
        filled = chain([first] if first else [], filled)
        if dialect.quote is None:
            found = sum(1 for _ in filled)
        else:
            open_after = _quotes(dialect.separator, dialect.quote, has_blanks=dialect.has_blanks(first))
            records = _held_together(map(dialect.doubled, filled), dialect.quote, open_after)
            found = sum(len(held) if len(held) > 1 and shape.are_rows(held) else 1 for held in records)
    return found if dialect.columns else found - 1


def count_lines(place: Place) -> int:
    """Count the lines that hold more than blanks."""
    with opened(place) as lines:
        return sum(1 for line in lines if line.strip())


def count_json(place: Place, *, is_array: bool) -> int:
    """Count the objects of a JSON file: its lines, or by the commas between the elements of its array."""
    if not is_array:
        return count_lines(place)
    depth, commas, is_filled, held = 0, 0, False, ""
    with opened_as_text(place) as text:
        while part := text.read(_PART):
            held += part
            end = len(held)
            for token in _JSON_TOKEN.finditer(held):
                mark = token[0]
                if mark[0] == '"' and token[1] is None:
                    end = token.start()
                    break
                is_filled |= depth > 0 and mark != "]"
                commas += depth == 1 and mark == ","
                depth += (mark in ("[", "{")) - (mark in ("]", "}"))
            held = held[end:]
    return commas + is_filled


def count_parquet(place: Place) -> int:
    """Count the rows of a parquet file by its own account of its pages."""
    from pyarrow.parquet import ParquetFile

    with ParquetFile(in_memory(place) if place.path is None or is_packed(place) else place.path) as file:
        return int(file.metadata.num_rows)


def _held_together(lines: Iterable[str], quote: str, open_after: Callable[[str, bool], bool]) -> Iterator[list[str]]:
    """Give the lines of each record; one goes on while a quote is open."""
    held: list[str] = []
    is_open = False
    for line in lines:
        held.append(line)
        if quote in line:
            is_open = open_after(line.rstrip("\r\n"), is_open)
        if not is_open:
            yield held
            held = []
    if held:
        yield held


@cache
def _quotes(separator: str, quote: str, *, has_blanks: bool) -> Callable[[str, bool], bool]:
    """A function from a line, and whether a quote is open before it, to whether one is after it.

    A quote opens where a field begins with it, after blanks where they are part of no field; doubled inside a quoted
    field it is text; elsewhere it is text, too.
    """
    q, s, b = re.escape(quote), re.escape(separator), " *+" if has_blanks else ""
    inside = f"(?:[^{q}]|{q}{q})*+"
    closing = re.compile(f"{inside}{q}(?!{q})[^{s}]*(?:{s}|$)")
    field = re.compile(f"{b}(?:{q}{inside}{q}(?!{q})[^{s}]*|[^{q}{s}][^{s}]*|)(?:{s}|$)")

    def open_after(line: str, is_open: bool) -> bool:
        at = 0
        if is_open:
            closed = closing.match(line)
            if closed is None:
                return True
            at = closed.end()
        while at < len(line):
            found = field.match(line, at)
            if found is None:
                return True
            at = found.end()
        return False

    return open_after
