"""The choice: the smallest candidate that clears the bar, held against the champion, and the report that says so.

Belongs here: choosing among the judged candidates, asking the chosen one and the champion the same golden rows, and
writing the report of the chosen one, or of the best that missed.
Does not: the rule of choice and the comparison (stillhouse/evaluation/), the report's form (stillhouse/report/), which
release is the champion (stillhouse/records/champions.py).
"""

import json
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import polars as pl

from stillhouse.base import Record
from stillhouse.error_analysis.rules import read_analyses
from stillhouse.errors import MachineError, StillhouseError
from stillhouse.evaluation.against_champion import (
    AgainstChampion,
    Answers,
    cannot_be_asked,
    compare_with_champion,
    in_the_numbers_of,
    no_champion,
)
from stillhouse.evaluation.comparison import read_ablations, read_comparison
from stillhouse.evaluation.harness import Evaluation, read_evaluations, read_members
from stillhouse.evaluation.precisions import standing_for
from stillhouse.evaluation.selection import Selection, smallest_that_clears
from stillhouse.recipe.contract import Recipe
from stillhouse.recipe.data import ScoreSpec
from stillhouse.recipe.reading import RecipeFile
from stillhouse.records.builds import Artifact, BuildStore, Plan
from stillhouse.records.champions import Served, export_of, line_of_champions, promoted, rival_of
from stillhouse.report.context import ReportContext
from stillhouse.report.document import report_html
from stillhouse.report.figures.material import Curve
from stillhouse.report.options import in_order_of_options
from stillhouse.report.record import report_of
from stillhouse.stages.bench import Bench, Reader
from stillhouse.stages.facts import CandidateFacts, EvaluationFacts, PromptFacts, TeacherFacts
from stillhouse.stages.names import MODEL, PROMPTS, TEACHER, TRANSFER_SET, candidate, export


class SelectionFacts(Record):
    """What was chosen."""

    winner: str | None
    reported: str
    reason: str
    against_champion: AgainstChampion


@dataclass(frozen=True)
class Surroundings:
    """What the choice is made in beside its inputs: champions of this installation.

    Args:
        file: the recipe.
        builds: with the releases.
        reader: who asks champion and challenger the golden rows.
    """

    file: RecipeFile
    builds: BuildStore
    reader: Reader


def plan(around: Surroundings, evaluation: Artifact, baselines: Artifact, analyses: Artifact) -> Plan[SelectionFacts]:
    """Choose the smallest student that clears the bar, hold it against the champion, and report.

    Args:
        around: the installation.
        evaluation: the verdicts on students.
        baselines: the verdicts on what there is to take without training.
        analyses: why students miss.
    """
    judged = read_evaluations(evaluation.folder)
    everything = judged_in_order(evaluation, baselines)
    chosen = smallest_that_clears(judged)
    rival = _rival_of(around, evaluation, chosen)
    (teacher,) = around.builds.inputs_of(evaluation, TEACHER)
    of_teacher = teacher.facts(TeacherFacts)
    billed_usd = of_teacher.usd_per_1000_answers
    limits = around.file.recipe.limits

    def build(folder: Path) -> SelectionFacts:
        against = _against_champion(around, evaluation, chosen, rival)
        reported = reported_of(around.file.recipe, judged, chosen)
        student = around.file.recipe.form(reported.name).student
        context = ReportContext(
            others=[other for other in everything if other.name != reported.name],
            selection=chosen,
            comparison=read_comparison(evaluation.folder, reported.name),
            ablations=read_ablations(evaluation.folder),
            analyses=read_analyses(analyses.folder),
            against_champion=against,
            precisions={form.precision: each for form in student.forms for each in judged if each.name == form.name},
            members=read_members(evaluation.folder),
            gives=around.file.recipe.teacher.gives,
            own_scale=of_teacher.own_scale,
            limits=limits,
        )
        report = report_of(reported, context).model_dump(mode="json")
        (folder / "report.json").write_text(json.dumps(report, indent=1))
        curve = _curve_of(around.builds, analyses, student.name)
        html = report_html(
            reported,
            context,
            title=around.file.name,
            task=around.file.recipe.task,
            curve=curve,
            judged_at=_computed_at(around.builds, evaluation),
            facts=_what_models_read(around.builds, evaluation),
            billed_usd=billed_usd,
        )
        (folder / "report.html").write_text(html)
        return SelectionFacts(
            winner=chosen.winner, reported=reported.name, reason=chosen.reason, against_champion=against
        )

    return Plan(
        build,
        {
            "evaluation": evaluation.digest,
            "baselines": baselines.digest,
            "error_analysis": analyses.digest,  # which names the trained students, whose curves are shown
            "champion": None if rival is None else [rival.served.release, rival.cannot_be_asked],
            "billed_usd": billed_usd,
            "repeated_mistakes_at_most": limits.repeated_mistakes_at_most,
        },
    )


