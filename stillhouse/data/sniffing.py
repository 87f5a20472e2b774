"""How a file of delimited text that nobody has described is probably written, by its first lines.

Belongs here: which separator and quotes fit, for a first recipe.
Does not: reading it (delimited.py), which a recipe alone decides.
"""

import csv
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import get_args

from stillhouse.data.counting import SEPARATOR_LINE
from stillhouse.data.dialect import SEPARATORS, Dialect, Quoting, any_field_size, separator_in, usual_quoting
from stillhouse.data.places import Place, opened

_LINES = 200


@any_field_size()
def sniffed_separator(place: Place, wanted: Collection[str], header: Sequence[str]) -> str:
    """Find the separator of a csv file.

    Args:
        place: where the file is.
        wanted: columns that its header should have.
        header: names of the columns where the file has no header.
    """
    sample = _sample(place)
    said = SEPARATOR_LINE.fullmatch(sample[0]) if sample else None
    return said[1] if said else _separator([line.rstrip("\r\n") for line in sample], wanted, header)


@any_field_size()
def sniffed_quoting(place: Place, separator: str, header: Sequence[str]) -> Quoting:
    """Find the quotes around the fields of a csv file.

    What is usual under a separator stays, unless all lines are rows under other quotes that show themselves: a field is
    wrapped in them that holds one of them, a separator or several lines, or a whole column is. A file in which a quote
    is broken shows none.

    Args:
        place: where the file is.
        separator: between its fields.
        header: names of the columns where the file has no header.
    """
    lines = _sample(place)
    sample = lines[1:] if lines and SEPARATOR_LINE.fullmatch(lines[0]) else lines
    usual = usual_quoting(separator)
    others: list[Quoting] = [each for each in get_args(Quoting) if each not in (usual, "none")]
    fits = {each: _fit(sample, Dialect(separator, each, tuple(header))) for each in (usual, *others)}
    known = fits[usual]
    if known.all_are_rows and known.is_shown:
        return usual
    # Where each line is a row as it is, quotes that make one of several are those of a text that begins with one.
    shown = (
        each
        for each in others
        if fits[each].is_shown and (not known.all_are_rows or fits[each].records == known.records)
    )
    return next(shown, usual)


@dataclass(frozen=True)
class _Fit:
    """How a sample reads under a dialect.

    Args:
        records: that it gives.
        all_are_rows: each record has as many fields as the first one; the last one may be cut.
        is_shown: all are rows, and quotes are around fields, which shows.
    """

    records: int = 0
    all_are_rows: bool = False
    is_shown: bool = False


def _fit(sample: Sequence[str], dialect: Dialect) -> _Fit:
    reader = csv.reader(
        map(dialect.doubled, sample),
        delimiter=dialect.separator,
        quotechar=dialect.quote,
        quoting=csv.QUOTE_MINIMAL if dialect.quote else csv.QUOTE_NONE,
        skipinitialspace=dialect.has_blanks(sample[0]) if sample else False,
        strict=True,
    )
    is_cut, records = len(sample) == _LINES, []
    try:
        for record in reader:
            records.append(record)
    except csv.Error:
        if not (is_cut and reader.line_num == len(sample)):  # else the last record goes on beyond the sample
            return _Fit()
        is_cut = False
    records = [record for record in records if record]
    whole = records[:-1] if is_cut else records
    fields = len(dialect.columns) or (len(whole[0]) if whole else 0)
    alike = fields > 1 and all(len(record) >= fields and not any(record[fields:]) for record in whole)
    return _Fit(len(whole), alike, alike and _is_shown(sample, whole, dialect))


def _is_shown(sample: Sequence[str], records: Sequence[Sequence[str]], dialect: Dialect) -> bool:
    quote = dialect.quote
    if quote is None:
        return False
    if dialect.quoting == "escaped":
        return any('\\"' in line for line in sample)
    needed = any(mark in value for record in records for value in record for mark in (dialect.separator, "\n", "\r"))
    bare = [line.rstrip("\r\n").split(dialect.separator) for line in sample]
    doubled = any(
        len(field) > 3 and field[0] == field[-1] == quote and quote * 2 in field[1:-1]
        for line in bare
        for field in line
    )
    below = [line for line in bare if line != [""]][0 if dialect.columns else 1 :]
    columns = zip(*below, strict=False) if len(below) > 1 else ()
    wrapped = any(all(len(field) > 1 and field[0] == field[-1] == quote for field in column) for column in columns)
    header = bare[0] if bare and not dialect.columns else [""]
    return needed or doubled or wrapped or all(len(name) > 1 and name[0] == name[-1] == quote for name in header)


def _sample(place: Place) -> list[str]:
    with opened(place) as lines:
        return list(islice(lines, _LINES))


def _separator(sample: Sequence[str], wanted: Collection[str], header: Sequence[str]) -> str:
    """The one under which the header has the wanted names, or else under which most lines have as many fields."""
    if not sample:
        return ","
    named = None if header else separator_in(sample[0], wanted)
    if named is not None:
        return named if named in sample[0] else ","  # a file of one column has no separator

    def likeness(mark: str) -> tuple[int, int, bool]:
        counts = [len(next(csv.reader([line], delimiter=mark), [])) for line in sample]
        fields = len(header) or counts[0]
        alike = sum(count == fields for count in counts) if fields > 1 else 0
        return alike, sum(_is_wrapped(line.split(mark)) for line in sample), mark == ","

    return max(SEPARATORS, key=likeness)


def _is_wrapped(fields: Sequence[str]) -> bool:
    return any(all(len(field) > 1 and field[0] == field[-1] == quote for field in fields) for quote in "\"'")
