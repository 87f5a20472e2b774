"""What a recipe may ask for by what its answers are: one label of several, a set of labels, a number, or a record.

Belongs here: which fields go with which kind of answer, each mistake with the field and what to write there.
Does not: the kinds themselves (stillhouse/tasks/), rules that hold for all of them (contract.py).
"""

from collections.abc import Collection, Iterator, Mapping, Sequence

from stillhouse.recipe.asking import NUMBER, SET_OF_LABELS, SoftLabels
from stillhouse.recipe.bar import NDCG_AT, BarSpec, SliceSpec
from stillhouse.recipe.data import NUMBERS, RECORDS, SETS, TaskKind
from stillhouse.recipe.losses import OF_NUMBERS, OF_RECORDS, OF_SETS, ONLY_OF_SETS, LossName
from stillhouse.recipe.students import StudentSpec
from stillhouse.recipe.teacher import COMBINATIONS_OF_NUMBERS, Combination, TeacherKind, TeacherSpec
from stillhouse.recipe.training import TrainingConfig

Field = tuple[str | int, ...]
_COMBINE: Field = ("teacher", "ensemble", "combine")

BY_CLASS = {"behaviour": "it counts by class", "sensitive": "it counts by class"}
"""Parts of a recipe that only one label of several has, and why."""

BY_CLASS_OR_PROBABILITY = {
    **BY_CLASS,
    "cascade": "it goes by a probability, and a number has none",
}
"""Parts of a recipe that numbers do not have, and why."""

NOT_OF_PAIRS = {
    "stress": "it would change what keeps query and document apart",
    "traffic": "what servers keep has no query apart from its document",
    "watch": "what ranks is the order of the documents of a query, and servers are asked one by one",
    "rollout": "what ranks is the order of the documents of a query, and servers are asked one by one",
}
"""Parts of a recipe that pairs of query and document do not have, and why."""

NOT_OF_RECORDS = {
    **BY_CLASS,
    "stress": "it would change words, and a record says where in a text they are",
    "cascade": "it goes by labels, and a record is none",
}
"""Parts of a recipe that records do not have, and why."""


def unfit_losses(answer: TaskKind, trainings: Mapping[Field, TrainingConfig]) -> Iterator[tuple[Field, str]]:
    """Losses that this kind of answer has no way to cost.

    Args:
        answer: the kind.
        trainings: each by the field that says it.
    """
    for place, training in trainings.items():
        for field, term in training.terms:
            if term.loss is not None and not _has_a_cost(answer, term.loss):
                at = (*place, *field) if field == ("loss",) else (*place, *field, "loss")
                yield at, _other_loss(answer, term.loss)
        if answer in (*SETS, *NUMBERS, *RECORDS):
            yield from _no_contrast(answer, place, training)


def _has_a_cost(answer: TaskKind, loss: LossName) -> bool:
    if answer in NUMBERS:
        return loss in OF_NUMBERS
    if answer in RECORDS:
        return loss in OF_RECORDS
    return loss in OF_SETS if answer in SETS else loss not in ONLY_OF_SETS


def _no_contrast(answer: TaskKind, place: Field, training: TrainingConfig) -> Iterator[tuple[Field, str]]:
    what = "number" if answer in NUMBERS else "record"
    why = "two texts may have some of their labels in common" if answer in SETS else f"a {what} is not a class"
    if training.contrast_weight > 0:
        yield (*place, "contrast_weight"), f"must be left out where data.answer is {answer}: {why}"


def _other_loss(answer: TaskKind, loss: LossName) -> str:
    if answer in NUMBERS:
        return (
            f"{loss} is about labels; where data.answer is {answer} use logit_mse, the squared difference from the "
            "teacher's number, or labels, that from the row's own"
        )
    if answer in RECORDS:
        return (
            f"{loss} compares outputs of labels; where data.answer is {answer} each field is learned by itself: use "
            "kl, answers or labels"
        )
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
    for place, each in _by_place(teacher).items():
        yield from _unfit_member(place, each, here)
        if each.training is not None:
            yield from _no_contrast(answer, (*place, "training"), each.training)
    if teacher.ensemble is not None and teacher.ensemble.combine is Combination.VOTES:
        yield _COMBINE, f"votes are counted for one label; {here} use log_probabilities"
    if bar.metric != "accuracy":
        yield (
            ("bar", "metric"),
            f"{bar.metric} is of one label of several; {here} use accuracy, which is of whole sets, and a slice of the "
            "rows that carry a label (column: label) for a label that must not be lost",
        )
    if bar.calibration_error_at_most is not None:
        yield ("bar", "calibration_error_at_most"), f"must be left out {here}: it is measured of one label of several"


