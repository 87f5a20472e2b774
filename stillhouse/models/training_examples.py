"""What a training learns from, and whether that fits the configuration and the network.

Belongs here: the examples, leaving out those that a loss has nothing to say about, refusing what does not fit before
anything is computed.
Does not: the loop (training.py), trying the losses on some of them (preflight.py), which rows these are
(students/examples.py).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from stillhouse.arrays import Float32Array
from stillhouse.errors import StillhouseError
from stillhouse.recipe.losses import SAME_WIDTH
from stillhouse.recipe.training import TrainingConfig
from stillhouse.tasks.task import Targets, Task

if TYPE_CHECKING:
    from stillhouse.models.network import TextClassifier


@dataclass(frozen=True)
class TrainingExamples:
    """What to learn from, and what to watch.

    Attributes:
        texts: n of them.
        targets: shape (n,), labels in the task's coding.
        task: what an answer is.
        teacher_logits: shape (n, outputs), or None.
        teacher_embeddings: shape (n, width), or None.
        validation_texts: m of them, may be none.
        validation_targets: shape (m,), all known.
        row_weights: shape (n,), what each counts, 0 or more and 1 in the mean; None where each counts 1.
        teacher_layers: shape (n, width) for each layer of the teacher that a layer learns, by its number.
    """

    texts: Sequence[str]
    targets: Targets
    task: Task
    teacher_logits: Float32Array | None = None
    teacher_embeddings: Float32Array | None = None
    validation_texts: Sequence[str] = ()
    validation_targets: Targets = field(default_factory=lambda: np.empty(0, np.int64))
    row_weights: Float32Array | None = None
    teacher_layers: Mapping[int, Float32Array] = field(default_factory=dict)


def usable(examples: TrainingExamples, config: TrainingConfig) -> TrainingExamples:
    """Check the arrays against the texts, and drop the rows that the loss has nothing to say about.

    Raises:
        StillhouseError: if an array that is needed is missing or does not match, or no row is left.
    """
    task, targets = examples.task, np.asarray(examples.targets)
    _require_losses_of(task, config)
    known = task.known(targets)
    wanted: dict[str, npt.NDArray[Any] | None] = {"targets": np.where(known, targets, 0)}
    if config.loss != "labels":
        wanted["teacher_logits"] = examples.teacher_logits
    if config.pooled_losses:
        wanted["teacher_embeddings"] = examples.teacher_embeddings
    for number in config.learned_layers:
        wanted[f"states after layer {number} of the teacher"] = examples.teacher_layers.get(number)
    if examples.row_weights is not None:
        wanted["row_weights"] = examples.row_weights
    for name, array in wanted.items():
        if array is None or len(array) != len(examples.texts) or not np.isfinite(array).all():
            found = "no" if array is None else f"{len(array)} rows of"
            raise StillhouseError(
                f"{found} {name} for {len(examples.texts)} texts",
                where="training examples",
                expected="one finite row per text",
                do="Materialize teacher_signal, or train with loss labels.",
            )
    keep = np.flatnonzero(known) if config.loss == "labels" else np.arange(len(known))
    if len(keep) == 0:
        raise StillhouseError(
            "nothing to learn from",
            where="training examples",
            expected="at least one labelled row",
            do="Label some rows, or learn from a teacher with loss logit_mse.",
        )

    def rows(array: Float32Array | None) -> Float32Array | None:
        return None if array is None else np.asarray(array, np.float32)[keep]

    return TrainingExamples(
        texts=[examples.texts[row] for row in keep.tolist()],
        targets=targets[keep],
        task=task,
        teacher_logits=rows(examples.teacher_logits),
        teacher_embeddings=rows(examples.teacher_embeddings),
        validation_texts=examples.validation_texts,
        validation_targets=np.asarray(examples.validation_targets),
        row_weights=rows(examples.row_weights),
        teacher_layers={
            number: np.asarray(states, np.float32)[keep] for number, states in examples.teacher_layers.items()
        },
    )


def require_fitting(examples: TrainingExamples, network: "TextClassifier", config: TrainingConfig) -> None:
    """Check the arrays against the model, before any compute.

    Raises:
        StillhouseError: if one of them is of another shape than the network has.
    """
    states = None if config.pooled_losses.isdisjoint(SAME_WIDTH) else examples.teacher_embeddings
    names, width = examples.task.names, network.width
    others = {array.shape[1:] for array in examples.teacher_layers.values()} - {(width,)}
    last = max(config.own_layers, default=-1)
    problem = None
    if tuple(network.labels) != names:
        problem = f"answers of {', '.join(names)}", f"those of the network: {', '.join(network.labels)}"
    elif examples.teacher_logits is not None and examples.teacher_logits.shape[1:] != (len(names),):
        problem = f"teacher logits of shape {examples.teacher_logits.shape}", f"{len(names)} outputs: {network.labels}"
    elif states is not None and states.shape[1:] != (width,):
        problem = f"teacher embeddings of shape {states.shape}", f"the student's width {width}"
    elif others:
        problem = f"states after the teacher's layers of shape {others.pop()}", f"the student's width {width}"
    elif last >= 0 and last >= network.family.sizes(network.config).layers:
        problem = f"a layer {last} that learns another", f"one of {network.family.sizes(network.config).layers} layers"
    elif len(examples.validation_texts) != len(examples.validation_targets):
        problem = f"{len(examples.validation_targets)} validation labels", f"{len(examples.validation_texts)}"
    if problem is not None:
        raise StillhouseError(
            problem[0],
            where="training examples",
            expected=problem[1],
            do="Build teacher, signal and student from one recipe.",
        )


def require_range(config: TrainingConfig, network: "TextClassifier") -> None:
    """Refuse bfloat16 where transformers masks with a number that it cannot hold.

    Raises:
        StillhouseError: if the encoder cannot be trained in it.
    """
    family = network.family
    if config.bfloat16 and not family.trains_in_bfloat16:
        raise StillhouseError(
            f"an encoder of type {family.model_type} cannot be trained in bfloat16",
            where="training.bfloat16",
            expected="false",
            do="Leave it out, or choose an encoder of another type.",
        )


def _require_losses_of(task: Task, config: TrainingConfig) -> None:
    """Refuse what this kind of answer has no way to cost."""
    losses = [term.loss for _, term in config.terms if term.loss is not None]
    foreign = [loss for loss in losses if loss not in ("labels", *task.teacher_losses)]
    if foreign:
        raise StillhouseError(
            f"there is no loss {foreign[0]!r} for this kind of answer",
            where="training",
            expected=", ".join(["labels", *task.teacher_losses]),
            do="Choose another loss in the recipe.",
        )
    if config.contrast_weight > 0 and task.classes is None:
        raise StillhouseError(
            "these answers are not classes, so no two texts share one",
            where="training.contrast_weight",
            expected="data.answer: single_label",
            do="Leave contrast_weight out of the recipe.",
        )
