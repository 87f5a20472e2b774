"""Rows whose label is a record: from what a cell holds to the record's spelling, and to places in the row's text.

Belongs here: which cells are records that a recipe lets in, which rows have their values in their text, records of rows
in words, and what tells two rows apart whose texts are nearly alike.
Does not: what a record is and how it is spelled (stillhouse/tasks/records.py), labels that are none (sources.py).
"""

import json

import polars as pl

from stillhouse.data.cleaning import normalise
from stillhouse.data.near_duplicates import KnownAnswers
from stillhouse.data.privacy import redact_text
from stillhouse.data.rejects import RejectReason, rejected
from stillhouse.data.respelled import respelled
from stillhouse.recipe.record import RecordSpec
from stillhouse.tasks.records import NoRecordError, RecordFault, placed, record_in_cell, spelled_out
from stillhouse.tasks.words import first_place, run_at, words_of


def with_records(rows: pl.DataFrame, record: RecordSpec) -> tuple[pl.DataFrame, list[tuple[str, RejectReason, str]]]:
    """Give each record its first spelling, in which its values can be read.

    Args:
        rows: `text` and `label`, a cell as it came, or null; in the order of the source.
        record: its fields.

    Returns:
        The rows that have such a record or nothing, and of the others what they are rejected as, see `Table`.
    """
    spelling, why = dict[str, str](), dict[str, str]()
    for cell in rows["label"].drop_nulls().unique():
        try:
            spelling[cell] = record_in_cell(cell, record)
        except NoRecordError as error:
            why[cell] = str(error)
    return respelled(rows, spelling, why, RejectReason.NO_RECORD, may_quote=False)


def placed_without_people(record: str, text: str, spec: RecordSpec) -> str:
    """The second spelling of a record of a text that personal data was taken out of.

    Args:
        record: in its first spelling.
        text: in its one spelling.
        spec: its fields.

    Raises:
        NoRecordError: see `placed`; a value that was taken out of the text is not called one that it never had.
    """
    try:
        return placed(record, text, spec)
    except NoRecordError as error:
        if error.fault in (RecordFault.NOT_IN_TEXT, RecordFault.INSIDE_A_WORD):
            for name, value in json.loads(record).items():
                said = str(value)
                if spec.fields[name].points and value is not None and redact_text(said) != said:
                    raise NoRecordError(
                        RecordFault.PERSONAL_DATA, f"{name} is personal data, which texts do not keep"
                    ) from None
        raise


def with_places(rows: pl.DataFrame, record: RecordSpec) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Say of each record where the text, in the spelling that models read, has its values.

    A row whose text is empty has no places, and stays for whoever rejects it for that.

    Args:
        rows: `text`, without personal data, `label`, a record in its first spelling or null, `batch` and further
            columns.
        record: its fields.

    Returns:
        The rows whose text is not too long and has the values, with the record in its second spelling; and rejects.
    """
    labels, reasons, details = list[str | None](), list[str | None](), list[str | None]()
    for text, label in rows.select(normalise(pl.col("text")), "label").iter_rows():
        found, reason, detail = None, None, None
        try:
            if label is not None and text:
                found = placed_without_people(label, text, record)
            elif (words := len(words_of(text))) > record.words:
                reason, detail = RejectReason.TOO_MANY_WORDS, f"{words} words, and {record.words} are read"
        except NoRecordError as error:
            too_long = error.fault is RecordFault.TEXT_TOO_LONG
            reason, detail = RejectReason.TOO_MANY_WORDS if too_long else RejectReason.NO_SUCH_VALUE, str(error)
        for column, value in ((labels, found), (reasons, reason), (details, detail)):
            column.append(value)
    judged = rows.with_columns(
        pl.Series("reason", reasons, dtype=pl.String), pl.Series("detail", details, dtype=pl.String)
    )
    is_kept = judged["reason"].is_null()
    kept = rows.with_columns(pl.Series("label", labels, dtype=pl.String)).filter(is_kept)
    return kept, rejected(judged.filter(~is_kept), pl.col("reason"), pl.col("detail"))


def in_words(rows: pl.DataFrame, record: RecordSpec) -> pl.Series:
    """The records of rows as people read them; null where there is none.

    Args:
        rows: `text`, in its one spelling, and `label`, a record in its second spelling or null.
        record: its fields.
    """
    found = [
        None if places is None else spelled_out(places, text, record)
        for text, places in rows.select("text", "label").iter_rows()
    ]
    return pl.Series("label", found, dtype=pl.String)


def said_of(prompts: pl.DataFrame, record: RecordSpec | None) -> KnownAnswers | None:
    """What each prompt is known to say, which is how letters of one template differ from near duplicates.

    A record whose label is hidden was known when rows were compared: it differs from every other, since those that it
    does not differ from were left out.

    Args:
        prompts: `prompt_id`, `text`, `label`, a record in its second spelling or null, and `label_hidden` where it is
            known.
        record: its fields; None where answers are none.

    Returns:
        Records in words, and the words of the text that they are of; None where answers are no records.
    """
    if record is None:
        return None
    said = prompts.select("prompt_id", "text", "label").with_columns(in_words(prompts, record).alias("said"))
    values = [_words_of_values(*row) for row in said.select("label", "text").iter_rows()]
    said = said.with_columns(pl.Series("values", values, dtype=pl.List(pl.String)))
    if "label_hidden" in prompts.columns:
        hidden, own = prompts["label_hidden"].fill_null(False), pl.col("prompt_id")  # which no text has
        said = said.with_columns(
            pl.when(hidden).then(own).otherwise("said").alias("said"),
            pl.when(hidden).then(pl.concat_list(own)).otherwise("values").alias("values"),
        )
    return KnownAnswers(said["said"], said["values"])


def _words_of_values(places: str | None, text: str) -> list[str]:
    """The words that a text has for the values of its record; of a choice those that name it, if it has them."""
    if places is None:
        return []
    words, found = words_of(text), list[str | None]()
    for value in json.loads(places).values():
        if isinstance(value, list):
            found.append(run_at(text, *value))
        elif value is not None and (run := words_of(value)) and first_place(words, run) is not None:
            found.append(value)
    return [each for each in found if each]
