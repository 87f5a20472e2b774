"""The teacher: verified weights, fine-tuned on the labelled rows, calibrated, pinned by fingerprint.

Belongs here: which rows it learns from, and what is shown of it.
Does not: verification and calibration (stillhouse/teachers/), the loop (stillhouse/models/training.py).
"""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg
import numpy as np
import polars as pl

from assets.stage import Shown, Work, picture, stage_asset
from stillhouse.digests import digest_of
from stillhouse.recipe.reading import RecipeFile
from stillhouse.records.builds import Artifact, Facts
from stillhouse.stages.names import CONTRACT, PROMPTS, TEACHER

if TYPE_CHECKING:
    from stillhouse.models.training import TrainingExamples, TrainingReport

MODEL = "model"


def teacher(file: RecipeFile) -> dg.AssetsDefinition:
    """Build the asset."""
    spec = file.recipe.teacher

    @stage_asset(
        file,
        TEACHER,
        inputs={"contract": CONTRACT, "prompts": PROMPTS},
        kinds={"pytorch", "huggingface"},
    )
    def fine_tuned_teacher(work: Work, contract: Artifact, prompts: Artifact) -> Shown:
        """The teacher, fine-tuned on the labelled rows of the base batch, so that new files never change it unasked."""
        from stillhouse.models.temperature_scaling import calibrate_temperature
        from stillhouse.models.training import train
        from stillhouse.models.weights import base_model, verify_weights
        from stillhouse.teachers.classifier import build_classifier

        labels: list[str] = prompts.facts["labels"]
        rows = labelled_rows(prompts.frame("prompts"))

        def build(folder: Path) -> Facts:
            from stillhouse.models.predictor import TorchClassifier

            untrained = folder / "untrained"
            build_classifier(base.folder, labels, untrained, spec.training.seed)
            examples = labelled_examples(rows, labels)
            checkpoints = work.workshop.home.checkpoints / file.name / TEACHER
            with work.workshop.one_heavy_task():
                report = train(untrained, folder / MODEL, examples, spec.training, checkpoints)
                logits = TorchClassifier(folder / MODEL).logits(examples.validation_texts)
            for left in untrained.iterdir():
                left.unlink()
            untrained.rmdir()
            temperature = calibrate_temperature(logits, examples.validation_label_ids)
            calibration = {"temperature": temperature, "rows": len(examples.validation_texts)}
            (folder / "calibration.json").write_text(json.dumps(calibration))
            right = int((logits.argmax(1) == examples.validation_label_ids).sum())
            return {
                "fingerprint": verify_weights(folder / MODEL).fingerprint,
                "base_fingerprint": base.record.fingerprint,
                "parameters": base.record.parameters,
                "labels": labels,
                "temperature": temperature,
                "validation_right": right,
                "validation_rows": len(examples.validation_texts),
                "training": training_facts(report),
            }

        with base_model(spec.source, spec.revision, work.workshop.store) as base:
            artifact = work.make(
                build,
                depends_on={"rows": _digest(rows), "labels": labels, "base": base.record.fingerprint},
                config={"training": spec.training.model_dump(mode="json")},
                seeds={"training": spec.training.seed},
                # Not in the config, on which the content depends: the same weights from elsewhere are the same.
                external_inputs=base.external_inputs(spec.address),
            )
        facts = artifact.facts
        return Shown(
            artifact,
            {
                "fingerprint": facts["fingerprint"],
                "licence": spec.licence,
                "parameters": facts["parameters"],
                "validation_accuracy": facts["validation_right"] / facts["validation_rows"],
                "temperature": facts["temperature"],
                "labelled_rows": facts["training"]["examples"],
                "learning_curve": learning_curve(work, artifact),
            },
        )

    return fine_tuned_teacher


def labelled_rows(prompts: pl.DataFrame) -> pl.DataFrame:
    """Rows of training and validation whose label is known, in a fixed order."""
    return prompts.filter(pl.col("label").is_not_null() & (pl.col("split") != "golden")).sort("prompt_id")


def labelled_examples(rows: pl.DataFrame, labels: list[str]) -> "TrainingExamples":
    """Turn labelled rows into examples to train on and examples to watch."""
    from stillhouse.models.training import TrainingExamples

    train, validation = rows.filter(pl.col("split") == "train"), rows.filter(pl.col("split") == "validation")
    return TrainingExamples(
        texts=train["text"].to_list(),
        label_ids=label_ids(train["label"], labels),
        validation_texts=validation["text"].to_list(),
        validation_label_ids=label_ids(validation["label"], labels),
    )


def label_ids(names: pl.Series, labels: list[str]) -> "np.typing.NDArray[np.int64]":
    """Class numbers of label names, -1 where the label is unknown."""
    place = {name: number for number, name in enumerate(labels)}
    return np.array([-1 if name is None else place[name] for name in names], dtype=np.int64)


def training_facts(report: "TrainingReport") -> dict[str, Any]:
    """What of a training report does not change from run to run, and so may be part of the record."""
    facts = asdict(report)
    return {
        name: facts[name]
        for name in ("epochs", "examples", "steps", "weights_digest", "examples_per_second", "seconds")
    }


def learning_curve(work: Work, artifact: Artifact) -> dg.MarkdownMetadataValue:
    """Show training and validation loss by epoch."""

    def draw() -> bytes:
        from stillhouse.report import plots

        epochs = artifact.facts["training"]["epochs"]
        return plots.learning_curve(*([epoch[name] for epoch in epochs] for name in ("train_loss", "validation_loss")))

    return picture(work, artifact, "learning_curve", draw)


def _digest(rows: pl.DataFrame) -> str:
    return digest_of(rows.select("prompt_id", "label", "split").rows())
