"""Rows out of files: in which format a file is, and its columns as the rest of Stillhouse names them.

Belongs here: choosing the reader of a file, and what every reader's rows become.
Does not: parsing formats (delimited.py, parquet.py, ...), keeping the bytes of files (outside.py), judging texts and
labels (cleaning.py).
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import polars as pl

from stillhouse.data import counting, delimited, json_rows, lines, parquet, workbooks
from stillhouse.data.advice import SettingError
from stillhouse.data.cleaning import normalise
from stillhouse.data.delimited import CsvTable
from stillhouse.data.dialect import Dialect, Quoting, usual_quoting
from stillhouse.data.foreign import HEAD, refuse_what_is_no_rows
from stillhouse.data.pairs import joined
from stillhouse.data.places import (
    Place,
    find_places,
    name_inside,
    opened_as_bytes,
    plain_read_errors,
    unpacked_name,
)
from stillhouse.data.record_rows import with_records
from stillhouse.data.rejects import RejectReason, rejected
from stillhouse.data.score_rows import with_numbers
from stillhouse.data.sets_of_labels import with_sets
from stillhouse.data.table import Format, Table
from stillhouse.errors import StillhouseError
from stillhouse.recipe.data import SETS, Limits, ScoreSpec, TaskKind
from stillhouse.recipe.record import RecordSpec

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
# Names that cleaning and splitting give to columns of their own.
_RESERVED = frozenset({"text", "label", "batch", "prompt_id", "split", "label_hidden"})


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
class RowColumns:
    """Which columns of a file are read.

    Args:
        text: the user's name of the column with the text.
        label: the user's name of the column with the label; None when there is none. Labels get their one spelling as
            texts do, and blank ones become null.
        keep: further columns to carry along, such as those of slices and groups. Blank values become null.
        optional: those of label and `keep` that the file may lack; they are null then. A pattern has all its groups.
        objects: those of `keep` that may hold an object, which is read as its JSON; elsewhere one is no text.
        lists: those that may hold a list, which is read as its JSON; likewise.
        query: the user's name of the column with the query, where the text is a document; both become one text.
    """

    text: str
    label: str | None = None
    keep: Sequence[str] = ()
    optional: Collection[str] = ()
    objects: Collection[str] = ()
    lists: Collection[str] = ()
    query: str | None = None


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
    answer: TaskKind = "single_label",
    score: ScoreSpec | None = None,
    record: RecordSpec | None = None,
    limits: Limits | None = None,
) -> SourceRead:
    """Read a source into rows with the columns that the rest of Stillhouse expects.

    Args:
        uri: a local path (may have wildcards), an address that polars or fsspec can open, or
            `package://<import name>/<path inside>` for a file inside an installed package, which is not imported.
        columns: which of its columns.
        how: its bytes are taken for rows.
        kept: where the bytes of each file are kept, by its address (`Outside.kept` says it); `uri` is only a name
            then, and the records are counted a second time.
        batch: name of this batch, `base` for a recipe's own source.
        root: folder that a relative path starts from; the working directory when None.
        classes: from a spelling of a label to the class that it stands for.
        answer: what a label is; of a set of labels each cell gets its one spelling, and one that is no set is a reject.
        score: of labels that are numbers between which they lie; each cell gets its one spelling, and one that is no
            such number is a reject.
        record: of labels that are records their fields; likewise.
        limits: what each file may cost to read; the defaults of a recipe when None.

    Raises:
        StillhouseError: if there is nothing to read or not one record is readable; names file and line where known.
    """
    text, label, keep = columns.text, columns.label, columns.keep
    names = list(dict.fromkeys([text, *(each for each in (columns.query, label) if each), *keep]))
    carried = [name for name in dict.fromkeys(keep) if (name, name) not in ((text, "text"), (label, "label"))]
    _refuse_clashes(uri, text, label, carried)
    if kept is None:
        places = find_places(uri, root, how.encoding, limits)
    else:
        places = [Place(name, path, how.encoding, limits or Limits()) for name, path in kept.items()]
    readers = [_reader(place, how) for place in places]
    lists = (*columns.lists, *([label] if label and answer in SETS else []))
    objects = (*columns.objects, *([label] if label and record is not None else []))
    tables = [reader.read(names, columns.optional, label, objects, lists) for reader in readers]
    counted = None if kept is None else sum(reader.count(table) for reader, table in zip(readers, tables, strict=True))
    found = pl.concat([table.rows for table in tables], how="diagonal")
    found = found.with_columns(pl.lit(None, pl.String).alias(name) for name in names if name not in found.columns)
    unread = [reject for table in tables for reject in table.rejects]
    _refuse_nothing_read(uri, found, unread)
    rows = found.select(
        (joined(pl.col(columns.query), pl.col(text)) if columns.query else pl.col(text)).alias("text"),
        _class_of(pl.col(label) if label else pl.lit(None, pl.String), classes or {}).alias("label"),
        pl.lit(batch).alias("batch"),
        *(_blank_is_null(pl.col(name)) for name in carried),
    )
    if answer in SETS:
        rows, no_sets = with_sets(rows, classes or {})
        unread += no_sets
        _refuse_nothing_read(uri, rows, unread)
    if score is not None:
        rows, no_numbers = with_numbers(rows, score)
        unread += no_numbers
        _refuse_nothing_read(uri, rows, unread)
    if record is not None:
        rows, no_records = with_records(rows, record)
        unread += no_records
        _refuse_nothing_read(uri, rows, unread)
    unreadable = pl.DataFrame(unread, schema=dict.fromkeys(("text", "reason", "detail"), pl.String), orient="row")
    unreadable = unreadable.with_columns(pl.lit(batch).alias("batch"))
    return SourceRead(rows, rejected(unreadable, pl.col("reason"), pl.col("detail")), counted)


def known_ending(name: str) -> bool:
    """Whether the ending of a file's name says its format, or that of the file packed in it does."""
    return ending_of(name) in _SUFFIXES or name.lower().endswith(".zip")


