"""What a student is examined on is what it learned from."""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from stillhouse.device import CPU
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
