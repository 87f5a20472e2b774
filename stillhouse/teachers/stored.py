"""A teacher that was asked elsewhere, and answers what it answered then.

Belongs here: its answers as something that the signal store can ask.
Does not: reading them from a file (stored_answers.py), reading how probable that says each label is
(stored_probabilities.py), how often they are right (stages/teacher.py).

Where there are answers and no probabilities, what students learn from is the distribution that such a teacher deserves:
the answer with the share of validation rows on which it was right, and the rest spread evenly over the other labels. A
divergence from it is the cross entropy with the answer, smoothed by the teacher's own error rate; smoothed by it
rather than by a constant, a student is as sure as its teacher is right.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property, partial
from typing import Any

import numpy as np
import polars as pl

from stillhouse.arrays import FloatArray
from stillhouse.digests import digest_of
from stillhouse.recipe.asking import NUMBER
from stillhouse.recipe.data import NUMBERS, RECORDS, SETS, TaskKind
from stillhouse.recipe.record import RecordSpec
from stillhouse.tasks.extraction import Extraction
from stillhouse.tasks.label_sets import NoLabelSetError, names_in_cell, written_set
from stillhouse.tasks.numbers import number_in_reply, written_number
from stillhouse.tasks.records import NoRecordError, placed
from stillhouse.tasks.score import NumericScore
from stillhouse.tasks.task import Task
from stillhouse.teachers.columns import ANSWER_SCHEMA, FLAW, PROBABILITIES, RATIONALE, RAW, RECORD, TOOK
from stillhouse.teachers.soft_labels import by_shares
from stillhouse.teachers.stored_probabilities import shares_of

_COUNTED = ("tokens", "tokens_out")
"""Of answers from a file, where it says them: tokens that were read and written."""
_AROUND = " \t\n.,:;!\"'`*()[]"
"""What language models put around a label."""


class Failure(StrEnum):
    """Why a prompt has no answer."""

    NOT_ASKED = "not in the file of answers"
    EMPTY = "the answer is empty"
    NO_LABEL = "the answer is no label of the rows"
    NO_NUMBER = "the answer is no number, or not one alone"
    OUT_OF_RANGE = "the answer is not from data.score.lowest to data.score.highest"
    CUT_OFF = "the answer was cut off"
    REFUSED = "the teacher refused to answer"
    TURNED_AWAY = "the server refused the request"
    """The one failure that is no reply, and is asked again: a server that is put right may answer."""
    TWO_ANSWERS = "answered in two ways"


def taken(said: str, pattern: str | None, group: str) -> str | None:
    """What a pattern takes out of a text or an answer; all of it without a pattern, and nothing where it differs."""
    if pattern is None:
        return said
    match = re.search(pattern, said, re.DOTALL)  # texts have lines
    return match and match[group]


def held_to(
    replies: pl.DataFrame, labels: Sequence[str], spellings: Mapping[str, str], answer: TaskKind = "single_label"
) -> pl.DataFrame:
    """The label that each prompt was answered with.

    Each reply is held against the labels first: one that is none says nothing, and takes nothing from another one to
    the same prompt. Case, and quotes or a full stop around a label, do not matter.

    Args:
        replies: `prompt_id`, which may occur several times, and `answer`, the part of a reply that should be a label;
            of numbers see `as_numbers`; of records the place of each value, or its words where the text is not known
            yet, with the words in `record`, or nothing and in `flaw` why. `rationale` and `probabilities` (see
            `shares_of`), `tokens` and `tokens_out`, where they are read; `raw`, the whole reply, likewise.
        labels: of the rows.
        spellings: from another spelling of a label to the label.
        answer: what a label is; of a set of labels each is held against the labels, and one that is none spoils it. It
            may have words around it where it is a JSON list.

    Returns:
        `prompt_id` (unique, sorted), `answer`, and `failure` where there is none; where replies have them `rationale`,
        `probabilities` and `record`, each the first of a reply with that answer, the tokens of all replies together,
        and all replies.
    """
    label_of = _reader(labels, spellings)
    if answer in SETS:
        cells = {_plain(spelling): meant for spelling, meant in spellings.items()}
        label_of = partial(_set_of, label_of, cells)
    if answer in (*NUMBERS, *RECORDS):  # they have been read already
        label_of = str
    found = [None if said is None else label_of(said) for said in replies["answer"]]
    further = [name for name in (RATIONALE, PROBABILITIES, RECORD) if name in replies.columns]
    whole = [RAW] if RAW in replies.columns else []
    counted = [name for name in _COUNTED if name in replies.columns]
    held = replies.select(
        "prompt_id",
        "answer",
        *further,
        *counted,
        *whole,
        pl.Series("label", found, dtype=pl.String),
        (pl.col(FLAW) if FLAW in replies.columns else pl.lit(None, pl.String).alias(FLAW)),
    )
    if PROBABILITIES in further:
        held = _with_shares(held, labels, label_of)
    by_prompt = held.group_by("prompt_id").agg(
        pl.col("label").drop_nulls().n_unique().alias("labels"),
        pl.col("label").drop_nulls().first(),
        pl.col("flaw").drop_nulls().first(),
        pl.col("answer").is_not_null().any().alias("said"),
        *(pl.col(name).filter(pl.col("label").is_not_null()).drop_nulls().first() for name in further),
        *(pl.when(pl.col(name).count() > 0).then(pl.col(name).sum()).alias(name) for name in counted),
        *(pl.col(name).drop_nulls() for name in whole),
    )
    failure = (
        pl.when(pl.col("labels") > 1)
        .then(pl.lit(Failure.TWO_ANSWERS.value))
        .when((pl.col("labels") == 0) & pl.col("flaw").is_not_null())
        .then("flaw")
        .when((pl.col("labels") == 0) & pl.col("said"))
        .then(pl.lit(Failure.NO_LABEL.value))
        .when(pl.col("labels") == 0)
        .then(pl.lit(Failure.EMPTY.value))
    )
    return (
        by_prompt.with_columns(failure.alias("failure"))
        .select(
            "prompt_id",
            pl.when(pl.col("failure").is_null()).then("label").alias("answer"),
            "failure",
            *(pl.when(pl.col("failure").is_null()).then(name).alias(name) for name in further),
            *counted,
            *whole,
        )
        .sort("prompt_id")
    )


def as_numbers(replies: pl.DataFrame, task: NumericScore) -> pl.DataFrame:
    """Replies with the number that each says, in its one spelling, and in `flaw` why one says none that counts.

    Args:
        replies: with `answer`, the part of a reply that should be a number, null where nothing was said.
        task: between which numbers an answer may lie.
    """
    found = {said: _number_said(said, task) for said in replies["answer"].drop_nulls().unique()}
    numbers, flaws = ([None if said is None else found[said][part] for said in replies["answer"]] for part in (0, 1))
    return replies.with_columns(pl.Series("answer", numbers, dtype=pl.String), pl.Series(FLAW, flaws, dtype=pl.String))


def _number_said(said: str, task: NumericScore) -> tuple[str | None, str | None]:
    """The number in its one spelling, or why there is none."""
    value = number_in_reply(said, NUMBER)
    if value is None:
        return None, Failure.NO_NUMBER.value
    if not task.lowest <= value <= task.highest:
        return None, Failure.OUT_OF_RANGE.value
    return written_number(value), None


def at_home(answers: pl.DataFrame, prompts: pl.DataFrame, record: RecordSpec) -> pl.DataFrame:
    """Records at the places that the prompts themselves have their words at; why there is none where one lacks a word.

    Args:
        answers: see `held_to`; those of no prompt stay as they are.
        prompts: `prompt_id` and `text`.
        record: the fields.
    """
    rows = answers.join(prompts.select("prompt_id", "text"), on="prompt_id", how="left", maintain_order="left")
    places, failures = list[str | None](), list[str | None]()
    for text, answer, words, failure in rows.select("text", "answer", RECORD, "failure").iter_rows():
        place, why = answer, failure
        if text is not None and words is not None:
            try:
                place = placed(words, text, record)
            except NoRecordError as error:
                place, why = None, error.fault.value
        places.append(place)
        failures.append(why)
    return answers.with_columns(
        pl.Series("answer", places, dtype=pl.String), pl.Series("failure", failures, dtype=pl.String)
    )


def _reader(labels: Sequence[str], spellings: Mapping[str, str]) -> Callable[[str], str | None]:
    """What finds the label that something said is; None where it is none."""
    plain = Counter(_plain(label) for label in labels)
    alike = {_plain(spelling): label for spelling, label in spellings.items() if label in labels}
    alike |= {_plain(label): label for label in labels if plain[_plain(label)] == 1}
    exact = {**{spelling: label for spelling, label in spellings.items() if label in labels}, **{x: x for x in labels}}
    return lambda said: exact.get(said, alike.get(_plain(said)))


def _set_of(label_of: Callable[[str], str | None], cells: Mapping[str, str], said: str) -> str | None:
    """The set of labels that something said is, in its one spelling; None where a part of it is no label.

    Args:
        label_of: finds one label.
        cells: by another spelling what a cell of the rows that has it holds: labels, `[]`, or nothing.
        said: the whole answer, or a cell of it.
    """
    for part in (said, _list_in(said)):
        if part is not None and (labels := _labels_in(label_of, cells, part)) is not None:
            return written_set(labels)
    return None


def _list_in(said: str) -> str | None:
    """The JSON list in a sentence or an object, if it is the only one: of several nobody knows which is the answer."""
    found = said[said.find("[") : said.rfind("]") + 1]
    return found if found.startswith("[") else None


def _labels_in(label_of: Callable[[str], str | None], cells: Mapping[str, str], cell: str) -> list[str] | None:
    """The labels that a cell holds; None where it is none, or a part of it is no label."""
    try:
        names = names_in_cell(cell)
        found = [
            (label,) if (label := label_of(name)) is not None else _meant_by(label_of, cells, name) for name in names
        ]
    except NoLabelSetError:
        return None
    known = [labels for labels in found if labels is not None]
    return None if names and not known else [label for labels in known for label in labels]


def _meant_by(label_of: Callable[[str], str | None], cells: Mapping[str, str], name: str) -> Sequence[str] | None:
    """The labels that a spelling stands for; None where it stands for nothing.

    Raises:
        NoLabelSetError: if it is none, or one of them is no label.
    """
    meant = cells.get(_plain(name))
    if meant is None:
        raise NoLabelSetError("a part of it is no label")
    labels = [label_of(each) for each in names_in_cell(meant)] if meant else []
    known = [label for label in labels if label is not None]
    if len(known) < len(labels):
        raise NoLabelSetError("a part of it is no label")
    return known if meant else None


def _with_shares(held: pl.DataFrame, labels: Sequence[str], label_of: Callable[[str], str | None]) -> pl.DataFrame:
    """Replies with the probability of each label; one whose probabilities do not count has no label, but a flaw."""
    rows = [
        (None, None) if label is None else shares_of(written, label, labels, label_of)
        for written, label in held.select(PROBABILITIES, "label").iter_rows()
    ]
    shares, flaws = ([row[part] for row in rows] for part in (0, 1))
    return held.with_columns(
        pl.Series(PROBABILITIES, shares, dtype=pl.List(pl.Float64())), pl.Series("flaw", flaws, dtype=pl.String)
    ).with_columns(pl.when(pl.col("flaw").is_null()).then("label").alias("label"))


def one_spelling(said: str) -> str:
    """A reply with single blanks, no invisible characters and Unicode form C, as the labels of rows are read.

    Half of a character, which JSON may hold and no file of ours can, is left out as well.
    """
    visible = "".join(each for each in said if unicodedata.category(each) not in ("Cf", "Cs"))
    return unicodedata.normalize("NFC", " ".join(visible.split()))


def _plain(label: str) -> str:
    return one_spelling(label).strip(_AROUND).casefold()


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

    @cached_property
    def fingerprint(self) -> str:
        """Digest of all that decides its outputs; 64 hex digits."""
        # Not the whole replies: answers of an earlier version have none. So they are no part of the signal either,
        # which would keep those of an earlier file; they are in the teacher's own artifact.
        further = [name for name in (RATIONALE, PROBABILITIES, *_COUNTED, RECORD) if name in self.answers.columns]
        said = self.answers.select("prompt_id", "answer", "failure", *further).rows()
        return digest_of({"answers": said, "accuracy": self.accuracy, **self._outputs_stand_for})

    @property
    def _outputs_stand_for(self) -> dict[str, Any]:
        """What decides which output an answer is, where the answers do not say it."""
        if isinstance(self.task, NumericScore):  # between other ends the same number is another output
            return {"ends": [self.task.lowest, self.task.highest]}
        if isinstance(self.task, Extraction):  # each field has as many outputs as its specification says
            return {"record": self.task.spec.model_dump(mode="json")}
        return {}

    def verify(self) -> None:
        """Nothing can be another's: the fingerprint is of the answers themselves."""

    def ask(self, prompts: pl.DataFrame) -> pl.DataFrame:
        """The stored answer to each prompt as outputs, or why there is none."""
        answers = self.answers
        if isinstance(self.task, Extraction) and RECORD in answers.columns:  # a server was asked the text itself
            answers = at_home(answers, prompts, self.task.spec)
        rows = prompts.join(answers, on="prompt_id", how="left", maintain_order="left")
        rows = rows.with_columns(
            pl.when(pl.col("answer").is_null())
            .then(pl.col("failure").fill_null(Failure.NOT_ASKED.value))
            .alias("failure")
        )
        given = rows.filter(pl.col("failure").is_null())
        outputs = self._outputs(given)
        found = given.select("prompt_id").with_columns(
            pl.Series("logits", outputs.tolist(), dtype=pl.List(pl.Float32()))
        )
        said = rows.join(found, on="prompt_id", how="left", maintain_order="left")
        further = {RATIONALE: pl.String(), **TOOK}
        schema = ANSWER_SCHEMA | {name: kind for name, kind in further.items() if name in self.answers.columns}
        known = {"prompt_id", "logits", "failure", *({RATIONALE, *_COUNTED} & set(self.answers.columns))}
        return (
            said.select(pl.col(name) if name in known else pl.lit(None).alias(name) for name in schema)
            .with_columns(pl.lit(self.fingerprint).alias("fingerprint"))
            .cast(pl.Schema(schema))
        )

    def _outputs(self, given: pl.DataFrame) -> FloatArray:
        """What answers say of all labels, shape (answers, labels)."""
        if PROBABILITIES in given.columns:
            said = [by_shares(shares) for shares in given[PROBABILITIES].to_list()]
            return np.array(said).reshape(given.height, len(self.task.names))
        return self.task.stated(self.task.targets(given["answer"]), self.accuracy)
