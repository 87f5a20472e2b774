"""The evaluation report for machines and for people.

Belongs here: the JSON shape other stages read, and one self-contained HTML page (report.html.j2).
Does not: measuring or deciding anything; the figures themselves (plots.py).
"""

import base64
from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Any

from stillhouse.economics import amount
from stillhouse.error_analysis.rules import ErrorAnalysis
from stillhouse.evaluation.against_champion import AgainstChampion
from stillhouse.evaluation.claims import Claim
from stillhouse.evaluation.comparison import Comparison
from stillhouse.evaluation.harness import Evaluation, Score
from stillhouse.evaluation.measures.latency import LatencyComparison
from stillhouse.evaluation.measures.seeds import ONE_SEED, SeedSpread
from stillhouse.evaluation.measures.stress import StressResult
from stillhouse.evaluation.models import ModelKind
from stillhouse.evaluation.selection import Selection
from stillhouse.evaluation.slices.declared import SliceResult
from stillhouse.evaluation.slices.fairness import FEWEST_ROWS as FEWEST_ROWS_OF_A_GROUP
from stillhouse.evaluation.slices.slice_calibration import FEWEST_ROWS as FEWEST_ROWS_OF_A_SLICE
from stillhouse.recipe.fields import Precision
from stillhouse.report.figures import figures_of
from stillhouse.report.figures.material import Curve, Material
from stillhouse.statistics.verdicts import Verdict
from stillhouse.wording import MEGABYTE, number, percent, points

HEADLINES = {
    Verdict.PASS: "clears the bar",
    Verdict.FAIL: "misses the bar",
    Verdict.INCONCLUSIVE: "is not shown to clear the bar",
}

CLAIM_NAMES = {
    "non_inferiority": "quality",
    "latency_ratio": "latency ratio",
    "latency_ratio_wall": "latency ratio by wall time",
    "latency_ms": "latency",
    "size_ratio": "size ratio",
    "size_mb": "size",
    "cost": "price of a call",
    "same_answers": "answers kept",
    "precision_order": "precisions before it",
    "floor": "accuracy floor",
    "calibration": "calibration",
    "slice": "slice '{}'",
    "slice_floor": "floor of '{}'",
    "slice_gap": "gap between slices",
    "behaviour": "behaviour '{}'",
    "stress": "stress by '{}'",
    "fairness": "fairness by '{}'",
}

KIND_NAMES = {
    ModelKind.BASELINE: "baseline",
    ModelKind.CONTROL: "fine-tuned on gold labels",
    ModelKind.STUDENT: "distilled student",
}
"""What a row of the table of options is called; the rows are in this order, and otherwise in the order they come in."""


