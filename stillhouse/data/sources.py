"""Where rows come from: a recipe's source, and the files dropped beside it.

Belongs here: finding the file behind an address, keeping its bytes, naming its columns as Stillhouse does, its digest,
the drop folder.
Does not: parsing formats (delimited.py, parquet.py, ...), judging texts and labels (cleaning.py).
"""

import json
import stat
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, get_args

import polars as pl

from stillhouse.data import counting, delimited, json_rows, lines, parquet, workbooks
from stillhouse.data.advice import SettingError
from stillhouse.data.cleaning import normalise
from stillhouse.data.delimited import CsvTable
from stillhouse.data.dialect import Dialect, Quoting, usual_quoting
from stillhouse.data.foreign import HEAD, refuse_what_is_no_rows
from stillhouse.data.limits import within_size
from stillhouse.data.places import (
    Place,
    find_places,
    local_path,
    name_inside,
    opened_as_bytes,
    plain_read_errors,
    remote,
    unpacked_name,
)
from stillhouse.data.rejects import RejectReason, rejected
from stillhouse.data.table import Format, Table, UnknownColumnError
from stillhouse.digests import digest_of_file
from stillhouse.errors import StillhouseError
from stillhouse.recipe.contract import Recipe
from stillhouse.recipe.data import Limits
from stillhouse.records.artifacts import ArtifactStore

_SUFFIXES: dict[str, Format] = {
    ".csv": "csv",
    ".tsv": "csv",
    ".parquet": "parquet",
    ".pq": "parquet",
    ".tab": "csv",
    ".json": "json",
    ".ndjson": "ndjson",
    ".jsonl": "ndjson",
    ".xlsx": "xlsx",
}
_UNREAD = (".bz2", ".xz", ".lz4", ".7z", ".rar", ".tar", ".tgz")
"""Endings of packings and archives that are not read."""
_UNFINISHED = ("~", ".tmp", ".temp", ".part", ".partial", ".filepart", ".crdownload", ".download", ".swp", ".lock")
# Names that cleaning and splitting give to columns of their own.
_RESERVED = frozenset({"text", "label", "batch", "prompt_id", "split", "label_hidden"})
# What object stores call a hash or version of the content, best first.
_CONTENT_MARKS = ("ETag", "etag", "md5Hash", "content_md5", "checksum", "blob_id", "version_id")
_TIME_MARKS = ("LastModified", "last_modified", "mtime", "updated", "created")


@dataclass(frozen=True)
class SourceRead:
    """What one source held: every record of the file is in exactly one of the two.

    Args:
        rows: `text`, `label` (null = unlabelled), `batch` and the kept columns, all strings.
        rejects: a reject ledger of the records that could not be read.
        counted: how many records there are by another count than the parser's; None where only a look was taken.
    """

    rows: pl.DataFrame
    rejects: pl.DataFrame
    counted: int | None = None


@dataclass(frozen=True)
class Outside:
    """Files from outside as they were when they were read, which happens once.

    Args:
        digests: SHA-256 of the bytes of each file, by its address; the bytes are kept under it.
        marks: of each file that is not on this machine, what its store called the content just before it was read.
    """

    digests: Mapping[str, str]
    marks: Mapping[str, str]

    @property
    def content(self) -> str:
        """One digest for the content of all files, in the order of their addresses."""
        return _digest_of_all(list(self.digests.values()))

    def kept(self, store: ArtifactStore) -> dict[str, Path]:
        """Where the bytes of each file are kept, hashed again, by its address."""
        return {address: store.kept(digest) for address, digest in self.digests.items()}


