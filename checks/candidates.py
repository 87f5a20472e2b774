"""Gates on a trained student: did training work, before anything is exported or judged?"""

import math
import tempfile
from pathlib import Path

from assets.candidates import cut_from, validation_accuracy
from assets.teacher import MODEL
from checks.gate import Finding, StageGates, Subject, found, gate
from stillhouse.digests import digest_of_file
from stillhouse.teachers.intake import verify_weights


@gate("one weight that is not a number makes every answer one")
def every_weight_and_loss_is_finite(subject: Subject) -> Finding:
    """Weights as published, losses as recorded."""
    record = verify_weights(subject.artifact.folder / MODEL)
    losses = _losses(subject)
    finite = all(math.isfinite(loss) for loss in losses)
    return found(finite, f"{record.parameters:,} weights and {len(losses)} epoch losses looked at")


@gate("a loss that did not fall is a learning rate, a target or a row order that is wrong")
def training_converged(subject: Subject) -> Finding:
    """The last epoch's loss is well under the first one's."""
    losses = _losses(subject)
    if not losses:
        return found(True, "it learns from nothing: there was nothing to train")
    return found(len(losses) == 1 or losses[-1] < 0.8 * losses[0], f"training loss {losses[0]:.4f} to {losses[-1]:.4f}")


@gate("a student worse than guessing was trained on shuffled or empty targets")
def it_beats_the_most_frequent_class(subject: Subject) -> Finding:
    """On validation rows, which it was not trained on."""
    prompts = subject.made_from("prompts").frame("prompts")
    labels = prompts.filter(prompts["split"] == "validation")["label"]
    guess: float = labels.value_counts()["count"].max() / len(labels)  # type: ignore[operator, assignment]
    accuracy = validation_accuracy(subject.artifact)
    return found(accuracy > guess, f"validation accuracy {accuracy:.3f}, most frequent class {guess:.3f}")


@gate("a record of other weights is no record")
def the_weights_are_those_that_were_trained(subject: Subject) -> Finding:
    """The published file hashes to what the training run reported, or to what is cut from the teacher once more."""
    published = digest_of_file(subject.artifact.folder / MODEL / "model.safetensors")
    if "training" in subject.artifact.facts:
        reported = subject.artifact.facts["training"]["weights_digest"]
        return found(published == reported, f"trained {reported[:12]}")
    student = subject.recipe.student(subject.artifact.asset.rpartition("/")[2])
    texts = subject.made_from("transfer_set").frame("transfer_set")["text"]
    with tempfile.TemporaryDirectory() as temporary:
        cut_from(subject.made_from("teacher"), student, texts, Path(temporary) / MODEL)
        cut = digest_of_file(Path(temporary) / MODEL / "model.safetensors")
    return found(published == cut, f"not trained; cut once more {cut[:12]}, published {published[:12]}")


def _losses(subject: Subject) -> list[float]:
    """Of each epoch; none where nothing was trained."""
    return [epoch["train_loss"] for epoch in subject.artifact.facts.get("training", {"epochs": []})["epochs"]]


GATES = StageGates(
    (
        every_weight_and_loss_is_finite,
        training_converged,
        it_beats_the_most_frequent_class,
        the_weights_are_those_that_were_trained,
    )
)
