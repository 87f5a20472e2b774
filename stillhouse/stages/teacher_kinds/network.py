"""An encoder that is fine-tuned on the labelled rows, or one that classifies already.

Belongs here: which rows it learns from, and what is measured of it.
Does not: the loop (stillhouse/models/training.py), taking a classifier as it is (stillhouse/teachers/classifier.py).
"""

import json
import shutil
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from stillhouse.arrays import BoolArray
from stillhouse.device import Device
from stillhouse.recipe.training import TrainingConfig
from stillhouse.records.builds import Plan
from stillhouse.stages.facts import TeacherFacts
from stillhouse.stages.names import MODEL
from stillhouse.stages.teacher_kinds.making import Making
from stillhouse.stages.trained import training_facts
from stillhouse.students.examples import labelled_examples
from stillhouse.tasks.score import NumericScore
from stillhouse.teachers.forgetting import TEXTS, NeighboursKept, neighbours_kept
from stillhouse.teachers.own_scale import OwnScale, own_scale

if TYPE_CHECKING:
    from stillhouse.models.pretrained import BaseModel
    from stillhouse.models.training import TrainingReport
    from stillhouse.models.training_examples import TrainingExamples


def plan(making: Making) -> Plan[TeacherFacts]:
    """Fine-tune an encoder on the labelled rows of the base batch, or take a classifier as it is."""
    spec = making.file.recipe.teacher
    # How many neighbours have to be kept is for the gate alone.
    asked_twice = {} if spec.neighbours_kept_at_least is None else {"asked_before_and_after": True}
    seeds = {} if spec.training is None else {"training": spec.training.seed}
    # The same texts may be pairs, or texts with a separator written into them.
    pairs = {"reads_two_texts": True} if spec.training is None and making.file.recipe.data.query is not None else {}
    return making.plan(partial(_build, making), depends_on={**asked_twice, **pairs}, seeds=seeds)


def _build(making: Making, folder: Path) -> TeacherFacts:
    from stillhouse.models.predictor import TorchClassifier
    from stillhouse.models.temperature_scaling import temperature_of
    from stillhouse.models.weights import verify_weights

    spec, task, base, device = making.file.recipe.teacher, making.task, making.base, making.builds.device
    examples = labelled_examples(making.rows, task)
    report: TrainingReport | None = None
    neighbours: NeighboursKept | None = None
    scale: OwnScale | None = None
    right: BoolArray | None = None
    with making.builds.one_heavy_task():
        if spec.training is None:
            _taken(making, folder / MODEL)
            if isinstance(task, NumericScore):
                scale, right = _on_its_scale(making, folder / MODEL, examples, task)
        else:
            report = _trained(making, folder, examples, spec.training)
            if spec.neighbours_kept_at_least is not None:
                neighbours = _neighbours(base, folder, examples, device)
        logits = TorchClassifier(folder / MODEL, device).logits(examples.validation_texts)
    temperature = temperature_of(task, logits, examples.validation_targets)
    calibration = {"temperature": temperature, "rows": len(examples.validation_texts)}
    (folder / "calibration.json").write_text(json.dumps(calibration))
    return making.facts(
        verify_weights(folder / MODEL).fingerprint,
        right=int((task.right(logits, examples.validation_targets) if right is None else right).sum()),
        parameters=base.record.parameters,
        temperature=temperature,
        training=report and training_facts(report),
        neighbours=neighbours,
        own_scale=scale,
    )


def _taken(making: Making, model: Path) -> None:
    """Take a classifier as it is."""
    from stillhouse.teachers.classifier import take_classifier

    spec, data = making.file.recipe.teacher, making.file.recipe.data
    take_classifier(
        making.base.folder,
        making.task.names,
        model,
        rename=spec.rename,
        max_tokens=spec.longest_text,
        answer=data.answer,
        pairs=data.query is not None,
    )


def _on_its_scale(
    making: Making, model: Path, examples: "TrainingExamples", task: NumericScore
) -> tuple[OwnScale, BoolArray]:
    """Have a head give numbers of the recipe; and which validation rows are right, each by the line of the others."""
    from stillhouse.models.network import put_on_a_scale
    from stillhouse.models.predictor import TorchClassifier
    from stillhouse.teachers.classifier import has_sigmoid

    own = TorchClassifier(model, making.builds.device).logits(examples.validation_texts)[:, 0].astype(np.float64)
    targets = examples.validation_targets
    where = making.file.where("teacher", "source")
    scale, others = own_scale(own, task.numbers(targets), sigmoid=has_sigmoid(making.base.folder), where=where)
    put_on_a_scale(model, slope=scale.slope / task.half, intercept=float(task.outputs(np.array(scale.intercept))))
    return scale, task.right(task.outputs(others)[:, None], targets)


def _neighbours(base: "BaseModel", folder: Path, examples: "TrainingExamples", device: Device) -> NeighboursKept:
    """Ask the encoder about the same texts as it was published and as it is now; they are in an order of no meaning."""
    from stillhouse.models.predictor import TorchClassifier
    from stillhouse.teachers.classifier import build_classifier

    texts = [*dict.fromkeys([*examples.texts, *examples.validation_texts])][:TEXTS]
    untrained = folder / "untrained"
    build_classifier(base.folder, examples.task.names, untrained, seed=0)
    before, after = (TorchClassifier(each, device).answer(texts).embeddings for each in (untrained, folder / MODEL))
    shutil.rmtree(untrained)
    return neighbours_kept(before, after)


def _trained(making: Making, folder: Path, examples: "TrainingExamples", training: TrainingConfig) -> "TrainingReport":
    """Put a classifier on the encoder, and train both, or the classifier alone."""
    from stillhouse.models.training import train
    from stillhouse.teachers.classifier import build_classifier

    untrained = folder / "untrained"
    record = making.file.recipe.data.record
    build_classifier(making.base.folder, examples.task.names, untrained, training.seed, record=record)
    head_alone = not making.file.recipe.teacher.fine_tune
    device = making.builds.device
    report = train(
        untrained, folder / MODEL, examples, training, making.checkpoints, head_alone=head_alone, device=device
    )
    shutil.rmtree(untrained)
    return report
