"""Finding and opening one file: local, in an installed package, or in a store.

Belongs here: addresses, wildcards, text encodings, and what polars, fsspec and the system say, in one line.
Does not: what the file holds (delimited.py, parquet.py, ...), which file a recipe means (sources.py).
"""

import codecs
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from glob import glob, has_magic
from io import BytesIO, TextIOWrapper
from itertools import chain
from lzma import LZMAError
from pathlib import Path
from typing import IO, Any, TextIO
from zipfile import BadZipFile

import polars as pl

from stillhouse.addresses import holds_credentials
from stillhouse.data.advice import SettingError
from stillhouse.data.foreign import HEAD, refuse_what_is_no_rows, refuse_what_is_no_text
from stillhouse.data.limits import lines_within, only_file_of, packing_of, refuse_file, unpacked, zip_within
from stillhouse.errors import StillhouseError
from stillhouse.packages import SCHEME, in_package
from stillhouse.recipe.data import Limits
from stillhouse.stores import place_at

# Rows that are Python strings at one time while a text file is read.
BATCH_ROWS = 65_536
_PART = 1_048_576
_PACKED = (".gz", ".zst", ".zstd", ".zip")
# The longer ones first: the mark of UTF-32 begins with that of UTF-16.
_MARKS = {
    codecs.BOM_UTF8: "utf-8",
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}


@dataclass(frozen=True)
class Place:
    """One file, and how to open it.

    Args:
        uri: what the user wrote, or the file found for it; named in errors.
        path: the file on this machine; None where it is somewhere else.
        encoding: text encoding of the line-based formats.
        limits: what it may cost to read it.
    """

    uri: str
    path: Path | None
    encoding: str = "utf-8"
    limits: Limits = field(default_factory=Limits)

    @property
    def scheme(self) -> str:
        """The part before `://`, or nothing."""
        return "" if self.path else self.uri.partition("://")[0].lower()


def find_places(
    uri: str, root: str | Path | None, encoding: str = "utf-8", limits: Limits | None = None
) -> list[Place]:
    """Find the file, or for wildcards the files, behind an address."""
    limits = limits or Limits()
    if uri.startswith(SCHEME):
        return [Place(uri, _finished_file(in_package(uri), uri), encoding, limits)]
    if "://" in uri and not uri.startswith("file://"):
        return [Place(uri, None, encoding, limits)]
    path = local_path(uri, root)
    # A file that is there is meant, even when its name has brackets in it.
    if path.exists() or not has_magic(str(path)):
        return [Place(uri, _finished_file(path, uri), encoding, limits)]
    found = [Path(item) for item in sorted(glob(str(path), recursive=True)) if Path(item).is_file()]
    if not found:
        raise StillhouseError("no file matches", where=uri, expected="at least one file", do="Check the wildcards.")
    return [Place(str(item), _finished_file(item, str(item)), encoding, limits) for item in found]


def may_be_there(uri: str, root: str | Path | None) -> bool:
    """Whether there is a file of this machine behind an address; of one elsewhere nobody knows before it is read."""
    if "://" in uri and not uri.startswith("file://"):
        return True
    path = local_path(uri, root)
    return path.exists() or bool(glob(str(path), recursive=True))


@contextmanager
def plain_read_errors(where: str, expected: str) -> Iterator[None]:
    """Translate what polars, fsspec and the operating system say into one line for the user."""
    try:
        yield
    except (
        *(pl.exceptions.PolarsError, OSError, EOFError, ImportError, NotImplementedError),
        *(zlib.error, BadZipFile, LZMAError),
    ) as error:
        said = str(error).strip().splitlines() or [type(error).__name__]
        # A log writes down the cause of an error, too, and this one may quote a signed address that a host led to.
        cause = None if holds_credentials(str(error)) else error
        raise StillhouseError(
            f"cannot be read ({said[0]})",
            where=where,
            expected=expected,
            do="Install the driver." if isinstance(error, ImportError) else "Check address, rights and content.",
        ) from cause


def remote(place: Place) -> Any:
    """Open the door to a file or folder that is not on this machine.

    Raises:
        StillhouseError: if nothing installed knows its scheme.
    """
    try:
        return place_at(place.uri)
    except (ValueError, ImportError) as error:
        raise StillhouseError(
            f"no driver for {place.scheme}:// ({error})",
            where=place.uri,
            expected="a local path, package:// or a scheme whose fsspec driver is installed",
            do="Check the address, or install the driver (s3fs, gcsfs, adlfs).",
        ) from error


@contextmanager
def opened(place: Place) -> Iterator[Iterator[str]]:
    """Give the lines of a text file with their line ends; a byte that the encoding does not know is named by place."""
    with opened_as_text(place) as text:
        yield lines_of(text, place)


def lines_of(text: TextIO, place: Place) -> Iterator[str]:
    """The lines of an opened text with their ends, up to the limits and without the mark of its encoding."""
    return _without_mark(lines_within(text, place.limits, place.uri))


@contextmanager
def opened_as_text(place: Place) -> Iterator[TextIO]:
    """Give a text file, decoded as its mark says or else as its place does.

    Raises:
        StillhouseError: if it is no text, or a byte is not of its encoding, which is named by place.
    """
    _require_encoding(place)
    with plain_read_errors(place.uri, "a readable text file"):
        try:
            with binary(place) as raw:
                head = raw.peek(HEAD)[:HEAD]  # type: ignore[attr-defined]
                place = replace(place, encoding=_marked(head) or place.encoding)
                if _marked(head) in (None, "utf-8"):
                    refuse_what_is_no_text(head, place.uri, place.encoding)
                # newline="" keeps line breaks inside quoted csv fields as they are, and still ends a line at each kind.
                yield TextIOWrapper(raw, encoding=place.encoding, errors="strict", newline="")
        except UnicodeError as error:
            raise _undecodable(place, error) from error


