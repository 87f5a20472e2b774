"""From a row that was put to the spool on this machine's disk.

Belongs here: what of a row is written, redacted, and with what was counted of its day.
Does not: when that is done (spool.py), the tables (spool_database.py), what leaves the spool (sealing.py).

No text, truth or name of who said it touches the disk before it was redacted, and of the columns that a caller sent no
value that the recipe does not name.
"""

import sqlite3
from collections import Counter
from collections.abc import Callable, Sequence
from operator import attrgetter

import polars as pl

from stillhouse.data.one_text import spelled
from stillhouse.data.privacy import may_be_personal, redact_text
from stillhouse.live.columns import KeptColumns
from stillhouse.live.segments import COLUMNS
from stillhouse.serving.counts import Counts
from stillhouse.serving.requests import Row, ServedRequest, Shadowed, day_of
from stillhouse.serving.spool_database import insertion, transaction

_as_it_is = attrgetter(*(name for name in COLUMNS["requests"] if name not in ("number", "kept_share", "columns")))
"""All of a row but for what the log adds, its text, and what its caller said of that."""
_as_a_challenger_said = attrgetter(*(name for name in COLUMNS["shadow"] if name != "number"))


def write(
    database: sqlite3.Connection,
    rows: Sequence[tuple[int, Row]],
    counts: Counts,
    rest: Callable[[], None],
    *,
    keep_texts: bool,
    columns: KeptColumns | None,
) -> None:
    """Write rows in one transaction.

    Args:
        database: the spool.
        rows: each with its number.
        counts: of this process.
        rest: called between short pieces of work.
        keep_texts: whether texts are kept, redacted.
        columns: what is kept of the columns that callers send; None keeps nothing of them.
    """
    requests, answered, said, shadow = [], [], [], []
    stored: Counter[int] = Counter()
    for number, row in rows:
        day = day_of(row)
        stored[day] += 1
        if isinstance(row, ServedRequest):
            sent = None if columns is None else columns.written(row.columns)
            requests.append((day, number, *_as_it_is(row), 1.0, sent))
            if keep_texts and row.text is not None:
                answered.append((day, number, row))
        elif isinstance(row, Shadowed):
            shadow.append((day, number, *_as_a_challenger_said(row)))
        else:
            said.append((day, number, row))
    texts = redacted([row.text for _, _, row in answered], rest)
    truths = redacted([row.truth for _, _, row in said], rest)
    who = redacted([row.by for _, _, row in said], rest)
    with transaction(database):
        database.executemany(insertion("requests"), requests)
        database.executemany(
            insertion("texts"),
            [(day, number, row.id, text) for (day, number, row), text in zip(answered, texts, strict=True)],
        )
        database.executemany(
            insertion("feedback"),
            [
                (day, number, row.id, row.at, truth, by)
                for (day, number, row), truth, by in zip(said, truths, who, strict=True)
            ],
        )
        database.executemany(insertion("shadow"), shadow)
        for day, rows_of_day in stored.items():
            received, dropped = counts.of(day)
            database.execute(
                "INSERT INTO days (day, received_now, dropped_now, stored_now) VALUES (?, ?, ?, ?) "
                "ON CONFLICT (day) DO UPDATE SET received_now = excluded.received_now, "
                "dropped_now = excluded.dropped_now, stored_now = stored_now + excluded.stored_now",
                (day, received, dropped, rows_of_day),
            )


def redacted(texts: Sequence[str | None], rest: Callable[[], None] = lambda: None) -> list[str | None]:
    """Texts in their one spelling and without personal data; `rest` is called between those that have to be read."""
    clean = [None if text is None else spelled(text) for text in texts]
    for index in may_be_personal(pl.Series(clean, dtype=pl.String)).fill_null(False).arg_true():
        clean[index] = redact_text(clean[index] or "")
        rest()
    return clean
