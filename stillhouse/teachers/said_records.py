"""What was said where a record was asked for: where the text has it, or why it is none of that text.

Belongs here: reading replies as records, whoever gave them; this is where what a language model invents is found.
Does not: what a record is (stillhouse/tasks/records.py), which part of a reply should be one (requests.py).
"""

from collections.abc import Callable, Iterable

import polars as pl

from stillhouse.recipe.record import RecordSpec
from stillhouse.tasks.records import NoRecordError, placed, record_in_reply, spelled_out
from stillhouse.teachers.columns import FLAW, RECORD


def records_in(
    said: Iterable[tuple[str | None, str | None]],
    spec: RecordSpec,
    *,
    beside: str | None = None,
    place: Callable[[str, str, RecordSpec], str] = placed,
) -> list[pl.Series]:
    """The record that each reply is, and why it is none: a value that is not in the text has no place there.

    Args:
        said: what should be a record, or nothing, and the text that it is of; no text where that is not known yet.
        spec: the fields.
        beside: see `record_in_reply`.
        place: finds where a text has a record.

    Returns:
        `answer`, the place of each value, or its words where there is no text; `flaw`; and `record`, the words.
    """
    read: dict[str, list[str | None]] = {"answer": [], FLAW: [], RECORD: []}
    for reply, text in said:
        answer, flaw, words = None, None, None
        if reply is not None:
            try:
                answer = words = record_in_reply(reply, spec, beside)
                if text is not None:
                    answer = place(words, text, spec)
                    words = spelled_out(answer, text, spec)
            except NoRecordError as error:
                answer, flaw, words = None, error.fault.value, None
        for column, value in (("answer", answer), (FLAW, flaw), (RECORD, words)):
            read[column].append(value)
    return [pl.Series(name, values, dtype=pl.String) for name, values in read.items()]
