"""Rows from a parquet file, by polars.

Belongs here: columns and paths into nested ones, and their values as text.
Does not: paths into JSON (json_rows.py), what the file may cost (limits.py), counting its rows (counting.py).
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import polars as pl

from stillhouse.data.foreign import HEAD, refuse_what_is_no_rows
from stillhouse.data.limits import parquet_within
from stillhouse.data.places import Place, in_memory, is_packed, plain_read_errors
from stillhouse.data.quoting import quoted
from stillhouse.data.table import LIST_ADVICE, PATHS_NAMED, Table, as_json, require_columns
from stillhouse.errors import StillhouseError


def read_parquet(
    place: Place,
    columns: Sequence[str],
    optional: Collection[str],
    objects: Collection[str] = (),
    lists: Collection[str] = (),
) -> Table:
    """Read columns of a parquet file as strings; a column may be a path such as `ticket.body`.

    Of the columns in `objects` one that holds objects is read as their JSON, and in `lists` one that holds lists.

    Raises:
        StillhouseError: for a file that is no parquet, an unknown column, or one that does not hold text or numbers.
    """
    with plain_read_errors(place.uri, "a parquet file"):
        file: Path | BytesIO = in_memory(place) if place.path is None or is_packed(place) else place.path
        refuse_what_is_no_rows(file.getvalue()[:HEAD] if isinstance(file, BytesIO) else _head(file), place.uri)
        scan = pl.scan_parquet(file, glob=False)
        schema = scan.collect_schema()
        values = {name: value for name in columns if (value := _parquet_value(schema, name)) is not None}
        table = Table([name for name in columns if name in values or name not in optional])
        require_columns(list(dict.fromkeys([*_parquet_paths(schema), *values])), table.columns, place.uri)
        wanted = scan.select(value.alias(name) for name, value in values.items())
        parquet_within(file, wanted, _roots(schema, values), place.limits, place.uri)
        frame = wanted.collect()
    table.frames.append(
        frame.select(
            _json_column(frame[name])
            if (name in objects and isinstance(frame[name].dtype, pl.Struct))
            or (name in lists and isinstance(frame[name].dtype, pl.List | pl.Array))
            else _string_column(frame[name], place)
            for name in frame.columns
        )
    )
    return table


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(HEAD)


def _roots(schema: Mapping[str, pl.DataType], names: Iterable[str]) -> list[str]:
    return [name if name in schema else name.partition(".")[0] for name in names]


def _parquet_value(schema: Mapping[str, pl.DataType], name: str) -> pl.Expr | None:
    if name in schema:
        return pl.col(name)
    root, *parts = name.split(".")
    if root not in schema:
        return None
    value: pl.Expr = pl.col(root)
    kind: Any = schema[root]
    for part in parts:
        inside = {item.name: item.dtype for item in kind.fields} if isinstance(kind, pl.Struct) else {}
        if part in inside:
            value, kind = value.struct.field(part), inside[part]
        elif isinstance(kind, pl.List) and part.isdecimal():
            value, kind = value.list.get(int(part), null_on_oob=True), kind.inner
        else:
            return None
    return value


def _parquet_paths(schema: Mapping[str, Any]) -> Iterator[str]:
    """The paths to all columns that are neither list nor struct; of a list, those in its first element."""
    for name, kind in schema.items():
        if isinstance(kind, pl.Struct):
            yield from (f"{name}.{path}" for path in _parquet_paths({item.name: item.dtype for item in kind.fields}))
        elif isinstance(kind, pl.List):
            yield from (f"{name}.{path}" for path in _parquet_paths({"0": kind.inner}))
        else:
            yield name


def _decoded(column: pl.Series, place: Place) -> pl.Series:
    """Text that an older writer kept as bytes."""
    try:
        return column.cast(pl.String)
    except pl.exceptions.ComputeError as error:
        rows = enumerate(column, start=1)
        row = next(row for row, value in rows if value is not None and not _is_utf8(value))
        raise StillhouseError(
            f"column {column.name!r} holds bytes that are not utf-8",
            where=f"{place.uri}, row {row}",
            expected="text, or bytes of text in utf-8",
            do="Write it as a string column.",
        ) from error


def _is_utf8(value: bytes) -> bool:
    try:
        value.decode()
    except UnicodeDecodeError:
        return False
    return True


def _json_column(column: pl.Series) -> pl.Series:
    # Not by polars, which writes null for what is not a number.
    return pl.Series(
        column.name, [None if each is None else as_json(each) for each in column.to_list()], dtype=pl.String
    )


def _string_column(column: pl.Series, place: Place) -> pl.Series:
    kind = column.dtype
    if kind.is_nested() or kind in (pl.Object, pl.Duration):
        paths = list(_parquet_paths({column.name: kind})) if isinstance(kind, pl.Struct | pl.List) else []
        raise StillhouseError(
            f"column {column.name!r} holds {'lists or objects' if paths else kind}",
            where=place.uri,
            expected="text, such as " + ", ".join(repr(quoted(path)) for path in paths[:PATHS_NAMED])
            if paths
            else "text, or numbers and dates that can be written as text",
            do="Name a field in it by its path, or write it as a string column."
            + (f" {LIST_ADVICE}" if kind == pl.List and (column.list.len() > 1).any() else ""),
        )
    if kind == pl.Binary:
        return _decoded(column, place)
    if kind.is_float():
        # As in as_text: pandas stores whole numbers with gaps as floats.
        column = column.fill_nan(None)
        if (column.drop_nulls().abs() < 2**53).all() and (column.drop_nulls() == column.drop_nulls().floor()).all():
            column = column.cast(pl.Int64)
    return column.cast(pl.String)
