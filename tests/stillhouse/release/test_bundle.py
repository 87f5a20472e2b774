"""A bundle stands on its own: whatever is missing, added or altered is found with nothing but the folder."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from stillhouse.records.ledger import Head
from stillhouse.release.bundle import RECORD, ReleaseRecord, bundle_problems, write_bundle


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    model = tmp_path / "model"
    model.mkdir()
    (model / "model.onnx").write_bytes(b"weights")
    evidence = [tmp_path / "recipe.json", tmp_path / "report.json"]
    for path in evidence:
        path.write_text("{}")
    typed = {"precision": "int8", "row_kinds": {"real": 1}, "waived": []}
    record = ReleaseRecord.model_validate(dict.fromkeys(ReleaseRecord.model_fields, "x") | typed)
    folder = tmp_path / "bundle"
    folder.mkdir()
    write_bundle(folder, record, model=model, evidence=evidence, head=Head(7, "h" * 64))
    return folder


def test_a_whole_bundle_has_no_problems(bundle: Path) -> None:
    assert bundle_problems(bundle) == []


def without_a_part_of_the_record(folder: Path) -> None:
    content = json.loads((folder / RECORD).read_text())
    del content["record"]["teacher"]
    (folder / RECORD).write_text(json.dumps(content))


def linked_to_the_same_bytes_elsewhere(folder: Path) -> None:
    elsewhere = (folder / "model" / "model.onnx").rename(folder.parent / "elsewhere.onnx")
    (folder / "model" / "model.onnx").symlink_to(elsewhere)


@pytest.mark.parametrize(
    ("spoil", "problem"),
    [
        (lambda f: (f / "model" / "model.onnx").write_bytes(b"weighty"), "model/model.onnx was altered"),
        (lambda f: (f / "report.json").unlink(), "report.json is missing"),
        (lambda f: (f / "model" / "extra.bin").write_bytes(b""), "model/extra.bin is not part of the release"),
        (lambda f: (f / "extra").symlink_to(f / "model"), "extra is a link"),
        (lambda f: (f / "extra").symlink_to(f / "model"), "extra is not part of the release"),
        (linked_to_the_same_bytes_elsewhere, "model/model.onnx is a link"),
        (lambda f: (f / RECORD).unlink(), "release.json is missing"),
        (lambda f: (f / RECORD).write_text("[]"), "release.json is not a release record"),
        (without_a_part_of_the_record, "release.json is not a release record"),
    ],
)
def test_whatever_is_wrong_is_named(bundle: Path, spoil: Callable[[Path], object], problem: str) -> None:
    spoil(bundle)
    assert any(found.startswith(problem) for found in bundle_problems(bundle)), bundle_problems(bundle)
