"""Rows of a transfer set as what a student learns from."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from stillhouse.device import CPU
from stillhouse.models.predictor import TorchClassifier
from stillhouse.recipe.students import StudentSpec
from stillhouse.recipe.training import TrainingConfig
from stillhouse.students.examples import examples_of, explained
from stillhouse.tasks.single_label import SingleLabel
from stillhouse.teachers.classifier import build_classifier
from tests.small import small_teacher

ROWS = pl.DataFrame(
    {
        "text": ["a b", "c d", "e f"],
        "label": ["x", None, "y"],
        "logits": [[2.0, 0.0], [0.0, 1.0], [1.0, 1.5]],
        "disagreement": [0.0, 0.5, 0.25],
    }
)
VALIDATION = pl.DataFrame({"text": ["g"], "label": ["x"]})


@pytest.mark.parametrize("weigh", [False, True])
def test_a_row_weighs_what_the_members_that_agree_are(weigh: bool) -> None:
    student = StudentSpec(name="one", layers=(0,), weigh_by_agreement=weigh, training=TrainingConfig(loss="kl"))
    examples = examples_of(student, ROWS, VALIDATION, SingleLabel(("x", "y")))
    if not weigh:
        assert examples.row_weights is None
        assert "weigh_by_agreement" not in student.model_dump(), "else another digest"
        return
    assert examples.row_weights is not None
    np.testing.assert_allclose(examples.row_weights, np.array([4, 2, 3]) / 3, rtol=1e-6)


def test_a_row_is_matched_with_the_state_of_its_rationale_and_without_one_of_its_text(tmp_path: Path) -> None:
    build_classifier(small_teacher(tmp_path / "bert"), ["x", "y"], tmp_path / "base", seed=0)
    rows = ROWS.with_columns(
        rationale=pl.Series(["It asks for a king.", None, "It asks for a number."]),
        embedding=pl.lit(None, pl.List(pl.Float32)),
    )
    said = explained(tmp_path / "base", rows, CPU)
    assert said.drop("embedding").equals(rows.drop("embedding"))
    texts = ["It asks for a king.", "c d", "It asks for a number."]
    expected = TorchClassifier(tmp_path / "base").answer(texts).embeddings
    np.testing.assert_allclose(np.array(said["embedding"].to_list()), expected, atol=1e-6)
