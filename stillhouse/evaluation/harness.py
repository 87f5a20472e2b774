"""The golden harness: one call that measures any model against the teacher and the bar, and reports it one
way.

Belongs here: the evaluation record, what may be asked of which answers, the verdict over all claims.
Does not: which measures there are (measured.py), the measures themselves (their own modules), rendering (report/),
choosing among models (selection.py).
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl
from pydantic import Field

from stillhouse.base import Record
from stillhouse.data.splits import golden_digest
from stillhouse.economics import RunningCost, usd_per_1000_calls
from stillhouse.errors import StillhouseError
from stillhouse.evaluation.aligned import Aligned
from stillhouse.evaluation.budget_claims import budget_claims
from stillhouse.evaluation.claims import Claim, overall
from stillhouse.evaluation.hosted import Hosted
from stillhouse.evaluation.measured import MEASURES
from stillhouse.evaluation.measures import metrics
from stillhouse.evaluation.measures.behaviour import BehaviourResult
from stillhouse.evaluation.measures.confusions import ConfusedPair, worst_pairs
from stillhouse.evaluation.measures.fidelity import Fidelity
from stillhouse.evaluation.measures.field_scores import FieldScores
from stillhouse.evaluation.measures.footprint import Footprint
from stillhouse.evaluation.measures.label_scores import LabelScores
from stillhouse.evaluation.measures.latency import LatencyComparison
from stillhouse.evaluation.measures.number_scores import NumberScores
from stillhouse.evaluation.measures.ranking_scores import RankingScores
from stillhouse.evaluation.measures.regressions import Regression
from stillhouse.evaluation.measures.score import Score, score_of
from stillhouse.evaluation.measures.seeds import SeedSpread
from stillhouse.evaluation.measures.stress import StressResult
from stillhouse.evaluation.models import EvaluatedModel, ModelKind, align, golden_targets, group_codes
from stillhouse.evaluation.slices.declared import SliceResult
from stillhouse.evaluation.slices.discovery import DiscoveredSlice
from stillhouse.evaluation.slices.fairness import FairnessResult
from stillhouse.evaluation.slices.slice_calibration import SliceCalibration
from stillhouse.recipe.bar import BarSpec, Terms
from stillhouse.statistics.accuracy_test import NonInferiority
from stillhouse.statistics.calibration_test import CalibrationTest
from stillhouse.statistics.gap import GapTest
from stillhouse.statistics.metric_test import MetricTest
from stillhouse.statistics.verdicts import Verdict
from stillhouse.tasks.extraction import Extraction
from stillhouse.tasks.score import NumericScore
from stillhouse.tasks.task import Task

EVALUATIONS = "evaluations.json"
MEMBERS = "members.json"


class Evaluation(Record):
    """The evaluation report: everything measured on one model, and the verdict."""

    golden_digest: str
    golden_rows: int
    classes: tuple[str, ...] = Field(description="Name of each output of the models, in their order.")
    terms: Terms = Field(description="All that was asked of this model.")
    teacher: Score
    score: Score
    non_inferiority: NonInferiority = Field(
        description="Of accuracy, each row by itself; binds only when metric_test is null."
    )
    metric_test: MetricTest | None = Field(
        default=None, description="What binds instead when the bar names another metric or rows come in groups."
    )
    fidelity: Fidelity
    slices: tuple[SliceResult, ...] = Field(
        description="The declared slices, and behind them the fields of records that the bar names."
    )
    slice_gap: GapTest | None = Field(description="Null when the bar sets no limit.")
    calibration_test: CalibrationTest | None = Field(description="Null when the bar sets no limit.")
    slice_calibration: tuple[SliceCalibration, ...] = Field(description="Of the declared slices; reported only.")
    discovered: tuple[DiscoveredSlice, ...] = Field(
        description="Slices nobody declared on which this model is shown to lose more than elsewhere; reported only."
    )
    fairness: tuple[FairnessResult, ...] = Field(description="One for each sensitive column that was asked for.")
    behaviour: tuple[BehaviourResult, ...] = Field(default=(), description="The behavioural tests of the recipe.")
    stress: tuple[StressResult, ...] = Field(default=(), description="Each perturbation; empty without a stress test.")
    per_class: tuple[metrics.ClassMetrics, ...] = Field(
        description="Of each class, or of each label of sets; empty where answers are neither."
    )
    of_labels: LabelScores | None = Field(
        default=None,
        exclude_if=lambda found: found is None,  # so that a record of classes is what it was
        description="Left out where answers are no sets of labels; what of them is right label by label.",
    )
    of_numbers: NumberScores | None = Field(
        default=None,
        exclude_if=lambda found: found is None,  # likewise
        description="Left out where answers are no numbers; how far from the right ones they are.",
    )
    of_fields: FieldScores | None = Field(
        default=None,
        exclude_if=lambda found: found is None,  # likewise
        description="Left out where answers are no records; what of them is right field by field.",
    )
    of_ranking: RankingScores | None = Field(
        default=None,
        exclude_if=lambda found: found is None,  # likewise
        description="Left out where answers are no numbers or rows are in no groups; how well it ranks each group.",
    )
    confusion: tuple[metrics.ConfusionCell, ...] = Field(description="Empty where answers are no classes.")
    teacher_confusion: tuple[metrics.ConfusionCell, ...] | None = Field(
        default=None, description="The teacher's; null in an evaluation from before it was kept."
    )
    latency: LatencyComparison | None = Field(
        description="Null when it was not measured: the budget is then not shown."
    )
    footprint: Footprint | None = Field(description="Null when it was not measured.")
    running_cost: RunningCost | None = Field(description="Null when CPU time was not measured, or no price was given.")
    hosted: Hosted | None = Field(
        default=None, description="Of a model behind a server, what its answers cost and took; null of any other."
    )
    size_ratio: float | None = Field(
        description="Bytes of the teacher divided by bytes of this model; null where the teacher does not run here."
    )
    regressions: tuple[Regression, ...] = Field(description="The worst of the rows only the teacher got right.")
    seeds: SeedSpread | None = Field(
        default=None, description="The same model trained with further seeds; null for one, which shows no spread."
    )
    claims: tuple[Claim, ...]
    verdict: Verdict = Field(description="Of all binding claims: quality, critical slices, fairness and budget.")

    @property
    def name(self) -> str:
        """The name of the model evaluated."""
        return self.score.name

    @property
    def size_bytes(self) -> int:
        """What the model evaluated weighs."""
        assert self.score.size_bytes is not None, "of a model behind a server nobody asks for it"
        return self.score.size_bytes

    @property
    def worst_pairs(self) -> tuple[ConfusedPair, ...]:
        """Which labels it takes for which most often, the teacher's count beside."""
        return worst_pairs(self.confusion, self.teacher_confusion)

    @property
    def bar(self) -> BarSpec:
        """The quality bar among the terms."""
        return self.terms.bar

    @property
    def agreement(self) -> float:
        """Share of golden rows on which teacher and model give the same class."""
        return self.fidelity.agreement

    @property
    def latency_ratio(self) -> float | None:
        """How many times faster than the teacher: in CPU time; by 0.1.0, and where the teacher serves on a GPU, in
        wall time; null when not measured."""
        return None if self.latency is None else self.latency.deciding_ratio

    @property
    def usd_per_1000_calls(self) -> float | None:
        """What calls cost: by the bill of a server, or by CPU time on this machine; null where neither is known."""
        if self.hosted is not None:
            return self.hosted.usd_per_1000_calls
        return None if self.running_cost is None else self.running_cost.student_usd_per_1000_calls

    @property
    def open_claims(self) -> tuple[Claim, ...]:
        """The binding claims that do not hold: what ruled this model out."""
        return tuple(claim for claim in self.claims if claim.binding and claim.verdict is not Verdict.PASS)

    @property
    def gravest(self) -> tuple[Claim, ...]:
        """The open claims, failed ones before inconclusive ones."""
        return tuple(sorted(self.open_claims, key=lambda claim: claim.verdict is not Verdict.FAIL))

    @property
    def misses_only_the_budget(self) -> bool:
        """Whether it holds the quality and is kept from the bar by size, latency, memory or cost."""
        return bool(self.open_claims) and all(claim.group == "budget" for claim in self.open_claims)

    @property
    def summary(self) -> str:
        """The verdict in one sentence."""
        if self.verdict is Verdict.PASS:
            return f"{self.name} clears the bar: {self.claims[0].sentence}."
        verb = "misses the bar" if self.verdict is Verdict.FAIL else "is not shown to clear the bar"
        rest = f" (and {len(self.gravest) - 1} more)" if len(self.gravest) > 1 else ""
        return f"{self.name} {verb}: {self.gravest[0].sentence}{rest}."


