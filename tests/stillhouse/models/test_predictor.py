"""Predictors answer in the order asked, one text or many, from a model folder and from an exported one."""

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Encoding

from stillhouse.errors import StillhouseError
from stillhouse.models.export import export_student
from stillhouse.models.predictor import OnnxClassifier, TorchClassifier
from stillhouse.models.tokenization import MAX_CHARACTERS
from stillhouse.tasks.single_label import SingleLabel
from tests.stillhouse.conftest import LABELS

TEXTS = ["who is the king ?", "", "where " * 200, "how many rivers", "why", "☃"]


@pytest.fixture(scope="module")
def exported(classifier: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("exported") / "student"
    export_student(classifier, out, TEXTS, np.arange(len(TEXTS)) % len(LABELS), SingleLabel(tuple(LABELS)))
    return out


@pytest.mark.long
@settings(max_examples=25)
@given(texts=st.lists(st.sampled_from(TEXTS) | st.text(max_size=30), max_size=12), batch_size=st.integers(1, 5))
def test_answers_come_in_the_order_asked_whatever_the_batches(
    classifier: Path, texts: list[str], batch_size: int
) -> None:
    model = TorchClassifier(classifier)
    together = model.logits(texts, batch_size)
    assert together.shape == (len(texts), len(LABELS))
    alone = [model.logits([text])[0] for text in texts]
    np.testing.assert_allclose(together, np.array(alone).reshape(-1, len(LABELS)), atol=1e-5)


def test_onnx_answers_come_in_the_order_asked(exported: Path) -> None:
    model = OnnxClassifier(exported)
    assert model.labels == LABELS
    together, backwards = model.logits(TEXTS), model.logits(TEXTS[::-1])
    np.testing.assert_array_equal(together, backwards[::-1])


def test_embeddings_and_logits_are_those_of_the_same_texts(classifier: Path) -> None:
    model = TorchClassifier(classifier)
    answers = model.answer(TEXTS)
    head = model.network.classifier
    expected = answers.embeddings @ head.weight.detach().numpy().T + head.bias.detach().numpy()
    np.testing.assert_allclose(answers.logits, expected, atol=1e-5)


def test_a_megabyte_of_text_costs_no_more_than_the_longest_text(
    exported: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = OnnxClassifier(exported)
    session, tokenizer = model._session, model._read.tokenizer
    read: list[int] = []
    shapes: list[tuple[int, int]] = []

    def encode_batch_fast(texts: list[str]) -> list[Encoding]:
        read.extend(map(len, texts))
        return tokenizer.encode_batch_fast(texts)

    def run(outputs: list[str], inputs: dict[str, np.ndarray]) -> list[np.ndarray]:
        shapes.append(inputs["input_ids"].shape)
        return session.run(outputs, inputs)

    monkeypatch.setattr(model._read, "tokenizer", SimpleNamespace(encode_batch_fast=encode_batch_fast))
    monkeypatch.setattr(model, "_session", SimpleNamespace(run=run))
    for text in ("who is the king " * 70_000, "x" * 1_000_000, " " * 1_000_000):
        assert np.isfinite(model.logits([text])).all()
    assert read == [MAX_CHARACTERS] * 3
    longest = json.loads((exported / "config.json").read_text())["max_position_embeddings"]
    assert len(shapes) == 3 and all(rows == 1 and tokens <= longest for rows, tokens in shapes)


@pytest.mark.long
def test_the_exported_student_needs_neither_torch_nor_transformers(exported: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from stillhouse.models.predictor import OnnxClassifier;"
        "OnnxClassifier(Path(sys.argv[1])).logits(['who']);"
        "assert not {'torch', 'transformers', 'onnx'} & set(sys.modules), sorted(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", script, exported], check=True)


def test_a_folder_without_the_export_is_said(classifier: Path) -> None:
    with pytest.raises(StillhouseError, match=r"missing model\.onnx"):
        OnnxClassifier(classifier)
