"""What a student is examined on is what it learned from."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import polars as pl
import pytest

from stillhouse.device import CPU
from stillhouse.models.export import export_student
from stillhouse.models.predictor import TorchClassifier
from stillhouse.recipe.losses import LossTerm
from stillhouse.recipe.students import StudentSpec
from stillhouse.recipe.training import TrainingConfig
from stillhouse.stages.error_analysis import Examination
from stillhouse.stages.names import MODEL
from stillhouse.students.examples import examples_of
from stillhouse.tasks.single_label import SingleLabel
from stillhouse.teachers.classifier import build_classifier
from tests.checks.hand_made import artifact
from tests.small import small_teacher

ROWS = pl.DataFrame(
    {
        "prompt_id": ["p", "q"], "text": ["a b", "c d"], "label": ["x", None], "logits": [[2.0, 0.0], [0.0, 1.0]],
        "embedding": pl.Series([None, None], dtype=pl.List(pl.Float32)), "rationale": ["It says a.", None],
    }
)  # fmt: skip


@pytest.mark.parametrize(
    "term", [LossTerm(embedding_loss="cosine"), LossTerm(embedding_loss="mse", layers=(1,))], ids=["why", "layers"]
)
def test_parts_of_the_rows_have_the_states_that_the_student_learned(tmp_path: Path, term: LossTerm) -> None:
    """Regression: a student that learned from rationales was trained again on rows without a state, which ended it."""
    build_classifier(small_teacher(tmp_path / "bert"), ["x", "y"], tmp_path / MODEL, seed=0)
    student = StudentSpec(name="one", layers=(0,), training=TrainingConfig(loss="kl", mixture=(term,)))
    nothing: Any = None
    examined = Examination(
        student, artifact(folder=tmp_path), None, artifact(frames={"transfer_set": ROWS}), nothing, nothing, ROWS, CPU
    )
    examples = examples_of(student, examined._taught.head(1), ROWS.head(1), SingleLabel(("x", "y")))
    states = examples.teacher_embeddings if term.layers is None else examples.teacher_layers[1]
    assert states is not None and states.shape == (1, states.shape[1]) and np.isfinite(states).all()


def test_a_student_of_a_parent_is_held_against_what_that_said(tmp_path: Path) -> None:
    """Regression: it was held against the teacher, so that one which does as a poor parent does was called underfit."""
    for name, seed in (("teacher", 0), ("parent", 1), ("student", 1)):
        build_classifier(small_teacher(tmp_path / "bert"), ["x", "y"], tmp_path / name / MODEL, seed=seed)
    teacher, parent, trained = (artifact(folder=tmp_path / name) for name in ("teacher", "parent", "student"))
    rows = pl.DataFrame(
        {"prompt_id": [f"{n:02}" for n in range(20)], "text": [f"who was number {n} ?" for n in range(20)]}
    )
    said, of_parent = (
        TorchClassifier(each.folder / MODEL).logits(rows["text"].to_list()) for each in (teacher, parent)
    )
    other = np.where(said.argmax(1) == of_parent.argmax(1), -1, 1)[:, None] * said  # two labels: never as the parent
    rows = rows.with_columns(label=pl.lit("x"), logits=pl.Series(other.tolist(), dtype=pl.List(pl.Float32)))
    facts = SimpleNamespace(task=SingleLabel(("x", "y")))
    examined = {}
    for learns_from in ("teacher", "parent"):
        student = StudentSpec(
            name="one", parent="middle", layers=(0,), learns_from=learns_from, training=TrainingConfig()
        )
        of_teacher = artifact(facts, folder=teacher.folder)
        shipped = artifact(folder=tmp_path / "exported")
        examined[learns_from] = Examination(
            student, of_teacher, parent, artifact(frames={"transfer_set": rows}), trained, shipped, rows, CPU
        )
    copied = {name: each._task.agree(each._copied, each._student_says).mean() for name, each in examined.items()}
    assert copied == {"teacher": 0.0, "parent": 1.0}
    export_student(
        trained.folder / MODEL,
        tmp_path / "exported" / MODEL,
        rows["text"].to_list(),
        np.zeros(20, np.int64),
        facts.task,
    )
    evaluation: Any = SimpleNamespace(golden_rows=20, score=SimpleNamespace(accuracy=0.5))
    of_parent_said = examined["parent"]._generalisation(evaluation)
    assert of_parent_said.counts.training_agreement.value == 1.0
    assert "answers as its parent middle does on 100.0% of 20 rows" in of_parent_said.sentence
    assert examined["teacher"]._generalisation(evaluation).counts.training_agreement.value == 0.0