def read_outside(
    uri: str, store: ArtifactStore, *, root: str | Path | None = None, limits: Limits | None = None
) -> Outside:
    """Read every file behind an address once, and keep its bytes: whatever is parsed afterwards is what was hashed.

    Args:
        uri: see `read_rows`.
        store: where the bytes are kept.
        root: folder that a relative path starts from; the working directory when None.
        limits: how much of a file that is not on this machine is fetched at most; the defaults of a recipe when None.

    Raises:
        StillhouseError: if there is nothing to read, it is over the limit or cannot be read, or no room is left.
    """
    digests, marks = {}, {}
    for place in find_places(uri, root, limits=limits):
        with plain_read_errors(place.uri, "a file that can be read"):
            if place.path is not None:
                digests[place.uri] = store.keep(place.path)
                continue
            marks[place.uri] = _remote_digest(place.uri)
            with remote(place).open("rb") as stream:
                digests[place.uri] = store.keep(within_size(stream, place.limits, place.uri))
    return Outside(digests, marks)


@dataclass(frozen=True)
class RowColumns:
    """Which columns of a file are read.

    Args:
        text: the user's name of the column with the text.
        label: the user's name of the column with the label; None when there is none. Labels get their one spelling as
            texts do, and blank ones become null.
        keep: further columns to carry along, such as those of slices and groups. Blank values become null.
        optional: those of label and `keep` that the file may lack; they are null then. A pattern has all its groups.
        objects: those of `keep` that may hold an object, which is read as its JSON; elsewhere one is no text.
    """

    text: str
    label: str | None = None
    keep: Sequence[str] = ()
    optional: Collection[str] = ()
    objects: Collection[str] = ()


@dataclass(frozen=True)
class RowFormat:
    r"""How the bytes of a file are taken for rows.

    Args:
        format: by the ending of the file's name when None; `lines` matches each line with `pattern`.
        encoding: of csv, ndjson and lines; a byte it does not know is an error.
        pattern: regular expression whose named groups are the columns, such as `(?P<topic>\w+): (?P<text>.+)`.
        separator: of csv; a comma, or a tab for .tsv, when None.
        quoting: of csv; none where the separator is a tab, and double quotes elsewhere, when None.
        header: names of the columns of a csv file that has no header.
    """

    format: Format | None = None
    encoding: str = "utf-8"
    pattern: str | None = None
    separator: str | None = None
    quoting: Quoting | None = None
    header: Sequence[str] = ()


BY_ITS_ENDING = RowFormat()
"""How a file is read of which nothing is said but its name."""


def read_rows(
    uri: str,
    columns: RowColumns,
    how: RowFormat = BY_ITS_ENDING,
    *,
    kept: Mapping[str, Path] | None = None,
    batch: str = "base",
    root: str | Path | None = None,
    classes: Mapping[str, str] | None = None,
    limits: Limits | None = None,
) -> SourceRead:
    """Read a source into rows with the columns that the rest of Stillhouse expects.

    Args:
        uri: a local path (may have wildcards), an address that polars or fsspec can open, or
            `package://<import name>/<path inside>` for a file inside an installed package, which is not imported.
        columns: which of its columns.
        how: its bytes are taken for rows.
        kept: where the bytes of each file are kept, by its address (see `Outside.kept`); `uri` is only a name then,
            and the records are counted a second time.
        batch: name of this batch, `base` for a recipe's own source.
        root: folder that a relative path starts from; the working directory when None.
        classes: from a spelling of a label to the class that it stands for.
        limits: what each file may cost to read; the defaults of a recipe when None.

    Raises:
        StillhouseError: if there is nothing to read or not one record is readable; names file and line where known.
    """
    text, label, keep = columns.text, columns.label, columns.keep
    names = list(dict.fromkeys([text, *([label] if label else []), *keep]))
    carried = [name for name in dict.fromkeys(keep) if (name, name) not in ((text, "text"), (label, "label"))]
    _refuse_clashes(uri, text, label, carried)
    if kept is None:
        places = find_places(uri, root, how.encoding, limits)
    else:
        places = [Place(name, path, how.encoding, limits or Limits()) for name, path in kept.items()]
    readers = [_reader(place, how) for place in places]
    tables = [reader.read(names, columns.optional, label, columns.objects) for reader in readers]
    counted = None if kept is None else sum(reader.count(table) for reader, table in zip(readers, tables, strict=True))
    found = pl.concat([table.rows for table in tables], how="diagonal")
    found = found.with_columns(pl.lit(None, pl.String).alias(name) for name in names if name not in found.columns)
    unread = [reject for table in tables for reject in table.rejects]
    _refuse_nothing_read(uri, found, unread)
    rows = found.select(
        pl.col(text).alias("text"),
        _class_of(pl.col(label) if label else pl.lit(None, pl.String), classes or {}).alias("label"),
        pl.lit(batch).alias("batch"),
        *(_blank_is_null(pl.col(name)) for name in carried),
    )
    unreadable = pl.DataFrame(unread, schema=dict.fromkeys(("text", "reason", "detail"), pl.String), orient="row")
    unreadable = unreadable.with_columns(pl.lit(batch).alias("batch"))
    return SourceRead(rows, rejected(unreadable, pl.col("reason"), pl.col("detail")), counted)


