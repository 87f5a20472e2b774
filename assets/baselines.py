"""The do-nothing options, judged before anything is spent on a student.

They come after the teacher, because the bar is a distance from it, and before the bulk of its signal is captured.

Belongs here: which options are tried and what is shown of them.
Does not: how they are fitted (stillhouse/evaluation/baselines/).
"""

import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg
import polars as pl

from assets.bench import Bench, JudgedModel, bytes_below
from assets.stage import Shown, Work, markdown_table, stage_asset
from assets.teacher import MODEL, label_ids, labelled_rows
from stillhouse.digests import digest_of
from stillhouse.errors import StillhouseError
from stillhouse.evaluation.harness import Evaluation
from stillhouse.recipe.reading import RecipeFile
from stillhouse.records.builds import Artifact, Facts
from stillhouse.stages.names import BASELINES, PROMPTS, TEACHER

if TYPE_CHECKING:
    from stillhouse.models.weights import BaseModel

PROBE, STATIC = "linear probe on the untuned encoder", "static embeddings of the teacher"
INT8, PRUNED = "int8 teacher", "pruned teacher"
OPTIONS = ("majority class", "TF-IDF + logistic regression", PROBE, STATIC, INT8, PRUNED)
"""What there is to take without training a student, in the order of the reports."""


def baselines(file: RecipeFile) -> dg.AssetsDefinition:
    """Build the asset."""

    @stage_asset(
        file,
        BASELINES,
        inputs={"prompts": PROMPTS, "teacher": TEACHER},
        kinds={"scikitlearn", "onnx"},
    )
    def judged_baselines(work: Work, prompts: Artifact, teacher: Artifact) -> Shown:
        """Majority class, TF-IDF, a probe on the untuned encoder, the teacher as static embeddings, in int8, pruned."""
        bench = Bench(file.recipe, work.workshop, prompts, teacher)
        known = labelled_rows(prompts.frame("prompts"))
        with work.workshop.one_heavy_task():
            capture = bench.capture_golden()

        def build(folder: Path) -> Facts:
            bench.log_golden_read(work)
            with work.workshop.one_heavy_task():
                evaluations = _judge_all(file, bench, known)
            (folder / "evaluations.json").write_text(json.dumps([e.model_dump(mode="json") for e in evaluations]))
            return {"judged": [evaluation.name for evaluation in evaluations], "as_students": as_students(teacher)}

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
    spread = evaluation.seeds
    by_seed = f"; {len(spread.scores)} seeds {spread.smallest:.3f} to {spread.largest:.3f}" if spread else ""
    return {
        "model": evaluation.name,
        "accuracy": f"{evaluation.subject.accuracy:.3f} ({low:.3f} to {high:.3f}){by_seed}",
        "agreement": f"{evaluation.agreement:.3f}",
        "smaller": f"{evaluation.size_ratio:.1f}x",
        "faster": "not measured" if evaluation.latency_ratio is None else f"{evaluation.latency_ratio:.1f}x",
        "verdict": str(evaluation.verdict),
        "why": evaluation.summary,
    }


def as_students(teacher: Artifact) -> dict[str, str]:
    """What a recipe has to say among its students to release an option, for those that are of the teacher's own layers.

    The vocabulary stays whole, so that what is released is what was judged.
    """
    from stillhouse.models.network import read_config

    config = read_config(teacher.folder / MODEL)
    layers = f"layers: {list(range(config['num_hidden_layers']))}"
    rest = "learns_from: nothing, trim_vocabulary: false"
    return {
        INT8: f"{{name: int8_teacher, {layers}, {rest}}}",
        PRUNED: f"{{name: pruned_teacher, {layers}, feed_forward: {config['intermediate_size'] // 2}, {rest}}}",
    }


def _judge_all(file: RecipeFile, bench: Bench, known: pl.DataFrame) -> list[Evaluation]:
    from stillhouse.evaluation.baselines.fitted import linear_probe, majority, tfidf_logistic_regression
    from stillhouse.evaluation.baselines.static_embeddings import static_embeddings
    from stillhouse.models.network import read_config
    from stillhouse.models.predictor import TorchClassifier
    from stillhouse.models.weights import base_model
    from stillhouse.students.pruning import narrow_feed_forward
    from stillhouse.teachers.classifier import build_classifier

    fitting, validation = known.filter(pl.col("split") == "train"), known.filter(pl.col("split") == "validation")
    texts, labels = fitting["text"].to_list(), fitting["label"].to_list()
    ids = bench.golden["prompt_id"].to_list()
    spec, teacher = file.recipe.teacher, bench.teacher.folder / MODEL
    with tempfile.TemporaryDirectory() as temporary:
        untuned, pruned = Path(temporary) / "untuned", Path(temporary) / "pruned"
        with base_model(spec.source, spec.revision, bench.workshop.store) as base:
            _require_same_weights(bench.teacher, base)
            build_classifier(base.folder, bench.classes, untuned, seed=0)
        encoder, static = TorchClassifier(untuned), static_embeddings(teacher)
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
                name=PROBE,
            ),
            linear_probe(
                static.embed,
                texts,
                labels,
                bench.texts,
                classes=bench.classes,
                encoder_bytes=static.size_bytes,
                name=STATIC,
            ),
        ]
        units = read_config(teacher)["intermediate_size"]
        narrow_feed_forward(teacher, units // 2, pruned)
        halved = f"{units // 2} of {units} units of each feed-forward block, not trained again, in int8 ONNX"
        int8 = Path(temporary) / "int8"
        return bench.judge(
            [
                *(JudgedModel(baseline.subject(ids), baseline.predict) for baseline in fitted),
                _in_int8(INT8, teacher, int8 / "teacher", "the teacher in int8 ONNX", bench, validation),
                _in_int8(PRUNED, pruned, int8 / "pruned", f"the teacher with {halved}", bench, validation),
            ]
        )


def _require_same_weights(teacher: Artifact, base: "BaseModel") -> None:
    """Refuse other weights than those that the teacher began with: an option is compared with that teacher."""
    began_with, found = teacher.facts["base_fingerprint"], base.record.fingerprint
    if found != began_with:
        raise StillhouseError(
            f"the pretrained weights are not those that the teacher began with: they hash to {found[:12]}",
            where=str(teacher.address),
            expected=f"fingerprint {began_with[:12]}",
            do="Put the weights back, or materialize teacher again.",
        )


def _in_int8(name: str, model: Path, exported: Path, note: str, bench: Bench, validation: pl.DataFrame) -> JudgedModel:
    from stillhouse.evaluation.models import Subject, SubjectKind
    from stillhouse.models.export import export_student
    from stillhouse.models.predictor import OnnxClassifier

    export_student(model, exported, validation["text"].to_list(), label_ids(validation["label"], bench.classes))
    quantised = OnnxClassifier(exported)
    outputs = dict(zip(bench.golden["prompt_id"], quantised.logits(bench.texts).tolist(), strict=True))
    subject = Subject(
        name,
        SubjectKind.BASELINE,
        outputs,
        bytes_below(exported),
        temperature=quantised.temperature,
        note=note,
        ask=quantised.logits,
    )
    return JudgedModel(subject, lambda text: quantised.logits([text]), folder=exported)
