"""Which rows a recipe asks for, and whether they were delivered.

Belongs here: reading the requests that count off what has happened, and counting rows that came since.
Does not: how many rows are asked for (stillhouse/evaluation/data_requests.py, stillhouse/live/slices.py), asking people
(orchestration/notices.py).
"""

from datetime import datetime

import polars as pl
from pydantic import Field

from assets.keys import address_of, key_of
from assets.materializations import newest_materialization
from stillhouse.base import Record
from stillhouse.live.columns import as_sent
from stillhouse.live.slices import LiveSlice, slices_of
from stillhouse.recipe.reading import RecipeFile
from stillhouse.records.batches import batches_of
from stillhouse.records.builds import BuildStore
from stillhouse.records.deployments import desired
from stillhouse.records.events import Event, EventKind, Noted, history
from stillhouse.records.ledger import Entry
from stillhouse.stages.names import BASE, EVALUATION, PROMPTS


class RequestedRows(Record):
    """More rows of a slice that a model needs."""

    slice: str
    critical: bool = Field(description="Whether owners are sent it: another slice is reported only.")
    rows_needed: int | None = Field(description="How many more; null where whoever asks cannot say.")
    sentence: str


def requested_rows(builds: BuildStore, file: RecipeFile) -> tuple[RequestedRows, ...]:
    """The requests for rows that count.

    One of an evaluation counts until the next. One of live traffic counts while the release serves of which it is,
    until as many rows of the slice have come as it asks for; one that names neither, until a round has answered.
    """
    newest = newest_materialization(builds.ledger, key_of(file.name, EVALUATION))
    current = None if newest is None else newest.digest
    events = [each for each in history(builds.ledger, file.name) if each.event.kind is EventKind.WEAK_SLICE]
    return tuple(_request(each.event) for each in events if _counts(builds, file, each, current))


def requested_of_traffic(builds: BuildStore, file: RecipeFile) -> tuple[RequestedRows, ...]:
    """Those of live traffic that count."""
    events = [each.event for each in history(builds.ledger, file.name) if each.event.kind is EventKind.WEAK_SLICE]
    return tuple(_request(each) for each in events if "release" in each.facts and _is_wanted(builds, file, each))


def _counts(builds: BuildStore, file: RecipeFile, noted: Noted, evaluation: str | None) -> bool:
    facts = noted.event.facts
    if "release" in facts:
        return _is_wanted(builds, file, noted.event)
    of = facts.get("evaluation")
    return noted.answered_by is None if of is None else of == evaluation


def _is_wanted(builds: BuildStore, file: RecipeFile, event: Event) -> bool:
    serves, needed = desired(builds.ledger, file.name), event.facts.get("rows_needed")
    slice = next((each for each in slices_of(file.recipe) if each.name == event.facts.get("name")), None)
    if serves is None or serves.champion.release != event.facts["release"] or slice is None:
        return False
    return isinstance(needed, int) and _delivered(builds, file, slice, event.first_seen) < needed


def _delivered(builds: BuildStore, file: RecipeFile, slice: LiveSlice, since: datetime) -> int:
    """Rows of a slice with labels that are among the prompts of a batch now and were not before."""
    rows = 0
    for batch in (BASE, *batches_of(builds.ledger, file.name)):
        made = builds.ledger.entries(
            file.name, "materialization", subject=address_of(key_of(file.name, PROMPTS), batch)
        )
        before = [each for each in made if each.moment <= since]
        if len(made) > len(before) and (not before or before[-1].body["digest"] != made[-1].body["digest"]):
            there = _labelled(builds, before[-1], slice) if before else 0
            rows += max(_labelled(builds, made[-1], slice) - there, 0)
    return rows


def _labelled(builds: BuildStore, made: Entry, slice: LiveSlice) -> int:
    prompts = builds.artifact(made.body["digest"], made.body["manifest"]).frame("prompts").drop_nulls("label")
    sent = as_sent(prompts, [] if slice.column is None else [slice.column])
    return slice.rows_of(prompts.select("label", sent, characters=pl.col("text").str.len_chars())).height


def _request(event: Event) -> RequestedRows:
    needed = event.facts.get("rows_needed")
    return RequestedRows(
        slice=str(event.facts.get("name", event.key)),
        critical=event.facts.get("critical") is not False,
        rows_needed=needed if isinstance(needed, int) else None,
        sentence=event.sentence,
    )
