"""Faults from the first student to the champion, in a copy of a finished installation.

Belongs here: how each is planted.
Does not: what is asked of it (test_faults.py).
"""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from assets.contract import bar_of
from assets.keys import (
    CHAMPION,
    EVALUATION,
    PROMPTS,
    REASONS,
    RELEASE,
    SELECTION,
)
from assets.seeds import SEEDS
from stillhouse.digests import digest_of
from stillhouse.evaluation.harness import Evaluation
from stillhouse.evaluation.selection import Selection
from stillhouse.evaluation.subjects import Subject, SubjectKind
from stillhouse.governance import Waiver, amend, waive
from stillhouse.recipe import RecipeFile
from stillhouse.workshop import Artifact
from tests.faults.bench import NAME, Bench, Fault, Plant, stages_of
from tests.faults.plants import (
    EXPORT,
    NOBODY,
    ONE,
    afterwards,
    altered,
    anew,
    as_trained_before,
    edit_weights,
    leaves_a_pickle,
    not_a_number,
    shuffled,
    spare_measuring,
    trained_and,
)

# The students

STUDENT = {"name": "one", "layers": [0], "training": {"epochs": 5, "learning_rate": 1e-3, "max_tokens": 32}}


def trained_with(**training: float) -> Plant:
    """The student, trained in another way."""
    student = {"name": "one", "layers": [0], "training": {"max_tokens": 32, **training}}
    return lambda bench: bench.up_to(ONE, students=[student])


def shuffled_targets(bench: Bench) -> RecipeFile:
    bench.patch("assets.candidates:logits_of", lambda real: lambda frame: shuffled(real(frame)))
    bench.build_anew()
    return bench.recipe()


def trained_in_secret(bench: Bench) -> RecipeFile:
    """A student that learns from nothing, whose weights are other ones than the teacher's."""

    def cut_and_nudged(real: Any) -> Any:
        def cut(teacher: Artifact, student: Any, texts: Any, out: Path) -> dict[str, Any]:
            facts = real(teacher, student, texts, out)
            edit_weights(out, nudge)
            return facts

        return cut

    file = bench.up_to(ONE, students=[{"name": "one", "layers": [0], "learns_from": "nothing"}])
    bench.patch("assets.candidates:cut_from", cut_and_nudged)
    return file


def nudge(weights: dict[str, np.ndarray]) -> None:
    weights["classifier.bias"] = weights["classifier.bias"] + np.float32(1e-3)


TWICE = {"students": [{**STUDENT, "more_seeds": [1]}]}


def trained_twice_and(edit: Callable[[Path], None]) -> Plant:
    """A student with a further seed, whose trainings give what the finished one gave, with something done to it."""

    def plant(bench: Bench) -> RecipeFile:
        file = bench.up_to(ONE, **TWICE)
        bench.patch("stillhouse.students.training:train", as_trained_before(ONE, edit, bench))
        return file

    return plant


def of_a_further_seed(edit: Callable[[Path], None]) -> Callable[[Path], None]:
    return lambda folder: edit(folder) if folder.parent.name == SEEDS else None


CANDIDATE_FAULTS = [
    Fault(
        "a weight is not a number", ONE, "every_weight_and_loss_is_finite",
        trained_and(ONE, lambda folder: edit_weights(folder, not_a_number)), "holds NaN or infinity", state="missing",
        refuses=EXPORT,
    ),
    Fault(
        "the learning rate is far too low", ONE, "training_converged", trained_with(epochs=2, learning_rate=1e-9),
        "training loss",
    ),
    Fault(
        "the learning rate is far too high", ONE, "it_beats_the_most_frequent_class",
        trained_with(epochs=2, learning_rate=3.0, clip_norm=1e6), "most frequent class",
    ),
    Fault(
        "the loss is no longer a number", ONE, None, trained_with(epochs=1, learning_rate=1e12, clip_norm=1e12),
        "Lower learning_rate",
    ),
    Fault(
        "targets are shuffled", ONE, "it_beats_the_most_frequent_class", shuffled_targets, "most frequent class",
    ),
    Fault(
        "the weights are not those that were trained", ONE, "the_weights_are_those_that_were_trained",
        trained_and(ONE, lambda folder: edit_weights(folder, nudge)), "trained",
    ),
    Fault(
        "a student that was to stay as it is was changed", ONE, "the_weights_are_those_that_were_trained",
        trained_in_secret, "not trained; cut once more",
    ),
    Fault(
        "a weight of a further seed is not a number", ONE, "every_weight_and_loss_is_finite",
        trained_twice_and(of_a_further_seed(lambda folder: edit_weights(folder, not_a_number))),
        "holds NaN or infinity", state="missing",
    ),
    Fault(
        "a further seed gave the very same weights", ONE, "the_weights_are_those_that_were_trained",
        trained_twice_and(lambda folder: None), "seeds/1 trained",
    ),
]  # fmt: skip


