"""A BERT encoder of a few kilobytes, with random weights and a WordPiece vocabulary made by hand."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.warm import WarmParent, warm_parent

ENCODER_CONFIG: dict[str, Any] = {
    "model_type": "bert",
    "architectures": ["BertModel"],
    "hidden_size": 32,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "max_position_embeddings": 64,
    "type_vocab_size": 2,
    "hidden_act": "gelu",
    "layer_norm_eps": 1e-12,
    "pad_token_id": 0,
}
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789?."
WORDS = ["who", "what", "when", "where", "why", "how", "is", "the", "king", "river", "many", "##ing", "##er", "city"]
LABELS = ["number", "person", "place"]
IMPORTED = (
    "stillhouse.models.network", "transformers.models.bert.modeling_bert", "stillhouse.stages.bench", "onnxruntime",
    "stillhouse.teachers.teacher", "tests.stillhouse.teachers.asked",
)  # fmt: skip
"""What the scripts of these tests import."""


@pytest.fixture(scope="session")
def parent() -> Iterator[WarmParent]:
    """Runs scripts that are killed, or looked at from outside."""
    with warm_parent(IMPORTED) as parent:
        yield parent


@pytest.fixture(autouse=True)
def pages_without_figures(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Twelve pictures take a page two seconds; a test that is about them is marked `figures`."""
    if "stillhouse.report.document" in sys.modules and request.node.get_closest_marker("figures") is None:
        monkeypatch.setattr("stillhouse.report.document.figures_of", lambda about: {})


def write_encoder(folder: Path, **changes: Any) -> Path:
    import torch
    from safetensors.torch import save_file
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

    pieces = [*SPECIAL, *LETTERS, *(f"##{letter}" for letter in LETTERS), *WORDS]
    vocabulary = {piece: place for place, piece in enumerate(pieces)}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing("[CLS] $A [SEP]", None, [("[CLS]", 2), ("[SEP]", 3)])
    tokenizer.add_special_tokens(SPECIAL)

    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    config = {**ENCODER_CONFIG, "vocab_size": len(pieces), **changes}
    (folder / "config.json").write_text(json.dumps(config))
    generator = torch.Generator().manual_seed(1)
    shapes = _encoder_shapes(config)
    weights = {name: torch.randn(shape, generator=generator) * 0.1 for name, shape in shapes.items()}
    weights |= {name: 1 + weight for name, weight in weights.items() if name.endswith("LayerNorm.weight")}
    save_file(weights, folder / "model.safetensors")
    return folder


def _encoder_shapes(config: dict[str, Any]) -> dict[str, tuple[int, ...]]:
    width, inner = config["hidden_size"], config["intermediate_size"]
    shapes: dict[str, tuple[int, ...]] = {
        "embeddings.word_embeddings.weight": (config["vocab_size"], width),
        "embeddings.position_embeddings.weight": (config["max_position_embeddings"], width),
        "embeddings.token_type_embeddings.weight": (config["type_vocab_size"], width),
        "embeddings.LayerNorm.weight": (width,),
        "embeddings.LayerNorm.bias": (width,),
        "pooler.dense.weight": (width, width),
        "pooler.dense.bias": (width,),
    }
    for number in range(config["num_hidden_layers"]):
        for block, (rows, columns) in {
            "attention.self.query": (width, width),
            "attention.self.key": (width, width),
            "attention.self.value": (width, width),
            "attention.output.dense": (width, width),
            "intermediate.dense": (inner, width),
            "output.dense": (width, inner),
        }.items():
            shapes[f"encoder.layer.{number}.{block}.weight"] = (rows, columns)
            shapes[f"encoder.layer.{number}.{block}.bias"] = (rows,)
        for block in ("attention.output.LayerNorm", "output.LayerNorm"):
            shapes[f"encoder.layer.{number}.{block}.weight"] = (width,)
            shapes[f"encoder.layer.{number}.{block}.bias"] = (width,)
    return shapes


@pytest.fixture
def encoder(tmp_path: Path) -> Path:
    """A fresh encoder folder that a test may damage."""
    return write_encoder(tmp_path / "encoder")


@pytest.fixture(scope="session")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A classifier folder on that encoder; read-only."""
    from stillhouse.teachers.classifier import build_classifier

    root = tmp_path_factory.mktemp("classifier")
    build_classifier(write_encoder(root / "encoder"), LABELS, root / "classifier", seed=3)
    return root / "classifier"


@pytest.fixture(scope="session")
def questions() -> tuple[list[str], list[int]]:
    """Sixty questions of different lengths, and their class numbers."""
    texts, labels = [], []
    for number in range(20):
        texts += [
            f"how many {'very ' * (number % 5)}kings {number}",
            f"who is the king {number} ?",
            f"where is city {number}",
        ]
        labels += [0, 1, 2]
    return texts, labels
