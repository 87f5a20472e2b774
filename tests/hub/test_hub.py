"""Published encoders from the hub, by their commit: `make test-hub`, which says where there was no hub to ask."""

from pathlib import Path

import numpy as np
import pytest
from huggingface_hub.errors import LocalEntryNotFoundError

from stillhouse.errors import StillhouseError
from stillhouse.models.predictor import TorchClassifier
from stillhouse.models.pretrained import base_model, config_on_the_hub
from stillhouse.records.artifacts import ArtifactStore
from stillhouse.students.pruning import drop_layers
from stillhouse.students.vocabulary import trim_vocabulary
from stillhouse.teachers.classifier import build_classifier

TEXTS = ["Who was the first king of Denmark ?", "How many rivers are there ?"]


@pytest.fixture(scope="module")
def hub() -> None:
    """Skips what follows where there is none, after one attempt."""
    source = "hf://sentence-transformers/all-MiniLM-L6-v2"
    try:
        config_on_the_hub(source, "main")
    except StillhouseError as error:
        if not isinstance(error.__cause__, LocalEntryNotFoundError):  # a hub that answers has to know it
            raise
        pytest.skip(f"{source} was not tried: {error.what}")


@pytest.mark.slow
@pytest.mark.usefixtures("hub")
@pytest.mark.parametrize(
    "name",
    [
        "sentence-transformers/all-MiniLM-L6-v2",
        "google-bert/bert-base-uncased",
        "distilbert/distilbert-base-uncased",
        "FacebookAI/roberta-base",
        "answerdotai/ModernBERT-base",
    ],
)
def test_a_published_encoder_is_let_in_by_its_commit_and_says_what_transformers_says(name: str, tmp_path: Path) -> None:
    import torch
    from huggingface_hub import HfApi
    from transformers import AutoModel, AutoTokenizer

    commit = HfApi().model_info(name).sha
    assert commit is not None
    store = ArtifactStore(str(tmp_path / "store"), cache=tmp_path / "cache", workbench=tmp_path / "bench")
    with base_model(f"hf://{name}", commit, store) as base:
        build_classifier(base.folder, ["a", "b"], tmp_path / "classifier", seed=0)
    theirs, tokenizer = (
        AutoModel.from_pretrained(name, revision=commit).eval(),
        AutoTokenizer.from_pretrained(name, revision=commit),
    )
    ours = TorchClassifier(tmp_path / "classifier").answer(TEXTS).embeddings
    for text, found in zip(TEXTS, ours, strict=True):
        with torch.no_grad():
            expected = theirs(**tokenizer(text, return_tensors="pt")).last_hidden_state[0].mean(0)
        np.testing.assert_allclose(found, expected, atol=1e-4)

    drop_layers(tmp_path / "classifier", (0, 2), tmp_path / "cut")
    assert trim_vocabulary(tmp_path / "cut", TEXTS, tmp_path / "trimmed").dropped > 10_000
    before, after = (TorchClassifier(tmp_path / folder).logits(TEXTS) for folder in ("cut", "trimmed"))
    np.testing.assert_array_equal(before, after)
