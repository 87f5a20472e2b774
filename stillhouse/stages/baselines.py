"""What there is to take without training a student, judged before the bulk of the teacher's signal is captured.

Belongs here: which options are tried.
Does not: how they are fitted (stillhouse/evaluation/baselines/).
"""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl
from pydantic import Field

from stillhouse.base import Record
from stillhouse.digests import digest_of
from stillhouse.errors import StillhouseError
from stillhouse.evaluation.baselines.options import Option
from stillhouse.evaluation.harness import Evaluation, write_evaluations
from stillhouse.evaluation.missing_answers import whichever_they_are
from stillhouse.recipe.contract import Recipe
from stillhouse.recipe.data import RECORDS
from stillhouse.recipe.reading import RecipeFile
from stillhouse.records.builds import Artifact, Plan
from stillhouse.stages.alternatives import AskedAlternative, depends_on
from stillhouse.stages.bench import Bench, JudgedModel, Reader, bytes_below
from stillhouse.stages.facts import TeacherFacts
from stillhouse.stages.names import MODEL
from stillhouse.students.examples import labelled_rows
from stillhouse.tasks.extraction import Extraction
from stillhouse.tasks.task import LinearTask

if TYPE_CHECKING:
    from stillhouse.evaluation.baselines.fitted import Baseline
    from stillhouse.models.pretrained import BaseModel

SMALLER_TEACHERS = (Option.INT8, Option.PRUNED)
"""Of a teacher that runs here, and is a network."""
OPTIONS = (Option.MAJORITY, Option.TFIDF, Option.PROBE, Option.STATIC, *SMALLER_TEACHERS)
"""What there is to take without training a student, in the order of the reports."""
OPTIONS_ELSEWHERE = (Option.MAJORITY, Option.TFIDF, Option.PROBE, Option.STATIC_OF_BASE)
"""The same where the teacher does not run here, and has no network that could be made smaller."""
OPTIONS_OF_RECORDS = (Option.MAJORITY, Option.WORDS_AND_SHAPES)
"""Where answers are records, beside smaller teachers: one vector of a text, of words or of an encoder, knows no places
in it."""


class BaselinesFacts(Record):
    """What there is to take without training a student."""

    judged: tuple[str, ...]
    as_students: dict[Option, str] = Field(
        description="What a recipe has to say among its students to release an option, for those of the teacher's own "
        "layers."
    )
    teacher_timed_on: str | None = Field(
        None,
        exclude_if=lambda named: named is None,  # so that a manifest of a teacher on the CPU is what it was
        description="See EvaluationFacts.",
    )


def plan(file: RecipeFile, bench: Bench, reader: Reader, instead: Sequence[AskedAlternative]) -> Plan[BaselinesFacts]:
    """Judge each option on the golden rows.

    Args:
        file: the recipe, with the teacher's weights, which some options begin with.
        bench: golden rows and teacher, whose answers to them were captured.
        reader: who judges.
        instead: the alternatives of the recipe, which were asked.
    """
    known = labelled_rows(bench.prompts.frame("prompts"))

    def build(folder: Path) -> BaselinesFacts:
        bench.log_golden_read(reader)
        with bench.builds.one_heavy_task():
            evaluations = _judge_all(file, bench, known) + [_judged(each, bench) for each in instead]
        write_evaluations(folder, evaluations)
        judged = tuple(evaluation.name for evaluation in evaluations)
        return BaselinesFacts(
            judged=judged, as_students=as_students(bench.teacher), teacher_timed_on=bench.teacher_device
        )

    rows = digest_of(known.select("prompt_id", "label", "split").rows())
    return Plan(build, {**bench.depends_on(), "known": rows, **depends_on(file, bench, instead)})


def options_of(recipe: Recipe) -> tuple[str, ...]:
    """The name of each option that a recipe has, in the order of the reports."""
    return (*options_made_here(recipe), *(each.called for each in recipe.teacher.alternatives))


def options_made_here(recipe: Recipe) -> tuple[Option, ...]:
    """Those that are no alternative behind a server."""
    if recipe.data.answer in RECORDS:
        return (*OPTIONS_OF_RECORDS, *(SMALLER_TEACHERS if recipe.teacher.runs_here else ()))
    options = OPTIONS if recipe.teacher.runs_here else OPTIONS_ELSEWHERE
    of_pairs = () if recipe.data.query is None else (Option.BM25,)
    return (*options[:1], *of_pairs, *options[1:])


def as_students(teacher: Artifact) -> dict[Option, str]:
    """What a recipe has to say among its students to release an option, for those that are of the teacher's own layers.

    The vocabulary stays whole, so that what is released is what was judged. A teacher that does not run here has none.
    """
    facts = teacher.facts(TeacherFacts)
    if facts.said is not None or facts.members:
        return {}
    from stillhouse.models.network import read_sizes

    sizes = read_sizes(teacher.folder / MODEL)
    layers = f"layers: {list(range(sizes.layers))}"
    rest = "learns_from: nothing, trim_vocabulary: false"
    return {
        Option.INT8: f"{{name: int8_teacher, {layers}, {rest}}}",
        Option.PRUNED: f"{{name: pruned_teacher, {layers}, feed_forward: {sizes.units // 2}, {rest}}}",
    }


def _judged(asked: AskedAlternative, bench: Bench) -> Evaluation:
    if_wrong = bench.judge_hosted(asked.if_wrong)
    if not asked.turned_away:
        return if_wrong
    return whichever_they_are(if_wrong, bench.judge_hosted(asked.if_right), rows=asked.turned_away)