# The exports


def shifted(path: Path, out: Path, change: Callable[[np.ndarray], np.ndarray]) -> None:
    """Write an ONNX file again with another bias of the classifier."""
    import onnx
    from onnx import numpy_helper

    model = onnx.load(path)
    (bias,) = [item for item in model.graph.initializer if item.name.endswith("classifier.bias")]
    bias.CopyFrom(numpy_helper.from_array(change(numpy_helper.to_array(bias)), bias.name))
    onnx.save(model, out)


def shifts_all_logits(path: Path) -> None:
    shifted(path, path, lambda bias: bias + np.float32(0.01))


def quantises_something_else(real: Any) -> Any:
    def quantize(onnx: Path, out: Path) -> None:
        other = onnx.with_name("other.onnx")
        shifted(onnx, other, lambda bias: bias + np.linspace(0, 20, len(bias), dtype=np.float32))
        real(other, out)

    return quantize


def leaves_no_temperature(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    config.pop("temperature")
    (folder / "config.json").write_text(json.dumps(config))


def export_of_a_further_seed_shifted(bench: Bench) -> RecipeFile:
    def put(real: Any) -> Any:
        def export_onnx(model: Path, out: Path) -> None:
            real(model, out)
            of_a_further_seed(lambda _: shifts_all_logits(out))(model)

        return export_onnx

    file = bench.up_to(EXPORT, **TWICE)
    bench.patch("stillhouse.students.export:export_onnx", put)
    return file


EXPORT_FAULTS = [
    Fault(
        "the export computes something else", EXPORT, "onnx_computes_what_torch_computed",
        anew("stillhouse.students.export:export_onnx", afterwards(shifts_all_logits)), "limit 0.001",
    ),
    Fault(
        "the export of a further seed computes something else", EXPORT, "onnx_computes_what_torch_computed",
        export_of_a_further_seed_shifted, "limit 0.001",
    ),
    Fault(
        "eight bits change the answers", EXPORT, "int8_gives_the_same_answers",
        anew("stillhouse.students.export:quantize", quantises_something_else), "of the answers are the same",
    ),
    Fault(
        "a pickle ships", EXPORT, "only_onnx_and_json_ship",
        anew("stillhouse.students.export:export_student", afterwards(leaves_a_pickle)), "optimizer.pt",
        refuses=EVALUATION,
    ),
    Fault(
        "validation rows have each other's labels", EXPORT, "its_confidence_was_calibrated",
        anew("assets.exports:label_ids", lambda real: lambda *about: shuffled(real(*about))), "ran into the end",
        refuses=EVALUATION,
    ),
    Fault(
        "the temperature does not ship", EXPORT, "its_confidence_was_calibrated",
        anew("stillhouse.students.export:export_student", afterwards(leaves_no_temperature)), "None",
    ),
]  # fmt: skip


# The evaluation and the selection


def judged(target: str, put: Callable[[Any], Any]) -> Plant:
    """Make the evaluation again with one function replaced, without measuring speed again."""

    def plant(bench: Bench) -> RecipeFile:
        spare_measuring(bench)
        return anew(target, put)(bench)

    return plant


def other_golden(edit: Callable[[pl.DataFrame], pl.DataFrame]) -> Plant:
    """The evaluation reads golden rows of its own."""
    return judged("assets.bench:Bench.golden", lambda real: property(lambda bench: edit(real.func(bench))))


def some_relabelled(golden: pl.DataFrame) -> pl.DataFrame:
    first = pl.int_range(pl.len()) < 3
    return golden.with_columns(pl.when(first).then(pl.lit("ABBR")).otherwise("label").alias("label"))


def wrong_together(real: Any) -> Any:
    """A third of the golden rows has another truth than either model gives."""

    def compare(teacher: np.ndarray, student: np.ndarray, labels: np.ndarray, **how: Any) -> Any:
        third = np.arange(len(labels)) % 3 == 0
        return real(teacher, student, np.where(third, (teacher.argmax(axis=1) + 1) % teacher.shape[1], labels), **how)

    return compare


def forgets_a_slice(real: Any) -> Any:
    return lambda subject, teacher, golden, terms, **how: real(
        subject, teacher, golden, terms.model_copy(update={"slices": terms.slices[1:]}), **how
    )


def fails_where_nobody_looked(real: Any) -> Any:
    """The answers to questions with 'How' are those of other classes; no declared slice is of these."""

    def evaluated(subject: Subject, teacher: Subject, golden: pl.DataFrame, *rest: Any, **how: Any) -> Evaluation:
        asked = set(golden.filter(pl.col("text").str.starts_with("How "))["prompt_id"])
        outputs = {
            prompt_id: [*logits[1:], logits[0]] if prompt_id in asked else logits
            for prompt_id, logits in dict(subject.outputs).items()
        }
        return real(replace(subject, outputs=outputs), teacher, golden, *rest, **how)

    return evaluated


def one_shot_used_twice(bench: Bench) -> RecipeFile:
    """The evaluation that is found again is no second use; the one that is then made anew is."""
    one_shot = bench.recipe(split__golden_rounds_at_most=1)
    bar = digest_of(bar_of(one_shot.recipe))
    amend(bench.place.workshop.ledger, NAME, bar=bar, by="Ada", reason="From now on there is one shot.")
    stages = stages_of(one_shot)
    bench.must_run(one_shot, *stages[: stages.index(EVALUATION) + 1])
    spare_measuring(bench)
    bench.build_anew()
    return one_shot


def fails_by_post(real: Any) -> Any:
    """The answers are the teacher's, but to the few who write by post they are those of other classes."""

    def evaluated(subject: Subject, teacher: Subject, golden: pl.DataFrame, *rest: Any, **how: Any) -> Evaluation:
        by_post = set(golden.filter(pl.col("channel") == "post")["prompt_id"])
        outputs = {
            prompt_id: [*logits[1:], logits[0]] if prompt_id in by_post else logits
            for prompt_id, logits in pl.DataFrame(teacher.outputs).select("prompt_id", "logits").iter_rows()
        }
        return real(replace(subject, outputs=outputs), teacher, golden, *rest, **how)

    return evaluated


def worse_by_post(bench: Bench) -> RecipeFile:
    with bench.building_anew():
        file = judged("assets.bench:evaluate", fails_by_post)(bench)
        bench.must_run(file, EVALUATION, REASONS)
    return file


def of_another_artifact(real: Any) -> Any:
    return lambda *about, **more: real(*about, **{**more, "digest": NOBODY})


def noise(bench: Bench) -> RecipeFile:
    """A student that answers at random."""
    with bench.building_anew():
        bench.patch(
            "stillhouse.students.predictor:OnnxClassifier.logits",
            lambda real: lambda model, texts, **how: shuffled(real(model, texts, **how)),
        )
        spare_measuring(bench)
        bench.must_run(bench.recipe(), EVALUATION, REASONS)
    return bench.recipe()


def judged_at_random(bench: Bench) -> RecipeFile:
    """The export that is judged answers at random, though what was trained does not."""
    with bench.building_anew():
        bench.patch("assets.bench:Bench.judge", answers_at_random)
        spare_measuring(bench)
        bench.must_run(bench.recipe(), EVALUATION)
    return bench.recipe()


def probed(shown: Callable[[list[str], set[str]], list[bool]], **bar: Any) -> Plant:
    """Students that answer some texts by another class than they know, under a bar that has the probe for it."""

    def plant(bench: Bench) -> RecipeFile:
        file = bench.recipe(**bar)
        amend(
            bench.place.workshop.ledger, NAME, bar=digest_of(bar_of(file.recipe)), by="Ada", reason="To see it close."
        )
        golden = set(bench.newest(PROMPTS).frame("prompts").filter(pl.col("split") == "golden")["text"])

        def put(real: Any) -> Any:
            def logits(model: Any, texts: list[str], **how: Any) -> np.ndarray:
                broken = np.array(shown(texts, golden))
                said = real(model, texts, **how)
                return np.where(broken[:, None], np.roll(said, 1, axis=1), said)

            return logits

        spare_measuring(bench)
        bench.up_to(EVALUATION, **bar)
        bench.patch("stillhouse.students.predictor:OnnxClassifier.logits", put)
        bench.must_run(file, EVALUATION, REASONS)
        return file

    return plant


LOWER_CASE = {
    "name": "small letters", "kind": "invariance", "critical": True,
    "cases": [{"text": "Where is the harbour ?", "variants": ["where is the harbour ?"]}],
}  # fmt: skip


def serves_certainties(real: Any) -> Any:
    def evaluated(subject: Subject, *rest: Any, **how: Any) -> Evaluation:
        is_student = subject.kind is SubjectKind.STUDENT
        return real(replace(subject, temperature=0.1) if is_student else subject, *rest, **how)

    return evaluated


def too_sure_of_itself(bench: Bench) -> RecipeFile:
    """A student whose every answer is a certainty, which loses nothing else, under a limit on just that."""
    spare_measuring(bench)
    limited = {"margin": 0.07, "calibration_error_at_most": 0.1}
    file = bench.recipe(bar=limited)
    bar = digest_of(bar_of(file.recipe))
    amend(bench.place.workshop.ledger, NAME, bar=bar, by="Ada", reason="Callers rely on the confidence.")
    bench.patch("assets.bench:evaluate", serves_certainties)
    return bench.up_to(SELECTION, bar=limited)


def answers_at_random(real: Any) -> Any:
    def judge(bench: Any, subject: Subject, predict: Any, folder: Path) -> Evaluation:
        logits = shuffled(np.array(list(dict(subject.outputs).values())))
        outputs = dict(zip(dict(subject.outputs), logits.tolist(), strict=True))
        return real(bench, replace(subject, outputs=outputs), predict, folder)

    return judge


def of_another_candidate(real: Any) -> Any:
    return lambda *about: real(*about).model_copy(update={"candidate": NOBODY})


def not_one_reason(bench: Bench) -> RecipeFile:
    bench.patch("assets.reasons:conclude", lambda real: lambda facts: None)
    bench.patch("assets.reasons:Examination._rows_curve", lambda real: lambda examination, start: None)
    return judged_at_random(bench)


def chooses_the_control(_: Any) -> Any:
    chosen = Selection(winner="one_labels", winner_kind=None, next_smaller=None, reason="It is small.")
    return lambda evaluations: chosen


def control_as_student(real: Any) -> Any:
    """The evaluations, in which each student that learned from labels says that it is a distilled one."""

    def read(artifact: Artifact) -> list[Evaluation]:
        control = {"kind": SubjectKind.STUDENT}
        return [
            each.model_copy(update={"subject": each.subject.model_copy(update=control)})
            if each.subject.kind is SubjectKind.CONTROL else each
            for each in real(artifact)
        ]  # fmt: skip

    return read


def control_chosen(bench: Bench) -> RecipeFile:
    bench.patch("assets.selection:read_evaluations", control_as_student)
    return anew("assets.selection:smallest_that_clears", chooses_the_control)(bench)


def without_control(bench: Bench) -> RecipeFile:
    spare_measuring(bench)
    file = bench.recipe()
    return bench.up_to(SELECTION, students=[s.model_dump() for s in file.recipe.students if s.name == "one"])


def a_further_seed_is_unlucky(bench: Bench) -> RecipeFile:
    """The student that ships is as it was; trained with another seed it would answer at random."""

    def put(real: Any) -> Any:
        def logits(model: Any, texts: Any, **how: Any) -> Any:
            said = real(model, texts, **how)
            return shuffled(said) if model.folder.parent.name == SEEDS else said

        return logits

    spare_measuring(bench)
    file = bench.up_to(EVALUATION, **TWICE)
    bench.patch("stillhouse.students.predictor:OnnxClassifier.logits", put)
    bench.must_run(file, EVALUATION, REASONS)
    return file


EVALUATION_FAULTS = [
    Fault(
        "ten golden rows were left out", EVALUATION, "the_golden_set_is_the_frozen_one",
        other_golden(lambda golden: golden[10:]), "rows locked",
    ),
    Fault(
        "golden rows were relabelled on the way", EVALUATION, "the_golden_set_is_the_frozen_one",
        other_golden(some_relabelled), "2 golden digests",
    ),
    Fault(
        "a declared slice was not judged", EVALUATION, "every_declared_slice_has_a_verdict",
        judged("assets.bench:evaluate", forgets_a_slice), "people",
    ),
    Fault(
        "nobody looked at a sensitive column", EVALUATION, "every_sensitive_column_has_a_report",
        judged("stillhouse.evaluation.harness:fairness", lambda real: lambda *rows, **how: ()),
        "not reported: one: channel",
    ),
    Fault(
        "speed was not measured", EVALUATION, "latency_was_measured",
        anew("assets.bench:interleaved_latency", lambda real: lambda *models, **how: None), "not measured: one",
    ),
    Fault(
        "something else was judged than ships", EVALUATION, "every_student_was_judged_as_it_ships",
        judged("stillhouse.evaluation.subjects:Subject", of_another_artifact), "not judged as exported",
        refuses=SELECTION,
    ),
    Fault(
        "teacher and student are wrong together", EVALUATION, "few_mistakes_of_the_teacher_are_repeated",
        judged("stillhouse.evaluation.harness:fidelity", wrong_together), "mistakes of the teacher", advice=True,
    ),
    Fault(
        "the golden set is used a second time", EVALUATION, "the_golden_set_was_not_used_before",
        judged("assets.bench:evaluate", lambda real: real), "2 rounds were judged", advice=True,
    ),
    Fault(
        "a golden set for one round is used twice", EVALUATION, "no_more_rounds_were_judged_than_the_recipe_allows",
        one_shot_used_twice, "2 of at most 1 rounds judged by golden rows of key 'small'", refuses=SELECTION,
    ),
    Fault(
        "a student fails where nobody looked", EVALUATION, "no_hidden_slice_was_found",
        judged("assets.bench:evaluate", fails_where_nobody_looked), "where first word = how", advice=True,
    ),
    Fault(
        "a student misses and nobody says why", REASONS, "every_miss_has_a_reason", not_one_reason,
        "misses the bar, and nobody knows why: one", refuses=SELECTION,
    ),
    Fault(
        "the reasons are of another student", REASONS, "the_reasons_are_those_of_the_judged_students",
        anew("assets.reasons:Examination.reasons", of_another_candidate),
        "not as judged: one",
    ),
    Fault(
        "validation rows are known better than golden ones", REASONS, "no_leak_is_suspected", judged_at_random,
        "one: leak", advice=True,
    ),
    Fault(
        "a student answers at random", SELECTION, "a_student_clears_the_bar", noise, "misses the bar",
        also=("the_chosen_one_is_a_candidate_and_no_control",), refuses=RELEASE,
    ),
    Fault(
        "a student stumbles over small letters", SELECTION, "a_student_clears_the_bar",
        probed(lambda texts, golden: [text.islower() for text in texts], behaviour=[LOWER_CASE]),
        "behaviour 'small letters' fails", also=("the_chosen_one_is_a_candidate_and_no_control",), refuses=RELEASE,
    ),
    Fault(
        "a student breaks under typos", SELECTION, "a_student_clears_the_bar",
        probed(
            lambda texts, golden: [text not in golden for text in texts],
            stress={"perturbations": ["typos"], "drop_at_most": 0.3},
        ),
        "accuracy with typos not within 30.0 points", also=("the_chosen_one_is_a_candidate_and_no_control",),
    ),
    Fault(
        "a student is far too sure of itself", SELECTION, "a_student_clears_the_bar", too_sure_of_itself,
        "confidence not within 10.0 points of accuracy", also=("the_chosen_one_is_a_candidate_and_no_control",),
    ),
    Fault(
        "a student serves one group of people much worse", SELECTION, "a_student_clears_the_bar", worse_by_post,
        "groups of 'channel' not within 40.0 points of each other: 'app'",
        also=("the_chosen_one_is_a_candidate_and_no_control",), refuses=RELEASE,
    ),
    Fault(
        "there is no control", SELECTION, "distillation_was_worth_it", without_control, "has no control", advice=True,
    ),
    Fault(
        "a further seed of the student misses the margin", SELECTION, "its_seeds_agree", a_further_seed_is_unlucky,
        "1 of 2 seeds drops by the margin", advice=True,
    ),
    Fault(
        "the control is chosen", SELECTION, "a_student_clears_the_bar", control_chosen, "one_labels",
        also=("the_chosen_one_is_a_candidate_and_no_control",),
    ),
]  # fmt: skip


# The release and the champion


def bundle_with(edit: Callable[[Path], None]) -> Plant:
    """Something happens to the bundle after it was written."""

    def put(real: Any) -> Any:
        def write(folder: Path, record: Any, **parts: Any) -> None:
            real(folder, record, **parts)
            edit(folder)

        return write

    return anew("assets.release:write_bundle", put)


def rewrites_the_report(folder: Path) -> None:
    (folder / "report.json").write_text("{}")


def renames_the_labels(real: Any) -> Any:
    def write(folder: Path, record: Any, *, model: Path, **parts: Any) -> None:
        other = folder.with_name(f"{folder.name}-other")
        shutil.copytree(model, other, copy_function=shutil.copyfile)
        config = json.loads((other / "config.json").read_text())
        config["id2label"] = {place: f"class {place}" for place in config["id2label"]}
        (other / "config.json").write_text(json.dumps(config))
        real(folder, record, model=other, **parts)
        shutil.rmtree(other)

    return write


def of_other_parents(real: Any) -> Any:
    return lambda **about: real(**{**about, "teacher": NOBODY})


HIGH_STAKES = {"stakes": "high", "author": "Grace Hopper <grace@example.com>"}


def approved_by_its_author(bench: Bench) -> RecipeFile:
    """Past the command line, which refuses it: straight into the ledger."""
    file = bench.up_to(RELEASE, **HIGH_STAKES)
    bench.run(file, RELEASE)
    release = bench.newest(RELEASE).digest
    body = {"release": release, "by": "grace@example.com", "reason": "I wrote it, so it is good."}
    bench.place.workshop.ledger.append("approval", NAME, body)
    return file


def let_be(bench: Bench, stage: str, *gates: str) -> None:
    """Waive some gates of a stage."""
    for gate in gates:
        waiver = Waiver(f"{NAME}/{stage}:{gate}", "Ada", "To see what it does in the shadow.", date(2999, 1, 1))
        waive(bench.place.workshop.ledger, NAME, waiver)


def broken_and_waived(bench: Bench) -> RecipeFile:
    with bench.building_anew():
        file = bundle_with(leaves_a_pickle)(bench)
        bench.run(file, RELEASE)
    let_be(bench, RELEASE, "the_bundle_is_whole")
    return file


def waived_and_not_listed(bench: Bench) -> RecipeFile:
    """The control is released on two waivers, and the bundle does not say so."""
    with bench.building_anew():
        file = control_chosen(bench)
        bench.run(file, SELECTION)
    let_be(bench, SELECTION, "a_student_clears_the_bar", "the_chosen_one_is_a_candidate_and_no_control")
    bench.patch("assets.release:_waived", lambda real: lambda work: ())
    return file


def promoted_by_hand(bench: Bench) -> RecipeFile:
    body = {"digest": NOBODY, "manifest": NOBODY, "student": "one", "before": None}
    bench.place.workshop.ledger.append("promotion", NAME, body)
    return bench.recipe()


RELEASE_FAULTS = [
    Fault(
        "the report in the bundle was rewritten", RELEASE, "the_bundle_is_whole", bundle_with(rewrites_the_report),
        "report.json was altered", refuses=CHAMPION,
    ),
    Fault(
        "a file was added to the bundle", RELEASE, "the_bundle_is_whole", bundle_with(leaves_a_pickle),
        "optimizer.pt is not part of the release",
    ),
    Fault(
        "the bundle names another teacher", RELEASE, "it_names_what_it_was_made_from",
        anew("assets.release:ReleaseRecord", of_other_parents), "not its inputs: teacher",
    ),
    Fault(
        "the model answers in labels of its own", RELEASE, "it_answers",
        anew("assets.release:write_bundle", renames_the_labels), "is answered 'class",
    ),
    Fault(
        "nobody has approved it, and the stakes are high", RELEASE, "somebody_else_has_approved_it",
        lambda bench: bench.up_to(RELEASE, **HIGH_STAKES), "nobody has approved", state="inconclusive",
        refuses=CHAMPION,
    ),
    Fault(
        "its author has approved it", RELEASE, "somebody_else_has_approved_it", approved_by_its_author, "its author",
    ),
    Fault(
        "a waiver is not listed in the bundle", RELEASE, "it_lists_what_was_waived", waived_and_not_listed,
        f"not listed: {NAME}/selection:a_student_clears_the_bar",
    ),
    Fault(
        "another release was promoted by hand", CHAMPION, "the_ledger_names_this_release", promoted_by_hand,
        "promoted 000000000000", look_only=True,
    ),
    Fault(
        "a broken bundle was waived and promoted", CHAMPION, "the_serving_bundle_is_whole", broken_and_waived,
        "optimizer.pt is not part of the release",
    ),
    Fault(
        "a bit of the model that serves has flipped", RELEASE, "the_bundle_is_whole",
        altered(RELEASE, "model/model.onnx"), "the content was altered", state="missing", look_only=True,
    ),
]  # fmt: skip


FAULTS = [*CANDIDATE_FAULTS, *EXPORT_FAULTS, *EVALUATION_FAULTS, *RELEASE_FAULTS]