def ending_of(name: str) -> str:
    """The ending of a file's name that says its format, in lower case, such as `.csv`."""
    return Path(unpacked_name(name)).suffix.lower()


@dataclass(frozen=True)
class _Reader:
    """One file and how it is read."""

    place: Place
    kind: Format
    pattern: str | None
    dialect: Dialect

    def read(
        self,
        columns: Sequence[str],
        optional: Collection[str],
        label: str | None,
        objects: Collection[str],
        lists: Collection[str],
    ) -> Table:
        if self.kind == "csv":
            return delimited.read_csv(self.place, columns, optional, self.dialect, label)
        if self.kind in ("json", "ndjson"):
            return json_rows.read_json(self.place, columns, optional, objects, lists)
        if self.kind == "xlsx":
            return workbooks.read_xlsx(self.place, columns, optional)
        if self.pattern is not None:
            return lines.read_lines(self.place, columns, self.pattern)
        return parquet.read_parquet(self.place, columns, optional, objects, lists)

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
            f"unknown format {kind!r}" if kind else f"the ending {suffix!r} does not say which format it is",
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


_SAYS_HOW = {
    RejectReason.OTHER_FIELDS: "separator",
    RejectReason.NO_SET_OF_LABELS: "answer",
    RejectReason.NO_RECORD: "fields",
}
"""The field that says how what is rejected for a reason is read; that of any other is the format."""


def _refuse_nothing_read(uri: str, found: pl.DataFrame, unread: Sequence[tuple[str, RejectReason, str]]) -> None:
    if found.is_empty() and unread:
        _, reason, detail = unread[0]
        raise SettingError(
            f"none of {len(unread)} records is readable; the first: {reason} ({detail})",
            where=uri,
            expected="at least one row",
            field=_SAYS_HOW.get(reason, "format"),
            otherwise="Or fix the file.",
        )
    if found.is_empty():
        raise StillhouseError("it holds no rows", where=uri, expected="at least one row", do="Put rows into it.")
