"""The signal store: what a teacher said, kept so that it never has to be asked the same thing twice.

Belongs here: capture of missing rows, shards on disk, reading them back verified, the canary.
Does not: which prompts exist (data/), which rows a student may learn from (transfer set).

A row is found by the content of its prompt and the fingerprint of its teacher, never by its position. A shard is a
Parquet file named by the sha256 of its bytes, written whole or not at all, and its digest is in the ledger before it
has that name. A shard that is cut, edited or not in the ledger counts as absent: the next capture sets it aside and
asks its rows again. So it does once with the shards of version 0.1.0, which were in no ledger.
"""

import hashlib
import io
import re
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from stillhouse import progress
from stillhouse.errors import StillhouseError
from stillhouse.files import one_process_at_a_time, set_aside, write_atomically
from stillhouse.records.builds import BuildStore
from stillhouse.records.ledger import Ledger
from stillhouse.teachers.answers import logits_of
from stillhouse.teachers.columns import ANSWER_SCHEMA, SIGNAL_SCHEMA, UNHEARD, columns_of_calls, further_columns
from stillhouse.teachers.stored import Failure
from stillhouse.teachers.teacher import Teacher

_SHARD_ROWS = 512
SHARED = "*"
"""The recipe that the ledger names for a shard: all, as recipes with one teacher share its answers."""


@dataclass(frozen=True, slots=True)
class CaptureReport:
    """What one capture did.

    Attributes:
        requested: prompts asked for.
        already_stored: of these, found in the store.
        computed: of these, asked of the teacher now; requested = already_stored + computed.
        seconds: wall time of the whole capture.
        tokens: tokens the teacher read for the computed rows.
    """

    requested: int
    already_stored: int
    computed: int
    seconds: float
    tokens: int


def signal_store(builds: BuildStore) -> "SignalStore":
    """What the teachers of an installation have said; several forward passes of its device make a shard."""
    return SignalStore(builds.home.signal, builds.ledger, shard_rows=8 * builds.device.texts_at_once)


