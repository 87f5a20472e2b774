"""What serving takes in memory, measured on models whose size is known."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from stillhouse.errors import StillhouseError
from stillhouse.evaluation.measures.footprint import MODULE, serving_memory_mb
from stillhouse.models.export import export_student
from stillhouse.tasks.single_label import SingleLabel
from tests.stillhouse.conftest import LABELS

pytestmark = pytest.mark.long

TEXTS = ["who is the king ?", "where " * 200]


@pytest.fixture(scope="module")
def exported(classifier: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("exported") / "student"
    export_student(classifier, out, TEXTS, np.arange(len(TEXTS)) % len(LABELS), SingleLabel(tuple(LABELS)))
    return out


def with_ballast(exported: Path, folder: Path, megabytes: int) -> Path:
    """The same model, and weights of so many megabytes that are added to its answers as nothing."""
    import onnx
    from onnx import numpy_helper

    folder.mkdir()
    for name in ("config.json", "tokenizer.json"):
        (folder / name).write_bytes((exported / name).read_bytes())
    model = onnx.load(exported / "model.onnx")
    graph = model.graph
    weights = np.ones(megabytes * 250_000, dtype=np.float32)
    graph.initializer.append(numpy_helper.from_array(weights, "ballast"))
    for node in graph.node:
        node.output[:] = ["bare" if name == "logits" else name for name in node.output]
    # Of the shape of a text's tokens, so that it cannot be folded into a constant before the model is asked.
    graph.node.append(onnx.helper.make_node("ReduceMax", ["input_ids"], ["largest"], keepdims=0))
    graph.node.append(onnx.helper.make_node("Gather", ["ballast", "largest"], ["one"]))
    graph.node.append(onnx.helper.make_node("Mul", ["bare", "one"], ["logits"]))
    onnx.save(model, folder / "model.onnx")
    return folder


def test_forty_megabytes_of_weights_take_forty_megabytes_more(exported: Path, tmp_path: Path) -> None:
    bare = serving_memory_mb(exported, TEXTS)
    heavy = serving_memory_mb(with_ballast(exported, tmp_path / "heavy", 40), TEXTS)
    assert 20 < bare < 200
    assert heavy - bare > 35  # at the peak the file may be held beside the weights


def test_what_the_process_that_asks_holds_is_not_counted(exported: Path) -> None:
    """Regression guard: the peak that getrusage tells is that of the process that asks, before and after: 0 MB."""
    held = np.ones(60_000_000)  # 480 MB
    assert 20 < serving_memory_mb(exported, TEXTS) < 200 < held.nbytes / 1e6


@pytest.mark.slow
def test_an_exported_student_is_served_without_torch_and_a_teacher_with_it(exported: Path, classifier: Path) -> None:
    for folder, runtime, other in ((exported, "onnxruntime", "torch"), (classifier, "torch", "onnxruntime")):
        script = (
            f"import runpy, sys; sys.argv[1:] = [{str(folder)!r}]; runpy.run_module({MODULE!r}, run_name='__main__');"
            f"assert {runtime!r} in sys.modules and {other!r} not in sys.modules"
        )
        subprocess.run([sys.executable, "-c", script], input=json.dumps(TEXTS), text=True, check=True)


def test_a_folder_that_cannot_be_served_is_said(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"not a model")
    with pytest.raises(StillhouseError, match=r"exited with code 1 and .*missing config\.json"):
        serving_memory_mb(tmp_path, TEXTS)
