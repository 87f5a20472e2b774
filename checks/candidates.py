"""Gates on a trained student: did training work, before anything is exported or judged?"""

import math

from assets.teacher import MODEL
from checks.gate import Finding, StageGates, Subject, found, gate
from stillhouse.digests import digest_of_file
from stillhouse.teachers.intake import verify_weights


@gate("one weight that is not a number makes every answer one")
def every_weight_and_loss_is_finite(subject: Subject) -> Finding:
    """Weights as published, losses as recorded."""
    record = verify_weights(subject.artifact.folder / MODEL)
    losses = [epoch["train_loss"] for epoch in subject.artifact.facts["training"]["epochs"]]
    finite = all(math.isfinite(loss) for loss in losses)
    return found(finite, f"{record.parameters:,} weights and {len(losses)} epoch losses looked at")


@gate("a loss that did not fall is a learning rate, a target or a row order that is wrong")
def training_converged(subject: Subject) -> Finding:
    """The last epoch's loss is well under the first one's."""
    losses = [epoch["train_loss"] for epoch in subject.artifact.facts["training"]["epochs"]]
    return found(len(losses) == 1 or losses[-1] < 0.8 * losses[0], f"training loss {losses[0]:.4f} to {losses[-1]:.4f}")


@gate("a student worse than guessing was trained on shuffled or empty targets")
def it_beats_the_most_frequent_class(subject: Subject) -> Finding:
    """On validation rows, which it was not trained on."""
    prompts = subject.made_from("prompts").frame("prompts")
    labels = prompts.filter(prompts["split"] == "validation")["label"]
    guess = labels.value_counts()["count"].max() / len(labels)  # type: ignore[operator]
    accuracy = subject.artifact.facts["training"]["epochs"][-1]["validation_accuracy"]
    return found(accuracy > guess, f"validation accuracy {accuracy:.3f}, most frequent class {guess:.3f}")


@gate("a record of other weights is no record")
def the_weights_are_those_that_were_trained(subject: Subject) -> Finding:
    """The published file hashes to what the training run reported."""
    reported = subject.artifact.facts["training"]["weights_digest"]
    return found(
        digest_of_file(subject.artifact.folder / MODEL / "model.safetensors") == reported, f"trained {reported[:12]}"
    )


GATES = StageGates(
    (
        every_weight_and_loss_is_finite,
        training_converged,
        it_beats_the_most_frequent_class,
        the_weights_are_those_that_were_trained,
    )
)
