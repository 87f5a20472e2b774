"""The evaluation report as a record: `report.json`, which `stillhouse report --json` prints.

Belongs here: its shape, and how it is filled from what was measured and decided.
Does not: measuring or deciding anything; the page that people read (document.py).
"""

from pydantic import ConfigDict, Field

from stillhouse.base import Record
from stillhouse.economics import RunningCost
from stillhouse.error_analysis.rules import ErrorAnalysis
from stillhouse.evaluation.against_champion import AgainstChampion
from stillhouse.evaluation.claims import Claim
from stillhouse.evaluation.comparison import Comparison
from stillhouse.evaluation.harness import Evaluation
from stillhouse.evaluation.hosted import Hosted
from stillhouse.evaluation.measures.behaviour import BehaviourResult
from stillhouse.evaluation.measures.confusions import ConfusedPair
from stillhouse.evaluation.measures.fidelity import Fidelity
from stillhouse.evaluation.measures.field_scores import FieldScores
from stillhouse.evaluation.measures.footprint import Footprint
from stillhouse.evaluation.measures.label_scores import LabelScores
from stillhouse.evaluation.measures.latency import LatencyComparison
from stillhouse.evaluation.measures.metrics import ClassMetrics
from stillhouse.evaluation.measures.number_scores import NumberScores
from stillhouse.evaluation.measures.ranking_scores import RankingScores
from stillhouse.evaluation.measures.score import Score
from stillhouse.evaluation.measures.seeds import SeedSpread
from stillhouse.evaluation.measures.stress import StressResult
from stillhouse.evaluation.models import ModelKind
from stillhouse.evaluation.selection import Selection
from stillhouse.evaluation.slices.declared import SliceResult
from stillhouse.evaluation.slices.discovery import DiscoveredSlice
from stillhouse.evaluation.slices.fairness import FairnessResult
from stillhouse.evaluation.slices.slice_calibration import SliceCalibration
from stillhouse.recipe.bar import Terms
from stillhouse.recipe.fields import Precision
from stillhouse.report.context import NOTHING, ReportContext
from stillhouse.report.options import claim_name, in_order_of_options, ruled_out
from stillhouse.statistics.accuracy_test import NonInferiority
from stillhouse.statistics.calibration import Calibration, ReliabilityBin
from stillhouse.statistics.calibration_test import CalibrationTest
from stillhouse.statistics.gap import GapTest
from stillhouse.statistics.metric_test import MetricTest
from stillhouse.statistics.verdicts import Verdict
from stillhouse.teachers.own_scale import OwnScale


class _Reported(Record):
    """Written by alias: a field may not have the name of the property that it is filled from."""

    model_config = ConfigDict(serialize_by_alias=True)


class ReportedScore(Record):
    """How well one model does on the golden rows, by itself."""

    name: str
    kind: ModelKind
    digest: str | None = Field(description="Content digest of the artifact measured.")
    accuracy: float
    accuracy_interval: tuple[float, float] = Field(description="95 % Wilson interval.")
    macro_f1: float | None = Field(
        description="Over classes, or labels of sets of labels; null where answers are neither."
    )
    mean_error: float | None = Field(
        default=None,
        exclude_if=lambda found: found is None,  # so that a record of classes is what it was
        description="Left out where answers are no numbers; mean absolute difference from the label.",
    )
    of_bar: float | None = Field(
        default=None,
        exclude_if=lambda found: found is None,  # so that a record of accuracy is what it was
        description="In the bar's metric; left out where that is accuracy.",
    )
    size_bytes: int | None = Field(
        description="Null of a teacher that does not run here, and of a model behind a server."
    )
    note: str
    expected_calibration_error: float | None = Field(
        description="Mean gap between confidence and accuracy, over bins of about equally many rows; null where "
        "answers have no probability."
    )
    brier: float | None = Field(description="Mean squared distance of the probabilities from the truth; likewise.")
    mean_confidence: float | None = Field(description="Mean probability of the predicted class; likewise.")
    temperature: float | None = Field(description="What the logits were divided by first; likewise.")
    reliability: tuple[ReliabilityBin, ...] | None = Field(description="The bins, by rising confidence; likewise.")

    @classmethod
    def of(cls, score: Score) -> "ReportedScore":
        """What a report says of one model."""
        return cls.model_validate(_of_score(score))


