"""The do-nothing options, judged before anything is spent on a student.

They come after the teacher, because the bar is a distance from it, and before the bulk of its signal is captured.

Belongs here: which options are tried and what is shown of them.
Does not: how they are fitted (stillhouse/evaluation/baselines.py).
"""

import json
import tempfile
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl

from assets.bench import Bench, bytes_below
from assets.keys import BASELINES, PROMPTS, TEACHER
from assets.stage import Shown, Work, markdown_table, stage_asset
from assets.teacher import MODEL, label_ids, labelled_rows
from stillhouse.digests import digest_of
from stillhouse.evaluation.harness import Evaluation
from stillhouse.recipe import RecipeFile
from stillhouse.workshop import Artifact, Facts


def baselines(file: RecipeFile) -> dg.AssetsDefinition:
    """Build the asset."""

    @stage_asset(
        file,
        BASELINES,
        inputs={"prompts": PROMPTS, "teacher": TEACHER},
        code=("evaluation", "economics", "data/splits", "students/export", "students/temperature"),
        kinds={"scikitlearn", "onnx"},
    )
    def judged_baselines(work: Work, prompts: Artifact, teacher: Artifact) -> Shown:
        """Majority class, TF-IDF with logistic regression, a probe on the untuned encoder and the int8 teacher."""
        bench = Bench(file.recipe, work.workshop, prompts, teacher)
        known = labelled_rows(prompts.frame("prompts"))
        with work.workshop.one_heavy_task():
            capture = bench.capture_golden()

        def build(folder: Path) -> Facts:
            bench.log_golden_read(work)
            with work.workshop.one_heavy_task():
                evaluations = _judge_all(file, bench, known)
            (folder / "evaluations.json").write_text(json.dumps([e.model_dump(mode="json") for e in evaluations]))
            return {"judged": [evaluation.name for evaluation in evaluations]}

        artifact = work.make(
            build,
            depends_on={**bench.depends_on(), "known": digest_of(known.select("prompt_id", "label", "split").rows())},
        )
        table = [evaluation_row(evaluation) for evaluation in read_evaluations(artifact)]
        return Shown(
            artifact,
            {"baselines": dg.MetadataValue.md(markdown_table(table)), "teacher_rows_computed": capture.computed},
        )

    return judged_baselines


def read_evaluations(artifact: Artifact) -> list[Evaluation]:
    """Read the evaluation reports in an artifact."""
    return [Evaluation.model_validate(item) for item in json.loads((artifact.folder / "evaluations.json").read_text())]


def evaluation_row(evaluation: Evaluation) -> dict[str, Any]:
    """One line of a comparison table."""
    low, high = evaluation.subject.accuracy_interval
    return {
        "model": evaluation.name,
        "accuracy": f"{evaluation.subject.accuracy:.3f} ({low:.3f} to {high:.3f})",
        "agreement": f"{evaluation.agreement:.3f}",
        "smaller": f"{evaluation.size_ratio:.1f}x",
        "faster": "not measured" if evaluation.latency_ratio is None else f"{evaluation.latency_ratio:.1f}x",
        "verdict": str(evaluation.verdict),
        "why": evaluation.summary,
    }


def _judge_all(file: RecipeFile, bench: Bench, known: pl.DataFrame) -> list[Evaluation]:
    from stillhouse.evaluation.baselines import linear_probe, majority, tfidf_logistic_regression
    from stillhouse.evaluation.subjects import Subject, SubjectKind
    from stillhouse.students.export import export_student
    from stillhouse.students.predictor import OnnxClassifier, TorchClassifier
    from stillhouse.teachers.classifier import build_classifier
    from stillhouse.teachers.intake import resolve_model

    fitting, validation = known.filter(pl.col("split") == "train"), known.filter(pl.col("split") == "validation")
    texts, labels = fitting["text"].to_list(), fitting["label"].to_list()
    ids = bench.golden["prompt_id"].to_list()
    spec = file.recipe.teacher
    with tempfile.TemporaryDirectory() as temporary:
        untuned, int8 = Path(temporary) / "untuned", Path(temporary) / "int8"
        build_classifier(resolve_model(spec.source, spec.revision), bench.classes, untuned, seed=0)
        encoder = TorchClassifier(untuned)
        fitted = [
            majority(labels, bench.texts, classes=bench.classes),
            tfidf_logistic_regression(texts, labels, bench.texts, classes=bench.classes),
            linear_probe(
                lambda batch: encoder.embeddings_and_logits(batch)[0],
                texts,
                labels,
                bench.texts,
                classes=bench.classes,
                encoder_bytes=bytes_below(untuned),
                name="probe on the untuned encoder",
            ),
        ]
        judged = [bench.judge(baseline.subject(ids), baseline.predict) for baseline in fitted]
        ids_of_classes = label_ids(validation["label"], bench.classes)
        export_student(bench.teacher.folder / MODEL, int8, validation["text"].to_list(), ids_of_classes)
        quantised = OnnxClassifier(int8)
        outputs = dict(zip(ids, quantised.logits(bench.texts).tolist(), strict=True))
        subject = Subject(
            "int8 teacher",
            SubjectKind.BASELINE,
            outputs,
            bytes_below(int8),
            temperature=quantised.temperature,
            note="the teacher in int8 ONNX",
            ask=quantised.logits,
        )
        return [*judged, bench.judge(subject, lambda text: quantised.logits([text]), folder=int8)]
