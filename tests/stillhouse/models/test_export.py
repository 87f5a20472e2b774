"""An exported student answers as the trained one, ships nothing else, and says how near its int8 answers are."""

import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest

from stillhouse.errors import StillhouseError
from stillhouse.models.export import ExportReport, export_onnx, export_student, parity
from stillhouse.models.predictor import OnnxClassifier, TorchClassifier
from stillhouse.models.temperature_scaling import calibrate_temperature
from stillhouse.tasks.single_label import SingleLabel
from tests.stillhouse.conftest import LABELS

pytestmark = pytest.mark.long

TASK = SingleLabel(tuple(LABELS))


@pytest.fixture(scope="module")
def export(
    classifier: Path, questions: tuple[list[str], list[int]], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, ExportReport]:
    out = tmp_path_factory.mktemp("export") / "student"
    return out, export_student(classifier, out, questions[0], np.array(questions[1]), TASK)


def test_the_shipped_folder_holds_three_files_and_no_torch_weights(export: tuple[Path, ExportReport]) -> None:
    folder, report = export
    assert sorted(path.name for path in folder.iterdir()) == ["config.json", "model.onnx", "tokenizer.json"]
    assert report.bytes == sum(path.stat().st_size for path in folder.iterdir())


def test_the_temperature_is_that_of_the_int8_answers_and_ships(
    export: tuple[Path, ExportReport], questions: tuple[list[str], list[int]]
) -> None:
    model = OnnxClassifier(export[0])
    assert model.temperature == export[1].temperature
    assert model.temperature == calibrate_temperature(model.logits(questions[0]), questions[1])


def test_an_export_without_a_temperature_says_so_instead_of_1(
    export: tuple[Path, ExportReport], classifier: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(export[0], tmp_path / "exported")
    shutil.copy(classifier / "config.json", folder)
    model = OnnxClassifier(folder)
    assert model.logits(["who is the king"]).shape == (1, 3)
    with pytest.raises(StillhouseError, match="no temperature"):
        _ = model.temperature


def test_fp32_is_the_same_function_and_int8_nearly(export: tuple[Path, ExportReport]) -> None:
    _, report = export
    assert report.fp32.max_abs_logit_diff < 1e-5 and report.fp32.top1_agreement == 1.0
    assert 0 < report.shipped.max_abs_logit_diff < 0.2


def test_every_weight_matrix_is_int8_the_embeddings_too(export: tuple[Path, ExportReport]) -> None:
    floats = [
        tensor.name
        for tensor in onnx.load(export[0] / "model.onnx").graph.initializer
        if tensor.data_type == onnx.TensorProto.FLOAT and np.prod(tensor.dims) > 64 * 32  # the position table
    ]
    assert floats == []


def test_int8_weights_use_seven_bits_so_that_no_processor_saturates(export: tuple[Path, ExportReport]) -> None:
    graph = onnx.load(export[0] / "model.onnx").graph
    multiplied = {name for node in graph.node if node.op_type in ("MatMulInteger", "QAttention") for name in node.input}
    weights = [onnx.numpy_helper.to_array(tensor) for tensor in graph.initializer if tensor.name in multiplied]
    weights = [weight for weight in weights if weight.ndim == 2]
    assert weights and all(np.abs(weight.astype(int)).max() <= 64 for weight in weights)


def test_any_batch_and_any_length_run(export: tuple[Path, ExportReport]) -> None:
    model = OnnxClassifier(export[0])
    for texts in (["who"], ["who is the king " * 3] * 5, ["why", "where is the city"] * 40):
        assert model.logits(texts).shape == (len(texts), 3)


def test_fp32_onnx_agrees_with_torch_away_from_the_traced_shape(classifier: Path, tmp_path: Path) -> None:
    export_onnx(classifier, tmp_path / "model.onnx")
    for name in ("config.json", "tokenizer.json"):
        shutil.copy(classifier / name, tmp_path / name)
    texts = ["who is the king of the city by the river " * 2, "?", ""]
    np.testing.assert_allclose(
        OnnxClassifier(tmp_path).logits(texts, 1), TorchClassifier(classifier).logits(texts, 3), atol=1e-5
    )


def test_parity_with_another_model_is_said_apart(
    classifier: Path, export: tuple[Path, ExportReport], tmp_path: Path
) -> None:
    from stillhouse.students.pruning import drop_layers

    drop_layers(classifier, [0], tmp_path / "other")
    texts = ["who is the king", "where is the city", "how many"]
    served = OnnxClassifier(export[0]).logits(texts)
    near, far = (
        parity(TorchClassifier(model).logits(texts), served, TASK) for model in (classifier, tmp_path / "other")
    )
    assert far.max_abs_logit_diff > 3 * near.max_abs_logit_diff


def test_parity_on_nothing_is_no_evidence(classifier: Path, tmp_path: Path) -> None:
    with pytest.raises(StillhouseError, match="no texts"):
        export_student(classifier, tmp_path / "out", [], np.array([], dtype=np.int64), TASK)
    assert not (tmp_path / "out").exists()
