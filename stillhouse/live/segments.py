"""Where the traffic log is kept: sealed files by day on the artifact store, and of each replica what it has counted.

Belongs here: their layout, their columns, writing, reading and removing one.
Does not: how rows get there (stillhouse/serving/sealing.py), what they mean (traffic.py).

Below `traffic/<recipe>/<day>/` of the store, a local folder or any fsspec URL:

    requests/<digest>.parquet   answers, without their texts
    texts/<digest>.parquet      texts as they were asked, redacted
    feedback/<digest>.parquet   what turned out to be true; the day is the one on which it was said
    shadow/<digest>.parquet     what a challenger said after the champion had answered, on the day of the request
    tallies/<replica>.json      how many rows a replica has received, stored, dropped, lost and thinned on this day

and beside the days `erased/<digest>.json`, what was asked to be erased, `harvested/<digest>.json`, which answers stand
in a file of rows that was made from them, and `promised.json`, how long rows are kept, as the recipe said last.

A segment is named by the SHA-256 of its bytes and never changes, so that moving it here a second time changes nothing.
One that takes the place of another names it in its metadata: between writing the one and removing the other, readers
see the new one alone.
"""

import hashlib
import io
import re
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, Literal, TypeVar, get_args

import polars as pl
from pydantic import BaseModel, Field, ValidationError
from upath import UPath

from stillhouse.base import Record
from stillhouse.errors import StillhouseError
from stillhouse.recipe.traffic import TrafficSpec
from stillhouse.stores import place_at, write_at

FileKind = Literal["requests", "texts", "feedback", "shadow"]
FILE_KINDS: tuple[FileKind, ...] = get_args(FileKind)
TRAFFIC = "traffic"
_TALLIES, _ERASED, _HARVESTED, _PROMISED = "tallies", "erased", "harvested", "promised.json"
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
_REPLACES = "replaces"

REQUEST_COLUMNS: dict[str, type[pl.DataType]] = {
    "number": pl.Int64,
    "id": pl.String,
    "at": pl.Float64,
    "release": pl.String,
    "deployment": pl.Int64,
    "source": pl.String,
    "label": pl.String,
    "confidence": pl.Float64,
    "degraded": pl.Boolean,
    "status": pl.Int32,
    "latency_ms": pl.Float64,
    "characters": pl.Int32,
    "tokens": pl.Int32,
    "key": pl.String,
    "arm": pl.String,
    "student_label": pl.String,
    "student_confidence": pl.Float64,
    "wanted_share": pl.Float64,
    "kept_share": pl.Float64,
    "columns": pl.String,
}
TEXT_COLUMNS: dict[str, type[pl.DataType]] = {"number": pl.Int64, "id": pl.String, "text": pl.String}
FEEDBACK_COLUMNS: dict[str, type[pl.DataType]] = {
    "number": pl.Int64,
    "id": pl.String,
    "at": pl.Float64,
    "truth": pl.String,
    "by": pl.String,
}
SHADOW_COLUMNS: dict[str, type[pl.DataType]] = {
    "number": pl.Int64,
    "id": pl.String,
    "at": pl.Float64,
    "rollout": pl.String,
    "release": pl.String,
    "label": pl.String,
    "confidence": pl.Float64,
}
COLUMNS: dict[FileKind, dict[str, type[pl.DataType]]] = {
    "requests": REQUEST_COLUMNS,
    "texts": TEXT_COLUMNS,
    "feedback": FEEDBACK_COLUMNS,
    "shadow": SHADOW_COLUMNS,
}
"""Of each kind of file, beside `replica`. `number` counts the rows of one replica from 1, of all kinds but texts alike,
and a text has the number of its answer; what a challenger said has the `id` of the answer. `wanted_share` is the chance
with which the truth of an answer was asked for (feedback.py), null where nothing was drawn; `kept_share` the share by
which it was kept (thinning.py); `columns` what is kept of the columns that the caller sent (columns.py)."""

ADDED: dict[FileKind, dict[str, str | float | None]] = {
    "requests": {
        "arm": "champion",
        "student_label": None,
        "student_confidence": None,
        "wanted_share": None,
        "kept_share": 1.0,
        "columns": None,
    },
    "texts": {},
    "feedback": {},
    "shadow": {},
}
"""Columns that earlier versions did not write, and what was true of their rows."""

