"""What a recipe may ask for by what its answers are: one label of several, or a set of labels.

Belongs here: which fields go with which kind of answer, each mistake with the field and what to write there.
Does not: the kinds themselves (stillhouse/tasks/), rules that hold for all of them (contract.py).
"""

from collections.abc import Iterator, Mapping

from stillhouse.recipe.bar import BarSpec
from stillhouse.recipe.data import SETS, TaskKind
from stillhouse.recipe.losses import OF_SETS, ONLY_OF_SETS
from stillhouse.recipe.teacher import Combination, TeacherKind, TeacherSpec
from stillhouse.recipe.training import TrainingConfig

Field = tuple[str | int, ...]

TEACHERS_OF_SETS = (TeacherKind.ENCODER, TeacherKind.CLASSIFIER, TeacherKind.STORED, TeacherKind.ENSEMBLE)
"""Who can answer with a set; of a server and a language model the prompt and what reads a reply know one label."""


def unfit_losses(answer: TaskKind, trainings: Mapping[Field, TrainingConfig]) -> Iterator[tuple[Field, str]]:
    """Losses that this kind of answer has no way to cost.

    Args:
        answer: the kind.
        trainings: each by the field that says it.
    """
    is_set = answer in SETS
    for place, training in trainings.items():
        for field, term in training.terms:
            if term.loss is not None and (term.loss not in OF_SETS if is_set else term.loss in ONLY_OF_SETS):
                at = (*place, *field) if field == ("loss",) else (*place, *field, "loss")
                yield at, _other_loss(answer, term.loss)
        if is_set:
            yield from _no_contrast(answer, place, training)


def _no_contrast(answer: TaskKind, place: Field, training: TrainingConfig) -> Iterator[tuple[Field, str]]:
    if training.contrast_weight > 0:
        yield (
            (*place, "contrast_weight"),
            f"must be left out where data.answer is {answer}: two texts may have some of their labels in common",
        )


def _other_loss(answer: TaskKind, loss: str) -> str:
    if answer in SETS:
        return (
            f"{loss} is about one label of several; where data.answer is {answer} each label is there or not: use bce, "
            "or logit_mse of a teacher that gives logits, or answers"
        )
    return f"{loss} is about labels of which each is there or not; where data.answer is {answer} use kl"


def unfit_for_sets(answer: TaskKind, teacher: TeacherSpec, bar: BarSpec) -> Iterator[tuple[Field, str]]:
    """What of a teacher and a bar does not go with answers that are sets of labels.

    Args:
        answer: the kind, one of `SETS`.
        teacher: who answers.
        bar: what is asked.
    """
    here = f"where data.answer is {answer}"
    members = {
        ("teacher", *(("ensemble", "members", name) if name else ())): each for name, each in teacher.by_member.items()
    }
    for place, each in members.items():
        if each.kind not in TEACHERS_OF_SETS:
            yield (*place, "kind"), f"{each.kind} answers with one label; {here} use {', '.join(TEACHERS_OF_SETS)}"
        if each.ask is not None:
            yield (*place, "ask"), f"must be left out {here}: what it writes asks for one label"
        if each.training is not None:
            yield from _no_contrast(answer, (*place, "training"), each.training)
        if each.answers.probabilities is not None:
            yield (*place, "answers", "probabilities"), f"must be left out {here}: they are read as those of one label"
    if teacher.ensemble is not None and teacher.ensemble.combine is Combination.VOTES:
        yield ("teacher", "ensemble", "combine"), f"votes are counted for one label; {here} use log_probabilities"
    if bar.metric != "accuracy":
        yield (
            ("bar", "metric"),
            f"{bar.metric} is of one label of several; {here} use accuracy, which is of whole sets, and a slice of the "
            "rows that carry a label (column: label) for a label that must not be lost",
        )
    if bar.calibration_error_at_most is not None:
        yield ("bar", "calibration_error_at_most"), f"must be left out {here}: it is measured of one label of several"
