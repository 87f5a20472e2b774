"""The evaluation report for people: one self-contained HTML page (report.html.j2).

Belongs here: what the page is given.
Does not: measuring or deciding anything; the figures themselves (figures/), the record for machines (record.py).
"""

import base64
import functools
from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import TYPE_CHECKING

from stillhouse.economics import amount
from stillhouse.error_analysis.rules import ErrorAnalysis
from stillhouse.evaluation.harness import Evaluation
from stillhouse.evaluation.measures.metrics import ClassMetrics
from stillhouse.evaluation.measures.seeds import ONE_SEED
from stillhouse.evaluation.slices.fairness import FEWEST_ROWS as FEWEST_ROWS_OF_A_GROUP
from stillhouse.evaluation.slices.slice_calibration import FEWEST_ROWS as FEWEST_ROWS_OF_A_SLICE
from stillhouse.report.context import NOTHING, ReportContext
from stillhouse.report.figures import figures_of
from stillhouse.report.figures.material import Curve, Material
from stillhouse.report.options import KIND_NAMES, in_order_of_options, ruled_out
from stillhouse.report.record import ReportedPrecision
from stillhouse.statistics.verdicts import Verdict
from stillhouse.wording import MEGABYTE, number, percent, points

if TYPE_CHECKING:
    from jinja2 import Template

HEADLINES = {
    Verdict.PASS: "clears the bar",
    Verdict.FAIL: "misses the bar",
    Verdict.INCONCLUSIVE: "is not shown to clear the bar",
}


def report_html(
    evaluation: Evaluation,
    context: ReportContext = NOTHING,
    *,
    title: str = "",
    task: str = "",
    curve: Curve | None = None,
    judged_at: str = "",
    facts: Sequence[tuple[str, str]] = (),
    billed_usd: float | None = None,
) -> str:
    """The report as one HTML file that needs no network.

    Args:
        evaluation: of the model the report is about.
        context: what was judged, decided and found in the same round.
        title: the recipe's name.
        task: the recipe's task sentence.
        curve: training and validation loss by epoch.
        judged_at: when the models were asked the golden rows, ISO 8601, UTC.
        facts: further names and values for the foot of the page, such as how much of the texts no model reads.
        billed_usd: what 1,000 answers of a teacher behind a server cost by its pilot; None of any other teacher.

    Returns:
        HTML text, verdict first in words.
    """
    candidates = in_order_of_options([evaluation, *context.others])
    about = Material(evaluation, candidates, curve, context.analyses.get(evaluation.name), context.teacher_is_sure)
    return _template().render(
        evaluation=evaluation,
        headline=HEADLINES[evaluation.verdict],
        candidates=candidates,
        kind_names=KIND_NAMES,
        ruled_out={each.name: ruled_out(each) for each in candidates},
        teachers_usd=_usd_of_teacher(candidates) if billed_usd is None else billed_usd,
        billed_usd=billed_usd,
        one_seed=ONE_SEED,
        agreement_hides=evaluation.fidelity.warning(context.limits.repeated_mistakes_at_most),
        label_rows=_label_rows(evaluation),
        selection=context.selection,
        comparison=context.comparison,
        ablations=context.ablations,
        against=context.against_champion,
        precisions=[ReportedPrecision.of(precision, each) for precision, each in context.precisions.items()],
        members=context.members,
        gives=context.gives,
        own_scale=context.own_scale,
        teacher_is_sure=context.teacher_is_sure,
        analysis=about.analysis,
        conclusions=_conclusions_of_others(evaluation, context.analyses),
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


@functools.cache
def _template() -> "Template":
    """The page, compiled once in a process: that takes longer than all of it that is filled in."""
    from jinja2 import Environment, StrictUndefined

    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters.update(points=points, percent=percent, size=_size, number=number, chance=_chance, amount=amount)
    return environment.from_string(files("stillhouse.report").joinpath("report.html.j2").read_text(encoding="utf-8"))


def _usd_of_teacher(candidates: Sequence[Evaluation]) -> float | None:
    """What 1,000 calls of the teacher cost: on this machine, or by the bill that an alternative was compared with."""
    here = (each.running_cost.teacher_usd_per_1000_calls for each in candidates if each.running_cost)
    billed = (each.hosted.teacher_usd_per_1000_calls for each in candidates if each.hosted)
    return next((usd for usd in (*here, *billed) if usd is not None), None)


def _conclusions_of_others(evaluation: Evaluation, analyses: Mapping[str, ErrorAnalysis]) -> dict[str, str]:
    """Of the model that the report is about, a section of its own says it."""
    others = ((name, each.conclusion) for name, each in analyses.items() if name != evaluation.name)
    return {name: conclusion.sentence for name, conclusion in others if conclusion is not None}


def _label_rows(evaluation: Evaluation) -> list[tuple[str, ClassMetrics | None, ClassMetrics | None]]:
    """Of each label of sets that occurs, what the model and the teacher find of it; most rows first."""
    if evaluation.of_labels is None:
        return []
    own = {each.label: each for each in evaluation.per_class}
    teachers = {each.label: each for each in evaluation.of_labels.teacher}
    rows = {label: each.rows for label, each in {**own, **teachers}.items()}
    return [
        (label, own.get(label), teachers.get(label)) for label in sorted(rows, key=lambda each: (-rows[each], each))
    ]


def _data_uri(png: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"


def _size(size_bytes: int) -> str:
    megabytes = size_bytes / MEGABYTE
    return f"{megabytes:,.1f} MB" if megabytes >= 0.1 else f"{size_bytes / 1000:,.1f} kB"


def _chance(p_value: float) -> str:
    return f"{p_value:.2g}" if p_value >= 0.001 else "under 0.001"