def _computed_at(builds: BuildStore, artifact: Artifact) -> str:
    """When an artifact was computed, whichever run has found it again since."""
    manifest = artifact.manifest
    if manifest.made_by is not None:
        manifest = builds.store.read_manifest(artifact.digest, manifest.made_by)
    return manifest.created_at


def judged_in_order(evaluation: Artifact, baselines: Artifact) -> list[Evaluation]:
    """Everything that was judged in a round, in the order of the report."""
    return in_order_of_options(read_evaluations(baselines.folder) + read_evaluations(evaluation.folder))


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


def _rival_of(around: Surroundings, evaluation: Artifact, chosen: Selection) -> Rival | None:
    """Open the champion that has to be compared with; a bundle that is lost must not stop every further round."""
    if chosen.winner is None:
        return None
    store, ledger = around.builds.store, around.builds.ledger
    line = line_of_champions(promoted(ledger, around.file.name))
    served = rival_of(line, str(evaluation.facts(EvaluationFacts).judged[chosen.winner]), partial(export_of, store))
    if served is None:
        return None
    try:
        return Rival(served, around.builds.artifact(served.release, served.manifest))
    except MachineError:
        raise
    except StillhouseError as error:
        return Rival(served, None, str(error))


def _against_champion(
    around: Surroundings, evaluation: Artifact, chosen: Selection, rival: Rival | None
) -> AgainstChampion:
    """Ask champion and challenger the golden rows of this round, whatever rows the champion was once released by."""
    from stillhouse.models.predictor import OnnxClassifier

    if chosen.winner is None:
        return no_champion("no student was chosen, so none wants to replace the champion")
    if rival is None:
        return no_champion("there is no champion yet that is another model")
    if rival.bundle is None:
        return cannot_be_asked(rival.served, rival.cannot_be_asked)
    (prompts,) = around.builds.inputs_of(evaluation, PROMPTS)
    (teacher,) = around.builds.inputs_of(evaluation, TEACHER)
    (challenger,) = around.builds.inputs_of(evaluation, export(chosen.winner))
    bench = Bench(around.file.recipe, around.builds, prompts, teacher)
    bench.log_golden_read(around.reader)
    with around.builds.one_heavy_task():
        models = [OnnxClassifier(folder / MODEL) for folder in (rival.bundle.folder, challenger.folder)]
        said = [model.logits(bench.texts).astype(np.float64) for model in models]
    if around.file.recipe.gives_numbers:
        its_recipe = json.loads((rival.bundle.folder / "recipe.json").read_bytes())
        said[0] = in_the_numbers_of(bench.task, said[0], ScoreSpec.in_recipe(its_recipe))
    of_champion, of_challenger = (Answers(logits, model.labels) for logits, model in zip(said, models, strict=True))
    return compare_with_champion(
        rival.served,
        of_champion,
        of_challenger,
        bench.golden,
        around.file.recipe.terms,
        task=bench.task,
        groups=bench.groups,
        learned=_rows_learned_from(around.builds, rival.bundle),
    )


def _rows_learned_from(builds: BuildStore, release: Artifact) -> set[str]:
    """Prompt ids that a release was trained or tuned on; under another split key some are golden rows now."""
    learned: set[str] = set()
    for prompts in builds.inputs_of(release, PROMPTS):
        rows = prompts.frame("prompts").filter(pl.col("split") != "golden")
        learned.update(rows["prompt_id"])
    for transfer_set in builds.inputs_of(release, TRANSFER_SET):
        learned.update(transfer_set.frame("transfer_set")["prompt_id"])
    return learned


def _what_models_read(builds: BuildStore, evaluation: Artifact) -> list[tuple[str, str]]:
    """What of the base batch was cut or unknown, which no measure on golden rows shows."""
    (prompts,) = builds.inputs_of(evaluation, PROMPTS)
    coverage = prompts.facts(PromptFacts).coverage
    if coverage is None:
        return []
    return [("texts", coverage.length_sentence), ("word pieces", coverage.unknown_sentence)]


def reported_of(recipe: Recipe, judged: list[Evaluation], chosen: Selection) -> Evaluation:
    """The chosen candidate; when there is none, the most accurate one, so that the report says what was missing.

    Of a student in several precisions only the one that stands for it, whose reason is known.
    """
    by_name = {e.name: e for e in judged}
    candidates = [standing_for(student, by_name) for student in recipe.students if student.learns_from != "labels"]
    return by_name[chosen.winner] if chosen.winner else max(candidates, key=lambda e: e.score.accuracy)


def _curve_of(builds: BuildStore, analyses: Artifact, student: str) -> Curve | None:
    """Training and validation loss by epoch of the student that the report is about."""
    for trained in builds.inputs_of(analyses, candidate(student)):
        training = trained.facts(CandidateFacts).training
        return None if training is None else training.losses
    return None
