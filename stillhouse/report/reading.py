"""A report that is kept, as the screens, pages and gates read it that show some of it again.

Belongs here: the fields that are read, and what a report of version 0.1.0 has in their place.
Does not: writing a report (record.py), its page (document.py), what a release's card tells of it (release/card.py).
"""

from pathlib import Path

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, ValidationError

from stillhouse.errors import StillhouseError
from stillhouse.evaluation.models import ModelKind
from stillhouse.recipe.bar import MetricName, name_of_metric
from stillhouse.statistics.verdicts import Verdict

REPORT = "report.json"


class _Read(BaseModel):
    """A part of a report; what nobody reads is passed over."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class ReadScore(_Read):
    """One model by itself."""

    name: str
    kind: ModelKind
    accuracy: float
    accuracy_interval: tuple[float, float]
    of_bar: float | None = None
    size_bytes: int | None
    note: str


class ReadHosted(_Read):
    """What a model behind a server costs."""

    usd_per_1000_calls: float


class ReadOption(_Read):
    """Another model that was judged by the same rows."""

    name: str
    kind: ModelKind
    accuracy: float
    of_bar: float | None = None
    verdict: Verdict
    ruled_out: str
    misses_only_the_budget: bool = False
    latency_ratio: float | None
    size_ratio: float | None
    usd_per_1000_calls: float | None = None
    hosted: ReadHosted | None = None


class ReadClaim(_Read):
    """One thing that the bar asks."""

    binding: bool
    verdict: Verdict
    sentence: str


class ReadTest(_Read):
    """The test that binds, or that of accuracy."""

    metric: MetricName = "accuracy"
    metric_class: str | None = None
    drop: float
    drop_upper_bound: float
    margin: float

    @property
    def other_metric(self) -> str | None:
        """What was compared, as people call it; None where that is accuracy."""
        return None if self.metric == "accuracy" else name_of_metric(self.metric, self.metric_class)


class ReadCpuTime(_Read):
    """Milliseconds of processor time of a text at the median."""

    teacher_ms: float | None
    student_ms: float
    ratio: float | None


class ReadLatency(_Read):
    """Time of a text at the median."""

    teacher_ms_p50: float | None
    student_ms_p50: float
    ratio: float | None
    cpu: ReadCpuTime | None = Field(None, description="Null in a report of 0.1.0, which measured wall time alone.")
    teacher_device: str | None = None
    caveat: str | None = None

    @property
    def student_ms(self) -> float:
        """Milliseconds of processor time, by which speed is judged; of 0.1.0 of wall time."""
        return self.student_ms_p50 if self.cpu is None else self.cpu.student_ms


class ReadFootprint(_Read):
    """Memory that serving takes."""

    teacher_mb: float | None
    student_mb: float | None


class ReadCost(_Read):
    """USD that calls cost."""

    teacher_usd_per_1000_calls: float | None
    student_usd_per_1000_calls: float | None


class ReadSentence(_Read):
    """What is said of something in words; null where nothing is."""

    sentence: str | None


class ReadComparison(_Read):
    """The student beside its control."""

    sentence: str
    verdict: Verdict
    gain: float


class ReadSelection(_Read):
    """Why this model is reported."""

    reason: str


class ReadSeed(_Read):
    """The same student of another seed."""

    drop: float


class ReadSeeds(_Read):
    """The same student of several seeds."""

    scores: tuple[ReadSeed, ...]
    margin: float
    sentence: str
    warning: str


class ReadReport(_Read):
    """A report as it is kept; see `Report`, which writes it."""

    verdict: Verdict
    summary: str
    teacher: ReadScore
    student: ReadScore
    non_inferiority: ReadTest
    metric_test: ReadTest | None
    agreement: float
    latency_ratio: float | None
    latency: ReadLatency | None
    footprint: ReadFootprint | None
    running_cost: ReadCost | None
    size_ratio: float | None
    claims: tuple[ReadClaim, ...]
    others: tuple[ReadOption, ...]
    selection: ReadSelection | None
    comparison: ReadComparison | None
    ablations: tuple[ReadSentence, ...] = ()
    against_champion: ReadSentence | None = None
    seeds: ReadSeeds | None = None
    error_analysis: dict[str, ReadSentence] = Field(
        {}, validation_alias=AliasChoices("error_analysis", "reasons"), description="`reasons` in a report of 0.1.0."
    )

    @property
    def test(self) -> ReadTest:
        """The test that binds."""
        return self.metric_test or self.non_inferiority


def read_report(folder: Path) -> ReadReport:
    """Read the report of a selection.

    Args:
        folder: of the selection's artifact.

    Raises:
        StillhouseError: if it is gone, or is no report.
    """
    path = folder / REPORT
    try:
        return ReadReport.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise StillhouseError(
            f"the report cannot be read: {' '.join(str(error).split())}",
            where=str(path),
            expected="the report of a selection",
            do="`stillhouse audit` says which files were altered; materialize selection again.",
        ) from error
