"""How a release takes over: in the shadow of the champion, then for a few callers, then for more of them.

Belongs here: these decisions.
Does not: comparing (stillhouse/live/shadow.py), who answers a caller (stillhouse/serving/routing.py), moving on
(orchestration/rollout.py).
"""

from typing import Literal

from pydantic import Field, field_validator, model_validator

from stillhouse.recipe.bar import Fraction, Positive
from stillhouse.recipe.fields import FieldError, Part

LIVE_SHARE = 0.1


class ShadowSpec(Part):
    """What a challenger has to show before it answers anybody: texts that were asked are put to it, too."""

    mode: Literal["replay", "live"] = Field(
        "replay",
        exclude_if=lambda mode: mode == "replay",  # so that a recipe without the field keeps its digest
        description="when it is asked: replay = later, with texts that the traffic log has kept; live = by each "
        "server once its answer was sent, so that no text has to be kept",
    )
    share: float = Field(
        LIVE_SHARE,
        gt=0,
        le=1,
        exclude_if=lambda share: share == LIVE_SHARE,  # likewise
        description="with mode: live, the share of the answers that are followed by such a question; where truth is "
        "asked for of a sample (traffic.feedback) it is that sample",
    )
    days_at_most: float = Field(
        14,
        gt=0,
        le=366,
        description="days after which a challenger that has not shown enough is held, until a person decides or the "
        "next release takes its place",
    )
    margin: Fraction = Field(
        0.02, description="largest acceptable drop from the champion in agreeing with whoever judges, as a fraction"
    )
    judge_by: Literal["teacher", "truth"] = Field(
        "teacher",
        description="who says which of two answers is right: the teacher, asked where they differ; or feedback that "
        "has matured, where it comes for all answers or for some that were drawn (traffic.feedback)",
    )

    @model_validator(mode="after")
    def _a_text_that_is_gone_is_judged_by_truth(self) -> "ShadowSpec":
        if self.mode == "live" and self.judge_by != "truth":
            raise FieldError(
                "must be truth where mode is live: no text is left that the teacher could be asked about. Write "
                "`judge_by: truth`, or keep texts and leave `mode` out",
                "judge_by",
            )
        return self


class CanarySpec(Part):
    """For how many callers a challenger answers, for how long, and what ends it."""

    shares: tuple[Fraction, ...] = Field(
        (0.05, 0.25, 0.5), min_length=1, description="shares of the callers that it answers, one stage after the other"
    )
    hours_at_least: float = Field(24, ge=0, description="hours that each of these stages takes at least")
    errors_at_most: Fraction = Field(
        0.005, description="share of a caller's requests of one day, on average, that it may fail to answer"
    )
    slow_ms: Positive = Field(100, description="milliseconds after which an answer counts as slow")
    slow_at_most: Fraction = Field(0.05, description="share of a caller's answers, on average, that may be slow")
    memory_mb_at_most: float | None = Field(
        None,
        gt=0,
        allow_inf_nan=False,
        exclude_if=lambda most: most is None,  # so that a recipe without the field keeps its digest
        description="what a server's process may hold in memory, in 1e6 bytes, through two minutes, while it has the "
        "challenger beside the champion. No limit when left out",
    )

    @field_validator("shares")
    @classmethod
    def _they_grow(cls, shares: tuple[float, ...]) -> tuple[float, ...]:
        if list(shares) != sorted(set(shares)):
            raise ValueError(f"each has to be larger than the one before, not {', '.join(map(str, shares))}")
        return shares


class RolloutSpec(Part):
    """The way of a release from passing its gates to being the champion."""

    shadow: ShadowSpec = ShadowSpec()
    canary: CanarySpec = CanarySpec()
    keep_warm: int = Field(
        1,
        ge=0,
        le=8,
        exclude=True,  # it decides nothing about a release
        description="earlier champions that a server keeps loaded, so that going back takes no time",
    )