def evaluate(
    model: EvaluatedModel,
    teacher: EvaluatedModel,
    golden: pl.DataFrame,
    terms: Terms,
    *,
    task: Task,
    latency: LatencyComparison | None = None,
    footprint: Footprint | None = None,
    machine_usd_per_hour: float | None = None,
    groups: str | None = None,
) -> Evaluation:
    """Measure one model against its teacher and the bar on the frozen golden set.

    The same call and the same report for a student, a control and a baseline, so that they compare.

    Args:
        model: the model to judge, with its outputs by prompt id.
        teacher: the teacher, likewise.
        golden: `prompt_id`, `text`, `label`, the slice columns and any others, by which undeclared slices are looked
            for; labels that do not come from the teacher.
        terms: what the model has to prove; for behaviour and stress, model and teacher are asked new texts.
        task: what an answer is, in the order of the teacher's outputs.
        latency: teacher and model timed together; without it the budget is inconclusive.
        footprint: memory of serving teacher and model.
        machine_usd_per_hour: price of the machine that latency was measured on.
        groups: golden column whose equal values are rows that stand or fall together, such as those of one customer;
            a row without one stands alone. The bar's own claim, calibration, slices, floors, stress, and gaps between
            slices or groups of people then take whole groups for their evidence.

    Returns:
        The evaluation report.

    Raises:
        StillhouseError: if inputs do not line up: ids missing on either side, labels unknown, logits
            malformed; or if the bar, `groups` or a behavioural test names a class or column that does not exist, or
            asks for what such answers do not have.
    """
    _check_roles(model, teacher)
    _check_terms(terms, task, groups)
    rows = Aligned.of(model, teacher, golden, terms, task=task, groups=groups)
    measured: dict[str, Any] = {}  # by field; the record checks what each holds
    claims: list[Claim] = []
    for measure in MEASURES:
        measured[measure.field] = result = measure.measure(rows)
        claims += measure.claims(rows, result)
    claims += budget_claims(
        terms.budget, latency, size_bytes=model.size_bytes, teacher_bytes=teacher.size_bytes, hosted=model.hosted
    )
    judged_by = [*(spec.column for spec in terms.slices), *(spec.column for spec in terms.sensitive)]
    return Evaluation(
        golden_digest=golden_digest(golden, [*judged_by, *([groups] if groups else [])]),
        golden_rows=golden.height,
        classes=task.names,
        terms=terms,
        **measured,
        latency=latency,
        footprint=footprint,
        running_cost=_running_cost(latency, machine_usd_per_hour),
        hosted=model.hosted,
        size_ratio=_times_smaller(teacher, model),
        claims=tuple(claims),
        verdict=overall(claims),
    )