def unfit_combination(answer: TaskKind, teacher: TeacherSpec) -> Iterator[tuple[Field, str]]:
    """Where the answers of an ensemble would become one by what such answers do not have.

    Args:
        answer: the kind.
        teacher: who answers.
    """
    if teacher.ensemble is None:
        return
    combine, is_of_numbers = teacher.ensemble.combine, teacher.ensemble.combine in COMBINATIONS_OF_NUMBERS
    if answer in NUMBERS and not is_of_numbers:
        yield (
            _COMBINE,
            f"{combine} is of labels; where data.answer is {answer} say {Combination.MEAN}, or {Combination.MEDIAN}, "
            "which one member of three that is far off does not move",
        )
    if answer not in NUMBERS and is_of_numbers:
        yield (
            _COMBINE,
            f"{combine} is of numbers; where data.answer is {answer} use {Combination.LOG_PROBABILITIES}, or leave it "
            "out",
        )


def unfit_bar(answer: TaskKind, bar: BarSpec) -> Iterator[tuple[Field, str]]:
    """What a bar asks that only one kind of answer has.

    Args:
        answer: the kind.
        bar: what is asked.
    """
    here = f"where data.answer is {answer}"
    if answer not in NUMBERS and bar.ndcg_at != NDCG_AT:
        yield ("bar", "ndcg_at"), f"must be left out {here}: classes are ranked to the last"
    if answer not in RECORDS and bar.metric == "field_f1":
        yield ("bar", "metric"), f"field_f1 is of records; {here} use accuracy"
    if answer not in RECORDS and bar.fields:
        yield ("bar", "fields"), f"must be left out {here}: it has no fields"


def _by_place(teacher: TeacherSpec) -> dict[Field, TeacherSpec]:
    """Whoever answers, by the part of the recipe that says it."""
    return {
        ("teacher", *(("ensemble", "members", name) if name else ())): each for name, each in teacher.by_member.items()
    }


def _no_letters(place: Field, member: TeacherSpec, here: str, of_them: str) -> Iterator[tuple[Field, str]]:
    """Where a teacher, or an alternative to it, is asked for the letter of a label.

    Args:
        place: of the teacher in the recipe.
        member: the teacher.
        here: where an answer is no label.
        of_them: what several replies to a text are worth, as a clause about them.
    """
    asked = {(*place, "ask"): member.ask}
    asked |= {(*place, "alternatives", index): each for index, each in enumerate(member.alternatives)}
    for at, ask in asked.items():
        if ask is not None and ask.soft_labels is not None and ask.soft_labels.by is SoftLabels.LOGPROBS:
            yield (
                (*at, "soft_labels", "by"),
                f"a letter is one label of several; {here} use {SoftLabels.SAMPLES}, {of_them}, or leave "
                "soft_labels out",
            )


def _unfit_member(place: Field, member: TeacherSpec, here: str) -> Iterator[tuple[Field, str]]:
    """What of one teacher, or a member, does not go with sets."""
    if member.kind is TeacherKind.CAUSAL_LM:
        yield (
            (*place, "kind"),
            f"{member.kind} says how probable each label is beside the others, and nothing of several at once; {here} "
            f"ask it behind a server (kind: {TeacherKind.ENDPOINT}), or use {TeacherKind.ENCODER}, "
            f"{TeacherKind.CLASSIFIER} or {TeacherKind.STORED}",
        )
    yield from _no_letters(place, member, here, "of which the share that has a label says how sure it is")
    if member.answers.rationale == SET_OF_LABELS and member.kind is TeacherKind.ENDPOINT:
        yield (*place, "answers", "rationale"), f"another name than {SET_OF_LABELS}, which is the answer's {here}"
    if member.answers.probabilities is not None:
        yield (
            (*place, "answers", "probabilities"),
            f"must be left out {here}: they are read as those of one label, and sets are learned without",
        )


def unfit_for_numbers(
    answer: TaskKind, teacher: TeacherSpec, bar: BarSpec, slices: Sequence[SliceSpec], group: str | None
) -> Iterator[tuple[Field, str]]:
    """What of a teacher, a bar and slices does not go with answers that are numbers.

    Args:
        answer: the kind, one of `NUMBERS`.
        teacher: who answers.
        bar: what is asked.
        slices: what is judged on its own.
        group: the column that says which rows are of one query.
    """
    here = f"where data.answer is {answer}"
    for place, each in _by_place(teacher).items():
        yield from _unfit_member_for_numbers(answer, place, each, here)
    if bar.metric not in ("accuracy", "ndcg"):
        yield (
            ("bar", "metric"),
            f"{bar.metric} is of classes; {here} use accuracy, the share of rows within data.score.tolerance, or ndcg",
        )
    if bar.metric == "ndcg" and group is None:
        yield (
            ("bar", "metric"),
            "ndcg is of the documents of a query: data.query or data.group must say which rows are of one",
        )
    if bar.calibration_error_at_most is not None:
        yield ("bar", "calibration_error_at_most"), f"must be left out {here}: a number has no probability"
    yield from _no_slices_by_label(slices, f"a number {here}")