HANDED_ON = (pl.col("source") == "teacher") | pl.col("student_label").is_not_null()
"""Of answers, those that the teacher was to give, whether it did or was away."""
MODEL_FAILED = (pl.col("status") >= 500) & (pl.col("status") != 503)
"""Of answers, those that a model failed to give. With 503 one is refused whose teacher is away."""

SECONDS_A_DAY = 86_400
Read = TypeVar("Read", bound=BaseModel)
_EPOCH = date(1970, 1, 1)


def day_at(seconds: float) -> str:
    """The day in UTC of a moment in seconds since 1970, as `2026-11-28`."""
    return (_EPOCH + timedelta(days=int(seconds // SECONDS_A_DAY))).isoformat()


def end_of(day: str) -> float:
    """The moment at which a day ends, in seconds since 1970."""
    return datetime.combine(date.fromisoformat(day), datetime.min.time(), UTC).timestamp() + SECONDS_A_DAY


class Tally(Record):
    """What a replica has counted on one day; a text is no row, but part of its answer.

    `received = stored + dropped + lost + thinned + waiting` holds at every moment.
    """

    replica: str
    day: str
    received: int = Field(description="Rows that were put into the log.")
    stored: int = Field(description="Rows that were written down and kept, in the spool or in a segment.")
    dropped: int = Field(description="Rows that were let go because the queue was full.")
    lost: int = Field(description="Rows that a process had received when it was killed, and had not written down.")
    thinned: int = Field(
        0,
        description="Answers, and what a challenger said beside them, that were written down and let go, because the "
        "log may not grow.",
    )
    kept_share: float = Field(1.0, description="The smallest share by which answers of this day were kept.")
    waiting: int = Field(description="Rows in the queue when this was counted.")
    requests: int = Field(description="Answers in segments.")
    feedback: int = Field(description="Feedback in segments.")
    texts: int = Field(description="Texts in segments, before any was erased or expired.")
    shadow: int = Field(
        0,
        exclude_if=lambda rows: rows == 0,  # so that where no challenger is asked an earlier version reads it, too
        description="What a challenger said, in segments.",
    )
    uncounted: bool = Field(
        description="Whether the machine went down under the process, so that rows of its last half second are in no "
        "count."
    )
    final: bool = Field(description="Whether nothing can be added any more: the day or the process has ended.")

    @property
    def unsealed(self) -> int:
        """Rows that are written down and in no segment yet."""
        return self.stored - self.requests - self.feedback - self.shadow


class Erasure(Record):
    """What a person asked to erase: the texts of one caller up to now, or of one answer."""

    id: str | None = Field(None, description="Of an answer.")
    key: str | None = Field(None, description="HMAC of the key of a caller.")
    at: float = Field(description="When it was asked for, in seconds since 1970.")


class Differing(Record):
    """Of which texts a file is a sample: those that champion and challenger of a rollout answer otherwise."""

    rollout: str = Field(description="Its salt.")
    texts: int = Field(description="Different texts that were put to both, and that neither hands on.")
    differ: int = Field(description="Of them, those that they answer otherwise.")


class Harvest(Record):
    """A file of rows that was made from answers, without their texts."""

    file: str = Field(description="Its name in the drop folder.")
    digest: str = Field(description="SHA-256 of its bytes.")
    ids: tuple[str, ...] = Field(description="Of the answers.")
    differing: Differing | None = Field(
        None,
        exclude_if=lambda of: of is None,  # so that any other file is noted as it was
        description="Of a file of texts that two releases answer otherwise.",
    )


@dataclass(frozen=True)
class Segment:
    """One sealed file.

    Args:
        day: that its rows are of.
        kind: what they are.
        digest: SHA-256 of its bytes, its name.
        size: bytes.
    """

    day: str
    kind: FileKind
    digest: str
    size: int


@dataclass(frozen=True)
class Taken:
    """What a day takes on the store.

    Args:
        size: bytes.
        replicas: that have said something of it.
    """

    size: int
    replicas: tuple[str, ...]


class TrafficStore:
    """The traffic of one recipe on the artifact store.

    Args:
        artifacts: root of the store, a folder or any fsspec URL.
        recipe: whose traffic.
    """

    def __init__(self, artifacts: str, recipe: str) -> None:
        self._root = place_at(artifacts) / TRAFFIC / recipe
        self.recipe = recipe

    def put(self, day: str, kind: FileKind, content: bytes) -> str:
        """Keep a sealed file under its digest, which is returned; the same again changes nothing."""
        digest = hashlib.sha256(content).hexdigest()
        write_at(self._path(day, kind, digest), content)
        return digest

    def publish(self, tally: Tally) -> None:
        """Replace what a replica has counted on a day."""
        path = self._root / tally.day / _TALLIES / f"{tally.replica}.json"
        write_at(path, tally.model_dump_json(indent=1).encode())

    def days(self) -> list[str]:
        """Every day of which there is anything, the oldest first."""
        return [name for name in self._names(self._root) if _DAY.fullmatch(name)]

    def taken(self, day: str) -> Taken:
        """What all files of a day take."""
        folder = self._root / day
        files: dict[str, dict[str, Any]] = folder.fs.find(folder.path, detail=True)
        tallies = [path for path in files if path.split("/")[-2] == _TALLIES and path.endswith(".json")]
        names = [path.rpartition("/")[2].removesuffix(".json") for path in tallies]
        return Taken(sum(int(each["size"]) for each in files.values()), tuple(sorted(names)))

    def segments(self, day: str, kind: FileKind) -> list[Segment]:
        """The files of a kind of one day, by digest."""
        folder = self._root / day / kind
        names = [name for name in self._names(folder) if name.endswith(".parquet")]
        return [Segment(day, kind, name.removesuffix(".parquet"), (folder / name).stat().st_size) for name in names]

    def read(self, segment: Segment) -> tuple[pl.DataFrame, str | None]:
        """Read a segment, and the digest of the one whose place it takes if it takes any.

        Raises:
            StillhouseError: if its bytes are not what its name says.
        """
        path = self._path(segment.day, segment.kind, segment.digest)
        content = path.read_bytes()
        if hashlib.sha256(content).hexdigest() != segment.digest:
            raise StillhouseError(
                "the segment was altered",
                where=str(path),
                expected=f"bytes with digest {segment.digest[:12]}",
                do="Restore it from a copy, or remove it: its rows then count as missing.",
            )
        frame = pl.read_parquet(io.BytesIO(content))
        schema = COLUMNS[segment.kind]
        added = [
            pl.lit(value, dtype=schema[name]).alias(name)
            for name, value in ADDED[segment.kind].items()
            if name not in frame.columns
        ]
        # In one order, wherever among the columns an earlier version lacks one.
        rows = frame.with_columns(added).select("replica", *schema)
        return rows, pl.read_parquet_metadata(io.BytesIO(content)).get(_REPLACES)

    def frame(self, day: str, kind: FileKind) -> pl.DataFrame:
        """All rows of a kind of one day, by replica and number; none where nothing was kept."""
        empty = pl.DataFrame(schema={"replica": pl.String, **COLUMNS[kind]})
        return pl.concat([empty, *(frame for _, frame in self._read_all(day, kind)[0])]).sort("replica", "number")

    def whole(self, day: str, kind: FileKind) -> list[tuple[Segment, pl.DataFrame]]:
        """Each segment of a kind of one day with its rows, after removing those whose place another one has taken."""
        read, replaced = self._read_all(day, kind)
        for segment in replaced:
            self.remove(segment)
        return read

    def _read_all(self, day: str, kind: FileKind) -> tuple[list[tuple[Segment, pl.DataFrame]], list[Segment]]:
        """The segments that count with their rows, and those that do not."""
        read = [(segment, *self.read(segment)) for segment in self.segments(day, kind)]
        replaced = {digest for _, _, digest in read}
        count = [(segment, frame) for segment, frame, _ in read if segment.digest not in replaced]
        return count, [segment for segment, _, _ in read if segment.digest in replaced]

    def replace(self, segment: Segment, frame: pl.DataFrame) -> str:
        """Put other rows in the place of a segment's; killed anywhere, readers see the old ones or the new ones."""
        digest = self.put(segment.day, segment.kind, sealed(frame, replaces=segment.digest))
        if digest != segment.digest:
            self.remove(segment)
        return digest

    def remove(self, segment: Segment) -> None:
        """Remove a segment; one that is gone already stays gone."""
        self._path(segment.day, segment.kind, segment.digest).unlink(missing_ok=True)

    def ask_to_erase(self, erasure: Erasure) -> None:
        """Write down what is to be erased, for servers that have more of it in their spools."""
        content = erasure.model_dump_json().encode()
        write_at(self._root / _ERASED / f"{hashlib.sha256(content).hexdigest()}.json", content)

    def erasures(self) -> list[Erasure]:
        """All that was asked to be erased and is not forgotten."""
        folder = self._root / _ERASED
        return [_record(Erasure, folder / name) for name in self._names(folder)]

    def forget_erasures(self, before: float) -> None:
        """Forget what was asked before a moment, once nothing from before it is kept."""
        for name in self._names(self._root / _ERASED):
            path = self._root / _ERASED / name
            if _record(Erasure, path).at < before:
                path.unlink(missing_ok=True)

    def note_harvest(self, harvest: Harvest) -> None:
        """Write down which answers stand in a harvested file, so that an erasure can name it."""
        write_at(self._root / _HARVESTED / f"{harvest.digest}.json", harvest.model_dump_json().encode())

    def harvests(self) -> list[Harvest]:
        """All files that were harvested."""
        folder = self._root / _HARVESTED
        return [_record(Harvest, folder / name) for name in self._names(folder)]

    def promise(self, spec: TrafficSpec) -> None:
        """Write down how long rows are kept, so that it is known when no recipe says it any more."""
        path, said = self._root / _PROMISED, spec.model_dump_json().encode()
        # Not `is_file`, which waits for a store that is away and then says that there is none.
        with suppress(FileNotFoundError):
            if path.read_bytes() == said:  # as bytes: what cannot be read is written again
                return
        write_at(path, said)

    def promised(self) -> TrafficSpec | None:
        """How long rows are kept, as it was said last; None where only an earlier version kept any."""
        with suppress(FileNotFoundError):
            return _record(TrafficSpec, self._root / _PROMISED)
        return None

    def remove_day(self, day: str) -> None:
        """Remove all that is kept of a day."""
        folder = self._root / day
        if folder.exists():
            self._root.fs.rm(folder.path, recursive=True)

    def tallies(self, day: str) -> list[Tally]:
        """What each replica says of a day, by name.

        Raises:
            StillhouseError: if one of them cannot be read.
        """
        folder = self._root / day / _TALLIES
        return [_record(Tally, folder / name) for name in self._names(folder) if name.endswith(".json")]

    def _names(self, folder: UPath) -> list[str]:
        if not folder.is_dir():
            return []
        return sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))

    def _path(self, day: str, kind: FileKind, digest: str) -> UPath:
        return self._root / day / kind / f"{digest}.parquet"


def recipes_kept(artifacts: str) -> list[str]:
    """Every recipe of which the store has traffic, by name, whether there is such a recipe or not."""
    folder = place_at(artifacts) / TRAFFIC
    return sorted(path.name for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []


def sealed(frame: pl.DataFrame, *, replaces: str | None = None) -> bytes:
    """The bytes of a segment.

    Args:
        frame: its rows, `replica` and the columns of their kind.
        replaces: digest of the segment whose place it takes.
    """
    written = io.BytesIO()
    frame.write_parquet(written, compression="zstd", metadata={_REPLACES: replaces} if replaces else None)
    return written.getvalue()


def columns_of(kind: FileKind, replica: str, rows: Iterable[tuple[Any, ...]]) -> pl.DataFrame:
    """A frame of rows as the spool has them, with the replica beside them."""
    schema = COLUMNS[kind]
    columns = list(zip(*rows, strict=True)) or [()] * len(schema)  # by column: two thirds of the time that rows take
    series = []
    for (name, of), values in zip(schema.items(), columns, strict=True):
        truths = [bool(value) for value in values] if of is pl.Boolean else values  # SQLite has 0 for false
        series.append(pl.Series(name, truths, of))
    return pl.DataFrame(series).select(pl.lit(replica).alias("replica"), pl.all())


def _record(record: type[Read], path: UPath) -> Read:
    try:
        return record.model_validate_json(path.read_bytes())
    except ValidationError as error:
        raise StillhouseError(
            f"it is no {record.__name__.lower()}",
            where=str(path),
            expected="a record as a replica or a command writes it",
            do="Restore it from a copy; a replica that is running writes its tally again.",
        ) from error