@contextmanager
def every_column_in_a_drop(recipe: Recipe) -> Iterator[None]:
    """Say of a dropped file that lacks a column which field names it, and how a recipe allows that.

    Filled with nulls instead, a renamed label column makes labelled rows unlabelled ones and no gate can tell.

    Raises:
        StillhouseError: in place of an `UnknownColumnError`.
    """
    try:
        yield
    except UnknownColumnError as error:
        allow = "" if error.column == recipe.data.text else " `data.allow_missing_columns` lists what files may lack."
        raise StillhouseError(
            f"{error.what}, which `{'.'.join(map(str, recipe.field_naming(error.column)))}` of the recipe names",
            where=error.where,
            expected=error.expected,
            do=f"{error.do}{allow}",
        ) from error


@dataclass(frozen=True)
class FolderEntry:
    """One file in a drop folder, as a listing shows it.

    Args:
        name: of the file; bytes that are no UTF-8 are kept as surrogates.
        address: how to open it.
        mark: of size and time of change, or what an object store calls the content; it changes while a file grows.
        size: in bytes.
        is_local: whether it is a file of this machine.
    """

    name: str
    address: str
    mark: str
    size: int
    is_local: bool

    def keep(self, store: ArtifactStore, limits: Limits) -> str:
        """Keep the bytes of the file as they are now, and return their digest.

        Raises:
            StillhouseError: if it cannot be read, or is fetched from elsewhere and over the limit.
        """
        if self.is_local:
            return store.keep(Path(self.address))
        with (
            plain_read_errors(self.address, "a file that can be read"),
            remote(Place(self.address, None)).open("rb") as raw,
        ):
            return store.keep(within_size(raw, limits, self.address))


def drop_folder_entries(folder: str, *, root: str | Path | None = None) -> list[FolderEntry]:
    """List the files in a drop folder, by name.

    Folders are left out, and hidden files, and those whose name says that a program is still writing them (`.tmp`,
    `.part`, `~` and the like).

    Args:
        folder: a local folder or an fsspec prefix such as `s3://bucket/inbox`; a prefix without files is empty.
        root: folder that a relative path starts from; the working directory when None.

    Raises:
        StillhouseError: if a local folder does not exist or is a file.
    """
    if "://" in folder and not folder.startswith("file://"):
        found = _remote_entries(folder)
    else:
        path = local_path(folder, root)
        if not path.is_dir():
            raise StillhouseError(
                "the drop folder is a file" if path.exists() else "the drop folder does not exist",
                where=folder,
                expected="a folder",
                do="Create it, or change `drop_folder` in the recipe.",
            )
        found = _local_entries(path)
    return sorted((entry for entry in found if not _unfinished(entry.name)), key=lambda entry: entry.name)


