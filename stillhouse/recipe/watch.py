"""How a recipe's champion is watched while it serves.

Belongs here: what is watched for, from which numbers on it is a finding, and how much the teacher is asked.
Does not: the watching (stillhouse/live/), the test behind an alarm (stillhouse/statistics/detector.py).
"""

import re
from typing import Annotated

from pydantic import AfterValidator, Field, model_validator

from stillhouse.recipe.fields import LENGTH, FieldError, Part


def lengths_in(name: str) -> tuple[int, int | None] | None:
    """The fewest and the most characters that a name means, of which the second may be left out; None of no such name.

    Raises:
        ValueError: if the most are fewer than the fewest, which no text has.
    """
    found = re.fullmatch(LENGTH, name)
    if found is None:
        return None
    fewest, most = int(found[1]), None if found[2] is None else int(found[2])
    if most is not None and most < fewest:
        raise ValueError(f"no text has at least {fewest:,} and at most {most:,} characters: length=FEWEST-MOST")
    return fewest, most


def _some_text_has_it(name: str) -> str:
    lengths_in(name)
    return name


Length = Annotated[str, Field(pattern=LENGTH), AfterValidator(_some_text_has_it)]


class WatchSpec(Part):
    """The watch over live traffic of one recipe."""

    false_alarms_per_year: float = Field(
        0.5, gt=0, le=12, description="alarms a year that stable traffic may cause, all that is watched together"
    )
    ask_teacher: float = Field(
        0.05, ge=0, le=1, description="share of the student's answers that the teacher is asked about; 0 asks nobody"
    )
    ask_when_drifting: float = Field(0.5, ge=0, le=1, description="the same while inputs differ from the reference")
    agreement_tolerance: float = Field(
        0.02,
        gt=0,
        lt=1,
        description="how far live agreement with the teacher, or live accuracy, may lie below what golden rows prove",
    )
    latency_ms: float = Field(20, gt=0, description="how long an answer may take, without the network")
    latency_share: float = Field(0.01, gt=0, lt=1, description="share of answers that may take longer")
    errors: float = Field(0.005, gt=0, lt=1, description="share of requests on which the model may fail")
    memory_mb_at_most: float | None = Field(
        None,
        gt=0,
        allow_inf_nan=False,
        exclude_if=lambda most: most is None,  # so that a recipe without the field keeps its digest
        description="what a server's process may hold in memory, in 1e6 bytes, through two minutes: the champion and "
        "all that is kept warm beside it. No limit when left out",
    )
    fallback_share: float | None = Field(
        None,
        gt=0,
        lt=1,
        description="share of answers that may come from the teacher, or from the student in its place; left out, the "
        "share of golden rows, and a little beyond, where there is a cascade",
    )
    blame_days: int = Field(
        14, ge=0, description="days since its promotion in which lost agreement or accuracy is blamed on the release"
    )
    quarantine_days: int = Field(
        14,
        ge=0,
        le=366,
        exclude_if=lambda days: days == 14,  # so that a recipe without the field keeps its digest
        description="days for which somebody else answers a critical slice that is found weak, where anybody can: an "
        "earlier champion, or the teacher behind the release; never more than waiver_days_at_most, and 0 for nobody",
    )
    baseline_days: int = Field(
        28, ge=7, description="days without a finding about inputs after which they become the reference"
    )

    lengths: tuple[Length, ...] = Field(
        (),
        exclude_if=lambda named: not named,  # so that a recipe without the field keeps its digest
        description="texts of so many characters that are watched by themselves, as the slices by `label` are: "
        "length=FEWEST-MOST, of which MOST may be left out",
    )

    @model_validator(mode="after")
    def _drift_asks_more(self) -> "WatchSpec":
        if self.ask_when_drifting < self.ask_teacher:
            raise FieldError(f"must not be below ask_teacher, which is {self.ask_teacher:g}", "ask_when_drifting")
        return self
