"""The choice: the smallest candidate that clears the bar, held against the champion, and the report that says so.

Belongs here: choosing among the judged candidates, asking the chosen one and the champion the same golden rows, and
writing the report of the chosen one, or of the best that missed.
Does not: the rule of choice, the comparison and the report's form (stillhouse/evaluation/), which release is the
champion (stillhouse/records/champions.py).
"""

import json
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np
import polars as pl

from assets.baselines import evaluation_row, read_evaluations
from assets.bench import Bench
from assets.reasons import read_reasons
from assets.stage import Shown, Work, markdown_table, picture, stage_asset
from assets.teacher import MODEL
from stillhouse.errors import StillhouseError
from stillhouse.evaluation.against_champion import (
    AgainstChampion,
    Answers,
    cannot_be_asked,
    compare_with_champion,
    no_champion,
)
from stillhouse.evaluation.comparison import Comparison
from stillhouse.evaluation.harness import Evaluation
from stillhouse.evaluation.models import SubjectKind
from stillhouse.evaluation.selection import Selection, smallest_that_clears
from stillhouse.files import write_atomically
from stillhouse.recipe.reading import RecipeFile
from stillhouse.records.builds import Artifact, Facts
from stillhouse.records.champions import Served, export_of, line_of_champions, promoted, rival_of
from stillhouse.report.document import Curve, in_order_of_options, report_html, report_json
from stillhouse.stages.names import (
    BASELINES,
    EVALUATION,
    PROMPTS,
    REASONS,
    SELECTION,
    TEACHER,
    TRANSFER_SET,
    candidate,
    export,
)


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
        chosen = smallest_that_clears(judged)
        rival = _rival_of(work, evaluation, chosen)

        def build(folder: Path) -> Facts:
            against = _against_champion(work, evaluation, chosen, rival)
            subject = _subject_of_report(judged, chosen)
            about: dict[str, Any] = {
                "others": [other for other in everything if other.name != subject.name],
                "selection": chosen,
                "comparison": _comparison_of(evaluation, subject.name),
                "reasons": read_reasons(reasons),
                "against_champion": against,
            }
            (folder / "report.json").write_text(json.dumps(report_json(subject, **about), indent=1))
            curve = _curve_of(work, reasons, subject.name)
            html = report_html(subject, **about, title=file.name, task=file.recipe.task, curve=curve)
            (folder / "report.html").write_text(html)
            return {
                "winner": chosen.winner,
                "reported": subject.name,
                "reason": chosen.reason,
                "against_champion": against.model_dump(mode="json"),
            }

        artifact = work.make(
            build,
            depends_on={
                "evaluation": evaluation.digest,
                "baselines": baselines.digest,
                "reasons": reasons.digest,  # which names the trained students, whose curves are shown
                "champion": None if rival is None else [rival.served.release, rival.cannot_be_asked],
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
                "against_the_champion": artifact.facts["against_champion"]["sentence"],
                "report": dg.MetadataValue.path(str(report)),
                "leaderboard": dg.MetadataValue.md(markdown_table(rows)),
                "size_against_quality": picture(
                    work, artifact, "size_against_quality", lambda: _size_against_quality(everything)
                ),
            },
        )

    return chosen_student


@dataclass(frozen=True)
class Rival:
    """The champion that the chosen student is compared with.

    Args:
        served: as it was promoted.
        bundle: its release, whole; None where it cannot be opened.
        cannot_be_asked: why it cannot be opened; empty where it can.
    """

    served: Served
    bundle: Artifact | None
    cannot_be_asked: str = ""


def _rival_of(work: Work, evaluation: Artifact, chosen: Selection) -> Rival | None:
    """Open the champion that has to be compared with; a bundle that is lost must not stop every further round."""
    if chosen.winner is None:
        return None
    store, ledger = work.workshop.store, work.workshop.ledger
    line = line_of_champions(promoted(ledger, work.file.name))
    served = rival_of(line, evaluation.facts["judged"][chosen.winner], partial(export_of, store))
    if served is None:
        return None
    try:
        return Rival(served, work.workshop.artifact(served.release, served.manifest))
    except StillhouseError as error:
        return Rival(served, None, str(error))


def _against_champion(work: Work, evaluation: Artifact, chosen: Selection, rival: Rival | None) -> AgainstChampion:
    """Ask champion and challenger the golden rows of this round, whatever rows the champion was once released by."""
    from stillhouse.models.predictor import OnnxClassifier

    if chosen.winner is None:
        return no_champion("no student was chosen, so none wants to replace the champion")
    if rival is None:
        return no_champion("there is no champion yet that is another model")
    if rival.bundle is None:
        return cannot_be_asked(rival.served, rival.cannot_be_asked)
    (prompts,) = work.workshop.inputs_of(evaluation, PROMPTS)
    (teacher,) = work.workshop.inputs_of(evaluation, TEACHER)
    (challenger,) = work.workshop.inputs_of(evaluation, export(chosen.winner))
    bench = Bench(work.file.recipe, work.workshop, prompts, teacher)
    bench.log_golden_read(work)
    with work.workshop.one_heavy_task():
        models = [OnnxClassifier(folder / MODEL) for folder in (rival.bundle.folder, challenger.folder)]
        of_champion, of_challenger = (
            Answers(model.logits(bench.texts).astype(np.float64), model.labels) for model in models
        )
    return compare_with_champion(
        rival.served,
        of_champion,
        of_challenger,
        bench.golden,
        work.file.recipe.terms,
        classes=bench.classes,
        groups=bench.groups,
        learned=_rows_learned_from(work, rival.bundle),
    )


def _rows_learned_from(work: Work, release: Artifact) -> set[str]:
    """Prompt ids that a release was trained or tuned on; under another split key some are golden rows now."""
    learned: set[str] = set()
    for prompts in work.workshop.inputs_of(release, PROMPTS):
        rows = prompts.frame("prompts").filter(pl.col("split") != "golden")
        learned.update(rows["prompt_id"])
    for transfer_set in work.workshop.inputs_of(release, TRANSFER_SET):
        learned.update(transfer_set.frame("transfer_set")["prompt_id"])
    return learned


def _size_against_quality(everything: list[Evaluation]) -> bytes:
    from stillhouse.report.frontier import size_quality

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