def report_json(
    evaluation: Evaluation,
    *,
    others: Sequence[Evaluation] = (),
    selection: Selection | None = None,
    comparison: Comparison | None = None,
    chains: Sequence[Comparison] = (),
    analyses: Mapping[str, ErrorAnalysis] | None = None,
    against_champion: AgainstChampion | None = None,
    precisions: Mapping[Precision, Evaluation] | None = None,
    members: Sequence[Score] = (),
) -> dict[str, Any]:
    """The report as plain values, ready for `json.dumps`.

    Args:
        evaluation: of the model the report is about.
        others: candidates, controls and baselines evaluated on the same golden set.
        selection: which of them was chosen and why.
        comparison: the model beside its control.
        chains: each student that is cut from another one beside the same one that is not.
        analyses: why each student that learns from the teacher is as good as it is, by name.
        against_champion: the chosen student beside the release that it would replace.
        precisions: the same student in each of its precisions, in the order of the recipe.
        members: how well each member of a teacher that is an ensemble does by itself.

    Returns:
        verdict, golden_rows, teacher, student, agreement, latency_ratio, size_ratio, footprint, running_cost, slices,
        and the evidence for each.
    """
    return {
        "verdict": evaluation.verdict.value,
        "summary": evaluation.summary,
        "golden_digest": evaluation.golden_digest,
        "golden_rows": evaluation.golden_rows,
        "teacher": _score_json(evaluation.teacher),
        **({"members": [_score_json(each) for each in members]} if members else {}),
        "student": _score_json(evaluation.score),
        "non_inferiority": evaluation.non_inferiority.model_dump(mode="json"),
        "metric_test": evaluation.metric_test.model_dump(mode="json") if evaluation.metric_test else None,
        "agreement": evaluation.agreement,
        "fidelity": {**evaluation.fidelity.model_dump(mode="json"), "warning": evaluation.fidelity.warning},
        "latency_ratio": evaluation.latency_ratio,
        "latency": _latency_json(evaluation.latency),
        "footprint": evaluation.footprint.model_dump(mode="json") if evaluation.footprint else None,
        "running_cost": evaluation.running_cost.model_dump(mode="json") if evaluation.running_cost else None,
        "size_ratio": evaluation.size_ratio,
        "hosted": evaluation.hosted.model_dump(mode="json") if evaluation.hosted else None,
        "slices": [_slice_json(result) for result in evaluation.slices],
        "slice_gap": evaluation.slice_gap.model_dump(mode="json") if evaluation.slice_gap else None,
        "calibration_test": evaluation.calibration_test.model_dump(mode="json")
        if evaluation.calibration_test
        else None,
        "slice_calibration": [each.model_dump(mode="json") for each in evaluation.slice_calibration],
        "fairness": [each.model_dump(mode="json") for each in evaluation.fairness],
        "worst_pairs": [pair.model_dump(mode="json") for pair in evaluation.worst_pairs],
        "discovered": [each.model_dump(mode="json") for each in evaluation.discovered],
        "behaviour": [each.model_dump(mode="json") for each in evaluation.behaviour],
        "stress": [_stress_json(each) for each in evaluation.stress],
        "claims": [claim.model_dump(mode="json") for claim in evaluation.claims],
        "per_class": [metrics.model_dump(mode="json") for metrics in evaluation.per_class],
        "terms": evaluation.terms.model_dump(mode="json"),
        "others": [_candidate_json(other) for other in in_order_of_options(others)],
        "selection": selection.model_dump(mode="json") if selection else None,
        "comparison": comparison.model_dump(mode="json") if comparison else None,
        **({"chains": [each.model_dump(mode="json") for each in chains]} if chains else {}),
        "against_champion": against_champion.model_dump(mode="json") if against_champion else None,
        "seeds": _seeds_json(evaluation.seeds),
        "precisions": [_precision_json(precision, each) for precision, each in (precisions or {}).items()],
        "error_analysis": {name: _analysis_json(each) for name, each in (analyses or {}).items()},
    }


