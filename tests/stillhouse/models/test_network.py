"""A classifier from a folder computes what transformers computes, and a folder that does not fit is refused."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from stillhouse.errors import StillhouseError
from stillhouse.models import network
from stillhouse.models.tokenization import encode, load_tokenizer, pad


@pytest.fixture
def folder(classifier: Path, tmp_path: Path) -> Path:
    return shutil.copytree(classifier, tmp_path / "model")


def test_the_forward_pass_is_that_of_transformers(encoder: Path, classifier: Path) -> None:
    from transformers import BertConfig, BertModel

    config = BertConfig(**json.loads((encoder / "config.json").read_text()))
    reference = BertModel(config).eval()
    reference.load_state_dict(load_file(encoder / "model.safetensors"))
    ids = encode(load_tokenizer(classifier), ["who is the king ?", "where", "how many rivers are there in the city"])
    padded, mask = (torch.from_numpy(array) for array in pad(ids, np.arange(3)))
    with torch.no_grad():
        _, pooled = network.load(classifier)(padded, mask)
        hidden = reference(padded, attention_mask=mask).last_hidden_state
    for row, tokens in enumerate(ids):  # mean over real tokens, written out
        torch.testing.assert_close(pooled[row], hidden[row, : len(tokens)].mean(0), rtol=1e-5, atol=1e-5)


def test_padding_changes_no_answer(classifier: Path) -> None:
    ids = encode(load_tokenizer(classifier), ["who is the king", "why"])
    model = network.load(classifier)
    with torch.no_grad():
        together = model(*(torch.from_numpy(array) for array in pad(ids, np.arange(2))))[0]
        alone = model(*(torch.from_numpy(array) for array in pad(ids, np.array([1]))))[0]
    torch.testing.assert_close(together[1:], alone, rtol=1e-5, atol=1e-6)


def test_a_tokenizer_from_another_model_is_found_at_load(folder: Path) -> None:
    path = folder / "tokenizer.json"
    path.write_text(path.read_text().replace('"king"', '"kong"'))
    with pytest.raises(StillhouseError, match="is not the one this model was trained with") as caught:
        network.load(folder)
    assert "\n" not in str(caught.value)


def test_weights_of_another_shape_are_found_at_load(folder: Path) -> None:
    weights = {name: tensor.clone() for name, tensor in load_file(folder / "model.safetensors").items()}
    weights["classifier.bias"] = torch.zeros(9)
    save_file(weights, folder / "model.safetensors")
    with pytest.raises(StillhouseError, match=r"classifier.bias is \(9,\)"):
        network.load(folder)


def test_a_folder_that_is_not_a_classifier_is_said(encoder: Path) -> None:
    with pytest.raises(StillhouseError, match="not a classifier folder"):
        network.load(encoder)


def test_loading_leaves_the_random_state_alone(classifier: Path) -> None:
    torch.manual_seed(0)
    before = torch.get_rng_state()
    network.load(classifier)
    assert torch.get_rng_state().equal(before)


def test_a_folder_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), network.writing_folder(tmp_path / "out") as folder:
        (folder / "half").write_text("")
        raise RuntimeError
    assert not (tmp_path / "out").exists()
