"""Rows from lines of text, by a pattern with named groups.

Belongs here: matching lines, and which lines count: those that hold more than blanks.
Does not: lines that are JSON (json_rows.py), lines with separated fields (delimited.py).
"""

import re
from collections.abc import Iterator, Sequence

from stillhouse.data.advice import SettingError
from stillhouse.data.places import Place, opened
from stillhouse.data.rejects import RejectReason
from stillhouse.data.table import Table, batches, require_columns


def read_lines(place: Place, columns: Sequence[str], pattern: str) -> Table:
    """Match each line with `pattern`, whose named groups are the columns; lines that do not match are rejects.

    Raises:
        StillhouseError: if the pattern is no regular expression, or has no group of a wanted name.
    """
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise SettingError(
            f"the pattern {pattern!r} is not a regular expression ({error})",
            where=place.uri,
            expected="a Python regular expression with named groups",
            field="pattern",
        ) from error
    require_columns(list(compiled.groupindex), columns, f"{place.uri}, pattern {pattern!r}")
    table = Table(columns)
    with opened(place) as lines:
        for batch in batches(numbered_lines(lines)):
            matches = [(number, line, compiled.match(line)) for number, line in batch]
            table.add([[match[name] for name in columns] for _, _, match in matches if match])
            table.rejects += [
                (line, RejectReason.NO_MATCH, f"line {number}") for number, line, match in matches if not match
            ]
    return table


def numbered_lines(lines: Iterator[str]) -> Iterator[tuple[int, str]]:
    """Give each line that holds more than blanks, without its end, and its number."""
    stripped = ((number, line.rstrip("\r\n")) for number, line in enumerate(lines, start=1))
    return ((number, line) for number, line in stripped if line and not line.isspace())
