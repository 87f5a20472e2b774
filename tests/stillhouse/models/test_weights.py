"""Weights from outside are let in only if they are whole, harmless and those that their fingerprint names."""

import hashlib
import json
import pickle
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from stillhouse.errors import StillhouseError
from stillhouse.models import tensors
from stillhouse.models.pretrained import base_model
from stillhouse.models.weights import fingerprint_of, verify_weights
from stillhouse.records.artifacts import ArtifactStore
from tests.stillhouse.conftest import write_encoder


def change_config(folder: Path, **fields: object) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))


def change_weights(folder: Path, name: str, tensor: torch.Tensor) -> None:
    path = folder / "model.safetensors"
    weights = {key: value.clone() for key, value in load_file(path).items()}
    save_file({**weights, name: tensor}, path)


def refusal(folder: Path) -> str:
    with pytest.raises(StillhouseError) as caught:
        verify_weights(folder)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_sound_folder_is_described(encoder: Path) -> None:
    record = verify_weights(encoder)
    weights = load_file(encoder / "model.safetensors")
    assert record.parameters == sum(tensor.numel() for tensor in weights.values())
    assert (record.tensors, record.architecture) == (len(weights), "BertModel")
    assert record.bytes == sum(path.stat().st_size for path in encoder.iterdir())
    assert record.fingerprint == fingerprint_of(encoder)


def test_the_fingerprint_is_of_contents_and_not_of_the_place(encoder: Path, tmp_path: Path) -> None:
    elsewhere = shutil.copytree(encoder, tmp_path / "elsewhere")
    (elsewhere / "README.md").write_text("unrelated")
    assert fingerprint_of(elsewhere) == fingerprint_of(encoder)


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "model.safetensors"])
def test_the_fingerprint_changes_with_each_file_that_matters(encoder: Path, name: str) -> None:
    before = fingerprint_of(encoder)
    with (encoder / name).open("ab") as file:
        file.write(b" ")
    assert fingerprint_of(encoder) != before


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "model.safetensors"])
def test_a_missing_file_is_refused(encoder: Path, name: str) -> None:
    (encoder / name).unlink()
    assert f"missing {name}" in refusal(encoder)


@pytest.mark.parametrize("name", ["pytorch_model.bin", "a.pt", "a.pth", "a.pkl", "a.CKPT", "deeper/a.bin"])
@pytest.mark.experiment("F9")
def test_a_file_type_that_carries_pickle_is_refused_whatever_it_holds(encoder: Path, name: str) -> None:
    (encoder / name).parent.mkdir(exist_ok=True)
    (encoder / name).write_bytes(b"harmless")
    assert "pickle" in refusal(encoder)


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_a_pickle_renamed_to_safetensors_is_refused(encoder: Path, protocol: int) -> None:
    (encoder / "model.safetensors").write_bytes(pickle.dumps({"weight": list(range(400))}, protocol=protocol))
    assert "can run code when it is loaded (pickle); expected weights in safetensors only" in refusal(encoder)


def test_a_torch_archive_under_an_innocent_name_is_refused(encoder: Path) -> None:
    torch.save({"weight": torch.zeros(3)}, encoder / "notes.txt")
    assert "pickle" in refusal(encoder)


def test_a_safetensors_file_whose_length_field_looks_like_a_pickle_is_accepted(encoder: Path) -> None:
    path = encoder / "model.safetensors"
    content = path.read_bytes()
    length = int.from_bytes(content[:8], "little")
    # a header may be padded with spaces; pad until the first two bytes of the length read 80 02, as a pickle's do
    padded = next(size for size in range(length, length + 70_000) if size & 0xFFFF == 0x0280)
    header = content[8 : 8 + length] + b" " * (padded - length)
    path.write_bytes(padded.to_bytes(8, "little") + header + content[8 + length :])
    assert path.read_bytes()[:2] == b"\x80\x02"
    assert verify_weights(encoder).tensors > 0


@pytest.mark.parametrize("keep", [0, 7, 100, -1])
def test_a_truncated_weights_file_is_refused(encoder: Path, keep: int) -> None:
    path = encoder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:keep])
    assert "truncated or corrupt" in refusal(encoder)


