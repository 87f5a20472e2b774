"""What servers were asked lately, as a mix: how long the texts were, and which labels people gave them.

Belongs here: reading whole days of it for a comparison with the rows of a recipe.
Does not: comparing two mixes (stillhouse/data/drift.py), what follows (checks/prompts/mix.py), the watch of the
champion, which holds a student against its own answers to golden rows (watches.py).

Only days that have ended are read, so that an answer more changes nothing until its day is over.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from stillhouse.digests import digest_of
from stillhouse.live.feedback import drawn_alike, whose_truth_decides
from stillhouse.live.segments import SECONDS_A_DAY, TrafficStore, day_at
from stillhouse.live.thinning import kept_by, least_share
from stillhouse.live.traffic import answers
from stillhouse.recipe.traffic import TrafficSpec


@dataclass(frozen=True)
class LiveMix:
    """What was asked on some days.

    Args:
        days: those of which there are answers, the oldest first.
        characters: how long each text was, in its one spelling; of a full log those that all days have kept alike.
        truths: what people said of mature answers among them, as far as it is known which ones they speak of: of all
            of them, or of those that were drawn.
        read: digest of the files of answers and feedback that were read.
    """

    days: tuple[str, ...]
    characters: pl.Series
    truths: pl.Series
    read: str


def live_mix(store: TrafficStore, spec: TrafficSpec, *, key: bytes, at: float, days: int) -> LiveMix:
    """Read the last whole days of a recipe's traffic.

    Args:
        store: of the recipe.
        spec: how long feedback is waited for, and which answers it comes for.
        key: by which the answers are drawn whose truth is asked for, see `feedback.is_wanted`.
        at: now, in seconds since 1970.
        days: how many.
    """
    first, today = day_at(at - days * SECONDS_A_DAY), day_at(at)
    meant = [day for day in store.days() if first <= day < today and store.segments(day, "requests")]
    share = min([1.0, *(least_share(store, day) for day in meant)])
    lengths, known = [pl.Series("characters", dtype=pl.Int32)], [_NO_TRUTHS]
    for day in meant:
        rows = kept_by(answers(store, [day], at=at, matures_after_days=spec.matures_after_days), share)
        lengths.append(rows["characters"])
        decides = whose_truth_decides(rows.filter("matured"), spec, key=key)
        known.append(decides.select(*_NO_TRUTHS.columns))
    truths = pl.concat(known)
    # A share that was changed meanwhile is no shift of what is asked.
    alike = drawn_alike(truths, key) if spec.feedback == "sample" else truths
    return LiveMix(tuple(meant), pl.concat(lengths), alike["truth"], _read(store, meant))


_NO_TRUTHS = pl.DataFrame(schema={"id": pl.String, "wanted_share": pl.Float64, "truth": pl.String})


def _read(store: TrafficStore, days: Sequence[str]) -> str:
    said_on = [day for day in store.days() if days and day >= days[0]]
    files = [each.digest for day in days for each in store.segments(day, "requests")]
    return digest_of(
        [sorted(files), sorted(each.digest for day in said_on for each in store.segments(day, "feedback"))]
    )
