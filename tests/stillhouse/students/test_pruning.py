"""A cut or narrowed student is its teacher without the layers and units that were left out."""

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from stillhouse.errors import StillhouseError
from stillhouse.models import network
from stillhouse.models.predictor import TorchClassifier
from stillhouse.models.tokenization import load_tokenizer
from stillhouse.models.weights import verify_weights
from stillhouse.students.pruning import drop_layers, prune_feed_forward

TASK = ["who is the king ?", "where is the city"]


def test_cutting_no_layer_changes_no_answer(classifier: Path, tmp_path: Path) -> None:
    drop_layers(classifier, [0, 1, 2], tmp_path / "cut")
    np.testing.assert_array_equal(
        TorchClassifier(tmp_path / "cut").logits(TASK), TorchClassifier(classifier).logits(TASK)
    )


def test_a_cut_student_is_its_teacher_with_the_other_layers_skipped(classifier: Path, tmp_path: Path) -> None:
    drop_layers(classifier, [0, 2], tmp_path / "cut")
    verify_weights(tmp_path / "cut")
    teacher = network.load(classifier)
    layers = teacher.bert.encoder.layer
    teacher.bert.encoder.layer = torch.nn.ModuleList(layers[place] for place in (0, 2))
    ids = torch.tensor([load_tokenizer(classifier).encode(TASK[0]).ids])
    with torch.no_grad():
        expected = teacher(ids, torch.ones_like(ids))[0].numpy()
    np.testing.assert_array_equal(TorchClassifier(tmp_path / "cut").logits(TASK[:1]), expected)


@pytest.mark.parametrize("layers", [[], [2, 0], [0, 0], [0, 3], [-1, 0]])
def test_layers_that_make_no_sense_are_refused(classifier: Path, tmp_path: Path, layers: list[int]) -> None:
    with pytest.raises(StillhouseError, match="layers"):
        drop_layers(classifier, layers, tmp_path / "cut")


@pytest.mark.long
def test_units_that_contribute_nothing_are_the_first_to_go(classifier: Path, tmp_path: Path) -> None:
    full = load_file(classifier / "model.safetensors")
    width = len(full["bert.encoder.layer.0.intermediate.dense.bias"])
    silent = torch.arange(0, width, 2)
    for name, tensor in full.items():
        if name.endswith("output.dense.weight") and "attention" not in name:
            tensor[:, silent] = 0.0
    config = network.read_config(classifier)
    network.save(full, config, (classifier / "tokenizer.json").read_text(), tmp_path / "half_silent")
    prune_feed_forward(tmp_path / "half_silent", width // 2, tmp_path / "narrow")
    assert verify_weights(tmp_path / "narrow").parameters < verify_weights(classifier).parameters
    np.testing.assert_allclose(
        TorchClassifier(tmp_path / "narrow").logits(TASK),
        TorchClassifier(tmp_path / "half_silent").logits(TASK),
        atol=1e-6,
    )


@pytest.mark.parametrize("width", [0, -1, 10_000])
def test_a_width_that_narrows_nothing_is_refused(classifier: Path, tmp_path: Path, width: int) -> None:
    with pytest.raises(StillhouseError, match="feed-forward width"):
        prune_feed_forward(classifier, width, tmp_path / "narrow")


def test_of_a_gated_block_the_units_that_the_gate_shuts_are_the_first_to_go(tmp_path: Path) -> None:
    """ModernBERT keeps the two matrices that lead to its units below each other in one."""
    from tests.stillhouse.models.encoders import a_classifier

    folder = a_classifier("modernbert", tmp_path / "full")
    full = load_file(folder / "model.safetensors")
    for name, tensor in full.items():
        if name.endswith("mlp.Wi.weight"):
            units = len(tensor) // 2
            tensor[units::2] = 0.0  # the gates of every second unit
    network.save(full, network.read_config(folder), (folder / "tokenizer.json").read_text(), tmp_path / "half_silent")
    prune_feed_forward(tmp_path / "half_silent", units // 2, tmp_path / "narrow")
    np.testing.assert_allclose(
        TorchClassifier(tmp_path / "narrow").logits(TASK),
        TorchClassifier(tmp_path / "half_silent").logits(TASK),
        atol=1e-6,
    )
