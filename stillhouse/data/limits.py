"""How much one file of rows may cost to read: a limit is met with one sentence, and not with a machine out of memory.

Belongs here: streams that keep the limits of a recipe while they are read.
Does not: the limits (recipe/data.py), how long a text may be that goes on (cleaning.py), the formats (formats.py).
"""

import gzip
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from io import BufferedReader, RawIOBase
from pathlib import Path
from typing import IO, Any, TextIO, cast

import polars as pl

from stillhouse.errors import StillhouseError
from stillhouse.recipe.data import Limits
from stillhouse.wording import MEGABYTE

# Below this nothing can harm, and a short file of one repeated line is packed a hundredfold honestly.
_UNPACKED_FREELY = 16 * MEGABYTE
_CHUNK = 131_072


def refuse_file(limits: Limits, size: int, where: str) -> None:
    """Refuse a size in bytes, packed or unpacked, that is over the limit."""
    if size > limits.file_mb_at_most * MEGABYTE:
        raise _over(
            f"it holds more than {limits.file_mb_at_most:,g} MB",
            where,
            "a smaller file, or several",
            "file_mb_at_most",
        )


def refuse_ratio(limits: Limits, packed: int, unpacked: int, where: str) -> None:
    """Refuse content, in bytes, that is far more than what it was unpacked from."""
    if unpacked > max(_UNPACKED_FREELY, limits.unpacked_ratio_at_most * packed):
        raise _over(
            f"it unpacks to more than {limits.unpacked_ratio_at_most:,g} times its size",
            where,
            "a file of text, which is packed 3 to 30 times",
            "unpacked_ratio_at_most",
        )


def refuse_line(limits: Limits, characters: int, where: str) -> None:
    """Refuse a line, or a record of several, that is too long to be one."""
    if characters > limits.line_characters_at_most:
        raise _over(
            f"it is longer than {limits.line_characters_at_most:,} characters",
            where,
            "one record a line, and every quote closed",
            "line_characters_at_most",
        )


def within_size(raw: IO[bytes], limits: Limits, where: str) -> IO[bytes]:
    """Give a stream that ends with an error as soon as it has given more than a file may hold."""
    return _buffered(_Counted(raw, lambda given: refuse_file(limits, given, where)))


def unpacked(raw: IO[bytes], limits: Limits, where: str) -> IO[bytes]:
    """Unpack a gzip stream, which ends with an error as soon as it gives more than is allowed or plausible."""
    packed = _Counted(raw, lambda given: refuse_file(limits, given, where))

    def allowed(given: int) -> None:
        refuse_file(limits, given, where)
        refuse_ratio(limits, packed.given, given, where)

    return _buffered(_Counted(cast(IO[bytes], gzip.open(_buffered(packed))), allowed))


def lines_within(text: TextIO, limits: Limits, where: str) -> Iterator[str]:
    """Give the lines of a text with their ends; none is read further than a line may be long."""
    # One more than a line and its end may take, which is enough to see that a line is longer.
    most = limits.line_characters_at_most
    for number, line in enumerate(iter(partial(text.readline, most + 3), ""), start=1):
        if len(line) > most:
            refuse_line(limits, len(line.rstrip("\r\n")), f"{where}, line {number}")
        yield line


def parquet_within(
    file: Path | IO[bytes], scan: pl.LazyFrame, columns: Sequence[str], limits: Limits, where: str
) -> None:
    """Refuse columns of a parquet file that are over the limits, before any of them is in memory.

    First by the file's own account of its pages, then by the lengths of the values, which are looked at in a stream: a
    page may say once what stands in a million rows.

    Args:
        file: to read its account from.
        scan: of the same file.
        columns: those that will be read.
        limits: what they may take.
        where: names the file in errors.
    """
    from pyarrow.parquet import ParquetFile

    with ParquetFile(file) as opened:
        account = opened.metadata
        groups = [account.row_group(number) for number in range(account.num_row_groups)]
        parts = [group.column(number) for group in groups for number in range(account.num_columns)]
    wanted = [part for part in parts if part.path_in_schema.partition(".")[0] in columns]
    size = sum(part.total_uncompressed_size for part in wanted)
    refuse_file(limits, size, where)
    refuse_ratio(limits, sum(part.total_compressed_size for part in wanted), size, where)
    texts = [name for name, kind in scan.collect_schema().items() if kind == pl.String and name in columns]
    if texts:
        lengths = [pl.col(name).str.len_chars().max().fill_null(0).alias(name) for name in texts]
        bytes_in_all = pl.sum_horizontal(pl.col(name).str.len_bytes().cast(pl.UInt64).sum() for name in texts)
        found = scan.select(*lengths, bytes_in_all.alias("\0bytes")).collect(engine="streaming").row(0, named=True)
        refuse_file(limits, found.pop("\0bytes"), where)
        for name, longest in found.items():
            refuse_line(limits, longest, f"{where}, column {name!r}")


class _Counted(RawIOBase):
    """A stream that counts what it gives, in bytes, and asks after each part whether that is still allowed."""

    def __init__(self, raw: IO[bytes], allowed: Callable[[int], None]) -> None:
        self._raw, self._allowed, self.given = raw, allowed, 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer)
        part = self._raw.read(len(view))
        view[: len(part)] = part
        self.given += len(part)
        self._allowed(self.given)
        return len(part)


def _buffered(stream: _Counted) -> IO[bytes]:
    return cast(IO[bytes], BufferedReader(stream, _CHUNK))


def _over(what: str, where: str, expected: str, field: str) -> StillhouseError:
    return StillhouseError(
        what,
        where=where,
        expected=expected,
        do=f"If the file is as it should be, raise `data.limits.{field}` in the recipe.",
    )
