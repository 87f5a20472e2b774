"""Reading rows by options one by one, since a test says one or two of them."""

from dataclasses import fields
from typing import Any

from stillhouse.data.sources import RowColumns, RowFormat, SourceRead, read_rows


def read_with(uri: str, **options: Any) -> SourceRead:
    """As `read_rows`, with the fields of its records among the options."""
    columns, how = (
        {each.name: options.pop(each.name) for each in fields(of) if each.name in options}
        for of in (RowColumns, RowFormat)
    )
    return read_rows(uri, RowColumns(**columns), RowFormat(**how), **options)
