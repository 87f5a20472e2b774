"""Stillhouse at the same game: the encoder is fine-tuned on the labels, and a student learns what it says of all texts.

`python -m benchmarks.peers.stillhouse_game GAME`; the last line is the outcome. What is tried is the export in int8.
"""

import time
from pathlib import Path

import numpy as np
import polars as pl
import torch  # noqa: F401 - imported before the clock starts

from benchmarks.peers.stillhouse_loop import capture
from benchmarks.peers.usable import Game, Usable, asked, tried
from stillhouse.models.export import export_student
from stillhouse.models.predictor import OnnxClassifier
from stillhouse.models.training import train
from stillhouse.models.training_examples import TrainingExamples
from stillhouse.recipe.students import StudentSpec
from stillhouse.recipe.training import TrainingConfig
from stillhouse.students.pruning import cut_from
from stillhouse.tasks.single_label import UNKNOWN, SingleLabel
from stillhouse.teachers.classifier import build_classifier

STEPS = 100
"""Of the teacher, at least: of few labels it needs many epochs."""
BATCH = 32
TEACHER = TrainingConfig(
    epochs=3, learning_rate=2e-4, batch_size=BATCH, loss="labels", contrast_weight=1.0, dropout=0.1, max_tokens=64
)
LAYERS = StudentSpec(
    name="five_layers", layers=(0, 1, 3, 4, 5), feed_forward=256,
    training=TrainingConfig(epochs=6, learning_rate=2e-4, max_tokens=64),
)  # fmt: skip
STATIC = StudentSpec(
    name="static", layers=(), trim_vocabulary=False,
    training=TrainingConfig(epochs=20, learning_rate=0.01, freeze_embeddings=False, max_tokens=64),
)  # fmt: skip


def do(game: Game) -> Usable:
    """Fine-tune, capture, train, export."""
    out, (labelled, labels) = Path(game.out), game.labelled()
    texts = [*labelled, *game.unlabelled()]
    student = STATIC if game.static else LAYERS
    start = time.perf_counter()
    task = SingleLabel.of(labels)
    targets = task.targets(pl.Series(labels))
    build_classifier(Path(game.encoder), task.names, out / "untaught", seed=0)
    epochs = max(TEACHER.epochs, STEPS * BATCH // len(labelled))
    how = TEACHER.model_copy(update={"epochs": epochs})
    train(out / "untaught", out / "teacher", TrainingExamples(labelled, targets, task), how)
    said = capture(out, texts, "cpu")
    cut_from(out / "teacher", student, texts, out / "start")
    unknown = np.full(len(texts) - len(labelled), UNKNOWN)
    assert student.training is not None
    examples = TrainingExamples(texts, np.concatenate([targets, unknown]), task, said)
    train(out / "start", out / "student", examples, student.training)
    export_student(out / "student", out / "exported", labelled, targets, task)
    seconds = time.perf_counter() - start
    model = OnnxClassifier(out / "exported")

    def answer(asked: list[str]) -> list[str]:
        return [task.names[place] for place in task.answers(model.logits(asked))]

    return tried(game, seconds, answer, out / "exported")


if __name__ == "__main__":
    do(asked()).show()
