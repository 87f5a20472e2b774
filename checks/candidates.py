"""Gates on a trained student: did training work, before anything is exported or judged?"""

import math
import tempfile
from pathlib import Path

import numpy as np

from checks.gate import Finding, GateContext, gate, gates_of_module, none_of, passed_if
from stillhouse.digests import digest_of_file
from stillhouse.models.weights import finite_weights
from stillhouse.stages.facts import CandidateFacts, TrainingFacts
from stillhouse.stages.names import MODEL
from stillhouse.students.pruning import cut_from
from stillhouse.students.seeds import seed_folder


@gate("a single NaN weight makes every output NaN")
def every_weight_and_loss_is_finite(context: GateContext) -> Finding:
    """Weights as published, losses as recorded; of each seed."""
    models = _trainings(context)
    parameters = sum(finite_weights(context.artifact.folder / folder) for folder in models)
    losses = [loss for training in models.values() for loss in _losses(training)]
    infinite = sum(not math.isfinite(loss) for loss in losses)
    return none_of(infinite, f"{parameters:,} weights and {len(losses)} epoch losses looked at")


@gate("a loss that does not fall points to a wrong learning rate, target or row order")
def training_converged(context: GateContext) -> Finding:
    """The last epoch's loss is well under the first one's; for each seed."""
    models = {folder: _losses(training) for folder, training in _trainings(context).items()}
    if not any(models.values()):
        return passed_if(True, "it learns from nothing: there was nothing to train")
    share = context.recipe.limits.training_loss_falls_to
    converged = all(len(losses) == 1 or losses[-1] < share * losses[0] for losses in models.values())
    detail = (
        f"training loss {losses[0]:.4f} to {losses[-1]:.4f}{'' if folder == MODEL else f' ({folder})'}"
        for folder, losses in models.items()
    )
    least = max((losses[-1] / losses[0] for losses in models.values() if len(losses) > 1 and losses[0]), default=None)
    return passed_if(converged, ", ".join(detail), observed=least, limit=share)


@gate("a student worse than guessing was trained on shuffled or empty targets")
def the_student_beats_the_majority_class(context: GateContext) -> Finding:
    """On validation rows, which it was not trained on."""
    prompts = context.made_from("prompts").frame("prompts")
    labels = prompts.filter(prompts["split"] == "validation")["label"]
    made = context.artifact.facts(CandidateFacts)
    accuracy = made.validation_accuracy
    if accuracy is None:
        return passed_if(False, "there is no validation row that it was asked")
    if context.recipe.gives_numbers or context.recipe.gives_records:
        targets = made.task.targets(labels)
        always = np.tile(made.task.constant(targets), (len(targets), 1))
        which = f"best single {'number' if context.recipe.gives_numbers else 'record'}"
        guess = float(made.task.right(always, targets).mean())
    else:
        which = "most frequent class"
        guess = float(labels.value_counts()["count"].to_numpy().max() / len(labels))
    said = f"validation accuracy {accuracy:.3f}, {which} {guess:.3f}"
    return passed_if(accuracy > guess, said, observed=accuracy, limit=guess)


@gate("the trained and the published weights must be the same")
def the_weights_are_those_that_were_trained(context: GateContext) -> Finding:
    """The published files hash to what each training run reported, or to what is cut from the teacher once more.

    No two seeds gave the same.
    """
    models = _trainings(context)
    published = {folder: digest_of_file(context.artifact.folder / folder / "model.safetensors") for folder in models}
    reported = {folder: training.weights_digest for folder, training in models.items() if training is not None}
    if reported:
        detail = ", ".join(f"{folder} trained {digest[:12]}" for folder, digest in reported.items())
        return passed_if(published == reported and len(set(reported.values())) == len(reported), detail)
    student = context.recipe.student(context.artifact.asset.rpartition("/")[2])
    texts = context.made_from("transfer_set").frame("transfer_set")["text"]
    with tempfile.TemporaryDirectory() as temporary:
        cut_from(context.made_from("teacher").folder / MODEL, student, texts, Path(temporary) / MODEL)
        cut = digest_of_file(Path(temporary) / MODEL / "model.safetensors")
    return passed_if(
        published[MODEL] == cut, f"not trained; cut once more {cut[:12]}, published {published[MODEL][:12]}"
    )


def _trainings(context: GateContext) -> dict[str, TrainingFacts | None]:
    """Of each model in the artifact by its folder, the one that ships first; None where it was not trained."""
    facts = context.artifact.facts(CandidateFacts)
    return {MODEL: facts.training, **{seed_folder(seed): again.training for seed, again in facts.seeds.items()}}


def _losses(training: TrainingFacts | None) -> list[float]:
    """Of each epoch; none where nothing was trained."""
    return [] if training is None else training.losses[0]


GATES = gates_of_module(__name__)
