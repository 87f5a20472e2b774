from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file
from scipy.special import log_softmax

from stillhouse.errors import StillhouseError
from stillhouse.students.predictor import TorchClassifier
from stillhouse.teachers.classifier import build_classifier, calibrate_temperature
from stillhouse.teachers.intake import fingerprint_of, verify_weights


def test_the_classifier_keeps_the_encoders_weights_and_passes_intake(encoder: Path, tmp_path: Path) -> None:
    build_classifier(encoder, ["b", "a"], tmp_path / "built", seed=0)
    verify_weights(tmp_path / "built")
    before, after = load_file(encoder / "model.safetensors"), load_file(tmp_path / "built/model.safetensors")
    for name, tensor in before.items():
        if not name.startswith("pooler."):
            assert after[f"bert.{name}"].equal(tensor)


def test_logits_come_in_the_order_of_the_sorted_labels(encoder: Path, tmp_path: Path) -> None:
    build_classifier(encoder, ["zebra", "ant", "zebra", "mole"], tmp_path / "built", seed=0)
    model = TorchClassifier(tmp_path / "built")
    assert model.labels == ["ant", "mole", "zebra"]
    assert model.logits(["who is the king"]).shape == (1, 3)


def test_the_seed_decides_the_first_weights(encoder: Path, tmp_path: Path) -> None:
    for name, seed in (("one", 1), ("same", 1), ("two", 2)):
        build_classifier(encoder, ["a", "b"], tmp_path / name, seed=seed)
    assert fingerprint_of(tmp_path / "one") == fingerprint_of(tmp_path / "same") != fingerprint_of(tmp_path / "two")


def test_one_label_is_not_a_classification(encoder: Path, tmp_path: Path) -> None:
    with pytest.raises(StillhouseError, match="1 distinct"):
        build_classifier(encoder, ["a", "a"], tmp_path / "built", seed=0)


@settings(max_examples=30)
@given(truth=st.floats(0.3, 5), seed=st.integers(0, 100))
def test_a_model_made_overconfident_by_a_factor_gets_the_factor_back(truth: float, seed: int) -> None:
    random = np.random.default_rng(seed)
    calibrated = random.normal(0, 2, (20_000, 4))
    # labels drawn from the model's own probabilities: it is calibrated at T = 1 by construction
    labels = (calibrated + random.gumbel(size=calibrated.shape)).argmax(1)
    assert calibrate_temperature(calibrated * truth, labels) == pytest.approx(truth, rel=0.06)


def test_no_temperature_of_a_grid_beats_the_one_found() -> None:
    random = np.random.default_rng(0)
    logits, labels = random.normal(0, 5, (300, 6)), random.integers(0, 6, 300)
    logits[np.arange(300), labels] += 4

    def loss(temperature: float) -> float:
        return float(-log_softmax(logits / temperature, axis=1)[np.arange(300), labels].mean())

    found = loss(calibrate_temperature(logits, labels))
    assert all(found <= loss(temperature) + 1e-9 for temperature in np.geomspace(0.05, 20, 500))


def test_calibration_refuses_nothing_and_mismatch() -> None:
    with pytest.raises(ValueError, match="empty"):
        calibrate_temperature(np.empty((0, 3)), np.empty(0))
    with pytest.raises(ValueError, match="match"):
        calibrate_temperature(np.zeros((2, 3)), np.zeros(3))