class SignalStore:
    """A folder of shards per teacher fingerprint.

    Args:
        root: created when the first row is captured.
        ledger: where the digest of every shard is written down.
        shard_rows: rows that a killed capture can lose at most.
    """

    def __init__(self, root: Path, ledger: Ledger, *, shard_rows: int = _SHARD_ROWS) -> None:
        self.root = root
        self.ledger = ledger
        self.shard_rows = shard_rows

    def missing(self, prompt_ids: Sequence[str], fingerprint: str) -> list[str]:
        """The prompts that this teacher is still to be asked, in the order given and each once.

        One that its server turned away is among them, however often that was; one that the model itself refused is
        not: that is its reply, which was paid for.
        """
        shards = self._good_shards(fingerprint, columns=["prompt_id", "failure", "latency_ms", UNHEARD])
        stored = {prompt_id for rows in shards for prompt_id in rows.filter(~_is_asked_again(rows))["prompt_id"]}
        return [prompt_id for prompt_id in dict.fromkeys(prompt_ids) if prompt_id not in stored]

    def asked_again(self, prompt_ids: Sequence[str], fingerprint: str) -> dict[str, list[str]]:
        """What an artifact that reads these answers depends on beside who gave them, after they were captured.

        Nothing where all are final. With a text that a server turned away an artifact is complete only until the next
        capture, so which ones those are is a part of what it was made from, and an answer to one makes another.
        """
        waiting = sorted(self.missing(prompt_ids, fingerprint))
        return {"asked_again": waiting} if waiting else {}

    def capture(self, prompts: pl.DataFrame, teacher: Teacher) -> CaptureReport:
        """Ask the teacher whatever it has not been asked, and store the answers shard by shard.

        Killed at any moment it loses at most the shard under way; the next capture asks only what is still missing.
        Two captures of one teacher take turns, so no row is computed twice.

        Args:
            prompts: columns prompt_id and text.
            teacher: who is asked.

        Raises:
            StillhouseError: if the teacher is another one than its fingerprint says, two prompts share an id, or an
                answer is not finite.
        """
        start = time.perf_counter()
        _require_unique(prompts)
        teacher.verify()
        fingerprint = teacher.fingerprint
        with self._writing(fingerprint):
            self._set_bad_shards_aside(fingerprint)
            todo = prompts.filter(pl.col("prompt_id").is_in(self.missing(prompts["prompt_id"].to_list(), fingerprint)))
            stored = prompts.height - todo.height
            tokens = 0
            # by content, so that the same prompts fall into the same shards whatever order they came in
            for shard in todo.sort("prompt_id").iter_slices(self.shard_rows) if todo.height else ():
                rows = teacher.ask(shard)
                self._write(rows, fingerprint)
                tokens += int(rows["tokens"].sum())
                stored += rows.height
                progress.step("teacher signal", stored, prompts.height)
        return CaptureReport(
            requested=prompts.height,
            already_stored=prompts.height - todo.height,
            computed=todo.height,
            seconds=time.perf_counter() - start,
            tokens=tokens,
        )

    def read(self, prompt_ids: Sequence[str], fingerprint: str) -> pl.DataFrame:
        """The stored answers to these prompts, each once, sorted by prompt_id.

        Raises:
            StillhouseError: if a prompt has no answer in any shard that is whole and in the ledger.
        """
        rows = self._read(prompt_ids, fingerprint)
        return rows.select(*SIGNAL_SCHEMA, *further_columns(rows), *columns_of_calls(rows))

    def latencies_ms(self, prompt_ids: Sequence[str], fingerprint: str) -> pl.DataFrame:
        """Columns prompt_id and latency_ms: a prompt's share of the batch it was asked in."""
        return self._read(prompt_ids, fingerprint).select("prompt_id", "latency_ms")

    def _read(self, prompt_ids: Sequence[str], fingerprint: str) -> pl.DataFrame:
        wanted = set(prompt_ids)
        frames = [rows.filter(pl.col("prompt_id").is_in(wanted)) for rows in self._good_shards(fingerprint)]
        # Version 0.1.0 wrote no column of failures.
        rows = pl.concat([pl.DataFrame(schema=ANSWER_SCHEMA), *frames], how="diagonal")
        # What is final goes before what was asked again since, and of that the row that counts all attempts.
        costliest = [-pl.col("usd").fill_null(0.0)] if "usd" in rows.columns else []
        order = (_is_asked_again(rows), pl.col("failure").is_not_null(), *costliest)
        rows = rows.sort("prompt_id", *order, maintain_order=True).unique(
            "prompt_id", keep="first", maintain_order=True
        )
        if rows.height < len(wanted):
            absent = sorted(wanted - set(rows["prompt_id"]))
            raise StillhouseError(
                f"{len(absent)} prompts have no answer, {absent[0]} the first",
                where=str(self._folder(fingerprint)),
                expected=f"all {len(wanted)} answered",
                do="Materialize teacher_signal again: it computes only these.",
            )
        return rows

    def _folder(self, fingerprint: str) -> Path:
        if not re.fullmatch(r"[0-9a-f]{8,64}", fingerprint):
            raise StillhouseError(
                "not a fingerprint",
                where=repr(fingerprint),
                expected="lower-case hex",
                do="Use verify_weights().",
            )
        return self.root / fingerprint

    def _shards(self, fingerprint: str) -> Iterator[tuple[Path, bytes, str | None]]:
        """Every shard of a teacher: its file, its bytes and what is wrong with it, as a clause."""
        entries = self.ledger.entries(SHARED, "signal_shard", subject=fingerprint)
        recorded = {entry.body["digest"] for entry in entries}
        for path in sorted(self._folder(fingerprint).glob("*.parquet")):
            content = path.read_bytes()
            if hashlib.sha256(content).hexdigest() != path.stem:
                yield path, content, "does not hold the bytes that its name says"
            elif path.stem not in recorded:
                yield path, content, "is not in the ledger"
            else:
                yield path, content, None

    def _good_shards(self, fingerprint: str, columns: list[str] | None = None) -> Iterator[pl.DataFrame]:
        for _, content, problem in self._shards(fingerprint):
            if problem is None:
                there = pl.read_parquet_schema(io.BytesIO(content))
                yield pl.read_parquet(content, columns=columns and [name for name in columns if name in there])

    def _set_bad_shards_aside(self, fingerprint: str) -> None:
        for path, _, problem in self._shards(fingerprint):
            if problem is not None:
                set_aside(path, problem)

    @contextmanager
    def _writing(self, fingerprint: str) -> Iterator[None]:
        folder = self._folder(fingerprint)
        with one_process_at_a_time(folder / ".lock"):
            for leftover in folder.glob(".*"):
                if leftover.name != ".lock":
                    leftover.unlink()
            yield

    def _write(self, rows: pl.DataFrame, fingerprint: str) -> None:
        written = io.BytesIO()
        rows.write_parquet(written, compression="zstd")
        content = written.getvalue()
        digest = hashlib.sha256(content).hexdigest()
        # First the ledger: a kill between the two leaves an entry without a shard, and never a shard without an entry.
        body = {"fingerprint": fingerprint, "digest": digest, "rows": rows.height}
        self.ledger.append("signal_shard", SHARED, body)
        write_atomically(self._folder(fingerprint) / f"{digest}.parquet", content)


def largest_change(teacher: Teacher, answered: pl.DataFrame) -> float:
    """Ask a teacher again and compare: the canary.

    Args:
        teacher: as it is now, perhaps on another device than then.
        answered: columns prompt_id, text and logits, as it answered once.

    Returns:
        The largest absolute change of a logit; about 1e-6 for the same model.

    Raises:
        StillhouseError: if it now tells another number of classes apart.
    """
    before, now = logits_of(answered), logits_of(teacher.ask(answered))
    if now.shape != before.shape:
        raise StillhouseError(
            f"the model answers {now.shape[1:]} classes",
            where="the teacher",
            expected=f"{before.shape[1:]} as stored",
            do="Capture the signal of this model first.",
        )
    return float(np.abs(now - before).max(initial=0.0))


def failure_of(rows: pl.DataFrame) -> pl.Expr:
    """The column of failures; version 0.1.0 wrote none."""
    return pl.col("failure") if "failure" in rows.columns else pl.lit(None, pl.String).alias("failure")


def _is_asked_again(rows: pl.DataFrame) -> pl.Expr:
    """Whether a row is no last word: a server turned the text away, of an ensemble that of a member.

    Earlier versions called that as they called a refusal of the model, and only the former took no time at all.
    """
    failure = failure_of(rows)
    turned_away = (failure == Failure.TURNED_AWAY) | ((failure == Failure.REFUSED) & (pl.col("latency_ms") == 0))
    unheard = pl.col(UNHEARD) if UNHEARD in rows.columns else pl.lit(False)
    return turned_away.fill_null(False) | unheard.fill_null(False)


def _require_unique(prompts: pl.DataFrame) -> None:
    repeated = prompts.filter(pl.col("prompt_id").is_duplicated())["prompt_id"]
    if len(repeated):
        raise StillhouseError(
            f"prompt {repeated[0]} comes twice",
            where="prompts",
            expected="one row per prompt_id",
            do="De-duplicate the prompt set.",
        )
