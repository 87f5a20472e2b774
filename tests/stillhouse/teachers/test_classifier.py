"""A teacher to be trained is the encoder with a first classifier, which the seed decides."""

from pathlib import Path

import pytest
from safetensors.torch import load_file

from stillhouse.models.predictor import TorchClassifier
from stillhouse.models.weights import fingerprint_of, verify_weights
from stillhouse.tasks.single_label import SingleLabel
from stillhouse.teachers.classifier import build_classifier


def test_the_classifier_keeps_the_encoders_weights_and_passes_intake(encoder: Path, tmp_path: Path) -> None:
    build_classifier(encoder, ["b", "a"], tmp_path / "built", seed=0)
    verify_weights(tmp_path / "built")
    before, after = load_file(encoder / "model.safetensors"), load_file(tmp_path / "built/model.safetensors")
    for name, tensor in before.items():
        if not name.startswith("pooler."):
            assert after[f"bert.{name}"].equal(tensor)


def test_logits_come_in_the_order_of_the_names(encoder: Path, tmp_path: Path) -> None:
    build_classifier(encoder, SingleLabel.of(["zebra", "ant", "zebra", "mole"]).names, tmp_path / "built", seed=0)
    model = TorchClassifier(tmp_path / "built")
    assert model.labels == ["ant", "mole", "zebra"]
    assert model.logits(["who is the king"]).shape == (1, 3)


@pytest.mark.long
def test_the_seed_decides_the_first_weights(encoder: Path, tmp_path: Path) -> None:
    for name, seed in (("one", 1), ("same", 1), ("two", 2)):
        build_classifier(encoder, ["a", "b"], tmp_path / name, seed=seed)
    assert fingerprint_of(tmp_path / "one") == fingerprint_of(tmp_path / "same") != fingerprint_of(tmp_path / "two")
