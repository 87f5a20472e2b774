"""The golden harness's verdict on every exported student.

Belongs here: which models are judged, and which control belongs to which student.
Does not: the harness (stillhouse/evaluation/), the choice among them (selection.py).
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from stillhouse.evaluation.comparison import compare_with_control, write_comparisons
from stillhouse.evaluation.harness import read_evaluations, write_evaluations
from stillhouse.evaluation.models import EvaluatedModel, ModelKind
from stillhouse.recipe.contract import Recipe, StudentSpec
from stillhouse.records.builds import Artifact, Plan
from stillhouse.stages.bench import Bench, JudgedModel, Reader, bytes_below
from stillhouse.stages.facts import EvaluationFacts, ExportFacts
from stillhouse.stages.names import MODEL
from stillhouse.students.seeds import models_by_seed


def plan(recipe: Recipe, bench: Bench, exported: Mapping[str, Artifact], reader: Reader) -> Plan[EvaluationFacts]:
    """Judge every exported student on the golden rows.

    Args:
        recipe: with the students.
        bench: golden rows and teacher, whose answers to them were captured.
        exported: the export of each student, by its name.
        reader: who judges.
    """

    def build(folder: Path) -> EvaluationFacts:
        bench.log_golden_read(reader)
        with bench.builds.one_heavy_task():
            return _judge_students(recipe, bench, exported, folder)

    return Plan(build, {**bench.depends_on(), "exports": {name: item.digest for name, item in exported.items()}})


def teacher_mb(baselines: Artifact, machine: str) -> float | None:
    """Memory that the teacher took beside the baselines, unless that was another machine than this."""
    footprint = read_evaluations(baselines.folder)[0].footprint
    return footprint.teacher_mb if footprint and baselines.manifest.device == machine else None


def control_of(recipe_students: tuple[StudentSpec, ...], student: StudentSpec) -> StudentSpec | None:
    """The student of the same shape that learns from the labels alone, if the recipe has one."""
    controls = (each for each in recipe_students if each.learns_from == "labels" and each.shape == student.shape)
    return next(controls, None) if student.learns_from == "teacher" else None


def _judge_students(recipe: Recipe, bench: Bench, exported: Mapping[str, Artifact], folder: Path) -> EvaluationFacts:
    from stillhouse.models.predictor import OnnxClassifier

    def one_by_one(model: OnnxClassifier) -> Callable[[str], Any]:
        return lambda text: model.logits([text])

    kinds = {"teacher": ModelKind.STUDENT, "labels": ModelKind.CONTROL, "nothing": ModelKind.BASELINE}

    def answers(model: OnnxClassifier) -> dict[str, list[float]]:
        return dict(zip(bench.golden["prompt_id"], model.logits(bench.texts).tolist(), strict=True))

    by_name: dict[str, EvaluatedModel] = {}
    models = []
    for student in recipe.students:
        artifact = exported[student.name]
        model = OnnxClassifier(artifact.folder / MODEL)
        more = models_by_seed(artifact.folder, artifact.facts(ExportFacts).seeds, student)
        kind = kinds[student.learns_from]
        learned = "as they are, not trained" if student.training is None else f"from {student.learns_from}"
        parts = f"layers {', '.join(map(str, student.layers))}" if student.layers else "static embeddings"
        note = f"{parts} of the {'teacher' if bench.runs_here else 'base'}, {learned}"
        evaluated = EvaluatedModel(
            student.name,
            kind,
            answers(model),
            bytes_below(artifact.folder / MODEL),
            temperature=model.temperature,
            digest=artifact.digest,
            note=note,
            seed=None if student.training is None else student.training.seed,
            more_seeds={seed: answers(OnnxClassifier(path)) for seed, path in more.items()},
            predict_logits=model.logits,
        )
        by_name[student.name] = evaluated
        models.append(JudgedModel(evaluated, one_by_one(model), folder=artifact.folder / MODEL))
    evaluations = bench.judge(models)
    comparisons = [
        compare_with_control(by_name[student.name], by_name[control.name], bench.golden, task=bench.task)
        for student in recipe.students
        if (control := control_of(recipe.students, student)) is not None
    ]
    write_evaluations(folder, evaluations)
    write_comparisons(folder, comparisons)
    return EvaluationFacts(
        golden_digest=evaluations[0].golden_digest,
        golden_rows=evaluations[0].golden_rows,
        judged={each.name: each.score.digest for each in evaluations},
    )
