"""How much one file of rows may cost to read: a limit is met with one sentence, and not with a machine out of memory.

Belongs here: the limits of a recipe, and streams that keep them while they are read.
Does not: how long a text may be that goes on (cleaning.py), the formats (formats.py).
"""

import gzip
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from io import BufferedReader, RawIOBase
from pathlib import Path
from typing import IO, Any, TextIO, cast

import polars as pl
from pydantic import BaseModel, ConfigDict, Field

from stillhouse.errors import StillhouseError
from stillhouse.wording import MEGABYTE

# Below this nothing can harm, and a short file of one repeated line is packed a hundredfold honestly.
_UNPACKED_FREELY = 16 * MEGABYTE
_CHUNK = 131_072


class Limits(BaseModel):
    """What one file of rows may take, so that a damaged or hostile file cannot take the machine's memory."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    file_mb_at_most: float = Field(
        2_000, gt=0, description="size of a file once it is unpacked; all of its rows are in memory at one time"
    )
    line_characters_at_most: int = Field(
        10_000_000,
        gt=0,
        description="length of a line, or of a csv record of several lines; a line has to be in memory whole, and an "
        "open quote makes one record of all that follows",
    )
    unpacked_ratio_at_most: float = Field(
        100,
        gt=1,
        description="how many times its own size a packed file may give, asked from 16 MB on; text gives 3 to 30, and "
        "a file made to fill a memory up to 1,000",
    )

    def of_file(self, size: int, where: str) -> None:
        """Refuse a size in bytes, packed or unpacked, that is over the limit."""
        if size > self.file_mb_at_most * MEGABYTE:
            raise _over(
                f"it holds more than {self.file_mb_at_most:,g} MB",
                where,
                "a smaller file, or several",
                "file_mb_at_most",
            )

    def of_ratio(self, packed: int, unpacked: int, where: str) -> None:
        """Refuse content, in bytes, that is far more than what it was unpacked from."""
        if unpacked > max(_UNPACKED_FREELY, self.unpacked_ratio_at_most * packed):
            raise _over(
                f"it unpacks to more than {self.unpacked_ratio_at_most:,g} times its size",
                where,
                "a file of text, which is packed 3 to 30 times",
                "unpacked_ratio_at_most",
            )

    def of_line(self, characters: int, where: str) -> None:
        """Refuse a line, or a record of several, that is too long to be one."""
        if characters > self.line_characters_at_most:
            raise _over(
                f"it is longer than {self.line_characters_at_most:,} characters",
                where,
                "one record a line, and every quote closed",
                "line_characters_at_most",
            )


def within_size(raw: IO[bytes], limits: Limits, where: str) -> IO[bytes]:
    """Give a stream that ends with an error as soon as it has given more than a file may hold."""
    return _buffered(_Counted(raw, lambda given: limits.of_file(given, where)))


def unpacked(raw: IO[bytes], limits: Limits, where: str) -> IO[bytes]:
    """Unpack a gzip stream, which ends with an error as soon as it gives more than is allowed or plausible."""
    packed = _Counted(raw, lambda given: limits.of_file(given, where))

    def allowed(given: int) -> None:
        limits.of_file(given, where)
        limits.of_ratio(packed.given, given, where)

    return _buffered(_Counted(cast(IO[bytes], gzip.open(_buffered(packed))), allowed))


def lines_within(text: TextIO, limits: Limits, where: str) -> Iterator[str]:
    """Give the lines of a text with their ends; none is read further than a line may be long."""
    # One more than a line and its end may take, which is enough to see that a line is longer.
    most = limits.line_characters_at_most
    for number, line in enumerate(iter(partial(text.readline, most + 3), ""), start=1):
        if len(line) > most:
            limits.of_line(len(line.rstrip("\r\n")), f"{where}, line {number}")
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
    limits.of_file(size, where)
    limits.of_ratio(sum(part.total_compressed_size for part in wanted), size, where)
    texts = [name for name, kind in scan.collect_schema().items() if kind == pl.String and name in columns]
    if texts:
        lengths = [pl.col(name).str.len_chars().max().fill_null(0).alias(name) for name in texts]
        bytes_in_all = pl.sum_horizontal(pl.col(name).str.len_bytes().cast(pl.UInt64).sum() for name in texts)
        found = scan.select(*lengths, bytes_in_all.alias("\0bytes")).collect(engine="streaming").row(0, named=True)
        limits.of_file(found.pop("\0bytes"), where)
        for name, longest in found.items():
            limits.of_line(longest, f"{where}, column {name!r}")


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
