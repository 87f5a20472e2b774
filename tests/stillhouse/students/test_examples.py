"""Rows of a transfer set as what a student learns from."""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from stillhouse.device import CPU
from stillhouse.errors import StillhouseError
from stillhouse.models.memory import states_gb
from stillhouse.models.network import read_sizes
from stillhouse.models.predictor import TorchClassifier
from stillhouse.recipe.losses import LossTerm
from stillhouse.recipe.students import StudentSpec
from stillhouse.recipe.training import TrainingConfig
from stillhouse.students.examples import examples_of, explained, learned_from
from stillhouse.students.pruning import drop_layers
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


def test_where_no_member_ever_agrees_there_is_nothing_to_weigh_by() -> None:
    student = StudentSpec(name="one", layers=(0,), weigh_by_agreement=True, training=TrainingConfig(loss="kl"))
    nobody = ROWS.with_columns(disagreement=pl.lit(1.0, pl.Float32))
    with pytest.raises(StillhouseError, match="of none of 3 rows a member") as refused:
        examples_of(student, nobody, VALIDATION, SingleLabel(("x", "y")))
    assert "weigh_by_agreement" in str(refused.value)


def learner(layers: tuple[int | None, ...], **more: Any) -> StudentSpec:
    how = TrainingConfig(mixture=(LossTerm(embedding_loss="mse", layers=layers),))
    return StudentSpec(name="one", layers=(0,), training=how, **more)


@pytest.mark.parametrize("of_parent", [False, True])
def test_what_its_layers_learn_are_states_of_whom_it_learns_from(tmp_path: Path, of_parent: bool) -> None:
    teacher, parent = (tmp_path / name for name in ("teacher", "parent"))
    for seed, folder in enumerate((teacher, parent)):
        build_classifier(small_teacher(tmp_path / f"bert of {folder.name}"), ["x", "y"], folder, seed=seed)
    drop_layers(parent, [1], parent)
    rows = ROWS.with_columns(embedding=pl.lit(None, pl.List(pl.Float32)))
    asked = learner((0,), learns_from="parent", parent="two") if of_parent else learner((1,))
    learned = learned_from(asked, rows, teacher, parent if of_parent else None, CPU)
    examples = examples_of(asked, learned, VALIDATION, SingleLabel(("x", "y")))
    larger, number = (parent, 0) if of_parent else (teacher, 1)
    said = TorchClassifier(larger).answer(ROWS["text"].to_list(), layers=(number,))
    assert examples.teacher_embeddings is None and [*examples.teacher_layers] == [number]
    np.testing.assert_allclose(examples.teacher_layers[number], said.layers[number], atol=1e-6)
    assert examples.teacher_logits is not None
    answered = np.array(rows["logits"].to_list()) if not of_parent else said.logits
    np.testing.assert_allclose(examples.teacher_logits, answered, atol=1e-6)


def test_states_that_take_more_memory_than_there_is_are_not_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build_classifier(small_teacher(tmp_path / "bert"), ["x", "y"], tmp_path / "teacher", seed=0)
    needed = states_gb(3, 1, read_sizes(tmp_path / "teacher").width)
    monkeypatch.setattr("stillhouse.models.predictor.TorchClassifier.answer", None)
    monkeypatch.setattr("stillhouse.models.memory.machine_memory_gb", lambda: 1.9 * needed)
    with pytest.raises(
        StillhouseError, match=r"the states of 3 texts after 1 layers take .* GB; expected at most half"
    ):
        learned_from(learner((1,)), ROWS, tmp_path / "teacher", None, CPU)
    plain = StudentSpec(name="one", layers=(0,), training=TrainingConfig())
    assert learned_from(plain, ROWS, tmp_path / "teacher", None, CPU) is ROWS, "nobody is asked who is not learned from"


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
