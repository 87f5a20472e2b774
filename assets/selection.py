"""The choice: the smallest candidate that clears the bar, and the report that says so.

Belongs here: choosing among the judged candidates and writing the report of the chosen one, or of the best that missed.
Does not: the rule of choice and the report's form (stillhouse/evaluation/).
"""

import json
from pathlib import Path
from typing import Any

import dagster as dg

from assets.baselines import evaluation_row, read_evaluations
from assets.keys import BASELINES, EVALUATION, REASONS, SELECTION, candidate
from assets.reasons import read_reasons
from assets.stage import Shown, Work, markdown_table, picture, stage_asset
from stillhouse.evaluation.comparison import Comparison
from stillhouse.evaluation.harness import Evaluation
from stillhouse.evaluation.report.document import Curve, in_order_of_options, report_html, report_json
from stillhouse.evaluation.selection import Selection, smallest_that_clears
from stillhouse.evaluation.subjects import SubjectKind
from stillhouse.files import write_atomically
from stillhouse.recipe import RecipeFile
from stillhouse.workshop import Artifact, Facts


def selection(file: RecipeFile) -> dg.AssetsDefinition:
    """Build the asset."""

    @stage_asset(
        file,
        SELECTION,
        inputs={"evaluation": EVALUATION, "baselines": BASELINES, "reasons": REASONS},
        kinds={"html"},
    )
    def chosen_student(work: Work, evaluation: Artifact, baselines: Artifact, reasons: Artifact) -> Shown:
        """The smallest student that clears both quality and budget, the next one down shown failing, and the report."""
        judged = read_evaluations(evaluation)
        everything = in_order_of_options(read_evaluations(baselines) + judged)

        def build(folder: Path) -> Facts:
            chosen = smallest_that_clears(judged)
            subject = _subject_of_report(judged, chosen)
            about: dict[str, Any] = {
                "others": [other for other in everything if other.name != subject.name],
                "selection": chosen,
                "comparison": _comparison_of(evaluation, subject.name),
                "reasons": read_reasons(reasons),
            }
            (folder / "report.json").write_text(json.dumps(report_json(subject, **about), indent=1))
            curve = _curve_of(work, reasons, subject.name)
            html = report_html(subject, **about, title=file.name, task=file.recipe.task, curve=curve)
            (folder / "report.html").write_text(html)
            return {"winner": chosen.winner, "reported": subject.name, "reason": chosen.reason}

        artifact = work.make(
            build,
            depends_on={
                "evaluation": evaluation.digest,
                "baselines": baselines.digest,
                "reasons": reasons.digest,  # which names the trained students, whose curves are shown
            },
        )
        report = work.workshop.home.reports / f"{file.name}.html"
        write_atomically(report, (artifact.folder / "report.html").read_bytes())
        rows = [evaluation_row(e) for e in everything]
        return Shown(
            artifact,
            {
                "winner": artifact.facts["winner"] or "none",
                "reason": artifact.facts["reason"],
                "report": dg.MetadataValue.path(str(report)),
                "leaderboard": dg.MetadataValue.md(markdown_table(rows)),
                "size_against_quality": picture(
                    work, artifact, "size_against_quality", lambda: _size_against_quality(everything)
                ),
            },
        )

    return chosen_student


def _size_against_quality(everything: list[Evaluation]) -> bytes:
    from stillhouse.evaluation.report.frontier import size_quality

    return size_quality(everything)


def _subject_of_report(judged: list[Evaluation], chosen: Selection) -> Evaluation:
    """The chosen candidate; when there is none, the most accurate one, so that the report says what was missing."""
    candidates = [e for e in judged if e.subject.kind is not SubjectKind.CONTROL]
    by_name = {e.name: e for e in candidates}
    return by_name[chosen.winner] if chosen.winner else max(candidates, key=lambda e: e.subject.accuracy)


def _comparison_of(evaluation: Artifact, student: str) -> Comparison | None:
    comparisons = [
        Comparison.model_validate(c) for c in json.loads((evaluation.folder / "comparisons.json").read_text())
    ]
    return next((comparison for comparison in comparisons if comparison.student == student), None)


def _curve_of(work: Work, reasons: Artifact, student: str) -> Curve | None:
    """Training and validation loss by epoch of the student that the report is about."""
    for trained in work.workshop.inputs_of(reasons, candidate(student)):
        epochs = trained.facts["training"]["epochs"]
        return [epoch["train_loss"] for epoch in epochs], [epoch["validation_loss"] for epoch in epochs]
    return None