def digests_now(uri: str, *, root: str | Path | None = None) -> dict[str, str]:
    """Digest each file behind an address without keeping it, to see whether it was changed.

    Local files are hashed. Elsewhere the store's own mark of the content is taken (ETag, MD5, version); only where it
    keeps none, size and time of change.

    Returns:
        SHA-256 by address, as 64 hex digits.

    Raises:
        StillhouseError: if the source does not exist, or its store tells neither content mark nor time.
    """
    places = find_places(uri, root)
    return {place.uri: digest_of_file(place.path) if place.path else _remote_digest(place.uri) for place in places}


def _digest_of_all(digests: Sequence[str]) -> str:
    return digests[0] if len(digests) == 1 else sha256("\n".join(digests).encode()).hexdigest()


def known_ending(name: str) -> bool:
    """Whether the ending of a file's name tells its format, or that of the file in it does."""
    return ending_of(name) in _SUFFIXES or name.lower().endswith(".zip")


def ending_of(name: str) -> str:
    """The ending of a file's name that tells its format, in lower case, such as `.csv`."""
    return Path(unpacked_name(name)).suffix.lower()


@dataclass(frozen=True)
class _Reader:
    """One file and how it is read."""

    place: Place
    kind: Format
    pattern: str | None
    dialect: Dialect

    def read(
        self, columns: Sequence[str], optional: Collection[str], label: str | None, objects: Collection[str]
    ) -> Table:
        if self.kind == "csv":
            return delimited.read_csv(self.place, columns, optional, self.dialect, label)
        if self.kind in ("json", "ndjson"):
            return json_rows.read_json(self.place, columns, optional, objects)
        if self.kind == "xlsx":
            return workbooks.read_xlsx(self.place, columns, optional)
        if self.pattern is not None:
            return lines.read_lines(self.place, columns, self.pattern)
        return parquet.read_parquet(self.place, columns, optional, objects)

    def count(self, table: Table) -> int:
        """Count the records again, without the parser; of a table, only what its rows look like is taken."""
        if isinstance(table, CsvTable):
            return counting.count_csv(self.place, table.shape, self.dialect)
        if self.kind in ("json", "ndjson"):
            return counting.count_json(self.place, is_array=json_rows.holds_an_array(self.place))
        if self.kind == "xlsx":
            return workbooks.count_xlsx(self.place)
        return counting.count_parquet(self.place) if self.kind == "parquet" else counting.count_lines(self.place)


def format_of(place: Place, format: Format | None = None, pattern: str | None = None) -> Format:
    """The format of a file: what was said, or else what its ending says, or that of the file packed in it.

    Raises:
        StillhouseError: if there is no such format, or none is known.
    """
    suffix = ending_of(name_inside(place))
    if suffix in _UNREAD:
        raise StillhouseError(
            f"packed as {suffix}, which is not read",
            where=place.uri,
            expected="rows as they are, or packed by gzip, zstd or zip",
            do="Unpack it.",
        )
    kind = format or ("lines" if pattern else _SUFFIXES.get(suffix))
    if kind is None or kind not in get_args(Format):
        with plain_read_errors(place.uri, "a file of rows"), opened_as_bytes(place) as raw:
            refuse_what_is_no_rows(raw.read(HEAD), place.uri)
        raise SettingError(
            f"unknown format {kind!r}" if kind else f"the ending {suffix!r} tells no format",
            where=place.uri,
            expected=f"one of {', '.join(get_args(Format))}",
            field="format",
        )
    return kind


def usual_separator(place: Place) -> str:
    """The separator of a csv file of which nothing is said but its name."""
    return "\t" if ending_of(name_inside(place)) in (".tsv", ".tab") else ","


def _reader(place: Place, how: RowFormat) -> _Reader:
    kind = format_of(place, how.format, how.pattern)
    if (kind == "lines") != (how.pattern is not None):
        raise SettingError(
            f"format {kind} {'has no pattern' if kind == 'lines' else 'takes no pattern'}",
            where=place.uri,
            expected="a `pattern` with format lines, and only with it",
            field="pattern",
        )
    separator = how.separator or usual_separator(place)
    dialect = Dialect(separator, how.quoting or usual_quoting(separator), tuple(how.header))
    return _Reader(place, kind, how.pattern, dialect)


