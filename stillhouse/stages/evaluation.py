"""The golden harness's verdict on every exported student.

Belongs here: which models are judged, and which student each is compared with.
Does not: the harness (stillhouse/evaluation/), the choice among them (selection.py).
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from stillhouse.evaluation.comparison import Against, compare_with_control, write_comparisons
from stillhouse.evaluation.harness import Evaluation, read_evaluations, scores_of, write_evaluations, write_members
from stillhouse.evaluation.models import EvaluatedModel, ModelKind
from stillhouse.evaluation.precisions import KeptAnswers, judged_in_order
from stillhouse.recipe.contract import Recipe
from stillhouse.recipe.students import AS_IT_SHIPS, StudentForm, StudentSpec
from stillhouse.recipe.training import TrainingConfig
from stillhouse.records.builds import Artifact, Plan
from stillhouse.stages.bench import Bench, JudgedModel, Reader, bytes_below
from stillhouse.stages.facts import EvaluationFacts, ExportFacts
from stillhouse.stages.names import MODEL
from stillhouse.students.seeds import models_by_seed


def plan(recipe: Recipe, bench: Bench, exported: Mapping[str, Artifact], reader: Reader) -> Plan[EvaluationFacts]:
    """Judge every exported student on the golden rows.

    Args:
        recipe: with the students.
        bench: golden rows and teacher, whose answers to them were captured.
        exported: the export of each student in each precision, by the name of that form.
        reader: who judges.
    """

    def build(folder: Path) -> EvaluationFacts:
        bench.log_golden_read(reader)
        with bench.builds.one_heavy_task():
            return _judge_students(recipe, bench, exported, folder)

    return Plan(
        build,
        {
            **bench.depends_on(),
            "exports": {name: item.digest for name, item in exported.items()},
            "precisions": {
                student.name: [student.precisions, recipe.limits.int8_agreement_at_least]
                for student in recipe.students
                if len(student.precisions) > 1
            },
        },
    )


def teacher_mb(baselines: Artifact, machine: str) -> float | None:
    """Memory that the teacher took beside the baselines, unless that was another machine than this."""
    footprint = read_evaluations(baselines.folder)[0].footprint
    return footprint.teacher_mb if footprint and baselines.manifest.device == machine else None


def control_of(recipe: Recipe, form: StudentForm) -> StudentForm | None:
    """The student of the same shape and precision that learns from the labels alone, if the recipe has one."""
    if not form.student.copies:
        return None
    return next((each for each in _alike(recipe, form) if each.student.learns_from == "labels"), None)


def direct_of(recipe: Recipe, form: StudentForm) -> StudentForm | None:
    """Of a student with a parent the one of the same shape and precision that the teacher taught at once, if any."""
    if form.student.parent is None:
        return None
    direct = (each for each in _alike(recipe, form) if each.student.parent is None)
    return next((each for each in direct if each.student.learns_from == "teacher"), None)


def without_rationales(recipe: Recipe, form: StudentForm) -> StudentForm | None:
    """Of a student that learns from rationales the one that is trained the same but for that, if the recipe has one."""
    if not matches_rationales(recipe, form.student):
        return None
    plain = _without_states(form.student.training)
    return next((each for each in _taught(recipe, form) if each.student.training == plain), None)


def unweighted(recipe: Recipe, form: StudentForm) -> StudentForm | None:
    """Of a student to which rows count by agreement the one to which all count alike, likewise."""
    if not form.student.weigh_by_agreement:
        return None
    same = (each for each in _taught(recipe, form) if each.student.training == form.student.training)
    return next((each for each in same if not each.student.weigh_by_agreement), None)


def matches_rationales(recipe: Recipe, student: StudentSpec) -> bool:
    """Whether a student learns from why the teacher answered so."""
    if recipe.teacher.answers.rationale_path is None or student.training is None:
        return False
    return student.learns_from == "teacher" and bool(student.training.embedding_losses)


def _without_states(training: TrainingConfig | None) -> TrainingConfig | None:
    """The same training where no hidden states are compared."""
    if training is None:
        return None
    mixture = tuple(term for term in training.mixture if term.embedding_loss is None)
    none = {name: TrainingConfig.model_fields[name].default for name in ("embedding_weight", "embedding_loss")}
    return training.model_copy(update={**none, "mixture": mixture})


_COMPARED: dict[Against, Callable[[Recipe, StudentForm], StudentForm | None]] = {
    "labels": control_of,
    "direct": direct_of,
    "without_rationales": without_rationales,
    "unweighted": unweighted,
}


def _taught(recipe: Recipe, form: StudentForm) -> list[StudentForm]:
    """Those that the teacher teaches at once, too."""
    return [each for each in _alike(recipe, form) if each.student.learns_from == "teacher"]


def _alike(recipe: Recipe, form: StudentForm) -> list[StudentForm]:
    shape = recipe.shape_of(form.student)
    return [
        each
        for each in recipe.forms
        if recipe.shape_of(each.student) == shape and each.precision == form.precision and each != form
    ]


def _judge_students(recipe: Recipe, bench: Bench, exported: Mapping[str, Artifact], folder: Path) -> EvaluationFacts:
    from stillhouse.models.predictor import OnnxClassifier

    def one_by_one(model: OnnxClassifier) -> Callable[[str], Any]:
        return lambda text: model.logits([text])

    kinds = {
        "teacher": ModelKind.STUDENT,
        "parent": ModelKind.STUDENT,
        "labels": ModelKind.CONTROL,
        "nothing": ModelKind.BASELINE,
    }

    def answers(model: OnnxClassifier) -> dict[str, list[float]]:
        return dict(zip(bench.golden["prompt_id"], model.logits(bench.texts).tolist(), strict=True))

    by_name: dict[str, EvaluatedModel] = {}
    models = []
    for form in recipe.forms:
        student, artifact = form.student, exported[form.name]
        model = OnnxClassifier(artifact.folder / MODEL)
        more = models_by_seed(artifact.folder, artifact.facts(ExportFacts).seeds, student)
        kind = kinds.get(student.learns_from, ModelKind.STUDENT)
        learned = "as they are, not trained" if student.training is None else f"from {student.learns_from}"
        learned += ", with its rationales" if matches_rationales(recipe, student) else ""
        learned += ", weighed by agreement" if student.weigh_by_agreement else ""
        parts = f"layers {', '.join(map(str, student.layers))}" if student.layers else "static embeddings"
        numbers = "" if student.precisions == AS_IT_SHIPS else f", in {form.precision}"
        larger = student.parent or ("the teacher" if bench.runs_here else "the base")
        note = f"{parts} of {larger}, {learned}{numbers}"
        evaluated = EvaluatedModel(
            form.name,
            kind,
            answers(model),
            bytes_below(artifact.folder / MODEL),
            temperature=model.temperature,
            digest=artifact.digest,
            note=note,
            seed=None if student.training is None else student.training.seed,
            more_seeds={seed: answers(OnnxClassifier(path)) for seed, path in more.items()},
            predict_logits=model.logits,
        )
        by_name[form.name] = evaluated
        models.append(JudgedModel(evaluated, one_by_one(model), folder=artifact.folder / MODEL))
    evaluations = _with_precisions_in_order(recipe, bench.judge(models), exported)
    comparisons = [
        compare_with_control(by_name[form.name], by_name[other.name], bench.golden, task=bench.task, against=against)
        for against, without in _COMPARED.items()
        for form in recipe.forms
        if (other := without(recipe, form)) is not None
    ]
    write_evaluations(folder, evaluations)
    members = scores_of(bench.members, bench.golden, bench.task, recipe.bar, groups=bench.groups)
    if members:
        write_members(folder, members)
    write_comparisons(folder, comparisons)
    return EvaluationFacts(
        golden_digest=evaluations[0].golden_digest,
        golden_rows=evaluations[0].golden_rows,
        judged={each.name: each.score.digest for each in evaluations},
        teacher_timed_on=bench.teacher_device,
    )


def _with_precisions_in_order(
    recipe: Recipe, judged: Sequence[Evaluation], exported: Mapping[str, Artifact]
) -> list[Evaluation]:
    by_name, asked = {each.name: each for each in judged}, []
    for student in recipe.students:
        names = [form.name for form in student.forms]
        facts = [exported[name].facts(ExportFacts) for name in names]
        kept = [KeptAnswers(each.shipped.top1_agreement, each.texts) for each in facts]
        limit = recipe.limits.int8_agreement_at_least
        asked += judged_in_order(student, [by_name[name] for name in names], kept, agreement_at_least=limit)
    return asked
