"""Rows of the traffic log that a watch has not looked at yet.

Belongs here: finding them, each once, however files are moved, replaced or arrive late.
Does not: the files (segments.py), counting rows (watch.py).

A replica numbers its rows, so that the last number of each day says what was looked at; the digests of files spare
reading those again. Files of days further back than `DAYS_BACK` are left to the report of their day.
"""

from dataclasses import dataclass

import polars as pl

from stillhouse.live.segments import COLUMNS, SECONDS_A_DAY, TrafficStore, day_at

DAYS_BACK = 2
_DIGITS = 12

Marks = dict[str, dict[str, int]]
"""Of each day and replica the number of the last row."""


@dataclass(frozen=True)
class NewRows:
    """What is there beyond some marks.

    Args:
        rows: answers, with `replica` and `day`.
        marks: to be looked beyond next time.
        segments: beginnings of the digests of the files that were looked at.
    """

    rows: pl.DataFrame
    marks: Marks
    segments: tuple[str, ...]


def first_day(at: float) -> str:
    """The first day whose files are looked at."""
    return day_at(at - DAYS_BACK * SECONDS_A_DAY)


def new_rows(store: TrafficStore, marks: Marks, segments: tuple[str, ...], *, at: float) -> NewRows:
    """Read the answers beyond the marks.

    Args:
        store: of the recipe.
        marks: as they were given before.
        segments: likewise; files among them are not read.
        at: now, in seconds since 1970. Days ahead of it are looked at, too: the clock of a replica may be ahead.
    """
    known, seen, found = {*segments}, list[str](), []
    days = [day for day in store.days() if day >= first_day(at)]
    after = {day: dict(marks.get(day, {})) for day in days}
    for day in days:
        fresh = []
        for segment in store.segments(day, "requests"):
            short = segment.digest[:_DIGITS]
            seen.append(short)
            if short not in known:
                fresh.append(store.read(segment)[0])
        if not fresh:
            continue
        rows = pl.concat(fresh).unique(["replica", "number"], maintain_order=True)
        found.append(beyond(rows, after[day]).with_columns(day=pl.lit(day)))
        for replica, last in rows.group_by("replica").agg(pl.col("number").max()).iter_rows():
            after[day][replica] = max(after[day].get(replica, 0), last)
    empty = pl.DataFrame(schema={"replica": pl.String, **COLUMNS["requests"], "day": pl.String})
    return NewRows(pl.concat([empty, *found]), {day: each for day, each in after.items() if each}, tuple(seen))


def beyond(rows: pl.DataFrame, marks: dict[str, int]) -> pl.DataFrame:
    """The rows of one day after the last one of each replica."""
    return rows.filter(pl.col("number") > _last(marks))


def up_to(rows: pl.DataFrame, marks: dict[str, int]) -> pl.DataFrame:
    """The rows of one day up to the last one of each replica."""
    return rows.filter(pl.col("number") <= _last(marks))


def _last(marks: dict[str, int]) -> pl.Expr:
    return pl.col("replica").replace_strict(marks, default=0, return_dtype=pl.Int64)


def with_texts(store: TrafficStore, new: NewRows) -> tuple[NewRows, pl.DataFrame]:
    """The new rows whose texts have arrived, too, and those texts.

    Files of texts follow those of answers, so the rows of a replica after its last text wait; one before it that has no
    text was erased, or may keep none.
    """
    days = sorted({*new.rows["day"]})
    texts = pl.concat([store.frame(day, "texts").with_columns(day=pl.lit(day)) for day in days] or [_NO_TEXTS])
    last = texts.group_by("day", "replica").agg(last=pl.col("number").max())
    ready = new.rows.join(last, on=["day", "replica"], maintain_order="left").filter(pl.col("number") <= pl.col("last"))
    marks = {day: dict(each) for day, each in new.marks.items()}
    for day in days:
        arrived = dict(ready.filter(pl.col("day") == day).group_by("replica").agg(pl.col("number").max()).iter_rows())
        waiting = {*new.rows.filter(pl.col("day") == day)["replica"]}
        marks[day] = {replica: each for replica, each in marks.get(day, {}).items() if replica not in waiting}
        marks[day] |= arrived
    return NewRows(ready.drop("last"), marks, new.segments), texts


_NO_TEXTS = pl.DataFrame(schema={"replica": pl.String, **COLUMNS["texts"], "day": pl.String})