def _class_of(label: pl.Expr, classes: Mapping[str, str]) -> pl.Expr:
    """The class that a label stands for: in its one spelling, mapped where a map says so, null where that is blank."""
    spelled = pl.DataFrame({"spelled": list(classes)}, schema={"spelled": pl.String})
    spellings = spelled.select(normalise(pl.col("spelled")))["spelled"]
    known = dict(zip(spellings, classes.values(), strict=True))
    return _blank_is_null(normalise(label).str.strip_chars().replace(known))


def _blank_is_null(value: pl.Expr) -> pl.Expr:
    stripped = value.str.strip_chars()
    return pl.when(stripped != "").then(stripped).alias(value.meta.output_name())


def _refuse_clashes(uri: str, text: str, label: str | None, carried: Sequence[str]) -> None:
    if text == label:
        raise StillhouseError(
            f"column {text!r} is both text and label",
            where=uri,
            expected="two columns",
            do="Name another column for one of them.",
        )
    for name in carried:
        if name in _RESERVED:
            raise StillhouseError(
                f"column {name!r} has a name that Stillhouse uses itself",
                where=uri,
                expected=f"a slice or group column that is not one of {', '.join(sorted(_RESERVED))}",
                do="Rename the column in the source.",
            )


def _refuse_nothing_read(uri: str, found: pl.DataFrame, unread: Sequence[tuple[str, RejectReason, str]]) -> None:
    if found.is_empty() and unread:
        _, reason, detail = unread[0]
        raise SettingError(
            f"none of {len(unread)} records is readable; the first: {reason} ({detail})",
            where=uri,
            expected="at least one row",
            field="separator" if reason is RejectReason.OTHER_FIELDS else "format",
            otherwise="Or fix the file.",
        )
    if found.is_empty():
        raise StillhouseError("it holds no rows", where=uri, expected="at least one row", do="Put rows into it.")


def _unfinished(name: str) -> bool:
    return name.startswith((".", "_", "~")) or name.lower().endswith(_UNFINISHED)


def _local_entries(folder: Path) -> list[FolderEntry]:
    found = []
    for item in folder.iterdir():
        try:
            status = item.stat()
        except FileNotFoundError:  # taken away while the folder was read, or a link to nothing
            continue
        if stat.S_ISREG(status.st_mode):
            mark = f"{status.st_size} {status.st_mtime_ns}"
            found.append(FolderEntry(item.name, str(item), mark, status.st_size, is_local=True))
    return found


def _remote_entries(folder: str) -> list[FolderEntry]:
    prefix = remote(Place(folder, None))
    with plain_read_errors(folder, "a folder that can be listed"):
        files = [item for item in prefix.iterdir() if item.is_file()] if prefix.exists() else []
        return [
            FolderEntry(item.name, str(item), _mark(facts, str(item)), int(facts.get("size") or 0), is_local=False)
            for item in files
            for facts in [item.fs.info(item.path)]
        ]


def _mark(facts: Mapping[str, Any], uri: str) -> str:
    """Size and what a store calls the content, or else when it was changed."""
    content = next((f"{mark}={facts[mark]}" for mark in _CONTENT_MARKS if facts.get(mark)), None)
    changed = next((f"{mark}={facts[mark]}" for mark in _TIME_MARKS if facts.get(mark)), None)
    if not (content or changed):
        raise StillhouseError(
            "its store tells neither a content mark nor a time of change",
            where=uri,
            expected="an ETag, MD5, version or modification time",
            do="Copy the file to a folder or an object store and name that.",
        )
    return json.dumps([facts.get("size"), content or changed])


def _remote_digest(uri: str) -> str:
    with plain_read_errors(uri, "a file that can be looked up"):
        path = remote(Place(uri, None))
        facts = path.fs.info(path.path)
    return sha256(_mark(facts, uri).encode()).hexdigest()