class ReportedFidelity(_Reported, Fidelity):
    """Agreement with the teacher, and what it hides."""

    hides: str | None = Field(alias="warning", description="What agreement hides where the teacher is wrong too often.")


class ReportedLatency(_Reported, LatencyComparison):
    """Time on this machine, and what is wrong with the measurement."""

    wrong_with_it: str | None = Field(alias="caveat", description="Null when nothing is.")


class ReportedSeeds(_Reported, SeedSpread):
    """The same model trained with further seeds, in words too."""

    in_words: str = Field(alias="sentence")
    outside: str = Field(alias="warning", description="How many seeds measure outside the margin; empty: none does.")

    @classmethod
    def of(cls, spread: SeedSpread | None) -> "ReportedSeeds | None":
        """Null for a model of one seed."""
        if spread is None:
            return None
        return cls.model_validate({**dict(spread), "sentence": spread.sentence, "warning": spread.warning})


class ReportedStress(_Reported, StressResult):
    """What one perturbation does, and whether that is within the limit."""

    holds: Verdict | None = Field(alias="verdict", description="Null without a limit.")


class ReportedAnalysis(_Reported, ErrorAnalysis):
    """Why one student is as good as it is, in words too."""

    why: str | None = Field(alias="sentence", description="Null for a student that clears the bar.")

    @classmethod
    def of(cls, analysis: ErrorAnalysis) -> "ReportedAnalysis":
        """With its conclusion in a line or two."""
        sentence = None if analysis.conclusion is None else analysis.conclusion.sentence
        return cls.model_validate({**dict(analysis), "sentence": sentence})


class ReportedSlice(Record):
    """What was measured on one slice, or of one field, and what it proves."""

    name: str
    is_field: bool = Field(
        default=False, exclude_if=lambda given: not given, description="Of records: a field of all golden rows."
    )
    rows: int
    teacher_accuracy: float | None = Field(description="Null on an empty slice.")
    student_accuracy: float | None = Field(description="Null on an empty slice.")
    verdict: Verdict = Field(description="The worse of non-inferiority and floor.")
    critical: bool = Field(description="Whether the slice binds the overall verdict.")
    student_interval: tuple[float, float] = Field(description="95 % Wilson interval; (0, 1) on an empty slice.")
    drop: float | None = Field(description="Teacher minus student; null on an empty slice.")
    drop_upper_bound: float | None = Field(description="One-sided upper bound of the drop; likewise.")
    margin: float | None = Field(description="Largest acceptable drop, as a fraction; likewise.")
    alpha: float | None = Field(description="One-sided error rate, after Holm's correction; likewise.")
    rows_needed: int | None = Field(description="When inconclusive: about how many rows would settle it.")
    non_inferiority_verdict: Verdict = Field(description="An empty slice is inconclusive.")
    floor: float | None = Field(description="Null when no floor is declared.")
    floor_verdict: Verdict | None = Field(description="Likewise.")

    @classmethod
    def of(cls, result: SliceResult) -> "ReportedSlice":
        """One row of the report's table of slices."""
        test = result.non_inferiority
        return cls(
            name=result.name,
            is_field=result.is_field,
            rows=result.rows,
            teacher_accuracy=result.teacher_accuracy,
            student_accuracy=result.student_accuracy,
            verdict=result.verdict,
            critical=result.critical,
            student_interval=result.student_interval,
            drop=test.drop if test else None,
            drop_upper_bound=test.drop_upper_bound if test else None,
            margin=test.margin if test else None,
            alpha=test.alpha if test else None,
            rows_needed=test.rows_needed if test else None,
            non_inferiority_verdict=result.non_inferiority_verdict,
            floor=result.floor.floor if result.floor else None,
            floor_verdict=result.floor.verdict if result.floor else None,
        )


