"""The traffic of one day, summed up: who answered what, and whether all rows are accounted for.

The artifact holds counts alone, of numbers by tenths of what lies between their ends, of records by field what can be
counted. Artifacts are kept for good, and rows of traffic are not; its manifest names the files that it was counted
from.

Belongs here: what the summary depends on, and making it.
Does not: the rows (stillhouse/live/), keeping them (stillhouse/serving/spool.py).
"""

from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl
from pydantic import Field

from stillhouse.base import Record
from stillhouse.live.baseline import names_carried
from stillhouse.live.number_bins import bin_names, bin_of
from stillhouse.live.segments import FILE_KINDS, SECONDS_A_DAY, TRAFFIC, TrafficStore
from stillhouse.live.thinning import least_share
from stillhouse.live.traffic import Forget, arithmetic, erase_again, expire
from stillhouse.recipe.data import AnswerSpec, ScoreSpec
from stillhouse.recipe.reading import RecipeFile
from stillhouse.recipe.record import RecordSpec
from stillhouse.recipe.traffic import TrafficSpec
from stillhouse.records.builds import Plan
from stillhouse.tasks.numbers import DIGITS

_PARTS = 10
"""In which numbers are counted."""
FIELDS = "fields"
"""Of an artifact, where answers are records: what they have in each field, by release."""


class TrafficFacts(Record):
    """The rows of one day, counted."""

    day: str
    answers: int = Field(description="Answers that are kept.")
    texts: int = Field(description="Texts that are kept, redacted.")
    feedback: int = Field(description="Truths that were said on this day, about answers of any day.")
    received: int = Field(description="Rows that replicas received: answers, feedback, what a challenger said.")
    stored: int = Field(description="Of these, written down.")
    dropped: int = Field(description="Of these, let go because a queue was full.")
    lost: int = Field(description="Of these, lost with a process that was killed.")
    thinned: int = Field(0, description="Of these, let go by the ids of answers, because the log was full.")
    kept_share: float = Field(1.0, description="The smallest share by which answers of this day were kept.")
    replicas: int


def tidy(file: RecipeFile, store: TrafficStore, forget: Forget, today: date) -> None:
    """Carry out what was asked to be erased, and remove what has been kept for as long as the recipe allows."""
    erase_again(store, store.erasures(), forget)
    store.promise(spec_of(file))
    expire(store, spec_of(file), today)
    first = (today - date(1970, 1, 1)).days - spec_of(file).days
    store.forget_erasures(first * SECONDS_A_DAY)


def spec_of(file: RecipeFile) -> TrafficSpec:
    """What the recipe says of its traffic; a recipe that says nothing has no such stage."""
    assert file.recipe.traffic is not None
    return file.recipe.traffic


def plan(store: TrafficStore, day: str, details: AnswerSpec | None = None) -> Plan[TrafficFacts]:
    """Sum up one day.

    Args:
        store: of the recipe.
        day: as `2026-11-28`, UTC.
        details: where answers are numbers or records, what the recipe says of them.
    """
    segments = [segment for kind in FILE_KINDS for segment in store.segments(day, kind)]
    tallies = store.tallies(day)
    edges = _edges(details) if isinstance(details, ScoreSpec) else ()
    of_records = isinstance(details, RecordSpec)

    def build(folder: Path) -> TrafficFacts:
        requests, replicas = store.frame(day, "requests"), arithmetic(store, day)
        by = ["release", "deployment", "source", "label", "degraded", "status"]
        counted = requests.with_columns(label=_tenth(edges)) if edges else requests
        if of_records:
            counted = requests.with_columns(label=pl.lit(None, pl.String))
            _by_field(requests).write_parquet(folder / f"{FIELDS}.parquet")
        counted.group_by(by).agg(rows=pl.len()).sort(by).write_parquet(folder / "answers.parquet")
        shown = [{"replica": each.replica, "problems": each.problems} for each in replicas]
        schema: dict[str, pl.DataType] = {"replica": pl.String(), "problems": pl.List(pl.String)}
        pl.DataFrame(shown, schema=schema).write_parquet(folder / "replicas.parquet")
        return TrafficFacts(
            day=day,
            answers=requests.height,
            texts=sum(each.texts for each in replicas),
            feedback=sum(each.feedback for each in replicas),
            received=sum(tally.received for tally in tallies),
            stored=sum(tally.stored for tally in tallies),
            dropped=sum(tally.dropped for tally in tallies),
            lost=sum(tally.lost for tally in tallies),
            thinned=sum(tally.thinned for tally in tallies),
            kept_share=least_share(store, day),
            replicas=len(replicas),
        )

    addresses = {f"{TRAFFIC}/{store.recipe}/{day}/{each.kind}/{each.digest}.parquet": each.digest for each in segments}
    said = [tally.model_dump(mode="json") for tally in tallies]
    depends_on: dict[str, Any] = {"day": day, "segments": sorted(addresses), "tallies": said}
    if edges:
        depends_on["edges"] = list(edges)
    if of_records:
        depends_on["of_records"] = True
    return Plan(build, depends_on, external_inputs=addresses)


def _by_field(requests: pl.DataFrame) -> pl.DataFrame:
    """Answers of each release that have each thing that is counted of records; see `countable`."""
    found = [
        {"release": release, "answered": name, "rows": rows}
        for (release,), own in requests.drop_nulls("label").group_by("release")
        for name, rows in names_carried(
            dict(own["label"].value_counts().iter_rows()), (), of_records=True
        ).items()
    ]  # fmt: skip
    schema = {"release": pl.String(), "answered": pl.String(), "rows": pl.Int64()}
    return pl.DataFrame(found, schema=schema).sort("release", "answered")


def _edges(score: ScoreSpec) -> tuple[float, ...]:
    """Between ten bins of one width; what is beyond an end is in the outer one."""
    width = (score.highest - score.lowest) / _PARTS
    return tuple(round(score.lowest + width * part, DIGITS) for part in range(1, _PARTS))


def _tenth(edges: Sequence[float]) -> pl.Expr:
    """The name of the bin of each answer; null where there is none, or it was a label under an earlier recipe."""
    names = dict(enumerate(bin_names(edges)))
    return bin_of("label", edges).replace_strict(names, default=None, return_dtype=pl.String)
