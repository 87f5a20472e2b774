"""A pretrained model is found where its source says, and what is used of it are the bytes that were kept."""

import json
import re
import sys
from pathlib import Path

import pytest

from stillhouse.errors import StillhouseError
from stillhouse.models.pretrained import base_model, resolve_model
from stillhouse.models.weights import fingerprint_of
from stillhouse.records.artifacts import ArtifactStore


def test_a_package_source_is_found_without_importing_the_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "carries_a_model"
    (package / "model").mkdir(parents=True)
    (package / "__init__.py").write_text("raise RuntimeError('imported')")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert resolve_model("package://carries_a_model/model", None) == package / "model"
    assert "carries_a_model" not in sys.modules


@pytest.mark.experiment("F7")
@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("package://no_such_package/model", "no package 'no_such_package' is installed"),
        ("package://json/no_such_file", "no such model folder"),
        ("package://json/../os.py", "is not inside package 'json'"),
        ("package://json//etc", "is not inside package 'json'"),
        ("package://json", "is not inside package 'json'"),
        ("hf://organisation/name", "not pinned"),
        ("/no/such/folder", "no such model folder"),
    ],
)
def test_a_source_that_leads_nowhere_is_said_in_one_line(source: str, said: str) -> None:
    with pytest.raises(StillhouseError, match=said) as caught:
        resolve_model(source, None)
    assert "\n" not in str(caught.value)


def store_in(folder: Path) -> ArtifactStore:
    return ArtifactStore(str(folder / "store"), cache=folder / "cache", workbench=folder / "bench")


@pytest.mark.experiment("E9")
def test_weights_exchanged_after_they_were_verified_are_not_the_ones_that_are_used(
    encoder: Path, tmp_path: Path
) -> None:
    """Regression: the source was resolved and read a second time after its fingerprint had been taken."""
    honest = fingerprint_of(encoder)
    with base_model(str(encoder), "test", store_in(tmp_path)) as base:
        (encoder / "model.safetensors").write_bytes(b"exchanged")
        assert base.record.fingerprint == honest == fingerprint_of(base.folder)


def test_every_file_of_the_weights_is_kept_under_the_digest_that_a_manifest_names(
    encoder: Path, tmp_path: Path
) -> None:
    store = store_in(tmp_path)
    with base_model(str(encoder), "test", store) as base:
        named = base.external_inputs("somewhere@test")
    assert named.keys() == {f"somewhere@test/{name}" for name in ("config.json", "tokenizer.json", "model.safetensors")}
    for address, digest in named.items():
        assert store.kept(digest).read_bytes() == (encoder / address.rpartition("/")[2]).read_bytes()
    assert not list((tmp_path / "bench").iterdir()), "nothing is left on the workbench"


def test_a_pickle_beside_the_weights_is_refused_though_it_would_not_be_kept(encoder: Path, tmp_path: Path) -> None:
    (encoder / "optimizer.pt").write_bytes(b"PK\x03\x04")
    with pytest.raises(StillhouseError, match="can run code"), base_model(str(encoder), "test", store_in(tmp_path)):
        pass


def test_broken_weights_are_named_where_they_are_and_not_where_they_are_kept(encoder: Path, tmp_path: Path) -> None:
    weights = encoder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(StillhouseError, match="truncated") as caught, base_model(str(encoder), "t", store_in(tmp_path)):
        pass
    assert caught.value.where == str(weights)


def test_whoever_cannot_use_the_kept_weights_names_where_they_came_from(encoder: Path, tmp_path: Path) -> None:
    from stillhouse.teachers.classifier import build_classifier

    path = encoder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "hidden_act": "tanh"}))
    with (
        pytest.raises(StillhouseError, match=re.escape(f"{encoder}/config.json: activation 'tanh'")),
        base_model(str(encoder), None, store_in(tmp_path)) as base,
    ):
        build_classifier(base.folder, ["a", "b"], tmp_path / "classifier", seed=0)