@pytest.mark.parametrize("poison", [float("nan"), float("inf"), -float("inf")])
def test_a_weight_that_is_not_finite_is_refused(encoder: Path, poison: float) -> None:
    tensor = torch.zeros(32)
    tensor[17] = poison
    change_weights(encoder, "embeddings.LayerNorm.bias", tensor)
    assert "embeddings.LayerNorm.bias holds NaN or infinity" in refusal(encoder)


def test_the_numbers_of_a_file_are_read_once_as_long_as_nobody_writes_to_it(
    encoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    for each in encoder.iterdir():
        (elsewhere / each.name).symlink_to(each)
    record, reads = verify_weights(encoder), list[str]()
    count = tensors._count_finite
    monkeypatch.setattr(tensors, "_count_finite", lambda name, *rest: reads.append(name) or count(name, *rest))
    assert verify_weights(encoder) == verify_weights(elsewhere) == record and reads == []
    name = "embeddings.LayerNorm.bias"
    sound = load_file(encoder / "model.safetensors")[name].clone()
    change_weights(encoder, name, torch.full_like(sound, float("nan")))
    assert f"{name} holds NaN" in refusal(elsewhere) and reads
    change_weights(encoder, name, sound)
    assert verify_weights(elsewhere).parameters == record.parameters


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("vocab_size", 999, "word_embeddings"),
        ("hidden_size", 64, "(999, 64)"),
        ("num_hidden_layers", 4, "3 encoder layers"),
    ],
)
def test_a_config_that_contradicts_the_weights_is_refused(encoder: Path, field: str, value: int, said: str) -> None:
    change_config(encoder, **{field: value})
    assert said.replace("(999, 64)", "from config.json") in refusal(encoder)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"type_vocab_size": 0}, "type_vocab_size is 0; expected sizes of at least 1"),
        ({"max_position_embeddings": 0}, "max_position_embeddings is 0; expected sizes of at least 1"),
        ({"max_position_embeddings": 2}, "max_position_embeddings is 2; expected at least 3"),
        ({"num_attention_heads": 3}, "hidden_size is 32, which is no multiple of num_attention_heads, 3"),
        ({"num_attention_heads": True}, "num_attention_heads is True; expected sizes of at least 1"),
    ],
)
def test_an_encoder_that_can_read_nothing_is_refused_before_anything_is_computed(
    tmp_path: Path, fields: dict[str, int], said: str
) -> None:
    """Regression: the first forward pass raised an error of torch, or each text was read as no word at all."""
    assert said in refusal(write_encoder(tmp_path / "encoder", **fields))


@pytest.mark.parametrize("fields", [{"num_attention_heads": 1}, {"max_position_embeddings": 3}, {"type_vocab_size": 1}])
def test_the_smallest_that_can_is_let_in(tmp_path: Path, fields: dict[str, int]) -> None:
    assert verify_weights(write_encoder(tmp_path / "encoder", **fields)).tensors > 0


def test_roberta_needs_two_positions_more(tmp_path: Path) -> None:
    encoder = write_encoder(tmp_path / "encoder", model_type="roberta", max_position_embeddings=4)
    assert "max_position_embeddings is 4; expected at least 5" in refusal(encoder)


def test_a_tokenizer_with_ids_beyond_the_embeddings_is_refused(encoder: Path) -> None:
    path = encoder / "tokenizer.json"
    description = json.loads(path.read_text())
    highest = len(description["model"]["vocab"])
    description["model"]["vocab"]["extra"] = highest
    path.write_text(json.dumps(description))
    assert f"emits id {highest}" in refusal(encoder)


@pytest.mark.experiment("F9")
def test_a_config_that_runs_the_repositorys_code_is_refused(encoder: Path) -> None:
    change_config(encoder, auto_map={"AutoModel": "modeling.Custom"})
    assert "code" in refusal(encoder)


def test_a_corrupt_tokenizer_is_refused(encoder: Path) -> None:
    (encoder / "tokenizer.json").write_text("{")
    assert "corrupt" in refusal(encoder)


