"""Every measure that is taken of a model on the golden rows, and the claims that follow from it.

Belongs here: the table, and what each measure is given of the aligned rows.
Does not: the measures themselves (measures/, slices/, statistics/), their sentences (claims.py), what was measured
elsewhere and is only reported with them, such as latency (harness.py).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import numpy as np

from stillhouse.arrays import FloatArray
from stillhouse.evaluation.aligned import Aligned
from stillhouse.evaluation.claims import (
    Claim,
    behaviour_claims,
    calibration_claims,
    fairness_claims,
    quality_claims,
    slice_claims,
    slice_gap_claims,
    stress_claims,
)
from stillhouse.evaluation.measures import metrics
from stillhouse.evaluation.measures.bar_metric import bar_metric_test
from stillhouse.evaluation.measures.behaviour import BehaviourResult, judge_behaviour
from stillhouse.evaluation.measures.field_scores import field_scores
from stillhouse.evaluation.measures.label_scores import label_scores
from stillhouse.evaluation.measures.number_scores import number_scores
from stillhouse.evaluation.measures.ranking_scores import RankingScores, ranking_scores
from stillhouse.evaluation.measures.regressions import regressions
from stillhouse.evaluation.measures.score import Score, score_of
from stillhouse.evaluation.measures.seeds import SeedSpread, logits_by_seed, seed_spread
from stillhouse.evaluation.measures.stress import StressResult, stress_test
from stillhouse.evaluation.models import EvaluatedModel
from stillhouse.evaluation.slices.discovery import DiscoveredSlice, discover_slices
from stillhouse.evaluation.slices.fairness import FairnessResult, fairness
from stillhouse.evaluation.slices.slice_calibration import SliceCalibration, slice_calibration
from stillhouse.evaluation.slices.slice_gap import slice_gap
from stillhouse.statistics.accuracy_test import NonInferiority, paired_non_inferiority
from stillhouse.statistics.calibration_test import CalibrationTest, calibration_test
from stillhouse.statistics.floors import FloorTest, floor_test, floor_test_by_groups
from stillhouse.statistics.gap import GapTest
from stillhouse.statistics.metric_test import MetricTest
from stillhouse.statistics.softmax import probabilities_of

T = TypeVar("T")


@dataclass(frozen=True)
class Measure(Generic[T]):
    """One field of an evaluation.

    Args:
        field: the field of `Evaluation` that it fills.
        measure: takes it from the aligned rows.
        claims: what the bar asks of it; nothing of a measure that is reported only.
    """

    field: str
    measure: Callable[[Aligned], T]
    claims: Callable[[Aligned, T], Sequence[Claim]] = lambda rows, result: ()


def _score(rows: Aligned, model: EvaluatedModel, logits: FloatArray) -> Score:
    return score_of(model, logits, rows.targets, rows.task, rows.bar, groups=rows.groups)


def _non_inferiority(rows: Aligned) -> NonInferiority:
    return paired_non_inferiority(rows.teacher_correct, rows.correct, margin=rows.bar.margin, alpha=rows.bar.alpha)


def _metric_test(rows: Aligned) -> MetricTest | None:
    """The test that binds where the one of accuracy, row by row, answers another question."""
    bar = rows.bar
    if bar.metric == "accuracy" and rows.groups is None:
        return None
    return bar_metric_test(
        bar, rows.task, rows.targets, rows.teacher_logits, rows.logits, groups=rows.groups, margin=bar.margin
    )


def _quality_claims(rows: Aligned, by_resampling: MetricTest | None) -> list[Claim]:
    return quality_claims(by_resampling or _non_inferiority(rows), _floor(rows), float(np.mean(rows.correct)))


def _floor(rows: Aligned) -> FloorTest | None:
    bar = rows.bar
    if bar.floor is None:
        return None
    if rows.groups is not None:
        return floor_test_by_groups(rows.correct, rows.groups, bar.floor, alpha=bar.alpha)
    right = int(np.count_nonzero(rows.correct))
    return floor_test(right, len(rows.correct), bar.floor, resolution=bar.margin, alpha=bar.alpha)


def _calibration_test(rows: Aligned) -> CalibrationTest | None:
    limit, confidence = rows.bar.calibration_error_at_most, rows.task.confidence(rows.logits, rows.model.temperature)
    if limit is None or confidence is None:
        return None
    return calibration_test(confidence, rows.correct, limit=limit, groups=rows.groups, alpha=rows.bar.alpha)


def _slice_gap(rows: Aligned) -> GapTest | None:
    limit = rows.bar.slice_gap_at_most
    if limit is None:
        return None
    return slice_gap(rows.slices, rows.masks, rows.correct, limit=limit, alpha=rows.bar.alpha, groups=rows.groups)


def _behaviour(rows: Aligned) -> tuple[BehaviourResult, ...]:
    return judge_behaviour(rows.terms.behaviour, rows.model, rows.teacher, rows.task)


def _stress(rows: Aligned) -> tuple[StressResult, ...]:
    spec = rows.terms.stress
    if spec is None:
        return ()
    return stress_test(spec, rows.model, rows.teacher, rows.golden, rows.task, alpha=rows.bar.alpha, groups=rows.groups)


def _fairness(rows: Aligned) -> tuple[FairnessResult, ...]:
    task = rows.task
    return fairness(
        rows.golden,
        rows.terms.sensitive,
        rows.targets,
        task.answers(rows.teacher_logits),
        task.answers(rows.logits),
        classes=task.names,
        alpha=rows.bar.alpha,
        together=rows.groups,
    )


def _slice_calibration(rows: Aligned) -> tuple[SliceCalibration, ...]:
    if rows.task.classes is None:
        return ()
    return slice_calibration(
        rows.terms.slices,
        rows.masks,
        probabilities_of(rows.teacher_logits, rows.teacher.temperature),
        probabilities_of(rows.logits, rows.model.temperature),
        rows.targets,
        rows.task,
    )


def _discovered(rows: Aligned) -> tuple[DiscoveredSlice, ...]:
    return discover_slices(rows.golden, rows.masks, rows.teacher_correct, rows.correct, alpha=rows.bar.alpha)


def _confusion(rows: Aligned) -> tuple[metrics.ConfusionCell, ...]:
    if rows.task.classes is None:
        return ()
    return metrics.confusion_cells(*metrics.confusion_of(rows.task, rows.logits, rows.targets))


def _teacher_confusion(rows: Aligned) -> tuple[metrics.ConfusionCell, ...] | None:
    if rows.task.classes is None:
        return None
    return metrics.confusion_cells(*metrics.confusion_of(rows.task, rows.teacher_logits, rows.targets))


def _of_ranking(rows: Aligned) -> RankingScores | None:
    return ranking_scores(rows.task, rows.targets, rows.teacher_logits, rows.logits, rows.groups, at=rows.bar.ndcg_at)


def _seeds(rows: Aligned) -> SeedSpread | None:
    by_seed = logits_by_seed(rows.model, rows.golden, rows.task)
    return seed_spread(rows.targets, rows.teacher_logits, by_seed, bar=rows.bar, task=rows.task, groups=rows.groups)


MEASURES: tuple[Measure[Any], ...] = (
    Measure("teacher", lambda rows: _score(rows, rows.teacher, rows.teacher_logits)),
    Measure("score", lambda rows: _score(rows, rows.model, rows.logits)),
    Measure("non_inferiority", _non_inferiority),
    Measure("metric_test", _metric_test, _quality_claims),
    Measure("calibration_test", _calibration_test, lambda rows, result: calibration_claims(result)),
    Measure("fidelity", lambda rows: rows.fidelity),
    Measure("slices", lambda rows: rows.slices, lambda rows, results: slice_claims(results)),
    Measure("slice_gap", _slice_gap, lambda rows, result: slice_gap_claims(result)),
    Measure("slice_calibration", _slice_calibration),
    Measure("discovered", _discovered),
    Measure("behaviour", _behaviour, lambda rows, results: behaviour_claims(results)),
    Measure("stress", _stress, lambda rows, results: stress_claims(results)),
    Measure("fairness", _fairness, lambda rows, results: fairness_claims(results)),
    Measure("per_class", lambda rows: metrics.by_name(rows.task, rows.logits, rows.targets)),
    Measure("confusion", _confusion),
    Measure("teacher_confusion", _teacher_confusion),
    Measure("of_labels", lambda rows: label_scores(rows.task, rows.targets, rows.teacher_logits, rows.logits)),
    Measure("of_numbers", lambda rows: number_scores(rows.task, rows.targets, rows.teacher_logits, rows.logits)),
    Measure("of_fields", lambda rows: field_scores(rows.task, rows.targets, rows.teacher_logits, rows.logits)),
    Measure("of_ranking", _of_ranking),
    Measure("regressions", lambda rows: regressions(rows.fidelity, rows.golden, rows.task)),
    Measure("seeds", _seeds),
)
"""In the order in which reports list the claims; the first is the one that a summary quotes."""
