"""Which texts an encoder still finds alike after it was fine-tuned."""

from pathlib import Path

import numpy as np
import pytest

from stillhouse.models.predictor import TorchClassifier
from stillhouse.models.training import train
from stillhouse.models.training_examples import TrainingExamples
from stillhouse.recipe.training import TrainingConfig
from stillhouse.tasks.single_label import SingleLabel
from stillhouse.teachers.classifier import build_classifier
from stillhouse.teachers.forgetting import NEAREST, NeighboursKept, neighbours_kept
from tests.small import questions, small_teacher


def states(seed: int, texts: int = 60) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(texts, 16)).astype(np.float32)


def test_what_is_turned_or_scaled_is_as_near_as_before() -> None:
    before = states(0)
    turn, _ = np.linalg.qr(states(1, 16))
    assert neighbours_kept(before, (3 * before @ turn).astype(np.float32)) == NeighboursKept(texts=60, kept=60)


def test_counted_by_hand() -> None:
    """On a circle: of twelve texts at 0, 10, ..., 110 degrees the nearest is 10 degrees away."""
    angles = np.deg2rad(np.arange(12) * 10.0 + np.arange(12) * 0.1)  # no ties: the one before is nearer
    before = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    after = before.copy()
    after[0] = -before[5]  # opposite to the middle, so that 10 of the 11 others are nearer to text 1, and to text 0 not
    found = neighbours_kept(before, after)
    by_hand = 0
    for text in range(12):
        others = [each for each in range(12) if each != text]
        nearest = max(others, key=lambda each: float(before[text] @ before[each]))
        ranked = sorted(others, key=lambda each: -float(after[text] @ after[each]))
        by_hand += nearest in ranked[:NEAREST]
    assert (found.texts, found.kept) == (12, by_hand) and by_hand < 12


def test_by_chance_ten_of_all_others_are_near() -> None:
    found = neighbours_kept(states(0, 500), states(1, 500))
    assert found.kept / found.texts == pytest.approx(NEAREST / 499, abs=0.02)


@pytest.mark.parametrize("state", [0.0, 1.0])
def test_an_encoder_to_which_all_texts_are_one_has_kept_nobodys_neighbour(state: float) -> None:
    """Regression: with no text nearer than another, each neighbour counted as kept, and the gate was open."""
    assert neighbours_kept(states(0), np.full((60, 16), state, np.float32)) == NeighboursKept(texts=60, kept=0)


def test_a_text_without_a_state_is_nobodys_neighbour() -> None:
    before = states(0)
    before[3] = 0
    assert neighbours_kept(before, before).kept >= 59


@pytest.mark.long
def test_a_high_rate_forgets_and_a_low_one_does_not(tmp_path: Path) -> None:
    rows = questions(300)
    task = SingleLabel(tuple(sorted(rows["service"].unique())))
    texts = rows["question"].to_list()
    examples = TrainingExamples(texts, task.targets(rows["service"]), task)
    start = tmp_path / "start"
    build_classifier(small_teacher(tmp_path / "bert"), task.names, start, 0)
    before = TorchClassifier(start).answer(texts).embeddings
    kept = {}
    for rate in (2e-5, 2e-3):
        how = TrainingConfig(epochs=2, learning_rate=rate, loss="labels", max_tokens=32)
        train(start, tmp_path / f"{rate}", examples, how)
        kept[rate] = neighbours_kept(before, TorchClassifier(tmp_path / f"{rate}").answer(texts).embeddings).kept / 300
    assert kept[2e-5] > 0.95 and kept[2e-3] < 0.6, kept
