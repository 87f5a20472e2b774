"""How much one file of rows may cost to read: a limit is met with one sentence, and not with a machine out of memory.

Belongs here: streams that keep the limits of a recipe while they are read.
Does not: the limits (recipe/data.py), how long a text may be that goes on (cleaning.py), the formats
(delimited.py, parquet.py, ...).
"""

import gzip
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from io import SEEK_END, BufferedReader, RawIOBase
from pathlib import Path
from typing import IO, Any, Literal, TextIO, cast
from zipfile import ZipFile, ZipInfo

import polars as pl

from stillhouse.data.advice import SettingError
from stillhouse.errors import StillhouseError
from stillhouse.recipe.data import Limits
from stillhouse.wording import MEGABYTE

# Below this nothing can harm, and a short file of one repeated line is packed a hundredfold honestly.
_UNPACKED_FREELY = 16 * MEGABYTE
_CHUNK = 131_072
# A zip file ends with a record of 22 bytes and a comment of up to 64 KiB.
_END_OF_ZIP = 65_557


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
    """Give what a file holds, taken out of gzip, zstd or zip, by its first bytes and not by its name.

    The stream ends with an error as soon as it gives more than is allowed or plausible.

    Args:
        raw: the file from its beginning; a zip file is sought in.
        limits: what it may cost.
        where: names the file in errors.
    """
    packed = _Counted(raw, lambda given: refuse_file(limits, given, where))
    stream = _buffered(packed)
    packing = packing_of(stream.peek(4))  # type: ignore[attr-defined]
    if packing is None:
        return stream
    if packing == "zip":
        return _only_file(raw, limits, where)

    def allowed(given: int) -> None:
        refuse_file(limits, given, where)
        refuse_ratio(limits, packed.given, given, where)

    return _buffered(_Counted(_zstd(stream) if packing == "zstd" else cast(IO[bytes], gzip.open(stream)), allowed))


def packing_of(head: bytes) -> Literal["gzip", "zip", "zstd"] | None:
    """In what a file is packed, by its first bytes."""
    if head.startswith(b"\x1f\x8b"):
        return "gzip"
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return "zip"
    return "zstd" if head.startswith(b"\x28\xb5\x2f\xfd") else None


def zip_within(raw: IO[bytes], limits: Limits, where: str) -> ZipFile:
    """Open a zip file whose files together are within the limits by its own account, which the zip module holds it to.

    Raises:
        StillhouseError: if they are not, or if there are too many to look at.
    """
    size = raw.seek(0, SEEK_END)
    refuse_file(limits, size, where)
    raw.seek(max(0, size - _END_OF_ZIP))
    end = raw.read()
    at = end.rfind(b"PK\x05\x06")
    # The zip module makes an object of each file before anybody can ask how many there are.
    if at >= 0 and int.from_bytes(end[at + 12 : at + 16], "little") > MEGABYTE:
        raise StillhouseError(
            "it lists thousands of files", where=where, expected="one file in it", do="Unpack it, and name the files."
        )
    raw.seek(0)
    archive = ZipFile(raw)
    inside = sum(item.file_size for item in archive.infolist())
    refuse_file(limits, inside, where)
    refuse_ratio(limits, size, inside, where)
    return archive


def only_file_of(archive: ZipFile, where: str) -> ZipInfo:
    """The one file in a zip file; folders, hidden files and what macOS adds are none.

    Raises:
        StillhouseError: if there is none or more than one, or it needs a password.
    """
    names = [item for item in archive.infolist() if not item.is_dir() and not _is_hidden(item.filename)]
    if any(item.filename == "[Content_Types].xml" for item in names):
        raise SettingError(
            "it is an Excel workbook or another Office document",
            where=where,
            expected="text, packed or not",
            field="format",
            value="xlsx",
        )
    if len(names) != 1:
        shown = ", ".join(item.filename for item in names[:5]) + (", ..." if len(names) > 5 else "")
        raise StillhouseError(
            f"it holds {len(names)} files" + (f" ({shown})" if shown else ""),
            where=where,
            expected="one file in it",
            do="Unpack it, and name one of them, or several by a wildcard.",
        )
    if names[0].flag_bits & 1:
        raise StillhouseError(
            "it is locked with a password", where=where, expected="a zip file that is not", do="Unpack it."
        )
    return names[0]


def _only_file(raw: IO[bytes], limits: Limits, where: str) -> IO[bytes]:
    archive = zip_within(raw, limits, where)
    only = only_file_of(archive, where)

    def allowed(given: int) -> None:
        refuse_file(limits, given, where)
        refuse_ratio(limits, only.compress_size, given, where)

    return _buffered(_Counted(archive.open(only), allowed))


def _is_hidden(name: str) -> bool:
    return name.startswith("__MACOSX/") or name.rpartition("/")[2].startswith(".")


def _zstd(packed: IO[bytes]) -> IO[bytes]:
    import pyarrow

    # Python has zstd of its own from 3.14 on.
    return cast(IO[bytes], pyarrow.CompressedInputStream(pyarrow.PythonFile(packed, mode="r"), "zstd"))


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
        scan: of what will be read of the same file.
        columns: those of the file that it comes from.
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
    texts = {name: kind for name, kind in scan.collect_schema().items() if kind in (pl.String, pl.Binary)}
    if texts:
        longest = [_longest(pl.col(name), kind).fill_null(0).alias(name) for name, kind in texts.items()]
        sizes = (_size(pl.col(name), kind).cast(pl.UInt64).sum() for name, kind in texts.items())
        in_all = pl.sum_horizontal(sizes)
        found = scan.select(*longest, in_all.alias("\0bytes")).collect(engine="streaming").row(0, named=True)
        refuse_file(limits, found.pop("\0bytes"), where)
        for name, most in found.items():
            refuse_line(limits, most, f"{where}, column {name!r}")


def _longest(value: pl.Expr, kind: pl.DataType) -> pl.Expr:
    return value.bin.size().max() if kind == pl.Binary else value.str.len_chars().max()


def _size(value: pl.Expr, kind: pl.DataType) -> pl.Expr:
    return value.bin.size() if kind == pl.Binary else value.str.len_bytes()


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


def _over(what: str, where: str, expected: str, field: str) -> SettingError:
    when = "If the file is as it should be,"
    return SettingError(what, where=where, expected=expected, field=f"limits.{field}", when=when)
