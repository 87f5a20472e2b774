"""The whole way with a teacher of another family than the demo's: the same weights under the names of DistilBERT."""

import json
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file

from orchestration.run import distil
from orchestration.terminal import Terminal
from stillhouse.models import network
from stillhouse.models.predictor import OnnxClassifier, TorchClassifier
from stillhouse.stages.names import MODEL
from stillhouse.teachers.classifier import build_classifier
from tests.conftest import a_place
from tests.small import small_recipe, small_teacher

NAMES = {
    "attention.self.query": "attention.q_lin",
    "attention.self.key": "attention.k_lin",
    "attention.self.value": "attention.v_lin",
    "attention.output.dense": "attention.out_lin",
    "attention.output.LayerNorm": "sa_layer_norm",
    "intermediate.dense": "ffn.lin1",
    "output.dense": "ffn.lin2",
    "output.LayerNorm": "output_layer_norm",
}


def as_distilbert(bert: Path, folder: Path) -> Path:
    """The same encoder for texts of one part: DistilBERT has no types of tokens, so that of the first is added."""
    config = json.loads((bert / "config.json").read_text())
    weights = load_file(bert / "model.safetensors")
    weights["embeddings.position_embeddings.weight"] += weights.pop("embeddings.token_type_embeddings.weight")[0]
    renamed: dict[str, torch.Tensor] = {}
    for name, tensor in weights.items():
        for theirs, ours in NAMES.items():  # in this order: an output of attention ends like one of the block
            name = name.replace(f".{theirs}.", f".{ours}.")
        if not name.startswith("pooler.") and not name.endswith("position_ids"):
            renamed[name.replace("encoder.layer.", "transformer.layer.")] = tensor
    sizes = {"dim": "hidden_size", "n_layers": "num_hidden_layers", "n_heads": "num_attention_heads",
             "hidden_dim": "intermediate_size"}  # fmt: skip
    same = ("vocab_size", "max_position_embeddings", "pad_token_id")
    described = {
        "model_type": "distilbert",
        "activation": "gelu",
        **{ours: config[theirs] for ours, theirs in sizes.items()},
        **{name: config[name] for name in same},
    }
    folder.mkdir()
    save_file(renamed, folder / "model.safetensors", {"format": "pt"})
    (folder / "config.json").write_text(json.dumps(described))
    (folder / "tokenizer.json").write_bytes((bert / "tokenizer.json").read_bytes())
    return folder


def test_the_same_weights_say_the_same_under_both_names(tmp_path: Path) -> None:
    """An oracle for the names: a matrix in another's place would answer something else."""
    bert = small_teacher(tmp_path / "bert")
    build_classifier(bert, ["a", "b"], tmp_path / "of_bert", seed=0)
    build_classifier(as_distilbert(bert, tmp_path / "distilbert"), ["a", "b"], tmp_path / "of_distilbert", seed=0)
    texts = ["Who was the first king ?", "What does NASA stand for ?"]
    expected, found = (TorchClassifier(tmp_path / name).logits(texts) for name in ("of_bert", "of_distilbert"))
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_from_rows_to_a_release_that_answers(tmp_path: Path, shared: Path) -> None:
    with a_place(tmp_path, seeded=shared) as place:
        as_distilbert(small_teacher(place.folder / "bert"), place.folder / "teacher")
        assert distil(small_recipe(place.folder), place.home, Terminal(quiet=True)).succeeded
        student = network.read_config(place.newest("candidates/one").folder / MODEL)
        assert (student["model_type"], student["n_layers"]) == ("distilbert", 1)
        released = OnnxClassifier(place.newest("release").folder / MODEL)
        texts = ["Who was the first king of Denmark ?", "How many rivers are there ?"]
        assert [released.labels[place] for place in released.logits(texts).argmax(axis=1)] == ["HUM", "NUM"]
