"""Gates on a trained student: did training work, before anything is exported or judged?"""

import math
import tempfile
from pathlib import Path

from checks.gate import Finding, Subject, found, gate, gates_of_module
from stillhouse.digests import digest_of_file
from stillhouse.models.weights import verify_weights
from stillhouse.stages.facts import CandidateFacts, TrainingFacts
from stillhouse.stages.names import MODEL
from stillhouse.students.pruning import cut_from
from stillhouse.students.seeds import seed_folder


@gate("one weight that is not a number makes every answer one")
def every_weight_and_loss_is_finite(subject: Subject) -> Finding:
    """Weights as published, losses as recorded; of each seed."""
    models = _trainings(subject)
    parameters = sum(verify_weights(subject.artifact.folder / folder).parameters for folder in models)
    losses = [loss for training in models.values() for loss in _losses(training)]
    finite = all(math.isfinite(loss) for loss in losses)
    return found(finite, f"{parameters:,} weights and {len(losses)} epoch losses looked at")


@gate("a loss that did not fall is a learning rate, a target or a row order that is wrong")
def training_converged(subject: Subject) -> Finding:
    """The last epoch's loss is well under the first one's; for each seed."""
    models = {folder: _losses(training) for folder, training in _trainings(subject).items()}
    if not any(models.values()):
        return found(True, "it learns from nothing: there was nothing to train")
    share = subject.recipe.limits.training_loss_falls_to
    converged = all(len(losses) == 1 or losses[-1] < share * losses[0] for losses in models.values())
    told = (
        f"training loss {losses[0]:.4f} to {losses[-1]:.4f}{'' if folder == MODEL else f' ({folder})'}"
        for folder, losses in models.items()
    )
    return found(converged, ", ".join(told))


@gate("a student worse than guessing was trained on shuffled or empty targets")
def the_student_beats_the_majority_class(subject: Subject) -> Finding:
    """On validation rows, which it was not trained on."""
    prompts = subject.made_from("prompts").frame("prompts")
    labels = prompts.filter(prompts["split"] == "validation")["label"]
    guess = float(labels.value_counts()["count"].to_numpy().max() / len(labels))
    accuracy = subject.artifact.facts(CandidateFacts).validation_accuracy
    if accuracy is None:
        return found(False, "there is no validation row that it was asked")
    return found(accuracy > guess, f"validation accuracy {accuracy:.3f}, most frequent class {guess:.3f}")


@gate("a record of other weights is no record")
def the_weights_are_those_that_were_trained(subject: Subject) -> Finding:
    """The published files hash to what each training run reported, or to what is cut from the teacher once more.

    No two seeds gave the same.
    """
    models = _trainings(subject)
    published = {folder: digest_of_file(subject.artifact.folder / folder / "model.safetensors") for folder in models}
    reported = {folder: training.weights_digest for folder, training in models.items() if training is not None}
    if reported:
        told = ", ".join(f"{folder} trained {digest[:12]}" for folder, digest in reported.items())
        return found(published == reported and len(set(reported.values())) == len(reported), told)
    student = subject.recipe.student(subject.artifact.asset.rpartition("/")[2])
    texts = subject.made_from("transfer_set").frame("transfer_set")["text"]
    with tempfile.TemporaryDirectory() as temporary:
        cut_from(subject.made_from("teacher").folder / MODEL, student, texts, Path(temporary) / MODEL)
        cut = digest_of_file(Path(temporary) / MODEL / "model.safetensors")
    return found(published[MODEL] == cut, f"not trained; cut once more {cut[:12]}, published {published[MODEL][:12]}")


def _trainings(subject: Subject) -> dict[str, TrainingFacts | None]:
    """Of each model in the artifact by its folder, the one that ships first; None where it was not trained."""
    facts = subject.artifact.facts(CandidateFacts)
    return {MODEL: facts.training, **{seed_folder(seed): again.training for seed, again in facts.seeds.items()}}


def _losses(training: TrainingFacts | None) -> list[float]:
    """Of each epoch; none where nothing was trained."""
    return [] if training is None else training.losses[0]


GATES = gates_of_module(__name__)
