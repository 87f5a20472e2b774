"""Asking a teacher about live texts, each once: what it answered is kept, and the text is not.

Belongs here: the file of answers by teacher and text, asking for what is not in it, forgetting.
Does not: which texts are worth a question (estimate.py), opening a teacher (stillhouse/stages/live_teacher.py), what
students learn from, which is kept for good (stillhouse/teachers/signal.py).

An answer is found by the fingerprint of its teacher and the digest of its text, so that a watch and a shadow which ask
about the same text pay once. Neither outputs nor states are kept: a state says much of a text that has to be forgotten.
"""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from stillhouse import progress
from stillhouse.errors import StillhouseError
from stillhouse.files import make_folder, one_process_at_a_time, plain_disk_errors
from stillhouse.home import Home
from stillhouse.live.text_ids import text_ids
from stillhouse.tasks.task import Task
from stillhouse.teachers.answers import with_answers
from stillhouse.teachers.stored import Failure
from stillhouse.teachers.teacher import Teacher

_SCHEMA = """
CREATE TABLE IF NOT EXISTS answers (
    fingerprint TEXT NOT NULL,
    prompt TEXT NOT NULL,
    answer TEXT,
    failure TEXT,
    at REAL NOT NULL,
    PRIMARY KEY (fingerprint, prompt)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS answers_by_age ON answers (at);
"""
_SAID: dict[str, pl.DataType] = {"prompt_id": pl.String(), "answer": pl.String(), "failure": pl.String()}
_AT_ONCE = 500
"""Answers looked up by one statement."""
TEXTS_AT_ONCE = 64
"""Asked at most before their answers are written down: what a killed process has to ask again."""


@dataclass(frozen=True)
class LiveTeacher:
    """A teacher that can be asked about live texts.

    Args:
        teacher: who is asked.
        task: what an answer is.
        texts_at_once: that it is asked before its answers are written down.
    """

    teacher: Teacher
    task: Task
    texts_at_once: int = TEXTS_AT_ONCE


class LiveAnswers:
    """What teachers have said of live texts, in one file; processes may share it.

    Args:
        path: of the file, made when first written to.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def of(cls, home: Home) -> "LiveAnswers":
        """Those of an installation."""
        return cls(home.signal / "live.db")

    def kept(self, fingerprint: str, ids: Sequence[str]) -> pl.DataFrame:
        """What a teacher has said of some texts: `prompt_id`, `answer`, and `failure` where there is none.

        Args:
            fingerprint: of the teacher.
            ids: `text_ids` of the texts.

        Returns:
            A row for each that it was asked about, in no order. One that its server turned away is not among them: put
            right it may answer it.
        """
        wanted, rows = list(dict.fromkeys(ids)), []
        if self.path.exists():
            with self._open() as database:
                for start in range(0, len(wanted), _AT_ONCE):
                    some = wanted[start : start + _AT_ONCE]
                    places = ",".join("?" * len(some))
                    rows += database.execute(
                        "SELECT prompt, answer, failure FROM answers WHERE fingerprint = ? AND failure IS NOT ? "
                        f"AND prompt IN ({places})",
                        (fingerprint, Failure.TURNED_AWAY.value, *some),
                    ).fetchall()
        return pl.DataFrame(rows, schema=_SAID, orient="row")

    def keep(self, fingerprint: str, answers: pl.DataFrame, *, at: float) -> None:
        """Write answers down, as `kept` gives them; an earlier one to the same text is replaced."""
        rows = answers.select(*_SAID).iter_rows()
        with self._open() as database:
            database.executemany(
                "INSERT OR REPLACE INTO answers VALUES (?, ?, ?, ?, ?)", [(fingerprint, *row, at) for row in rows]
            )
            database.commit()

    def forget(self, before: float) -> None:
        """Remove what was answered before a moment, in seconds since 1970."""
        if self.path.exists():
            with self._open() as database:
                database.execute("DELETE FROM answers WHERE at < ?", (before,))
                database.commit()

    def forget_texts(self, ids: Sequence[str]) -> None:
        """Remove what teachers have said of some texts, given as `text_ids`."""
        if self.path.exists() and ids:
            with self._open() as database:
                database.executemany("DELETE FROM answers WHERE prompt = ?", [(each,) for each in ids])
                database.commit()

    @contextmanager
    def one_at_a_time(self, fingerprint: str) -> Iterator[None]:
        """Let one process ask a teacher at once: another one finds the answers."""
        with one_process_at_a_time(self.path.with_name(f"live-{fingerprint[:16]}.lock")):
            yield

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        with plain_disk_errors(self.path):
            make_folder(self.path.parent)
        try:
            with closing(sqlite3.connect(self.path, timeout=60)) as database:
                database.execute("PRAGMA secure_delete = ON")
                database.executescript(_SCHEMA)
                yield database
        except sqlite3.Error as error:
            raise StillhouseError(
                f"the answers to live texts cannot be used: {error}",
                where=str(self.path),
                expected="a file that can be read and written",
                do="Put it back from a copy, or remove it: what it held is then asked again.",
            ) from error


def ask_teacher(asked: LiveTeacher, answers: LiveAnswers, texts: Sequence[str], *, at: float) -> pl.DataFrame:
    """Ask a teacher about live texts, each once.

    Args:
        asked: the teacher.
        answers: what it has said already; new answers are added to it.
        texts: redacted, as the traffic log has them. Those that differ in case or blanks alone count as one.
        at: now, in seconds since 1970.

    Returns:
        A row for each text in the order given: `prompt_id`, `answer` as a label is written, and `failure` where the
        teacher gave none.

    Raises:
        StillhouseError: if the teacher is another one than its fingerprint says, or cannot be asked; what it answered
            before that is kept.
    """
    prompts = pl.DataFrame({"text": texts}, schema={"text": pl.String})
    prompts = prompts.select(text_ids(prompts["text"]), "text")
    fingerprint, ids = asked.teacher.fingerprint, prompts["prompt_id"].to_list()
    turned_away = [pl.DataFrame(schema=_SAID)]
    if answers.kept(fingerprint, ids).height < prompts["prompt_id"].n_unique():
        with answers.one_at_a_time(fingerprint):
            known = answers.kept(fingerprint, ids)
            todo = prompts.join(known, on="prompt_id", how="anti").unique(
                "prompt_id", keep="first", maintain_order=True
            )
            asked.teacher.verify()
            for some in todo.iter_slices(asked.texts_at_once) if todo.height else ():
                answered = with_answers(asked.teacher.ask(some), asked.task).select(*_SAID)
                answers.keep(fingerprint, answered, at=at)
                turned_away.append(answered.filter(pl.col("failure") == Failure.TURNED_AWAY))
                known = pl.concat([known, answered])
                progress.step("live texts", known.height, prompts["prompt_id"].n_unique())
    known = pl.concat([answers.kept(fingerprint, ids), *turned_away])
    return prompts.select("prompt_id").join(known, on="prompt_id", how="left", maintain_order="left")