def test_the_fingerprint_follows_its_definition(encoder: Path) -> None:
    # by hand: sha256 over "name NUL sha256-of-content LF" of the three files in the order of their names
    lines = [
        f"{name}\0{hashlib.sha256((encoder / name).read_bytes()).hexdigest()}\n"
        for name in ("config.json", "model.safetensors", "tokenizer.json")
    ]
    assert fingerprint_of(encoder) == hashlib.sha256("".join(lines).encode()).hexdigest()


def in_shards(folder: Path) -> Path:
    """The same weights in two files and their index, as large models are published."""
    weights = load_file(folder / "model.safetensors")
    names = sorted(weights)
    halves = {f"model-0000{n + 1}-of-00002.safetensors": names[n::2] for n in range(2)}
    for name, part in halves.items():
        save_file({each: weights[each] for each in part}, folder / name, {"format": "pt"})
    index = {"metadata": {}, "weight_map": {each: name for name, part in halves.items() for each in part}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    (folder / "model.safetensors").unlink()
    return folder


def test_weights_in_shards_are_those_of_one_file(encoder: Path, tmp_path: Path) -> None:
    from stillhouse.teachers.classifier import build_classifier

    whole = shutil.copytree(encoder, tmp_path / "whole")
    expected, found = verify_weights(whole), verify_weights(in_shards(encoder))
    assert (found.parameters, found.tensors) == (expected.parameters, expected.tensors)
    assert found.bytes == sum(path.stat().st_size for path in encoder.iterdir())
    store = ArtifactStore(str(tmp_path / "store"), cache=tmp_path / "cache", workbench=tmp_path / "bench")
    with base_model(str(encoder), None, store) as base:
        assert len(base.digests) == 5 and base.record.fingerprint == found.fingerprint
        build_classifier(base.folder, ["a", "b"], tmp_path / "of_shards", seed=0)
    build_classifier(whole, ["a", "b"], tmp_path / "of_one", seed=0)
    of_shards, of_one = (load_file(tmp_path / name / "model.safetensors") for name in ("of_shards", "of_one"))
    assert of_shards.keys() == of_one.keys() and all(torch.equal(of_shards[name], of_one[name]) for name in of_one)


@pytest.mark.parametrize("file", ["model-00002-of-00002.safetensors", "model.safetensors.index.json"])
def test_the_fingerprint_changes_with_each_shard(encoder: Path, file: str) -> None:
    before = fingerprint_of(in_shards(encoder))
    with (encoder / file).open("ab") as opened:
        opened.write(b" ")
    assert fingerprint_of(encoder) != before


def test_a_shard_that_is_missing_is_named(encoder: Path) -> None:
    (in_shards(encoder) / "model-00002-of-00002.safetensors").unlink()
    assert "missing model-00002-of-00002.safetensors" in refusal(encoder)


def test_a_tensor_in_two_shards_is_refused(encoder: Path) -> None:
    """Regression: nobody said which of the two counts, and both were counted as weights."""
    first, second = (
        in_shards(encoder) / "model-00001-of-00002.safetensors",
        encoder / "model-00002-of-00002.safetensors",
    )
    name, tensor = next(iter(load_file(first).items()))
    save_file({**load_file(second), name: tensor + 1}, second)
    assert f"{name} is in another shard, too" in refusal(encoder)


@pytest.mark.parametrize("name", ["../elsewhere.safetensors", "/etc/passwd", "weights.bin", 7])
def test_an_index_leads_out_of_the_folder_nowhere(encoder: Path, name: object) -> None:
    path = in_shards(encoder) / "model.safetensors.index.json"
    path.write_text(json.dumps({"weight_map": {"a": name}}))
    assert f"a shard called {str(name)!r}" in refusal(encoder)


@pytest.mark.parametrize("index", ["{", "[]", '{"weight_map": 3}', '{"weight_map": {}}'])
def test_an_index_that_cannot_be_read_is_refused(encoder: Path, index: str) -> None:
    (in_shards(encoder) / "model.safetensors.index.json").write_text(index)
    assert "model.safetensors.index.json" in refusal(encoder)


def test_quantised_weights_are_refused(encoder: Path) -> None:
    change_config(encoder, quantization_config={"bits": 4})
    assert "the weights are quantised" in refusal(encoder)
