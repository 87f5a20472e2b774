"""The teacher: verified weights, fine-tuned on the labelled rows or as they are, calibrated, pinned by fingerprint.

Belongs here: which rows it learns from, and in which order it is made.
Does not: verification and calibration (stillhouse/teachers/), the loop (stillhouse/models/training.py).
"""

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from stillhouse.digests import digest_of
from stillhouse.recipe.reading import RecipeFile
from stillhouse.recipe.training import TrainingConfig
from stillhouse.records.builds import Artifact, BuildStore, Plan
from stillhouse.stages.facts import PromptFacts, TeacherFacts
from stillhouse.stages.names import MODEL, TEACHER
from stillhouse.stages.trained import training_facts
from stillhouse.students.examples import labelled_examples, labelled_rows
from stillhouse.tasks import task_of

if TYPE_CHECKING:
    from stillhouse.models.training import TrainingExamples, TrainingReport
    from stillhouse.models.weights import BaseModel


def plan(file: RecipeFile, prompts: Artifact, base: "BaseModel", builds: BuildStore) -> Plan[TeacherFacts]:
    """Fine-tune an encoder on the labelled rows of the base batch, or take a classifier as it is.

    The base batch alone, so that new files never change it unasked.

    Args:
        file: the recipe.
        prompts: the prompt set of the base batch.
        base: the weights to begin with, open as long as the plan is used.
        builds: keeps checkpoints.
    """
    spec = file.recipe.teacher
    task = task_of(file.recipe.data.answer, prompts.facts(PromptFacts).labels)
    rows = labelled_rows(prompts.frame("prompts"))

    def build(folder: Path) -> TeacherFacts:
        from stillhouse.models.predictor import TorchClassifier
        from stillhouse.models.temperature_scaling import temperature_of
        from stillhouse.models.weights import verify_weights

        examples = labelled_examples(rows, task)
        with builds.one_heavy_task():
            if spec.training is None:
                _taken(folder / MODEL)
                report = None
            else:
                report = _fine_tuned(folder, examples, spec.training)
            logits = TorchClassifier(folder / MODEL).logits(examples.validation_texts)
        temperature = temperature_of(task, logits, examples.validation_targets)
        calibration = {"temperature": temperature, "rows": len(examples.validation_texts)}
        (folder / "calibration.json").write_text(json.dumps(calibration))
        return TeacherFacts(
            fingerprint=verify_weights(folder / MODEL).fingerprint,
            base_fingerprint=base.record.fingerprint,
            parameters=base.record.parameters,
            answer=file.recipe.data.answer,
            labels=task.names,
            temperature=temperature,
            validation_right=int(task.right(logits, examples.validation_targets).sum()),
            validation_rows=len(examples.validation_texts),
            training=report and training_facts(report),
        )

    def _fine_tuned(folder: Path, examples: "TrainingExamples", training: TrainingConfig) -> "TrainingReport":
        from stillhouse.models.training import train
        from stillhouse.teachers.classifier import build_classifier

        untrained = folder / "untrained"
        build_classifier(base.folder, task.names, untrained, training.seed)
        checkpoints = builds.home.checkpoints / file.name / TEACHER
        report = train(untrained, folder / MODEL, examples, training, checkpoints)
        shutil.rmtree(untrained)
        return report

    def _taken(out: Path) -> None:
        from stillhouse.teachers.classifier import take_classifier

        take_classifier(base.folder, task.names, out, rename=spec.rename, max_tokens=spec.longest_text)

    return Plan(
        build,
        {
            "rows": digest_of(rows.select("prompt_id", "label", "split").rows()),
            "labels": task.names,
            "base": base.record.fingerprint,
        },
        config=spec.model_dump(mode="json", include={"kind", "training", "rename", "max_tokens"}),
        seeds={} if spec.training is None else {"training": spec.training.seed},
        # Not in the config, on which the content depends: the same weights from elsewhere are the same.
        external_inputs=base.external_inputs(spec.address),
    )
