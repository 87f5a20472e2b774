"""The header of delimited text: where in it the columns are, and what is said of one that lacks them.

Belongs here: telling from a header that the file has none, or is written in another dialect.
Does not: reading the rows below it (delimited.py), which columns there have to be (sources.py).
"""

import re
from collections.abc import Mapping, Sequence

from stillhouse.data.advice import SettingError
from stillhouse.data.dialect import SEPARATORS, Dialect, plain_name, separator_in
from stillhouse.data.places import Place
from stillhouse.data.table import require_columns, require_once
from stillhouse.errors import StillhouseError

# A name of a column is no longer than this, and a text often is.
_LONGEST_NAME, _WORDS_OF_A_NAME = 40, 3
_NAME = re.compile(r"[\w .()\[\]/#%+-]*")


def positions(
    header: list[str], columns: Sequence[str], place: Place, dialect: Dialect, first: Mapping[int, list[str]]
) -> list[int]:
    """Find the columns in the header; what is said of a header that lacks one depends on what it looks like.

    Args:
        header: names of the columns, in the order of the fields.
        columns: those to find.
        place: where the file is.
        dialect: how it was read; its names are the header where the file has none.
        first: rows below the header, by their lines.

    Returns:
        For each column, the index of its field.

    Raises:
        StillhouseError: if a column is not in the header or twice, the header is a row, or in another dialect.
    """
    where = f"{place.uri}, line 1"
    if not header or set(columns) <= set(header):
        require_columns(header, columns, where)
    elif dialect.columns:
        require_columns(header, columns, f"{place.uri}, `columns`")
    else:
        _refuse_another_dialect(header, columns, where, dialect)
        _refuse_a_header_below(columns, first, where)
        if not set(columns) & set(header):
            _refuse_a_row_for_a_header(header, list(first.values()), where)
        require_columns(header, columns, where)
    require_once(header, columns, where)
    return [header.index(name) for name in columns]


def _refuse_another_dialect(header: list[str], columns: Sequence[str], where: str, dialect: Dialect) -> None:
    """Nothing of the line is quoted: it may be a row."""
    counts = {mark: header[0].count(mark) for mark in SEPARATORS if mark != dialect.separator}
    other = separator_in(header[0], columns) or max(counts, key=counts.__getitem__)
    counts.setdefault(other, header[0].count(other))
    if len(header) == 1 and counts[other]:
        raise SettingError(
            f"the first line is one field, and holds {other!r} {counts[other]} times",
            where=where,
            expected=f"fields separated by {dialect.separator!r}",
            field="separator",
            value=repr(other),
        )
    for quoting, quote in (("double", '"'), ("single", "'")):
        bare = [name.removeprefix(quote).removesuffix(quote) for name in header]
        if quoting != dialect.quoting and bare != header and set(columns) <= set(bare):
            raise SettingError(
                f"the names in the header are wrapped in {quote}",
                where=where,
                expected="names without quotes" if dialect.quote is None else f"quotes that are {dialect.quote}",
                field="quoting",
                value=quoting,
            )


def _refuse_a_header_below(columns: Sequence[str], first: Mapping[int, list[str]], where: str) -> None:
    names = {plain_name(column) for column in columns}
    line = next((line for line, row in first.items() if names <= set(map(plain_name, row))), None)
    if line is not None:
        raise StillhouseError(
            f"the names of the columns are not before line {line}",
            where=where,
            expected="the names of the columns in the first line",
            do="Take out what is above them.",
        )


def _refuse_a_row_for_a_header(header: list[str], first: Sequence[list[str]], where: str) -> None:
    """Where there is no header the first row stands in its place, and a row is quoted nowhere."""
    below = [row for row in first if row != header]  # two files one below the other have two headers
    values = [{row[index] for row in below if index < len(row)} for index in range(len(header))]
    stands_below = any(name.strip() and name in known for name, known in zip(header, values, strict=True))
    if stands_below or not all(_is_like_a_name(name) for name in header):
        raise SettingError(
            "there is no header: the first line looks like a row",
            where=where,
            expected="a first line with the names of the columns",
            field="columns",
            value=f"[{', '.join(f'column_{number}' for number in range(1, len(header) + 1))}]",
            otherwise="Choose the names in the order of the fields, or put a header into the file.",
        )


def _is_like_a_name(field: str) -> bool:
    is_short = len(field) <= _LONGEST_NAME and len(field.split()) <= _WORDS_OF_A_NAME
    return is_short and _NAME.fullmatch(field) is not None and not field.strip().isdigit()