def report_html(
    evaluation: Evaluation,
    *,
    others: Sequence[Evaluation] = (),
    selection: Selection | None = None,
    comparison: Comparison | None = None,
    chains: Sequence[Comparison] = (),
    analyses: Mapping[str, ErrorAnalysis] | None = None,
    against_champion: AgainstChampion | None = None,
    precisions: Mapping[Precision, Evaluation] | None = None,
    members: Sequence[Score] = (),
    title: str = "",
    task: str = "",
    curve: Curve | None = None,
    judged_at: str = "",
    facts: Sequence[tuple[str, str]] = (),
) -> str:
    """The report as one HTML file that needs no network.

    Args:
        evaluation: of the model the report is about.
        others: candidates, controls and baselines evaluated on the same golden set.
        selection: which of them was chosen and why.
        comparison: the model beside its control.
        chains: each student that is cut from another one beside the same one that is not.
        analyses: why each student that learns from the teacher is as good as it is, by name.
        against_champion: the chosen student beside the release that it would replace.
        precisions: the same student in each of its precisions, in the order of the recipe.
        members: how well each member of a teacher that is an ensemble does by itself.
        title: the recipe's name.
        task: the recipe's task sentence.
        curve: training and validation loss by epoch.
        judged_at: when the models were asked the golden rows, ISO 8601, UTC.
        facts: further names and values for the foot of the page, such as how much of the texts no model reads.

    Returns:
        HTML text, verdict first in words.
    """
    from jinja2 import Environment, StrictUndefined

    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters.update(points=points, percent=percent, size=_size, number=number, chance=_chance, amount=amount)
    template = files("stillhouse.report").joinpath("report.html.j2").read_text(encoding="utf-8")
    candidates = in_order_of_options([evaluation, *others])
    about = Material(evaluation, candidates, curve, (analyses or {}).get(evaluation.name))
    return environment.from_string(template).render(
        evaluation=evaluation,
        headline=HEADLINES[evaluation.verdict],
        candidates=candidates,
        kind_names=KIND_NAMES,
        ruled_out={each.name: ruled_out(each) for each in candidates},
        teachers_usd=_usd_of_teacher(candidates),
        one_seed=ONE_SEED,
        selection=selection,
        comparison=comparison,
        chains=chains,
        against=against_champion,
        precisions=[_precision_json(precision, each) for precision, each in (precisions or {}).items()],
        members=members,
        analysis=about.analysis,
        conclusions=_conclusions_of_others(evaluation, analyses or {}),
        title=title or evaluation.name,
        task=task,
        judged_at=judged_at,
        facts=facts,
        fewest_rows_of_a_group=FEWEST_ROWS_OF_A_GROUP,
        fewest_rows_of_a_slice=FEWEST_ROWS_OF_A_SLICE,
        figures={
            str(section): [(alt, {theme: _data_uri(png) for theme, png in drawn.items()}) for alt, drawn in figures]
            for section, figures in figures_of(about).items()
        },
    )


def in_order_of_options(evaluations: Sequence[Evaluation]) -> list[Evaluation]:
    """What one could do, from doing nothing to distilling: baselines as they come, controls, students."""
    order = list(KIND_NAMES)
    return sorted(evaluations, key=lambda each: order.index(each.score.kind))


def _usd_of_teacher(candidates: Sequence[Evaluation]) -> float | None:
    """What 1,000 calls of the teacher cost: on this machine, or by the bill that an alternative was compared with."""
    here = (each.running_cost.teacher_usd_per_1000_calls for each in candidates if each.running_cost)
    billed = (each.hosted.teacher_usd_per_1000_calls for each in candidates if each.hosted)
    return next((usd for usd in (*here, *billed) if usd is not None), None)


def ruled_out(evaluation: Evaluation) -> str:
    """What stands between a model and the bar, in words, saying so when only the budget does.

    Args:
        evaluation: of any model.

    Returns:
        The gravest reason in full and the names of the others; empty when nothing stands in the way.
    """
    gravest = evaluation.gravest
    if not gravest:
        return ""
    if evaluation.misses_only_the_budget:
        failed = any(claim.verdict is Verdict.FAIL for claim in gravest)
        budget = "rules it out" if failed else "is not shown to hold"
        return f"holds the quality, but the budget {budget}: {'; '.join(claim.sentence for claim in gravest)}"
    others = ", ".join(_claim_name(claim) for claim in gravest[1:5])
    more = f", {len(gravest) - 5} more" if len(gravest) > 5 else ""
    return f"{gravest[0].sentence}{f'. Also: {others}{more}' if others else ''}"


def _claim_name(claim: Claim) -> str:
    kind, _, slice_name = claim.name.partition("/")
    return CLAIM_NAMES[kind].format(slice_name)


def _score_json(score: Score) -> dict[str, Any]:
    values = score.model_dump(mode="json", exclude={"calibration"})
    return values if score.calibration is None else {**values, **score.calibration.model_dump(mode="json")}


