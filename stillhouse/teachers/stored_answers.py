"""A file of what a teacher was asked elsewhere, and answered.

Belongs here: reading it, and finding the answer to each prompt by what the text is.
Does not: file formats (stillhouse/data/), what is learned from the answers (stored.py).
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import polars as pl

from stillhouse.data.cleaning import normalise, prompt_ids
from stillhouse.data.pairs import joined
from stillhouse.data.prompt_set import redacted
from stillhouse.data.record_rows import placed_without_people
from stillhouse.data.sources import RowColumns, SourceRead, read_rows
from stillhouse.data.table import UnknownColumnError
from stillhouse.errors import StillhouseError
from stillhouse.recipe.answers import AnswersFormat, takes_queries
from stillhouse.recipe.data import NUMBERS, RECORDS, SETS, DataSpec
from stillhouse.recipe.reading import RecipeFile
from stillhouse.tasks.score import NumericScore
from stillhouse.teachers.columns import PROBABILITIES, RATIONALE, RAW, TOOK
from stillhouse.teachers.protocol import counted_tokens
from stillhouse.teachers.said_records import records_in
from stillhouse.teachers.stored import as_numbers, taken
from stillhouse.teachers.stored_probabilities import probabilities_in


@dataclass(frozen=True)
class AnswersRead:
    """A file of answers.

    Args:
        answers: `prompt_id` and `answer`, null where nothing was said, and `rationale` where the recipe reads one; a
            row for each reply, sorted; likewise `probabilities`, see `probabilities_in`, and the `tokens` that were
            read and `tokens_out`, null of a reply that does not count them; `raw`, the whole reply.
        records: that could be read.
        unreadable: that could not.
        without_text: records of which no text, or no request, could be found.
        without_rationale: replies that do not say why; None where the recipe reads no rationale.
    """

    answers: pl.DataFrame
    records: int
    unreadable: int
    without_text: int
    without_rationale: int | None


def read_answers(file: RecipeFile, kept: Mapping[str, Mapping[str, Path]] | None = None) -> AnswersRead:
    """Find what a stored teacher answered to each prompt.

    Args:
        file: the recipe.
        kept: by each of the recipe's `teacher.outside_files`, where the bytes of its files are kept; None reads the
            files themselves, for a look at them.

    Raises:
        StillhouseError: if a file cannot be read or lacks a column, or no reply has the rationale, probabilities, or
            counts of tokens that the recipe reads; the recipe's line is named.
    """
    spec = file.recipe.teacher.answers
    is_batch = spec.format is AnswersFormat.BATCH
    text = _ID if is_batch else spec.text_path
    elsewhere = [spec.rationale_path] if spec.rationale_path not in (None, spec.answer_path) else []
    shares = [spec.probabilities] if spec.probabilities is not None else []
    usage = [spec.usage] if spec.usage is not None else []
    replies = _read(
        file,
        file.recipe.teacher.source,
        kept,
        text=text,
        also=spec.answer_path,
        keep=[*elsewhere, *shares, *usage, *([_ENDED] * is_batch)],
        optional=[_ENDED] * is_batch,
        objects=[*shares, *usage],
        query=spec.query,
    )
    whole = ~pl.col(_ENDED).is_in(_BROKEN_OFF).fill_null(False) if is_batch else pl.lit(True)
    said_with = elsewhere[0] if elsewhere else "label"
    why = [] if spec.rationale_path is None else [_taken(said_with, spec.rationale_pattern, RATIONALE).alias(RATIONALE)]
    rows = replies.rows.select(
        pl.col("text").alias("asked"),
        pl.when(whole).then(_taken("label", spec.answer_pattern, "answer")).alias("label"),
        *why,
        pl.col("label").alias(RAW),
        *(pl.col(name).alias(PROBABILITIES) for name in shares),
        *(pl.col(name).alias(_USAGE) for name in usage),
    )
    if spec.requests is not None:
        texts = _texts_by_id(_read(file, spec.requests, kept, text=spec.text_path, also=_ID).rows, spec.requests)
        rows = rows.with_columns(normalise(pl.col("asked"))).join(texts, on="asked", how="left", maintain_order="left")
    else:
        rows = rows.with_columns(pl.col("asked").alias("text"))
    further = [*([RATIONALE] if why else []), *([PROBABILITIES] if shares else [])]
    rows = rows.select(_text_taken(spec.text_pattern), "label", *further, RAW, *([_USAGE] if usage else []))
    found = rows.filter(pl.col("text").is_not_null())
    named_by_us = is_batch and spec.requests is None
    ids = found["text"].alias("prompt_id") if named_by_us else prompt_ids(redacted(found).rows["text"])
    reasons = [_without_people(found[RATIONALE])] if why else []
    unexplained = reasons[0].null_count() if reasons else None
    if unexplained and unexplained == found.height:
        raise _no_rationale(file, found.height)
    said = [_probabilities(file, found[PROBABILITIES])] if shares else []
    took = _counted(file, found[_USAGE]) if usage else []
    in_full = _without_people(found[RAW])
    # Where the ids are those of prompts, their texts come later.
    sent = pl.lit(None, pl.String) if named_by_us else normalise(pl.col("text"))
    answers = _answers(found, sent, file.recipe.data)
    read = [ids.alias("prompt_id"), *answers, *reasons, *said, *took, in_full]
    order = ["prompt_id", *(each.name for each in answers), *further, *(each.name for each in took), RAW]
    return AnswersRead(
        pl.DataFrame(read).sort(order),
        records=rows.height,
        unreadable=replies.rejects.height,
        without_text=rows.height - found.height,
        without_rationale=unexplained,
    )


def _answers(found: pl.DataFrame, sent: pl.Expr, data: DataSpec) -> list[pl.Series]:
    """What each reply is, as far as it can be said before it is known which labels there are.

    Args:
        found: `text`, that was asked, and `label`, the reply.
        sent: the text, or null where it is not known yet.
        data: what an answer is.
    """
    if data.record is not None:
        texts = redacted(found).rows.with_columns(text=sent)["text"]
        return records_in(zip(found["label"], texts, strict=True), data.record, place=placed_without_people)
    said = found.select(pl.col("label").alias("answer"))
    return (said if data.score is None else as_numbers(said, NumericScore.of(data.score))).get_columns()


def _no_rationale(file: RecipeFile, replies: int) -> StillhouseError:
    """Students would match the states of the texts instead, and nobody would see it."""
    pattern = file.recipe.teacher.answers.rationale_pattern
    field = "rationale" if pattern is None else "rationale_pattern"
    what = "says why" if pattern is None else "matches the pattern"
    return StillhouseError(
        f"none of {replies:,} replies {what}",
        where=file.where("teacher", "answers", field),
        expected="a rationale in at least one reply",
        do=f"Correct it, or leave {field} out."
        + ("" if pattern is None else " The pattern sees a reply in one line, with single blanks."),
    )


def _probabilities(file: RecipeFile, said: pl.Series) -> pl.Series:
    """What can be read of them, null where nothing is said; what cannot, and so may be any text, is not kept.

    A column that holds something else, such as log-probabilities, is refused; a single reply fails by itself.
    """
    problems = list(map(_no_probabilities, said))
    if problems and None not in problems:
        raise StillhouseError(
            f"none of {len(said):,} replies has probabilities; of the first, {problems[0]}",
            where=file.where("teacher", "answers", "probabilities"),
            expected='an object from labels to numbers from 0 to 1 that add up to 1, such as {"billing": 0.9}',
            do="Name the column that has them, or leave probabilities out. Log-probabilities are no probabilities.",
        )
    known = zip(said, problems, strict=True)
    kept = [written if written is None or problem is None else _UNREADABLE for written, problem in known]
    return pl.Series(said.name, kept, dtype=pl.String)


_UNREADABLE = "{}"
"""Stands for what is no object of probabilities, and is none."""


def _no_probabilities(written: str | None) -> str | None:
    """What is wrong with them, as a clause; None of those that can be read."""
    if written is None:
        return "it is empty"
    try:
        probabilities_in(written)
    except ValueError as error:
        return str(error)
    return None


def _counted(file: RecipeFile, said: pl.Series) -> list[pl.Series]:
    """The tokens that each reply took: those that were read, and those that were written."""
    counts = [counted_tokens(None if written is None else _object_in(written)) for written in said]
    if counts and not any(read for read, _ in counts):
        raise StillhouseError(
            f"none of {len(counts):,} replies counts its tokens",
            where=file.where("teacher", "answers", "usage"),
            expected='an object with both numbers, such as {"prompt_tokens": 51, "completion_tokens": 3}',
            do="Name the column that has them, or leave usage out.",
        )
    known = [(read, written) if read else (None, None) for read, written in counts]
    return [
        pl.Series("tokens", [read for read, _ in known], dtype=pl.Int64),
        pl.Series("tokens_out", [written for _, written in known], dtype=TOOK["tokens_out"]),
    ]


def _object_in(written: str) -> object:
    """What some text is as JSON; None of what is none."""
    try:
        return json.loads(written)
    except (ValueError, RecursionError):
        return None


def _without_people(said: pl.Series) -> pl.Series:
    """What a teacher wrote, without personal data, which it repeats from the text; null where it wrote nothing."""
    clean = redacted(pl.DataFrame({"text": said.fill_null("")})).rows["text"]
    return clean.set(clean == "", None).alias(said.name)


def _texts_by_id(sent: pl.DataFrame, where: str) -> pl.DataFrame:
    """What each request asked; an id that stands for two texts would give one the answer to the other."""
    texts = sent.select(pl.col("label").alias("asked"), "text").unique(maintain_order=True)
    twice = texts.filter(pl.col("asked").is_duplicated())["asked"]
    if len(twice):
        raise StillhouseError(
            f"the custom_id {twice[0]!r} stands for {int((texts['asked'] == twice[0]).sum())} texts",
            where=where,
            expected="an id of its own for each request",
            do="Keep the replies of each file of requests apart, or give the requests other ids.",
        )
    return texts


_BROKEN_OFF = ("length", "content_filter", "error")
"""How a reply ends that says less than the model would have, as with a reply to a call (protocol.py)."""
_ID, _ENDED, _USAGE = "custom_id", "response.body.choices.0.finish_reason", "usage"


def _read(
    file: RecipeFile,
    uri: str,
    kept: Mapping[str, Mapping[str, Path]] | None,
    *,
    text: str,
    also: str,
    keep: Sequence[str] = (),
    optional: Sequence[str] = (),
    objects: Sequence[str] = (),
    query: str | None = None,
) -> SourceRead:
    """Read two columns, as `text` and as `label`; a reply that failed has no answer, and is read all the same."""
    spec, answer = file.recipe.teacher.answers, file.recipe.data.answer
    objects = [*objects, *([also] if answer in (*NUMBERS, *RECORDS) else [])]
    fields = {
        spec.rationale_path: "rationale", spec.probabilities: "probabilities", spec.usage: "usage",
        spec.text_path: "text", spec.answer_path: "answer", spec.query: "query",
    }  # fmt: skip
    try:
        return read_rows(
            uri,
            RowColumns(text, also, keep, optional, objects, lists=[also] if answer in SETS else [], query=query),
            kept=None if kept is None else kept[uri],
            root=file.root,
            limits=file.recipe.data.limits,
        )
    except UnknownColumnError as error:
        field = ("answers", fields[error.column]) if error.column in fields else ("source",)
        where = f"{file.where('teacher', *field)}: {error.where}"
        raise error.at(where) from error


def _text_taken(pattern: str | None) -> pl.Expr:
    """The text that a prompt asked about; query and document, where the pattern takes both out, as the one text that
    rows have."""
    text = _taken("text", pattern, "text")
    return text if not takes_queries(pattern) else joined(_taken("text", pattern, "query"), text).alias("text")


def _taken(column: str, pattern: str | None, group: str) -> pl.Expr:
    """The column, or what a pattern takes out of it; null where it does not match."""
    if pattern is None:
        return pl.col(column)
    return pl.col(column).map_elements(partial(taken, pattern=pattern, group=group), return_dtype=pl.String)