@contextmanager
def binary(place: Place) -> Iterator[IO[bytes]]:
    """Give the bytes of a file, unpacked, up to the limits of what it may cost to read."""
    if place.path:
        refuse_file(place.limits, place.path.stat().st_size, place.uri)
    with opened_as_bytes(place) as raw:
        yield unpacked(raw, place.limits, place.uri)


@contextmanager
def opened_as_bytes(place: Place) -> Iterator[IO[bytes]]:
    """Give the bytes of a file as they are, packed or not, with no limit but what the caller keeps."""
    with place.path.open("rb") if place.path else remote(place).open("rb") as raw:
        yield raw


def name_inside(place: Place) -> str:
    """The name of what a file holds: of the one file in a zip file, otherwise its own without the end of a packing."""
    if not place.uri.lower().endswith(".zip"):
        return unpacked_name(place.uri)
    inside = unpacked_name(place.uri)
    if Path(inside).suffix:
        return inside
    with (
        plain_read_errors(place.uri, "a zip file"),
        opened_as_bytes(place) as raw,
    ):
        refuse_what_is_no_rows(raw.read(HEAD), place.uri)
        raw.seek(0)
        archive = zip_within(raw, place.limits, place.uri)
        return unpacked_name(only_file_of(archive, place.uri).filename)


def unpacked_name(name: str) -> str:
    """A file's name without the end that says how it is packed."""
    ending = next((ending for ending in _PACKED if name.lower().endswith(ending)), "")
    return name[: len(name) - len(ending)]


def is_packed(place: Place) -> bool:
    """Whether a file of this machine is packed, by its first bytes."""
    if place.path is None:
        return False
    with place.path.open("rb") as file:
        return packing_of(file.read(4)) is not None


def in_memory(place: Place) -> BytesIO:
    """All bytes of a file, up to the limits, for a reader that has to jump about in them."""
    with binary(place) as raw:
        return BytesIO(raw.read())


def local_path(address: str, root: str | Path | None) -> Path:
    """Where a local address points, a relative one from `root` or else from the working directory."""
    return Path(root or ".") / Path(address.removeprefix("file://")).expanduser()


def _finished_file(path: Path, uri: str) -> Path:
    if not path.exists():
        beside = [item.name for item in path.parent.iterdir()] if path.parent.is_dir() else []
        close = get_close_matches(path.name, beside, n=1)
        raise StillhouseError(
            "no such file" if path.parent.is_dir() else "no such file, and no such folder",
            where=uri,
            expected="a file with rows",
            do=f"Did you mean {close[0]!r}?"
            if close
            else "Check the path; a relative one starts at the project's folder.",
        )
    if path.is_dir():
        raise StillhouseError(
            "it is a folder", where=uri, expected="a file", do=f"Name a file in it, or several: {uri.rstrip('/')}/*.csv"
        )
    if path.stat().st_size == 0:
        raise StillhouseError("the file is empty", where=uri, expected="a file with rows", do="Put rows into it.")
    return path


def _require_encoding(place: Place) -> None:
    try:
        "".encode(place.encoding)
    except (LookupError, UnicodeError) as error:
        raise SettingError(
            f"unknown encoding {place.encoding!r}",
            where=place.uri,
            expected="a name Python knows, such as utf-8, latin-1 or cp1252",
            field="encoding",
        ) from error


def _marked(head: bytes) -> str | None:
    return next((encoding for mark, encoding in _MARKS.items() if head.startswith(mark)), None)


def _without_mark(lines: Iterator[str]) -> Iterator[str]:
    first = next(lines, None)
    return iter(()) if first is None else chain([first.removeprefix("\ufeff")], lines)


def _undecodable(place: Place, error: UnicodeError) -> StillhouseError:
    """Read the file again, part by part, to say where the byte is: the error of a stream counts from its last chunk."""
    common = (
        "What a file was written in is often cp1252 (Windows), cp1251 or koi8-r (Cyrillic), shift_jis or euc_jp "
        "(Japanese), gb18030 or big5 (Chinese), or utf-16-le where it has no mark; latin-1 reads any byte, right "
        "or wrong."
    )
    if not isinstance(error, UnicodeDecodeError):
        return SettingError(
            str(error), where=place.uri, expected=f"text in {place.encoding}", field="encoding", otherwise=common
        )
    decoder = codecs.getincrementaldecoder(place.encoding)()
    before, line, more = 0, 1, True
    with binary(place) as raw:
        while more:
            part = raw.read(_PART)
            more, held = bool(part), decoder.getstate()[0]
            try:
                decoder.decode(part, final=not more)
            except UnicodeDecodeError as found:
                line += (held + part).count(b"\n", 0, found.start)
                return SettingError(
                    f"byte 0x{(held + part)[found.start]:02x} at offset {before - len(held) + found.start} is not "
                    f"{place.encoding}",
                    where=f"{place.uri}, line {line}",
                    expected=f"text in {place.encoding}",
                    field="encoding",
                    otherwise=common,
                )
            before, line = before + len(part), line + part.count(b"\n")
    return StillhouseError("it changed while it was read", where=place.uri, expected="a finished file", do="Run again.")