class ReportedOption(ReportedScore):
    """What one could do instead, judged by the same rows."""

    verdict: Verdict
    ruled_out: str = Field(description="What stands between it and the bar, in words; empty when nothing does.")
    misses_only_the_budget: bool
    latency_ratio: float | None = Field(description="How many times faster than the teacher; null if not measured.")
    size_ratio: float | None = Field(description="How many times smaller; null where the teacher does not run here.")
    memory_mb: float | None = Field(description="Null when it was not measured.")
    usd_per_1000_calls: float | None = Field(description="Null where it is not known.")
    hosted: Hosted | None = Field(description="Null of a model that needs no server.")
    seeds: ReportedSeeds | None = Field(description="Null for a model of one seed.")
    of_ranking: RankingScores | None = Field(
        None, exclude_if=lambda found: found is None, description="Left out where nothing is ranked."
    )

    @classmethod
    def of_evaluation(cls, evaluation: Evaluation) -> "ReportedOption":
        """One row of the report's table of options."""
        return cls.model_validate(
            {
                **_of_score(evaluation.score),
                "verdict": evaluation.verdict,
                "ruled_out": ruled_out(evaluation),
                "misses_only_the_budget": evaluation.misses_only_the_budget,
                "latency_ratio": evaluation.latency_ratio,
                "size_ratio": evaluation.size_ratio,
                "memory_mb": evaluation.footprint.student_mb if evaluation.footprint else None,
                "usd_per_1000_calls": evaluation.usd_per_1000_calls,
                "hosted": evaluation.hosted,
                "seeds": ReportedSeeds.of(evaluation.seeds),
                "of_ranking": evaluation.of_ranking,
            }
        )


class ReportedPrecision(Record):
    """The same student in one precision."""

    precision: Precision
    name: str
    size_bytes: int | None
    accuracy: float
    drop: float = Field(description="Of the metric that binds, teacher minus student.")
    drop_upper_bound: float
    margin: float
    cpu_ms: float | None = Field(description="CPU time of a text at the median; null when it was not measured.")
    memory_mb: float | None = Field(description="Likewise.")
    verdict: Verdict
    does_not_hold: tuple[str, ...] = Field(description="Claims that are not shown to hold, in a word or two each.")

    @classmethod
    def of(cls, precision: Precision, evaluation: Evaluation) -> "ReportedPrecision":
        """One row of the report's table of precisions."""
        test = evaluation.metric_test or evaluation.non_inferiority
        cpu = evaluation.latency.cpu if evaluation.latency else None
        return cls(
            precision=precision,
            name=evaluation.name,
            size_bytes=evaluation.size_bytes,
            accuracy=evaluation.score.accuracy,
            drop=test.drop,
            drop_upper_bound=test.drop_upper_bound,
            margin=test.margin,
            cpu_ms=cpu.student_ms if cpu else None,
            memory_mb=evaluation.footprint.student_mb if evaluation.footprint else None,
            verdict=evaluation.verdict,
            does_not_hold=tuple(claim_name(claim) for claim in evaluation.gravest),
        )


class Report(_Reported):
    """All that is known of one model beside its teacher, and of what one could do instead."""

    verdict: Verdict
    summary: str = Field(description="The verdict in one sentence.")
    golden_digest: str
    golden_rows: int
    teacher: ReportedScore
    teacher_gives: str = Field(
        description="How much the teacher says of each answer: logits, probabilities, votes or answers. Of votes and "
        "answers its calibration, and divergences from it, are of the probabilities that they are taught as."
    )
    teacher_own_scale: OwnScale | None = Field(
        None,
        exclude_if=lambda found: found is None,
        description="Left out where the teacher has no numbers of its own; how they became those of the recipe.",
    )
    members: tuple[ReportedScore, ...] = Field((), description="Of a teacher that is an ensemble.")
    student: ReportedScore
    non_inferiority: NonInferiority = Field(description="Of accuracy; binds only when metric_test is null.")
    metric_test: MetricTest | None = Field(description="What binds where the bar names another metric, or groups.")
    agreement: float = Field(description="Share of golden rows on which teacher and model give the same answer.")
    fidelity: ReportedFidelity
    latency_ratio: float | None = Field(description="How many times faster than the teacher; null if not measured.")
    latency: ReportedLatency | None
    footprint: Footprint | None = Field(description="Memory; null when it was not measured.")
    running_cost: RunningCost | None
    size_ratio: float | None = Field(description="How many times smaller; null where the teacher does not run here.")
    hosted: Hosted | None
    slices: tuple[ReportedSlice, ...]
    slice_gap: GapTest | None
    calibration_test: CalibrationTest | None
    slice_calibration: tuple[SliceCalibration, ...]
    fairness: tuple[FairnessResult, ...]
    worst_pairs: tuple[ConfusedPair, ...]
    discovered: tuple[DiscoveredSlice, ...]
    behaviour: tuple[BehaviourResult, ...]
    stress: tuple[ReportedStress, ...]
    claims: tuple[Claim, ...]
    per_class: tuple[ClassMetrics, ...] = Field(description="Of each class, or of each label of sets.")
    of_labels: LabelScores | None = Field(
        None,
        exclude_if=lambda found: found is None,
        description="Left out where answers are no sets of labels; micro F1, and the teacher's measures by label.",
    )
    of_numbers: NumberScores | None = Field(
        None,
        exclude_if=lambda found: found is None,
        description="Left out where answers are no numbers; mean errors and rank correlation, and the teacher's.",
    )
    of_fields: FieldScores | None = Field(
        None,
        exclude_if=lambda found: found is None,
        description="Left out where answers are no records; micro F1 and accuracy by field, and the teacher's.",
    )
    of_ranking: RankingScores | None = Field(
        None,
        exclude_if=lambda found: found is None,
        description="Left out where nothing is ranked; nDCG and MRR over queries, and the teacher's.",
    )
    terms: Terms = Field(description="All that was asked of the model.")
    others: tuple[ReportedOption, ...] = Field(description="What else was judged: baselines, controls, students.")
    selection: Selection | None
    comparison: Comparison | None = Field(description="The model beside its control.")
    ablations: tuple[Comparison, ...] = Field(
        (), description="Students with a further step, each beside the same one without it."
    )
    against_champion: AgainstChampion | None
    seeds: ReportedSeeds | None
    precisions: tuple[ReportedPrecision, ...]
    error_analysis: dict[str, ReportedAnalysis] = Field(description="By the name of the student.")