def _unfit_member_for_numbers(
    answer: TaskKind, place: Field, member: TeacherSpec, here: str
) -> Iterator[tuple[Field, str]]:
    """What of one teacher, or a member, does not go with numbers."""
    if member.kind is TeacherKind.CAUSAL_LM:
        yield (
            (*place, "kind"),
            f"{member.kind} answers with labels; {here} use {TeacherKind.ENCODER}, which learns numbers from the "
            f"rows, {TeacherKind.CLASSIFIER}, whose head has one output, {TeacherKind.STORED}, whose file has one for "
            f"each text, or {TeacherKind.ENDPOINT}, which is asked",
        )
    if member.rename:
        yield (*place, "rename"), f"must be left out {here}: the one output of such a head is the number"
    yield from _no_letters(place, member, here, "whose mean is the answer")
    if member.answers.rationale == NUMBER and member.kind is TeacherKind.ENDPOINT:
        yield (*place, "answers", "rationale"), f"another name than {NUMBER}, which is the answer's {here}"
    if member.answers.probabilities is not None:
        yield (*place, "answers", "probabilities"), f"must be left out {here}: they are those of labels"
    if member.training is not None:
        yield from _no_contrast(answer, (*place, "training"), member.training)


def unfit_for_records(
    answer: TaskKind,
    fields: Collection[str],
    teacher: TeacherSpec,
    bar: BarSpec,
    slices: Sequence[SliceSpec],
    students: Sequence[StudentSpec],
) -> Iterator[tuple[Field, str]]:
    """What of a teacher, a bar, slices and students does not go with answers that are records.

    Args:
        answer: the kind, one of `RECORDS`.
        fields: that a record has.
        teacher: who answers.
        bar: what is asked.
        slices: what is judged on its own.
        students: that learn.
    """
    here = f"where data.answer is {answer}"
    yield from _unfit_teacher_of_records(answer, teacher, fields, here)
    if bar.metric not in ("accuracy", "field_f1"):
        yield (
            ("bar", "metric"),
            f"{bar.metric} is of classes; {here} use accuracy, the share of rows with all fields right, or field_f1, "
            "which counts each value by itself",
        )
    if bar.calibration_error_at_most is not None:
        yield ("bar", "calibration_error_at_most"), f"must be left out {here}: it is measured of one label of several"
    for name in bar.fields:
        if name not in fields:
            yield ("bar", "fields", name), f"data.fields has none of this name, only {', '.join(fields)}"
        if name in (each.name for each in slices):
            yield (
                ("bar", "fields", name),
                "a slice has this name, too, and reports could not tell them apart: rename it",
            )
    yield from _no_slices_by_label(slices, f"a record {here}")
    for place, student in enumerate(students):
        if not student.layers:
            yield ("students", place, "layers"), f"at least one {here}: a vector for each word piece knows no places"


def _no_slices_by_label(slices: Sequence[SliceSpec], what: str) -> Iterator[tuple[Field, str]]:
    for place, each in enumerate(slices):
        if each.column == "label":
            yield (
                ("slices", place, "column"),
                f"label is {what}: name a further column that says which rows these are",
            )


def _unfit_teacher_of_records(
    answer: TaskKind, teacher: TeacherSpec, fields: Collection[str], here: str
) -> Iterator[tuple[Field, str]]:
    for place, each in _by_place(teacher).items():
        if each.kind in (TeacherKind.CLASSIFIER, TeacherKind.CAUSAL_LM):
            yield (
                (*place, "kind"),
                f"{each.kind} answers with labels; {here} use {TeacherKind.STORED}, whose file has a JSON object for "
                f"each text, {TeacherKind.ENDPOINT}, a server that is asked for one, or {TeacherKind.ENCODER}, which "
                "learns records from the rows",
            )
        if each.training is not None:
            yield from _no_contrast(answer, (*place, "training"), each.training)
        yield from _no_letters(place, each, here, "of which the share that has a value says how sure it is")
        if each.answers.rationale in fields and each.kind is TeacherKind.ENDPOINT:
            yield (
                (*place, "answers", "rationale"),
                f"another name than {each.answers.rationale}, which is a field of the record",
            )
        if each.answers.probabilities is not None:
            yield (*place, "answers", "probabilities"), f"must be left out {here}: they are those of labels"