def _times_smaller(teacher: EvaluatedModel, model: EvaluatedModel) -> float | None:
    if teacher.size_bytes is None or model.size_bytes is None:
        return None
    return teacher.size_bytes / model.size_bytes


def _running_cost(latency: LatencyComparison | None, usd_per_hour: float | None) -> RunningCost | None:
    if latency is None or latency.cpu is None or usd_per_hour is None:
        return None
    return RunningCost(
        machine_usd_per_hour=usd_per_hour,
        teacher_usd_per_1000_calls=None
        if latency.cpu.teacher_ms is None
        else usd_per_1000_calls(latency.cpu.teacher_ms, usd_per_hour),
        student_usd_per_1000_calls=usd_per_1000_calls(latency.cpu.student_ms, usd_per_hour),
    )


def _check_roles(model: EvaluatedModel, teacher: EvaluatedModel) -> None:
    if teacher.kind is not ModelKind.TEACHER or model.kind is ModelKind.TEACHER:
        raise StillhouseError(
            f"'{model.name}' is a {model.kind} and '{teacher.name}' is a {teacher.kind}",
            where="evaluate",
            expected="a student, control or baseline against a teacher",
            do="Pass the teacher's EvaluatedModel with kind=ModelKind.TEACHER as the second argument.",
        )


