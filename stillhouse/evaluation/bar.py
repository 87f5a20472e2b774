"""The bar: what a student must prove before it may replace its teacher.

Belongs here: the three typed declarations a recipe embeds (quality bar, slices, budget). Imports pydantic and
nothing else. Does not: testing whether the bar was cleared (harness.py).
"""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Fraction = Annotated[float, Field(gt=0.0, lt=1.0, allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0.0, allow_inf_nan=False)]
Name = Annotated[str, Field(min_length=1, max_length=120)]
MetricName = Literal["accuracy", "macro_f1", "recall", "ndcg"]


def name_of_metric(metric: MetricName, metric_class: str | None) -> str:
    """A metric as sentences name it."""
    named = {"accuracy": "accuracy", "macro_f1": "macro F1", "recall": f"recall of '{metric_class}'", "ndcg": "nDCG"}
    return named[metric]


class _Spec(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class BarSpec(_Spec):
    """The quality bar: how much quality a student may lose, and how sure we must be that it lost no more."""

    metric: MetricName = Field(
        default="accuracy",
        description=(
            "What is compared with the teacher: accuracy = share of golden rows answered right; macro_f1 = mean F1 of "
            "the classes, each weighing the same; recall = share found of the rows of metric_class; ndcg = mean of "
            "1 / log2(1 + place of the right class), for answers that are shown as a ranking. Slices and floors are "
            "judged by accuracy whatever this says."
        ),
    )
    metric_class: Name | None = Field(
        default=None, description="The class whose recall is compared; goes with metric: recall, and only with it."
    )
    margin: Fraction = Field(
        description=(
            "Non-inferiority margin: the largest acceptable drop from the teacher, as a fraction (0.03 = 3 points)."
        )
    )
    alpha: Annotated[float, Field(gt=0.0, lt=0.5, allow_inf_nan=False)] = Field(
        default=0.05,
        description="One-sided error rate: how often a student that misses the margin may slip through.",
    )
    floor: Fraction | None = Field(
        default=None,
        description=(
            "Lowest acceptable accuracy on all golden rows, whatever the teacher scores; proven, not just measured."
        ),
    )
    slice_gap_at_most: Fraction | None = Field(
        default=None,
        description=(
            "Largest acceptable difference of the student's accuracy between its best and its worst critical slice, as "
            "a fraction; proven, not just measured. Of critical slices alone, since others are reported only."
        ),
    )

    @model_validator(mode="after")
    def _a_class_goes_with_recall(self) -> "BarSpec":
        if (self.metric == "recall") != (self.metric_class is not None):
            raise ValueError("metric_class goes with metric: recall, and only with it")
        return self

    @property
    def metric_in_words(self) -> str:
        """What is compared with the teacher, as sentences name it."""
        return name_of_metric(self.metric, self.metric_class)


class SliceSpec(_Spec):
    """A part of the golden set on which the student is judged by itself."""

    name: Name = Field(description="What the slice is called in reports and checks.")
    column: Name = Field(description="The golden column that decides membership.")
    values: tuple[str, ...] = Field(min_length=1, description="The values of that column which belong to the slice.")
    critical: bool = Field(
        description=("True: the slice binds the verdict, and too few rows close the gate. False: it is reported only.")
    )
    margin: Fraction | None = Field(
        default=None,
        description="Margin on this slice; the bar's own when left out. A slice is smaller than the whole and can only "
        "prove a wider margin: declare it here, before a model exists.",
    )
    floor: Fraction | None = Field(
        default=None,
        description="Lowest acceptable student accuracy on this slice; proven, not just measured.",
    )


class BudgetSpec(_Spec):
    """What the student may cost to run. Quality without the budget does not clear the bar."""

    latency_ratio_at_least: Positive = Field(
        description=("How many times faster than the teacher: ratio of median latencies, single stream, same machine.")
    )
    size_ratio_at_least: Positive = Field(
        description=("How many times smaller than the teacher: bytes of the teacher divided by bytes of the student.")
    )
    latency_ms_at_most: Positive | None = Field(
        default=None,
        description="Longest acceptable 95th-percentile latency of the student, in milliseconds.",
    )
    size_mb_at_most: Positive | None = Field(
        default=None, description="Largest acceptable student artifact, in megabytes of 1,000,000 bytes."
    )
    training_memory_gb_at_most: Positive | None = Field(
        default=None, description="Memory that training may take, in GB; all of the machine's when left out."
    )
