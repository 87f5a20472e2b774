"""What is kept of the answers that a server gave, and for how long.

Belongs here: these decisions.
Does not: keeping anything (stillhouse/serving/spool.py), reading it (stillhouse/live/).
"""

from typing import Literal

from pydantic import Field, model_validator

from stillhouse.recipe.fields import FieldError, Part

FEWEST_BYTES = 1_000_000
FEEDBACK_SHARE, FEEDBACK_RETURNED = 0.05, 0.8


class TrafficSpec(Part):
    """The traffic log of one recipe."""

    days: int = Field(90, ge=1, le=3_660, description="for how many days answers are kept, without their texts")
    text_days: int = Field(14, ge=0, le=3_660, description="for how many days texts are kept, redacted; 0 keeps none")
    keep_texts: bool = Field(True, description="whether texts are kept at all, where the privacy class allows it")
    feedback: Literal["unknown", "sample", "complete"] = Field(
        "unknown",
        description="which answers feedback comes for: unknown = whoever cares to; sample = those that a server draws "
        "and says so (`feedback_wanted` in the answer); complete = all. Feedback of unknown selection is reported and "
        "decides nothing",
    )
    feedback_share: float = Field(
        FEEDBACK_SHARE,
        gt=0,
        le=1,
        exclude_if=lambda share: share == FEEDBACK_SHARE,  # so that a recipe without the field is written as it was
        description="with feedback: sample, the share of the answers whose truth is asked for",
    )
    feedback_returned_at_least: float = Field(
        FEEDBACK_RETURNED,
        gt=0,
        le=1,
        exclude_if=lambda share: share == FEEDBACK_RETURNED,  # likewise
        description="with feedback: sample, the share of the truths asked for that has to come before they decide: "
        "those that are missing are not a sample, and may all be of wrong answers",
    )
    matures_after_days: int = Field(7, ge=0, description="how long after an answer its feedback is waited for")
    bytes_at_most: int | None = Field(
        None,
        ge=FEWEST_BYTES,
        exclude_if=lambda most: most is None,  # so that a recipe without the field keeps its digest
        description="what all of it may take on the store; where that would be passed, a share of the answers is kept, "
        "drawn by id and written down. No limit when left out",
    )

    @property
    def asks_for(self) -> float | None:
        """The share of the answers whose truth a server asks for; None where it asks for none."""
        return self.feedback_share if self.feedback == "sample" else None

    @model_validator(mode="after")
    def _texts_go_first(self) -> "TrafficSpec":
        if self.text_days > self.days:
            raise FieldError(f"must not be longer than days, which is {self.days}", "text_days")
        return self

    @model_validator(mode="after")
    def _answers_outlive_the_wait_for_feedback(self) -> "TrafficSpec":
        if self.matures_after_days >= self.days:
            raise FieldError(
                f"must be shorter than days, which is {self.days}: an answer that is gone has no truth",
                "matures_after_days",
            )
        return self