def _check_terms(terms: Terms, task: Task, groups: str | None) -> None:
    bar, classes = terms.bar, task.classes
    known = [field.name for field in task.fields] if isinstance(task, Extraction) else []
    foreign = [name for name in bar.fields if name not in known]
    if foreign:
        raise StillhouseError(
            f"the answers have no field '{foreign[0]}'",
            where=f"bar.fields.{foreign[0]}",
            expected=f"one of {', '.join(known)}" if known else "nothing by field: the answers are no records",
            do="Correct the recipe's bar.",
        )
    if classes is None:
        measured = {"accuracy"}
        if isinstance(task, NumericScore) and groups is not None:
            measured.add("ndcg")
        if isinstance(task, Extraction):
            measured.add("field_f1")
        asked = {
            f"bar.metric: {bar.metric}": bar.metric not in measured,
            "bar.calibration_error_at_most": bar.calibration_error_at_most is not None,
            "behaviour": bool(terms.behaviour),
            "sensitive": bool(terms.sensitive),
        }
        for where, is_asked in asked.items():
            if is_asked:
                raise StillhouseError(
                    "the answers are not classes",
                    where=where,
                    expected="nothing that counts by class or needs a probability",
                    do="Take it out of the recipe.",
                )
    elif bar.metric == "field_f1":
        raise StillhouseError(
            "the answers are classes and have no fields",
            where="bar.metric: field_f1",
            expected="accuracy, macro_f1, recall or ndcg",
            do="Correct the recipe's bar.",
        )
    elif bar.metric_class is not None and bar.metric_class not in classes:
        raise StillhouseError(
            f"there is no class '{bar.metric_class}'",
            where="bar.metric_class",
            expected=f"one of {', '.join(classes)}",
            do="Correct the class in the recipe's bar.",
        )


def scores_of(
    models: Sequence[EvaluatedModel], golden: pl.DataFrame, task: Task, bar: BarSpec, *, groups: str | None = None
) -> tuple[Score, ...]:
    """How well models do on the golden rows, each by itself.

    Args:
        models: to be measured.
        golden: `prompt_id`, `label` and the column of groups.
        task: what an answer is.
        bar: names the metric that is measured beside accuracy.
        groups: golden column whose equal values are rows that belong together.

    Raises:
        StillhouseError: if one did not answer each row.
    """
    targets = golden_targets(golden, task)
    whole = None if groups is None else group_codes(golden, groups)
    return tuple(score_of(each, align(each, golden, task), targets, task, bar, groups=whole) for each in models)


def write_evaluations(folder: Path, evaluations: Sequence[Evaluation]) -> None:
    """Write evaluations into the folder of an artifact."""
    (folder / EVALUATIONS).write_text(json.dumps([each.model_dump(mode="json") for each in evaluations]))


def read_evaluations(folder: Path) -> list[Evaluation]:
    """Read the evaluations in the folder of an artifact."""
    return [Evaluation.model_validate(item) for item in json.loads((folder / EVALUATIONS).read_text())]


def write_members(folder: Path, members: Sequence[Score]) -> None:
    """Write beside them how well each member of a teacher that is an ensemble does by itself."""
    (folder / MEMBERS).write_text(json.dumps([each.model_dump(mode="json") for each in members]))


def read_members(folder: Path) -> tuple[Score, ...]:
    """Read how well each member does; of a teacher that is no ensemble there are none."""
    path = folder / MEMBERS
    return tuple(map(Score.model_validate, json.loads(path.read_text()))) if path.exists() else ()
