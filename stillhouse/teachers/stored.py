"""A teacher that was asked elsewhere, and answers what it answered then.

Belongs here: its answers as something that the signal store can ask.
Does not: reading them from a file (stored_answers.py), how often they are right (stages/teacher.py).

There are answers and no probabilities. What students learn from is the distribution that such a teacher deserves: the
answer with the share of validation rows on which it was right, and the rest spread evenly over the other labels. A
divergence from it is the cross entropy with the answer, smoothed by the teacher's own error rate; smoothed by it
rather than by a constant, a student is as sure as its teacher is right.
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import polars as pl

from stillhouse.digests import digest_of
from stillhouse.tasks.task import Task
from stillhouse.teachers.teacher import ANSWER_SCHEMA

_AROUND = " \t\n.,:;!\"'`*()[]"
"""What language models put around a label."""


class Failure(StrEnum):
    """Why a prompt has no answer."""

    NOT_ASKED = "not in the file of answers"
    EMPTY = "the answer is empty"
    NO_LABEL = "the answer is no label of the rows"
    CUT_OFF = "the answer was cut off"
    REFUSED = "the teacher refused to answer"
    TWO_ANSWERS = "answered in two ways"


def taken(said: str, pattern: str | None, group: str) -> str | None:
    """What a pattern takes out of a text or an answer; all of it without a pattern, and nothing where it differs."""
    if pattern is None:
        return said
    match = re.search(pattern, said, re.DOTALL)  # texts have lines
    return match and match[group]


def held_to(answers: pl.DataFrame, labels: Sequence[str]) -> pl.DataFrame:
    """Let no answer count that is no label of the rows; case, and quotes or a full stop around it, do not matter.

    Args:
        answers: `prompt_id`, `answer`, and `failure` where there is none, see `answers_by_prompt`.
        labels: of the rows.

    Returns:
        The same columns.
    """
    plain = Counter(_plain(label) for label in labels)
    alike = {_plain(label): label for label in labels if plain[_plain(label)] == 1}
    found = [
        None if said is None else said if said in labels else alike.get(_plain(said)) for said in answers["answer"]
    ]
    answer = pl.Series("found", found, dtype=pl.String)
    foreign = pl.col("answer").is_not_null() & answer.is_null()
    failure = pl.when(foreign).then(pl.lit(Failure.NO_LABEL.value)).otherwise("failure").alias("failure")
    return answers.with_columns(failure, answer.alias("answer"))


def _plain(label: str) -> str:
    return label.strip(_AROUND).casefold()


def fingerprint_of_answers(answers: pl.DataFrame, accuracy: float) -> str:
    """Digest of what `StoredTeacher` answers with; 64 hex digits."""
    return digest_of({"answers": answers.select("prompt_id", "answer", "failure").rows(), "accuracy": accuracy})


@dataclass(frozen=True)
class StoredTeacher:
    """Answers that were given elsewhere.

    Args:
        answers: see `held_to`.
        accuracy: share of answers that are right, in (0, 1).
        task: what an answer is.
    """

    answers: pl.DataFrame
    accuracy: float
    task: Task

    @property
    def fingerprint(self) -> str:
        """Digest of the answers."""
        return fingerprint_of_answers(self.answers, self.accuracy)

    def verify(self) -> None:
        """Nothing can be another's: the fingerprint is of the answers themselves."""

    def ask(self, prompts: pl.DataFrame) -> pl.DataFrame:
        """The stored answer to each prompt as outputs, or why there is none."""
        rows = prompts.join(self.answers, on="prompt_id", how="left", maintain_order="left")
        rows = rows.with_columns(
            pl.when(pl.col("answer").is_null())
            .then(pl.col("failure").fill_null(Failure.NOT_ASKED.value))
            .alias("failure")
        )
        given = rows.filter(pl.col("failure").is_null())
        outputs = self.task.stated(self.task.targets(given["answer"]), self.accuracy)
        found = given.select("prompt_id").with_columns(
            pl.Series("logits", outputs.tolist(), dtype=pl.List(pl.Float32()))
        )
        said = rows.join(found, on="prompt_id", how="left", maintain_order="left")
        return (
            said.select(
                pl.col(name) if name in ("prompt_id", "logits", "failure") else pl.lit(None).alias(name)
                for name in ANSWER_SCHEMA
            )
            .with_columns(pl.lit(self.fingerprint).alias("fingerprint"))
            .cast(pl.Schema(ANSWER_SCHEMA))
        )