def _judge_all(file: RecipeFile, bench: Bench, known: pl.DataFrame) -> list[Evaluation]:
    from stillhouse.evaluation.baselines.fitted import constant
    from stillhouse.evaluation.baselines.words_and_shapes import words_and_shapes

    fitting, validation = known.filter(pl.col("split") == "train"), known.filter(pl.col("split") == "validation")
    choosing = validation
    if fitting.is_empty():  # of an unlabelled source: what people labelled and does not judge is all there is to fit on
        fitting, choosing = validation, validation.clear()
    texts, labels = fitting["text"].to_list(), fitting["label"].to_list()
    ids, task = bench.golden["prompt_id"].to_list(), bench.task
    fitted = [constant(labels, bench.texts, task=task)]
    with tempfile.TemporaryDirectory() as temporary:
        if isinstance(task, Extraction):
            fitted.append(words_and_shapes(texts, labels, bench.texts, task=task))
        else:
            fitted += _of_whole_texts(file, bench, fitting, choosing, Path(temporary))
        judged = [JudgedModel(baseline.evaluated(ids), baseline.predict) for baseline in fitted]
        if bench.runs_here:
            judged += _smaller_teachers(bench, validation, Path(temporary))
        return bench.judge(judged)


def _of_whole_texts(
    file: RecipeFile, bench: Bench, fitting: pl.DataFrame, choosing: pl.DataFrame, folder: Path
) -> "list[Baseline]":
    """Those that know a text as one vector.

    Args:
        file: the recipe, with the weights that some begin with.
        bench: golden rows and teacher.
        fitting: labelled rows that are learned from.
        choosing: those by which settings are chosen.
        folder: to put a network into.
    """
    from stillhouse.evaluation.baselines.bm25 import bm25
    from stillhouse.evaluation.baselines.fitted import linear_probe, tfidf_linear
    from stillhouse.models.predictor import TorchClassifier
    from stillhouse.models.pretrained import base_model
    from stillhouse.students.static_embeddings import static_embeddings
    from stillhouse.teachers.classifier import build_classifier

    texts, labels, task = fitting["text"].to_list(), fitting["label"].to_list(), bench.task
    assert isinstance(task, LinearTask), "of a text as a whole"
    spec, untuned = file.recipe.weights, folder / "untuned"
    with base_model(file.located(spec.source), spec.revision, bench.builds.store) as base:
        _require_same_weights(bench.teacher, base)
        build_classifier(base.folder, bench.task.names, untuned, seed=0)
    encoder = TorchClassifier(untuned, bench.builds.device)
    static = static_embeddings(bench.teacher.folder / MODEL)
    return [
        *([] if file.recipe.data.query is None else [bm25(texts, labels, bench.texts, task=task)]),
        tfidf_linear(
            texts,
            labels,
            bench.texts,
            task=task,
            validation_texts=choosing["text"].to_list(),
            validation_labels=choosing["label"].to_list(),
        ),
        linear_probe(
            lambda batch: encoder.answer(batch).embeddings,
            texts,
            labels,
            bench.texts,
            task=task,
            encoder_bytes=bytes_below(untuned),
            name=Option.PROBE,
        ),
        linear_probe(
            static.embed,
            texts,
            labels,
            bench.texts,
            task=task,
            encoder_bytes=static.size_bytes,
            name=Option.STATIC if bench.runs_here else Option.STATIC_OF_BASE,
        ),
    ]


def _smaller_teachers(bench: Bench, validation: pl.DataFrame, folder: Path) -> list[JudgedModel]:
    """The teacher itself in int8, whole and with half of its feed-forward units."""
    from stillhouse.models.network import read_sizes
    from stillhouse.students.pruning import prune_feed_forward

    teacher, pruned = bench.teacher.folder / MODEL, folder / "pruned"
    units = read_sizes(teacher).units
    prune_feed_forward(teacher, units // 2, pruned)
    halved = f"{units // 2} of {units} units of each feed-forward block, not trained again, in int8 ONNX"
    int8 = folder / "int8"
    return [
        _in_int8(Option.INT8, teacher, int8 / "teacher", "the teacher in int8 ONNX", bench, validation),
        _in_int8(Option.PRUNED, pruned, int8 / "pruned", f"the teacher with {halved}", bench, validation),
    ]


def _require_same_weights(teacher: Artifact, base: "BaseModel") -> None:
    """Refuse other weights than those that the teacher began with: an option is compared with that teacher."""
    began_with, found = teacher.facts(TeacherFacts).base_fingerprint, base.record.fingerprint
    if found != began_with:
        raise StillhouseError(
            f"the pretrained weights are not those that the teacher began with: they hash to {found[:12]}",
            where=str(teacher.address),
            expected=f"fingerprint {began_with[:12]}",
            do="Put the weights back, or materialize teacher again.",
        )


def _in_int8(
    name: Option, model: Path, exported: Path, note: str, bench: Bench, validation: pl.DataFrame
) -> JudgedModel:
    from stillhouse.evaluation.models import EvaluatedModel, ModelKind
    from stillhouse.models.export import export_student
    from stillhouse.models.predictor import OnnxClassifier

    export_student(model, exported, validation["text"].to_list(), bench.task.targets(validation["label"]), bench.task)
    quantised = OnnxClassifier(exported)
    outputs = dict(zip(bench.golden["prompt_id"], quantised.logits(bench.texts).tolist(), strict=True))
    evaluated = EvaluatedModel(
        name,
        ModelKind.BASELINE,
        outputs,
        bytes_below(exported),
        temperature=quantised.temperature,
        note=note,
        predict_logits=quantised.logits,
    )
    return JudgedModel(evaluated, lambda text: quantised.logits([text]), folder=exported)