def _latency_json(latency: LatencyComparison | None) -> dict[str, Any] | None:
    if latency is None:
        return None
    return {**latency.model_dump(mode="json"), "caveat": latency.caveat}


def _slice_json(result: SliceResult) -> dict[str, Any]:
    test = result.non_inferiority
    return {
        "name": result.name,
        "rows": result.rows,
        "teacher_accuracy": result.teacher_accuracy,
        "student_accuracy": result.student_accuracy,
        "verdict": result.verdict.value,
        "critical": result.critical,
        "student_interval": list(result.student_interval),
        "drop": test.drop if test else None,
        "drop_upper_bound": test.drop_upper_bound if test else None,
        "margin": test.margin if test else None,
        "alpha": test.alpha if test else None,
        "rows_needed": test.rows_needed if test else None,
        "non_inferiority_verdict": result.non_inferiority_verdict.value,
        "floor": result.floor.floor if result.floor else None,
        "floor_verdict": result.floor.verdict.value if result.floor else None,
    }


def _stress_json(result: StressResult) -> dict[str, Any]:
    return {**result.model_dump(mode="json"), "verdict": result.verdict.value if result.verdict else None}


def _candidate_json(evaluation: Evaluation) -> dict[str, Any]:
    return {
        **_score_json(evaluation.score),
        "verdict": evaluation.verdict.value,
        "ruled_out": ruled_out(evaluation),
        "misses_only_the_budget": evaluation.misses_only_the_budget,
        "latency_ratio": evaluation.latency_ratio,
        "size_ratio": evaluation.size_ratio,
        "memory_mb": evaluation.footprint.student_mb if evaluation.footprint else None,
        "usd_per_1000_calls": evaluation.usd_per_1000_calls,
        "hosted": evaluation.hosted.model_dump(mode="json") if evaluation.hosted else None,
        "seeds": _seeds_json(evaluation.seeds),
    }


def _precision_json(precision: Precision, evaluation: Evaluation) -> dict[str, Any]:
    test = evaluation.metric_test or evaluation.non_inferiority
    cpu = evaluation.latency.cpu if evaluation.latency else None
    return {
        "precision": precision,
        "name": evaluation.name,
        "size_bytes": evaluation.size_bytes,
        "accuracy": evaluation.score.accuracy,
        "drop": test.drop,
        "drop_upper_bound": test.drop_upper_bound,
        "margin": test.margin,
        "cpu_ms": cpu.student_ms if cpu else None,
        "memory_mb": evaluation.footprint.student_mb if evaluation.footprint else None,
        "verdict": evaluation.verdict.value,
        "does_not_hold": [_claim_name(claim) for claim in evaluation.gravest],
    }


def _seeds_json(spread: SeedSpread | None) -> dict[str, Any] | None:
    if spread is None:
        return None
    return {**spread.model_dump(mode="json"), "sentence": spread.sentence, "warning": spread.warning}


def _analysis_json(analysis: ErrorAnalysis) -> dict[str, Any]:
    sentence = analysis.conclusion.sentence if analysis.conclusion else None
    return {**analysis.model_dump(mode="json"), "sentence": sentence}


def _conclusions_of_others(evaluation: Evaluation, analyses: Mapping[str, ErrorAnalysis]) -> dict[str, str]:
    """Of the model that the report is about, a section of its own says it."""
    others = ((name, each.conclusion) for name, each in analyses.items() if name != evaluation.name)
    return {name: conclusion.sentence for name, conclusion in others if conclusion is not None}


def _data_uri(png: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"


def _size(size_bytes: int) -> str:
    megabytes = size_bytes / MEGABYTE
    return f"{megabytes:,.1f} MB" if megabytes >= 0.1 else f"{size_bytes / 1000:,.1f} kB"


def _chance(p_value: float) -> str:
    return f"{p_value:.2g}" if p_value >= 0.001 else "under 0.001"
