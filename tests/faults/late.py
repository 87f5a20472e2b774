"""Faults that are found where models are: from the teacher to the champion, in a copy of a finished installation.

Most are mistakes of the code: one function of the domain is replaced, the stage is made anew with it, and its gates
look at what came of it.

Belongs here: how each is planted.
Does not: what is asked of it (test_faults.py), faults before there is a teacher (early.py).
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

from assets.baselines import read_evaluations
from assets.contract import bar_of
from assets.keys import (
    BASELINES,
    CHAMPION,
    CONTRACT,
    EVALUATION,
    PROMPTS,
    RELEASE,
    SELECTION,
    SOURCE,
    TEACHER,
    TEACHER_SIGNAL,
    TRANSFER_SET,
    candidate,
    export,
)
from assets.teacher import MODEL
from assets.teacher_signal import review_path
from stillhouse.digests import digest_of
from stillhouse.evaluation.harness import Evaluation
from stillhouse.evaluation.selection import Selection
from stillhouse.evaluation.statistics import Verdict
from stillhouse.evaluation.subjects import Subject, SubjectKind
from stillhouse.governance import Waiver, amend, waive
from stillhouse.recipe import RecipeFile
from stillhouse.students.checkpoint import EpochReport
from stillhouse.students.training import TrainingReport
from stillhouse.teachers.verification import Verified
from stillhouse.workshop import Artifact
from tests.faults.bench import NAME, SLICES, Bench, Fault, Plant, rows

ONE, EXPORT = candidate("one"), export("one")
NOBODY = "0" * 64
CANARIES = 16
"""Prompts that the teacher is asked again, the first by id; a fault that keeps clear of them is found otherwise."""


def anew(target: str, put: Callable[[Any], Any]) -> Plant:
    """Make the stage again with one function replaced."""

    def plant(bench: Bench) -> RecipeFile:
        bench.patch(target, put)
        bench.build_anew()
        return bench.recipe()

    return plant


def afterwards(edit: Callable[[Path], None]) -> Callable[[Any], Any]:
    """A function that writes the folder that is its second argument, and what happens to that folder then."""

    def put(real: Any) -> Any:
        def done(source: Path, out: Path, *rest: Any, **how: Any) -> Any:
            report = real(source, out, *rest, **how)
            edit(out)
            return report

        return done

    return put


def logits_of(frame: pl.DataFrame) -> np.ndarray:
    return np.array(frame["logits"].to_list(), dtype=np.float32)


def edit_weights(folder: Path, edit: Callable[[dict[str, np.ndarray]], None]) -> None:
    """Write the weights of a model folder again, changed."""
    from safetensors.numpy import load_file, save_file

    path = folder / "model.safetensors"
    weights = load_file(path)
    edit(weights)
    path.unlink()
    save_file(weights, path)


# The teacher


def asks_too_much(bench: Bench) -> RecipeFile:
    return bench.up_to(TEACHER, teacher__minimum_accuracy=0.99)


def flip_a_bit(bench: Bench, path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-100] ^= 1
    bench.rewrite(path, bytes(content))


def altered(stage: str, name: str) -> Plant:
    """One bit of a published file, long after its gates were passed."""

    def plant(bench: Bench) -> RecipeFile:
        flip_a_bit(bench, bench.newest(stage).folder / name)
        return bench.recipe()

    return plant


def as_trained_before(stage: str, edit: Callable[[Path], None], bench: Bench) -> Callable[[Any], Any]:
    """A training that gives at once what an earlier one gave, with something done to it."""
    published = bench.newest(stage)

    def put(_: Any) -> Any:
        def train(start: Path, out: Path, *rest: Any) -> TrainingReport:
            shutil.copytree(published.folder / MODEL, out, copy_function=shutil.copyfile)
            edit(out)
            facts = published.facts["training"]
            return TrainingReport(**{**facts, "epochs": [EpochReport(**e) for e in facts["epochs"]]}, resumed_at=0)

        return train

    return put


def trained_and(stage: str, edit: Callable[[Path], None]) -> Plant:
    """A training after which something happens to the weights."""

    def plant(bench: Bench) -> RecipeFile:
        bench.patch("stillhouse.students.training:train", as_trained_before(stage, edit, bench))
        bench.build_anew()
        return bench.recipe()

    return plant


def of_another_teacher(bench: Bench) -> RecipeFile:
    """The fingerprint of the base weights is recorded for the fine-tuned ones."""

    def always_the_first(real: Any) -> Any:
        seen: list[Any] = []

        def verified(folder: Path) -> Any:
            seen.append(real(folder))
            return seen[0]

        return verified

    file = trained_and(TEACHER, lambda folder: None)(bench)
    bench.patch("stillhouse.teachers.intake:verify_weights", always_the_first)
    return file


TEACHER_FAULTS = [
    Fault(
        "the teacher is too weak", TEACHER, "it_is_worth_copying", asks_too_much, "minimum 0.990", refuses=BASELINES,
    ),
    Fault(
        "a bit of the published teacher has flipped", TEACHER, "weights_are_whole_and_safe",
        altered(TEACHER, f"{MODEL}/model.safetensors"), "the content was altered", state="missing", look_only=True,
    ),
    Fault(
        "the fingerprint is of other weights", TEACHER, "the_fingerprint_is_its_own", of_another_teacher, "recorded",
    ),
    Fault(
        "the teacher's weights hold a not-a-number", TEACHER, None,
        trained_and(TEACHER, lambda folder: edit_weights(folder, not_a_number)), "holds NaN or infinity",
    ),
]  # fmt: skip


def not_a_number(weights: dict[str, np.ndarray]) -> None:
    weights["classifier.weight"] = weights["classifier.weight"].copy()
    weights["classifier.weight"][0, 0] = np.nan


# The baselines


def same_latency(bench: Bench) -> Callable[[Any], Any]:
    """Spare the measurement: everything is as fast as the finished student was."""
    measured = read_evaluations(bench.newest(EVALUATION))[0].latency
    return lambda real: lambda *models, **how: measured


def easy_bar(bench: Bench) -> RecipeFile:
    bench.patch("assets.bench:interleaved_latency", same_latency(bench))
    easy = {"bar": {"margin": 0.9}, "budget": {"latency_ratio_at_least": 0.1, "size_ratio_at_least": 0.5}}
    file = bench.recipe(**easy)
    bar = digest_of(bar_of(file.recipe))
    amend(bench.place.workshop.ledger, NAME, bar=bar, by="Ada", reason="To see what a wide bar lets through.")
    bench.must_run(file, CONTRACT, SOURCE, PROMPTS, TEACHER)
    return file


def judged_before(edit: Callable[[Evaluation], Evaluation]) -> Plant:
    """Baselines as they were judged before, one of them changed."""

    def plant(bench: Bench) -> RecipeFile:
        first, *rest = read_evaluations(bench.newest(BASELINES))
        return anew("assets.baselines:_judge_all", lambda real: lambda *about: [edit(first), *rest])(bench)

    return plant


BASELINES_FAULTS = [
    Fault(
        "a baseline clears the bar", BASELINES, "no_baseline_clears_the_bar", easy_bar, "take the baseline",
        refuses=TEACHER_SIGNAL,
    ),
    Fault(
        "the speed of one option was not measured", BASELINES, "every_option_was_measured",
        judged_before(lambda one: one.model_copy(update={"latency": None, "verdict": Verdict.INCONCLUSIVE})),
        "measured: TF-IDF",
    ),
]  # fmt: skip


# What the teacher said


def store_gives(edit: Callable[[pl.DataFrame], pl.DataFrame]) -> Plant:
    """The signal store gives back something else than was put in."""
    return anew(
        "stillhouse.teachers.signal:SignalStore.read",
        lambda real: lambda store, ids, fingerprint: edit(real(store, ids, fingerprint)),
    )


def with_logits(change: Callable[[np.ndarray], np.ndarray]) -> Plant:
    """The logits of all prompts, changed."""
    return store_gives(
        lambda frame: frame.with_columns(
            pl.Series("logits", change(logits_of(frame)).tolist(), dtype=pl.List(pl.Float32))
        )
    )


def behind_the_canaries(value: float, number: int) -> Plant:
    """All logits of some answers are one value."""

    def change(logits: np.ndarray) -> np.ndarray:
        logits = logits.copy()
        logits[CANARIES : CANARIES + number] = value
        return logits

    return with_logits(change)


def first_behind_the_canaries(column: str, value: str | None) -> Plant:
    """One answer has another value in a column."""
    one = pl.int_range(pl.len()) == CANARIES
    return store_gives(lambda f: f.with_columns(pl.when(one).then(pl.lit(value)).otherwise(column).alias(column)))


def shuffled(values: np.ndarray) -> np.ndarray:
    return values[np.random.default_rng(0).permutation(len(values))]


def flipped(frame: pl.DataFrame, share: float) -> pl.DataFrame:
    """Give a share of the rows the label of another class, at random."""
    random = np.random.default_rng(1)
    classes = sorted(frame["service"].unique())
    chosen, steps = random.random(frame.height) < share, random.integers(1, len(classes), frame.height)
    place = frame["service"].replace_strict({name: number for number, name in enumerate(classes)}).to_numpy()
    labels = [classes[number] for number in np.where(chosen, (place + steps) % len(classes), place)]
    return frame.with_columns(pl.Series("service", labels))


def flipped_labels(share: float) -> Plant:
    """A source in which a share of the labels is wrong but for the golden ones, and a teacher that learned from it."""

    def plant(bench: Bench) -> RecipeFile:
        evaluations = read_evaluations(bench.newest(BASELINES))
        prompts = bench.newest(PROMPTS).frame("prompts")
        golden = pl.col("question").is_in(prompts.filter(pl.col("split") == "golden")["text"].implode())
        spared, others = rows(1200).filter(golden), rows(1200).filter(~golden)
        file = bench.recipe(pl.concat([spared, flipped(others, share)]), slices=SLICES)
        bench.must_run(file, CONTRACT, SOURCE, PROMPTS, TEACHER)
        bench.patch("assets.baselines:_judge_all", lambda real: lambda *about: evaluations)
        bench.must_run(file, BASELINES)
        return file

    return plant


REVIEW = {"size": 60, "defect_limit": 0.1}


def unreviewed(bench: Bench) -> RecipeFile:
    return bench.up_to(TEACHER_SIGNAL, teacher__review=REVIEW)


def reviewed_with_defects(bench: Bench) -> RecipeFile:
    file = unreviewed(bench)
    bench.run(file, TEACHER_SIGNAL)
    path = review_path(bench.place.home, NAME, bench.newest(TEACHER_SIGNAL))
    sample = pl.read_csv(path, infer_schema=False)
    wrong = pl.when(pl.int_range(pl.len()) % 2 == 0).then(pl.lit("no")).otherwise(pl.lit("yes"))
    sample.with_columns(wrong.alias("correct"), pl.lit("Ada").alias("reviewer")).write_csv(path)
    return file


SIGNAL_FAULTS = [
    Fault(
        "the store was never written and reads as zeros", TEACHER_SIGNAL, "no_answer_is_all_zeros",
        behind_the_canaries(0.0, 5), "5 of", refuses=TRANSFER_SET,
    ),
    Fault(
        "a logit is not a number", TEACHER_SIGNAL, "every_logit_is_finite", behind_the_canaries(np.nan, 1), "1 of",
        also=("probabilities_sum_to_one",),
    ),
    Fault(
        "answers are shuffled against their prompts", TEACHER_SIGNAL, "the_canary_answers_as_recorded",
        with_logits(shuffled), "largest change",
        also=("it_is_right_on_the_rows_that_can_be_checked", "few_labels_look_wrong"),
    ),
    Fault(
        "classes are in another order", TEACHER_SIGNAL, "the_canary_answers_as_recorded",
        with_logits(lambda logits: logits[:, ::-1]), "largest change",
        also=("it_is_right_on_the_rows_that_can_be_checked", "few_labels_look_wrong"),
    ),
    Fault(
        "a class is missing from the answers", TEACHER_SIGNAL, None,
        with_logits(lambda logits: logits[:, :-1]), "answers of 5 classes",
    ),
    Fault(
        "the teacher changed in silence", TEACHER_SIGNAL, "the_canary_answers_as_recorded",
        with_logits(lambda logits: logits + np.float32(0.01)), "limit 0.001",
    ),
    Fault(
        "a prompt was skipped", TEACHER_SIGNAL, "every_prompt_was_answered", store_gives(lambda frame: frame[:-1]),
        "1 of",
    ),
    Fault(
        "a prompt was answered twice", TEACHER_SIGNAL, "every_prompt_was_answered_once",
        store_gives(lambda frame: pl.concat([frame, frame[-1:]])), "2 of",
    ),
    Fault(
        "an answer is of another teacher", TEACHER_SIGNAL, "every_answer_is_of_one_teacher",
        first_behind_the_canaries("fingerprint", NOBODY), "1 of",
    ),
    Fault(
        "an answer has lost its prompt", TEACHER_SIGNAL, "every_prompt_was_answered",
        first_behind_the_canaries("prompt_id", None), "1 of", also=("every_answer_has_its_prompt",),
    ),
    Fault(
        "a tenth of the labels is wrong", TEACHER_SIGNAL, "few_labels_look_wrong", flipped_labels(0.1),
        "known labels look wrong",
    ),
    Fault(
        "nobody has reviewed the sample", TEACHER_SIGNAL, "a_person_accepts_a_sample", unreviewed, "correct is empty",
        state="inconclusive",
    ),
    Fault(
        "half of the reviewed answers are wrong", TEACHER_SIGNAL, "a_person_accepts_a_sample", reviewed_with_defects,
        "so the limit is broken",
    ),
]  # fmt: skip


# The transfer set


def verified_and(edit: Callable[[Verified, pl.DataFrame], Verified]) -> Plant:
    """Verification gives something else; `edit` sees all prompts too."""
    return anew(
        "assets.transfer_set:verify_signal",
        lambda real: lambda prompts, signal, labels: edit(real(prompts, signal, labels), prompts),
    )


def forgets_some_rejects(verified: Verified, _: pl.DataFrame) -> Verified:
    return replace(verified, rejects=verified.rejects[:-3])


def takes_a_golden_row(verified: Verified, prompts: pl.DataFrame) -> Verified:
    golden = prompts.filter(pl.col("split") == "golden")["prompt_id"][0]
    first = pl.int_range(pl.len()) == 0
    leaking = verified.kept.with_columns(pl.when(first).then(pl.lit(golden)).otherwise("prompt_id").alias("prompt_id"))
    return replace(verified, kept=leaking)


def rejects_where(column: str, values: list[str], share: float) -> Callable[[Verified, pl.DataFrame], Verified]:
    """A filter that throws out a share of the rows of one kind."""

    def edit(verified: Verified, prompts: pl.DataFrame) -> Verified:
        of_kind = prompts.filter(pl.col(column).is_in(values))["prompt_id"].implode()
        rank = pl.col("prompt_id").is_in(of_kind).cum_sum()
        out = pl.col("prompt_id").is_in(of_kind) & (rank * share % 1 < share)
        rejects = verified.kept.filter(out).select("text", "batch", reason=pl.lit("a filter"))
        return Verified(verified.kept.filter(~out), pl.concat([verified.rejects, rejects]))

    return edit


def closed_batch(bench: Bench) -> RecipeFile:
    file = bench.recipe(refresh={"cron": "0 3 * * 1", "train_on_open_batches": True})
    bench.drop(pl.DataFrame({"question": [" "] * 10, "service": ["LOC"] * 10, "kind": ["LOC:city"] * 10}))
    bench.must_run(file, CONTRACT, SOURCE, PROMPTS, TEACHER, BASELINES, TEACHER_SIGNAL)
    bench.run(file, SOURCE, PROMPTS, batch="march.csv")
    return file


TRANSFER_FAULTS = [
    Fault(
        "rejects are not written down", TRANSFER_SET, "kept_and_rejected_are_all_training_rows",
        verified_and(forgets_some_rejects), "training rows =",
    ),
    Fault(
        "a golden row is among those to learn from", TRANSFER_SET, "no_golden_or_validation_row_is_inside",
        verified_and(takes_a_golden_row), "1 rows leaked", refuses=ONE,
    ),
    Fault(
        "a filter throws out half of a class", TRANSFER_SET, "no_class_loses_more_than_its_share",
        verified_and(rejects_where("label", ["LOC"], 0.5)), "class LOC loses most",
    ),
    Fault(
        "a filter throws out a third of a slice", TRANSFER_SET, "no_slice_loses_more_than_its_share",
        verified_and(rejects_where("kind", ["NUM:date", "NUM:period"], 0.3)), "slice periods loses most",
    ),
    Fault(
        "a batch is closed and left out", TRANSFER_SET, "every_batch_is_in", closed_batch, "left out", advice=True,
    ),
]  # fmt: skip


# The students


def trained_with(**training: float) -> Plant:
    """The student, trained in another way."""
    student = {"name": "one", "layers": [0], "training": {"max_tokens": 32, **training}}
    return lambda bench: bench.up_to(ONE, students=[student])


def shuffled_targets(bench: Bench) -> RecipeFile:
    bench.patch("assets.candidates:logits_of", lambda real: lambda frame: shuffled(real(frame)))
    bench.build_anew()
    return bench.recipe()


def nudge(weights: dict[str, np.ndarray]) -> None:
    weights["classifier.bias"] = weights["classifier.bias"] + np.float32(1e-3)


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


def leaves_a_pickle(folder: Path) -> None:
    (folder / "optimizer.pt").write_bytes(b"\x80\x04N.")


EXPORT_FAULTS = [
    Fault(
        "the export computes something else", EXPORT, "onnx_computes_what_torch_computed",
        anew("stillhouse.students.export:export_onnx", afterwards(shifts_all_logits)), "limit 0.001",
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
]  # fmt: skip


# The evaluation and the selection


def judged(target: str, put: Callable[[Any], Any]) -> Plant:
    """Make the evaluation again with one function replaced, without measuring speed again."""

    def plant(bench: Bench) -> RecipeFile:
        bench.patch("assets.bench:interleaved_latency", same_latency(bench))
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
    return lambda subject, teacher, golden, slices, *rest, **how: real(
        subject, teacher, golden, slices[1:], *rest, **how
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


def of_another_artifact(real: Any) -> Any:
    return lambda *about, **more: real(*about, **{**more, "digest": NOBODY})


def noise(bench: Bench) -> RecipeFile:
    """A student that answers at random."""
    with bench.building_anew():
        bench.patch(
            "stillhouse.students.predictor:OnnxClassifier.logits",
            lambda real: lambda model, texts, **how: shuffled(real(model, texts, **how)),
        )
        bench.patch("assets.bench:interleaved_latency", same_latency(bench))
        bench.must_run(bench.recipe(), EVALUATION)
    return bench.recipe()


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
    bench.patch("assets.bench:interleaved_latency", same_latency(bench))
    file = bench.recipe()
    return bench.up_to(SELECTION, students=[s.model_dump() for s in file.recipe.students if s.name == "one"])


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
        "a student fails where nobody looked", EVALUATION, "no_hidden_slice_was_found",
        judged("assets.bench:evaluate", fails_where_nobody_looked), "where first word = how", advice=True,
    ),
    Fault(
        "a student answers at random", SELECTION, "a_student_clears_the_bar", noise, "misses the bar",
        also=("the_chosen_one_is_a_distilled_student",), refuses=RELEASE,
    ),
    Fault(
        "there is no control", SELECTION, "distillation_was_worth_it", without_control, "has no control", advice=True,
    ),
    Fault(
        "the control is chosen", SELECTION, "a_student_clears_the_bar", control_chosen, "one_labels",
        also=("the_chosen_one_is_a_distilled_student",),
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
    let_be(bench, SELECTION, "a_student_clears_the_bar", "the_chosen_one_is_a_distilled_student")
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

LATE = [
    *TEACHER_FAULTS,
    *BASELINES_FAULTS,
    *SIGNAL_FAULTS,
    *TRANSFER_FAULTS,
    *CANDIDATE_FAULTS,
    *EXPORT_FAULTS,
    *EVALUATION_FAULTS,
    *RELEASE_FAULTS,
]
