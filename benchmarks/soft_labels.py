"""`make bench-soft-labels`: what a student makes of a teacher elsewhere that says how probable each label is, answers
five times, or answers once.

A teacher (MiniLM, fine-tuned on half of the demo's questions) stands for a model elsewhere: of what it knows the
student sees only what `ask.soft_labels` would bring. Four students of one shape, cut from the untuned encoder, learn by
`kl` from the same texts: `logprobs` from the probability of each label; `samples` from five answers drawn by these
probabilities; `none` from one answer, which is worth the share of validation rows that the teacher has right; and, as
no kind of Stillhouse, `certain` from one answer as if it were never wrong. Each round splits the rows another way and
has another seed.

The last line is JSON: for teacher and students the means over the rounds of accuracy, calibration error and Brier score
on the golden rows, students as they ship, in int8 and at their own temperature; and the load of the machine.

Belongs here: the four kinds of signal, the rounds.
Does not: asking (stillhouse/teachers/), training and judging (stillhouse/).
"""

import json
import os
import sys
import tempfile
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np
import polars as pl

from benchmarks.recipes import DEMO, recipe_like
from stillhouse.arrays import FloatArray
from stillhouse.models.export import export_student
from stillhouse.models.predictor import OnnxClassifier, TorchClassifier
from stillhouse.models.pretrained import resolve_model
from stillhouse.models.temperature_scaling import temperature_of
from stillhouse.models.training import train
from stillhouse.recipe.reading import RecipeFile
from stillhouse.stages.preview import prompts_to_come
from stillhouse.statistics.calibration import calibration
from stillhouse.students.examples import examples_of, labelled_examples, labelled_rows, validation_rows
from stillhouse.students.pruning import cut_from
from stillhouse.tasks import task_in
from stillhouse.tasks.task import Logits, Task
from stillhouse.teachers.classifier import build_classifier
from stillhouse.teachers.soft_labels import by_alternatives, codes_of
from tests.small import questions

SEEDS = (0, 1)
SAMPLES = 5
LABELLED = 0.5
TEACHER = "teacher"
CERTAIN = 1 - 1e-6


def recipe_of(folder: Path, seed: int) -> RecipeFile:
    """The demo's questions, half of the labels, and a student of the demo's shape for each kind of signal."""
    rows = folder / "questions.csv"
    questions(10_000).write_csv(rows)
    learning = {"epochs": 6, "max_tokens": 64, "seed": seed}
    taught = {**learning, "epochs": 4, "loss": "labels", "dropout": 0.1}
    student = {"layers": [0, 1, 3, 4, 5], "feed_forward": 768, "training": {**learning, "loss": "kl"}}
    changes: dict[str, Any] = {
        "teacher": {"training": taught},
        "data": {
            "source": str(rows), "format": "csv", "pattern": None, "encoding": "utf-8",
            "hidden_label_share": 1 - LABELLED,
        },
        "split": {"key": f"soft labels {seed}", "golden_share": 0.35, "validation_share": 0.06},
        "slices": [], "behaviour": [], "stress": None,
        "students": [{"name": name, **student} for name in ("logprobs", "samples", "none", "certain")],
    }  # fmt: skip
    return recipe_like(DEMO, folder / "recipes", f"soft_labels_{seed}", changes)


def signals(log_probabilities: FloatArray, task: Task, accuracy: float, seed: int) -> dict[str, FloatArray]:
    """What each kind of asking brings of the same answers, by student.

    Args:
        log_probabilities: of the teacher, shape (rows, labels).
        task: whose labels they are of.
        accuracy: share of its answers that are right.
        seed: of the draws.

    Returns:
        Log-probabilities, each of the same shape.
    """
    draw, codes = np.random.default_rng(seed), [*codes_of(task.names)]
    named = [by_alternatives([*zip(codes, row, strict=True)], codes)[0] for row in log_probabilities.tolist()]
    drawn = draw.multinomial(SAMPLES, np.exp(log_probabilities))
    given = [np.repeat(np.arange(len(codes)), row) for row in drawn]
    answers = task.answers(log_probabilities)
    return {
        "logprobs": np.array(named),
        "samples": np.array([task.voted(of_text, accuracy) for of_text in given]),
        "none": task.stated(answers, accuracy),
        "certain": task.stated(answers, CERTAIN),
    }


def one_round(file: RecipeFile, folder: Path, seed: int) -> dict[str, dict[str, float]]:
    """Fine-tune the teacher, train a student by each kind of signal, and judge all on the golden rows."""
    recipe, prompts = file.recipe, prompts_to_come(file)
    task = task_in(recipe.data, sorted(prompts["label"].drop_nulls().unique()))
    known, validation = labelled_rows(prompts), validation_rows(prompts)
    rows, golden = (prompts.filter(pl.col("split") == side).sort("prompt_id") for side in ("train", "golden"))
    texts, watched = golden["text"].to_list(), validation["text"].to_list()
    targets, watched_targets = task.targets(golden["label"]), task.targets(validation["label"])

    def judged(logits: Logits, temperature: float) -> dict[str, float]:
        right = task.right(logits, targets)
        measured = calibration(logits.astype(np.float64), targets, right, temperature=temperature)
        return {
            "accuracy": float(right.mean()),
            "calibration_error": measured.expected_calibration_error,
            "brier": measured.brier,
        }

    assert recipe.teacher.training is not None
    encoder = resolve_model(recipe.teacher.source, recipe.teacher.revision)
    build_classifier(encoder, task.names, folder / "untaught", seed)
    train(folder / "untaught", folder / TEACHER, labelled_examples(known, task), recipe.teacher.training)
    teacher = TorchClassifier(folder / TEACHER)
    on_validation = teacher.logits(watched)
    temperature = temperature_of(task, on_validation, watched_targets)
    found = {TEACHER: judged(teacher.logits(texts), temperature)}
    print(f"seed {seed}, {TEACHER}: {found[TEACHER]}", flush=True)
    scores = teacher.logits(rows["text"].to_list()).astype(np.float64) / temperature
    said = scores - np.logaddexp.reduce(scores, axis=1, keepdims=True)
    accuracy = float(task.right(on_validation, watched_targets).mean())
    by_student = signals(said, task, accuracy, seed)
    for student in recipe.students:
        assert student.training is not None
        start, trained, shipped = (folder / student.name / name for name in ("start", "trained", "shipped"))
        cut_from(folder / "untaught", student, rows["text"], start)
        heard = rows.with_columns(logits=pl.Series(by_student[student.name].tolist()))
        train(start, trained, examples_of(student, heard, validation, task), student.training)
        export_student(trained, shipped, watched, watched_targets, task)
        model = OnnxClassifier(shipped)
        found[student.name] = judged(model.logits(texts), model.temperature)
        print(f"seed {seed}, {student.name}: {found[student.name]}", flush=True)
    return found


def main() -> int:
    """Make the rounds, and show their means."""
    rounds = []
    for seed in SEEDS:
        with tempfile.TemporaryDirectory() as temporary:
            rounds.append(one_round(recipe_of(Path(temporary), seed), Path(temporary), seed))
    means = {
        name: {figure: round(mean(each[name][figure] for each in rounds), 4) for figure in figures}
        for name, figures in rounds[0].items()
    }
    print(f"{'':12}{'accuracy':>10}{'calibration error':>20}{'Brier':>8}")
    for name, of in means.items():
        print(f"{name:12}{of['accuracy']:>10.1%}{of['calibration_error']:>20.3f}{of['brier']:>8.3f}")
    print(json.dumps({**means, "load": round(os.getloadavg()[2], 1)}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
