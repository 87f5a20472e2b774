"""What is tried before a training: each property is broken once, and ends it in one sentence."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from stillhouse.errors import StillhouseError
from stillhouse.models.losses import EMBEDDING_LOSSES, EmbeddingLoss
from stillhouse.models.network import MeanPooledClassifier, TextClassifier
from stillhouse.models.predictor import TorchClassifier
from stillhouse.models.training import train
from stillhouse.models.training_examples import TrainingExamples
from stillhouse.recipe.losses import LossTerm
from stillhouse.recipe.training import TrainingConfig
from stillhouse.tasks.single_label import LOSSES, SingleLabel, logit_mse, temperature_kl
from stillhouse.tasks.task import TeacherLoss
from tests.stillhouse.conftest import LABELS

MIXED = TrainingConfig(
    epochs=1, loss="dkd", temperature=2.0, embedding_weight=1.0, embedding_loss="angles",
    mixture=(
        LossTerm(loss="kl", temperature=4.0, weight=0.0, first_weight=1.0),
        LossTerm(loss="standardised_kl"), LossTerm(loss="logit_mse"), LossTerm(loss="answers"),
        LossTerm(loss="labels", weight=0.1), LossTerm(embedding_loss="mse"), LossTerm(embedding_loss="cosine"),
        LossTerm(embedding_loss="distances", weight=2.0, first_weight=0.0, ramp_share=0.5),
        LossTerm(embedding_loss="mse", layers=(1, None, 0)), LossTerm(embedding_loss="angles", layers=(None, 2, 2)),
    ),
)  # fmt: skip


@pytest.fixture
def examples(classifier: Path, questions: tuple[list[str], list[int]]) -> TrainingExamples:
    texts, labels = questions
    task = SingleLabel(tuple(LABELS))
    answers = TorchClassifier(classifier).answer(texts, layers=(0, 1, 2))
    pooled, logits = answers.embeddings, answers.logits
    said = logits * 30 + np.random.default_rng(0).normal(0, 2, logits.shape).astype(np.float32)
    after = {number: states[::-1].copy() for number, states in answers.layers.items()}
    return TrainingExamples(texts, np.array(labels), task, said, pooled[::-1].copy(), teacher_layers=after)


@pytest.mark.long
def test_all_losses_at_once_pass_and_lower_what_they_cost(
    classifier: Path, examples: TrainingExamples, tmp_path: Path
) -> None:
    how = MIXED.model_copy(update={"epochs": 6, "learning_rate": 2e-3, "batch_size": 16, "freeze_embeddings": False})
    epochs = train(classifier, tmp_path / "out", examples, how).epochs
    assert epochs[-1].train_loss < 0.9 * epochs[0].train_loss


def broken(monkeypatch: pytest.MonkeyPatch, name: str, cost: Callable[..., torch.Tensor]) -> None:
    monkeypatch.setitem(LOSSES, name, TeacherLoss(cost))


def in_batch_spread(student: torch.Tensor, teacher: torch.Tensor, how: LossTerm) -> torch.Tensor:
    return logit_mse(student, teacher) / teacher.std()


def without_t_squared(student: torch.Tensor, teacher: torch.Tensor, how: LossTerm) -> torch.Tensor:
    return temperature_kl(student, teacher, how.temperature) / how.temperature**2


def with_a_constant(student: torch.Tensor, teacher: torch.Tensor, how: LossTerm) -> torch.Tensor:
    return temperature_kl(student, teacher, how.temperature) + 0.01


def of_the_best_answer(student: torch.Tensor, teacher: torch.Tensor, how: LossTerm) -> torch.Tensor:
    return (student.argmax(-1) != teacher.argmax(-1)).double() + 0 * student.sum(-1)


@pytest.mark.long
@pytest.mark.parametrize(
    ("cost", "says"),
    [
        (in_batch_spread, r"kl of 8 texts is .* at one time, and .* in two parts; expected the same sum"),
        (without_t_squared, r"the gradient of kl goes from .* where its temperature is doubled"),
        (with_a_constant, "kl of the teacher's own answers is 0.01"),
        (of_the_best_answer, "kl does not move a student that answers otherwise"),
    ],
)
def test_a_loss_that_breaks_a_property_ends_the_training_before_its_first_step(
    classifier: Path, examples: TrainingExamples, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    cost: Callable[..., torch.Tensor], says: str,
) -> None:  # fmt: skip
    broken(monkeypatch, "kl", cost)
    monkeypatch.setattr("stillhouse.models.steps.PlainStep.learn", None)
    with pytest.raises(StillhouseError, match=says):
        train(classifier, tmp_path / "out", examples, TrainingConfig(epochs=1, loss="kl"))
    within = TrainingConfig(epochs=1, mixture=(LossTerm(loss="kl"),))
    with pytest.raises(StillhouseError, match=says):
        train(classifier, tmp_path / "out", examples, within)
    assert not (tmp_path / "out").exists()


@pytest.mark.long
def test_two_labels_leave_standardised_logits_nothing_to_say(
    classifier: Path, examples: TrainingExamples, tmp_path: Path
) -> None:
    from stillhouse.teachers.classifier import build_classifier
    from tests.stillhouse.conftest import write_encoder

    build_classifier(write_encoder(tmp_path / "encoder"), LABELS[:2], tmp_path / "two", 0)
    assert examples.teacher_logits is not None
    two = replace(
        examples,
        task=SingleLabel(tuple(LABELS[:2])),
        targets=np.full(len(examples.texts), -1),
        teacher_logits=examples.teacher_logits[:, :2].copy(),
    )
    how = TrainingConfig(epochs=1, batch_size=16, loss="standardised_kl")
    with pytest.raises(StillhouseError, match=r"standardised_kl does not move a student .* of two labels"):
        train(tmp_path / "two", tmp_path / "out", two, how)
    assert train(tmp_path / "two", tmp_path / "out", two, how.model_copy(update={"loss": "dkd"})).steps > 0


def test_an_encoder_that_reads_its_padding_is_found(
    classifier: Path, examples: TrainingExamples, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    forward = MeanPooledClassifier.forward
    monkeypatch.setattr(
        MeanPooledClassifier, "forward", lambda self, ids, mask: forward(self, ids, torch.ones_like(mask))
    )
    with pytest.raises(StillhouseError, match=r"logits of the same texts with more padding are .* apart"):
        train(classifier, tmp_path / "out", examples, TrainingConfig(epochs=1))


def test_an_encoder_that_looks_at_its_neighbours_is_found(
    classifier: Path, examples: TrainingExamples, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    forward = MeanPooledClassifier.forward

    def normalised(self: MeanPooledClassifier, ids: torch.Tensor, mask: torch.Tensor) -> tuple[torch.Tensor, ...]:
        logits, states = forward(self, ids, mask)
        return logits, states - states.mean(0)

    monkeypatch.setattr(MeanPooledClassifier, "forward", normalised)
    with pytest.raises(StillhouseError, match=r"pooled states of the same texts in two batches are .* apart"):
        train(classifier, tmp_path / "out", examples, TrainingConfig(epochs=1))


@pytest.mark.long
def test_a_student_that_is_its_teacher_costs_nothing_layer_by_layer(
    classifier: Path, examples: TrainingExamples, tmp_path: Path
) -> None:
    said = TorchClassifier(classifier).answer(examples.texts, layers=(0, 1, 2))
    same = replace(examples, teacher_logits=said.logits, teacher_layers=said.layers)
    terms = tuple(LossTerm(embedding_loss=name, layers=(0, 1, 2)) for name in EMBEDDING_LOSSES)
    how = TrainingConfig(epochs=1, learning_rate=1e-12, mixture=terms)
    assert train(classifier, tmp_path / "out", same, how).epochs[0].train_loss < 1e-6
    turned = replace(same, teacher_layers={number: said.layers[(number + 1) % 3] for number in range(3)})
    assert train(classifier, tmp_path / "out", turned, how).epochs[0].train_loss > 0.01


@pytest.mark.parametrize("how", ["with more padding", "in two batches"])
def test_a_layer_that_looks_at_padding_or_neighbours_is_found(
    classifier: Path, examples: TrainingExamples, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    with_layers = TextClassifier.with_layers

    def looking(
        self: TextClassifier, ids: torch.Tensor, mask: torch.Tensor, layers: Iterable[int]
    ) -> tuple[torch.Tensor, torch.Tensor, dict[int, torch.Tensor]]:
        logits, pooled, after = with_layers(self, ids, mask, layers)
        seen = mask.shape[1] if how == "with more padding" else mask.shape[0]
        return logits, pooled, {number: states + seen for number, states in after.items()}

    monkeypatch.setattr(TextClassifier, "with_layers", looking)
    matching = TrainingConfig(epochs=1, mixture=(LossTerm(embedding_loss="mse", layers=(1, None, 0)),))
    with pytest.raises(StillhouseError, match=rf"states after layer 0 of the same texts {how} are .* apart"):
        train(classifier, tmp_path / "out", examples, matching)


def test_a_comparison_of_layers_that_is_no_distance_is_found(
    classifier: Path, examples: TrainingExamples, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = EmbeddingLoss(lambda student, teacher: (student - 2 * teacher).square().mean(-1))
    monkeypatch.setitem(EMBEDDING_LOSSES, "mse", wrong)
    matching = TrainingConfig(epochs=1, mixture=(LossTerm(embedding_loss="mse", layers=(1, None, 0)),))
    with pytest.raises(StillhouseError, match="embedding_loss mse of layers of the teacher's own answers is"):
        train(classifier, tmp_path / "out", examples, matching)


@pytest.mark.long
def test_it_draws_no_random_number_and_leaves_no_gradient(
    classifier: Path, examples: TrainingExamples, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that a training gives the bits that it gave before there was such a trial."""
    how = MIXED.model_copy(update={"dropout": 0.1, "epochs": 2})
    tried = train(classifier, tmp_path / "tried", examples, how)
    monkeypatch.setattr("stillhouse.models.preflight.require_invariances", lambda *asked: None)
    assert train(classifier, tmp_path / "untried", examples, how).weights_digest == tried.weights_digest
