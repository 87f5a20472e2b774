"""Of which answers the truth is asked for, and what the truth that came says of all answers.

Belongs here: the draw, which truths may decide, the estimate from a sample.
Does not: feedback and answers as rows (traffic.py), telling a caller (stillhouse/serving/app.py), the watch over truth
(watch.py).

Callers who choose to say what was right say it more often of some answers than of others, so their word decides
nothing. Of answers that are drawn here the chance is known: each stands for 1 / chance answers like it, whatever it is
that makes others speak. That is lost where the truth of many that were drawn does not come, since those are no sample
of the drawn.
"""

import hmac
from hashlib import sha256

import polars as pl
from pydantic import Field

from stillhouse.base import Record
from stillhouse.digests import uniform_of
from stillhouse.recipe.traffic import TrafficSpec
from stillhouse.statistics.proportions import wilson_interval
from stillhouse.tasks.alike import alike

LATE_TRUTH_DAYS = 7
"""For how many days after the truth of a day has matured more of it is waited for."""


def is_wanted(id: str, share: float, *, key: bytes) -> bool:
    """Whether the truth of an answer is asked for: any server and any auditor who has the key finds the same.

    Args:
        id: of the answer.
        share: in (0, 1], with which chance; it is written down with the answer.
        key: of `Purpose.TRUTH_IS_ASKED_FOR`. Without it nobody can tell from an id that will be drawn which answers
            are looked at.
    """
    return uniform_of(hmac.digest(key, id.encode(), sha256)) < share


def with_wanted(rows: pl.DataFrame, key: bytes) -> pl.DataFrame:
    """Say of each answer whether its truth was asked for, as `wanted`.

    Args:
        rows: with `id` and `wanted_share`, null where nothing was drawn.
        key: see `is_wanted`.
    """
    pairs = zip(rows["id"], rows["wanted_share"], strict=True)
    drawn = [share is not None and is_wanted(id, share, key=key) for id, share in pairs]
    return rows.with_columns(pl.Series("wanted", drawn, dtype=pl.Boolean))


class SampledTruth(Record):
    """What the truths say that were asked for."""

    wanted: int = Field(description="Mature answers whose truth was asked for.")
    returned: int = Field(description="Of them, those of which it came; of the others it is missing.")
    returned_at_least: float = Field(description="The share of them that has to come before it decides anything.")
    right: float | None = Field(description="Share of all answers that is right, each truth weighted by 1 / chance.")
    low: float = Field(description="95 % interval of it (Wilson, by as many truths as the weights are worth).")
    high: float

    @property
    def missing(self) -> int:
        """Answers whose truth was asked for and did not come."""
        return self.wanted - self.returned

    @property
    def is_enough(self) -> bool:
        """Whether so much of it came that it may decide."""
        return is_enough(self.wanted, self.returned, self.returned_at_least)

    @property
    def in_words(self) -> str:
        """How much of it came, and whether that is enough."""
        came = f"{self.returned:,} of {self.wanted:,} truths that were asked for came, {self.missing:,} are missing"
        if self.is_enough:
            return came
        return f"{came}; at least {self.returned_at_least:.0%} are needed, since those that came are not a sample then"


def is_enough(wanted: int, returned: int, at_least: float) -> bool:
    """Whether so many of the truths that were asked for came that they may decide: at least this share, and one."""
    # By the quotient: 55 of 100 are 0.55, and 0.55 * 100 is more than 55.
    return returned > 0 and returned / wanted >= at_least


def sampled_truth(rows: pl.DataFrame, returned_at_least: float, tolerance: float | None = None) -> SampledTruth:
    """Estimate how many of all answers are right from those whose truth was asked for.

    The ratio of weighted sums (Hajek 1971): in expectation each answer counts once, and where all were drawn with one
    chance it is their plain share. The interval takes as many rows as the weights are worth (Kish 1965).

    Args:
        rows: mature answers, with `wanted`, `wanted_share`, `label` and `truth`.
        returned_at_least: of the recipe.
        tolerance: of answers that are numbers; None of labels.
    """
    drawn = rows.filter("wanted")
    known = drawn.filter(pl.col("truth").is_not_null()).with_columns(weight=1 / pl.col("wanted_share"))
    total = float(known["weight"].sum())
    worth = total**2 / float((known["weight"] ** 2).sum()) if total else 0.0
    is_right = alike(pl.col("truth"), pl.col("label"), tolerance)
    right = float(known.filter(is_right)["weight"].sum()) / total if total else None
    low, high = wilson_interval((right or 0.0) * worth, worth)
    return SampledTruth(
        wanted=drawn.height, returned=known.height, returned_at_least=returned_at_least, right=right, low=low, high=high
    )


def whose_truth_decides(rows: pl.DataFrame, spec: TrafficSpec, *, key: bytes) -> pl.DataFrame:
    """Those answers whose truth is known and decides, by what a recipe says of its feedback.

    Args:
        rows: see `that_may_decide`.
        spec: of the recipe.
        key: see `is_wanted`.
    """
    match spec.feedback:
        case "unknown":
            return rows.clear()
        case "complete":
            return rows.filter(pl.col("truth").is_not_null())
        case "sample":
            return that_may_decide(rows, key, spec.feedback_returned_at_least)


def that_may_decide(rows: pl.DataFrame, key: bytes, returned_at_least: float) -> pl.DataFrame:
    """Those answers whose truth was asked for and came, of days on which enough of it came.

    Each was drawn without regard to what is true of it, so that on its own it may be looked at as any answer.

    Args:
        rows: mature answers with `day`, `truth`, `id` and `wanted_share`.
        key: see `is_wanted`.
        returned_at_least: of the recipe.
    """
    drawn = with_wanted(rows, key).filter("wanted").drop("wanted")
    known = pl.col("truth").is_not_null()
    return drawn.filter(known & (known.mean().over("day") >= returned_at_least))


def drawn_alike(rows: pl.DataFrame, key: bytes) -> pl.DataFrame:
    """Those of some drawn answers that the least of their chances draws, too: of all days alike.

    Args:
        rows: answers that were drawn, with `id` and `wanted_share`.
        key: see `is_wanted`.
    """
    least = rows["wanted_share"].min()
    return with_wanted(rows.with_columns(wanted_share=pl.lit(least, pl.Float64)), key).filter("wanted").drop("wanted")