def report_of(evaluation: Evaluation, context: ReportContext = NOTHING) -> Report:
    """The report of one model.

    Args:
        evaluation: of the model the report is about.
        context: what was judged, decided and found in the same round.
    """
    fidelity, latency = evaluation.fidelity, evaluation.latency
    hides = fidelity.warning(context.limits.repeated_mistakes_at_most)
    return Report(
        verdict=evaluation.verdict,
        summary=evaluation.summary,
        golden_digest=evaluation.golden_digest,
        golden_rows=evaluation.golden_rows,
        teacher=ReportedScore.of(evaluation.teacher),
        teacher_gives=context.gives.name.lower(),
        teacher_own_scale=context.own_scale,
        members=tuple(map(ReportedScore.of, context.members)),
        student=ReportedScore.of(evaluation.score),
        non_inferiority=evaluation.non_inferiority,
        metric_test=evaluation.metric_test,
        agreement=evaluation.agreement,
        fidelity=ReportedFidelity.model_validate({**dict(fidelity), "warning": hides}),
        latency_ratio=evaluation.latency_ratio,
        latency=latency and ReportedLatency.model_validate({**dict(latency), "caveat": latency.caveat}),
        footprint=evaluation.footprint,
        running_cost=evaluation.running_cost,
        size_ratio=evaluation.size_ratio,
        hosted=evaluation.hosted,
        slices=tuple(map(ReportedSlice.of, evaluation.slices)),
        slice_gap=evaluation.slice_gap,
        calibration_test=evaluation.calibration_test,
        slice_calibration=evaluation.slice_calibration,
        fairness=evaluation.fairness,
        worst_pairs=evaluation.worst_pairs,
        discovered=evaluation.discovered,
        behaviour=evaluation.behaviour,
        stress=tuple(
            ReportedStress.model_validate({**dict(each), "verdict": each.verdict}) for each in evaluation.stress
        ),
        claims=evaluation.claims,
        per_class=evaluation.per_class,
        of_labels=evaluation.of_labels,
        of_numbers=evaluation.of_numbers,
        of_fields=evaluation.of_fields,
        of_ranking=evaluation.of_ranking,
        terms=evaluation.terms,
        others=tuple(map(ReportedOption.of_evaluation, in_order_of_options(context.others))),
        selection=context.selection,
        comparison=context.comparison,
        ablations=tuple(context.ablations),
        against_champion=context.against_champion,
        seeds=ReportedSeeds.of(evaluation.seeds),
        precisions=tuple(ReportedPrecision.of(each, judged) for each, judged in context.precisions.items()),
        error_analysis={name: ReportedAnalysis.of(each) for name, each in context.analyses.items()},
    )


def _of_score(score: Score) -> dict[str, object]:
    """The fields of a score, and beside them those of its calibration."""
    said = dict(score)
    del said["calibration"]
    of_calibration = dict.fromkeys(Calibration.model_fields) if score.calibration is None else dict(score.calibration)
    return said | of_calibration
