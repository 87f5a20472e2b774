"""Rows of a transfer set as what a student learns from."""

import numpy as np
import polars as pl
import pytest

from stillhouse.recipe.students import StudentSpec
from stillhouse.recipe.training import TrainingConfig
from stillhouse.students.examples import examples_of
from stillhouse.tasks.single_label import SingleLabel

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
