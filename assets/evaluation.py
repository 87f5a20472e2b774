"""The golden harness's verdict on every exported student.

Belongs here: which models are judged, and which control belongs to which student.
Does not: the harness (stillhouse/evaluation/), the choice among them (selection.py).
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dagster as dg

from assets.baselines import evaluation_row, read_evaluations
from assets.bench import Bench, JudgedModel, bytes_below
from assets.seeds import models_by_seed
from assets.stage import Shown, Work, markdown_table, picture, stage_asset
from assets.teacher import MODEL
from stillhouse.evaluation.harness import Evaluation
from stillhouse.recipe.contract import StudentSpec
from stillhouse.recipe.reading import RecipeFile
from stillhouse.records.builds import Artifact, Facts
from stillhouse.records.manifest import device
from stillhouse.stages.names import BASELINES, EVALUATION, PROMPTS, TEACHER, TEACHER_SIGNAL, export


def evaluation(file: RecipeFile) -> dg.AssetsDefinition:
    """Build the asset."""
    recipe = file.recipe
    exports = {f"export_{student.name}": export(student.name) for student in recipe.students}

    @stage_asset(
        file,
        EVALUATION,
        inputs={"prompts": PROMPTS, "teacher": TEACHER, "signal": TEACHER_SIGNAL, "baselines": BASELINES, **exports},
        kinds={"numpy"},
    )
    def judged_students(
        work: Work, prompts: Artifact, teacher: Artifact, signal: Artifact, baselines: Artifact, **exported: Artifact
    ) -> Shown:
        """Every exported student on the frozen golden set: quality, slices, fidelity, calibration, latency and size."""
        bench = Bench(recipe, work.workshop, prompts, teacher, teacher_mb=_teacher_mb(baselines))

        def build(folder: Path) -> Facts:
            bench.log_golden_read(work)
            with work.workshop.one_heavy_task():
                return _judge_students(file, bench, exported, folder)

        artifact = work.make(
            build, depends_on={**bench.depends_on(), "exports": {n: item.digest for n, item in exported.items()}}
        )
        evaluations = read_evaluations(artifact)
        shown = {
            "students": dg.MetadataValue.md(markdown_table([evaluation_row(e) for e in evaluations])),
            "teacher_accuracy": evaluations[0].teacher.accuracy,
            "golden_rows": evaluations[0].golden_rows,
            **{f"accuracy_{e.name}": e.subject.accuracy for e in evaluations},
        }
        for judged in evaluations:
            for name, draw in _pictures_of(judged).items():
                shown[f"{name}_{judged.name}"] = picture(work, artifact, f"{name}_{judged.name}", draw)
        return Shown(artifact, shown)

    return judged_students


def _teacher_mb(baselines: Artifact) -> float | None:
    """Memory that the teacher took beside the baselines, unless that was another kind of machine."""
    footprint = read_evaluations(baselines)[0].footprint
    return footprint.teacher_mb if footprint and baselines.manifest.device == device() else None


def _pictures_of(judged: Evaluation) -> dict[str, Callable[[], bytes]]:
    def slices() -> bytes:
        from stillhouse.report import plots

        return plots.slice_bars(judged.slices)

    def confusion() -> bytes:
        from stillhouse.report import plots

        return plots.confusion(judged)

    return {"slices": slices, "confusion": confusion} if judged.slices else {"confusion": confusion}


def control_of(recipe_students: tuple[StudentSpec, ...], student: StudentSpec) -> StudentSpec | None:
    """The student of the same shape that learns from the labels alone, if the recipe has one."""
    shape = (student.layers, student.feed_forward)
    controls = (s for s in recipe_students if s.learns_from == "labels" and (s.layers, s.feed_forward) == shape)
    return next(controls, None) if student.learns_from == "teacher" else None


def _judge_students(file: RecipeFile, bench: Bench, exported: dict[str, Artifact], folder: Path) -> Facts:
    from stillhouse.evaluation.comparison import compare_with_control
    from stillhouse.evaluation.models import Subject, SubjectKind
    from stillhouse.models.predictor import OnnxClassifier

    def one_by_one(model: OnnxClassifier) -> Callable[[str], Any]:
        return lambda text: model.logits([text])

    kinds = {"teacher": SubjectKind.STUDENT, "labels": SubjectKind.CONTROL, "nothing": SubjectKind.BASELINE}

    def answers(model: OnnxClassifier) -> dict[str, list[float]]:
        return dict(zip(bench.golden["prompt_id"], model.logits(bench.texts).tolist(), strict=True))

    subjects: dict[str, Subject] = {}
    models = []
    for student in file.recipe.students:
        artifact = exported[f"export_{student.name}"]
        model = OnnxClassifier(artifact.folder / MODEL)
        more = models_by_seed(artifact, student)
        kind = kinds[student.learns_from]
        learned = "as they are, not trained" if student.training is None else f"from {student.learns_from}"
        note = f"layers {', '.join(map(str, student.layers))} of the teacher, {learned}"
        subject = Subject(
            student.name,
            kind,
            answers(model),
            bytes_below(artifact.folder / MODEL),
            temperature=model.temperature,
            digest=artifact.digest,
            note=note,
            seed=None if student.training is None else student.training.seed,
            more_seeds={seed: answers(OnnxClassifier(path)) for seed, path in more.items()},
            ask=model.logits,
        )
        subjects[student.name] = subject
        models.append(JudgedModel(subject, one_by_one(model), folder=artifact.folder / MODEL))
    evaluations = bench.judge(models)
    comparisons = [
        compare_with_control(subjects[student.name], subjects[control.name], bench.golden, classes=bench.classes)
        for student in file.recipe.students
        if (control := control_of(file.recipe.students, student)) is not None
    ]
    (folder / "evaluations.json").write_text(json.dumps([e.model_dump(mode="json") for e in evaluations]))
    (folder / "comparisons.json").write_text(json.dumps([c.model_dump(mode="json") for c in comparisons]))
    return {
        "golden_digest": evaluations[0].golden_digest,
        "golden_rows": evaluations[0].golden_rows,
        "judged": {e.name: e.subject.digest for e in evaluations},
    }
