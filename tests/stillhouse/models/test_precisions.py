"""Each precision of each family: written, loaded, near the float32 answers, and of the size that it promises."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest

from stillhouse.errors import StillhouseError
from stillhouse.models import precisions
from stillhouse.models.export import ExportReport, export_onnx, export_student, parity
from stillhouse.models.network import network_class, read_config, read_sizes
from stillhouse.models.precisions import block_codes, write_precision
from stillhouse.models.predictor import OnnxClassifier
from stillhouse.recipe.fields import Precision
from stillhouse.tasks.single_label import SingleLabel
from tests.stillhouse.models.encoders import LABELS, QUESTIONS, a_classifier

TASK = SingleLabel(tuple(LABELS))
FAMILIES = ("bert", "roberta", "deberta-v2", "modernbert", "nomic_bert")
"""Word pieces and bytes, absolute, relative and rotary positions, gated blocks and plain ones."""
Export = Callable[[str, Precision], tuple[Path, ExportReport]]


@pytest.fixture(scope="module")
def export(tmp_path_factory: pytest.TempPathFactory) -> Export:
    """An export of a classifier of a family in a precision; each is made once."""
    made: dict[tuple[str, str], tuple[Path, ExportReport]] = {}
    models: dict[str, Path] = {}

    def exported(family: str, precision: Precision) -> tuple[Path, ExportReport]:
        if family not in models:
            models[family] = a_classifier(family, tmp_path_factory.mktemp(family) / "model")
        if (family, precision) not in made:
            out = tmp_path_factory.mktemp(family) / precision
            targets = np.arange(len(QUESTIONS)) % 2
            made[family, precision] = out, export_student(models[family], out, QUESTIONS, targets, TASK, precision)
        return made[family, precision]

    return exported


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.parametrize("precision", ["fp32", "int8", "int8_static", "int4"])
@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_answers_in_every_precision_nearly_as_it_was_trained(
    family: str, precision: Precision, export: Export
) -> None:
    folder, report = export(family, precision)
    model = OnnxClassifier(folder)
    spread = float(np.ptp(model.logits(QUESTIONS), axis=0).max())
    assert report.precision == precision and model.temperature == report.temperature
    assert report.shipped.max_abs_logit_diff < {"fp32": 1e-4, "int8": 0.4, "int8_static": 0.5, "int4": 0.6}[precision]
    assert spread > 0, "a model that says the same to everything is near to anything"


@pytest.mark.long
@pytest.mark.parametrize("precision", ["fp32", "int8_static", "int4"])
@pytest.mark.parametrize("family", FAMILIES)
def test_no_answer_but_in_int8_depends_on_what_else_is_in_its_batch(
    family: str, precision: Precision, export: Export
) -> None:
    model = OnnxClassifier(export(family, precision)[0])
    np.testing.assert_allclose(model.logits(QUESTIONS, 20), model.logits(QUESTIONS, 1), atol=1e-5)


@pytest.mark.long
def test_an_answer_in_int8_does_which_is_why_it_is_asked_one_text_at_a_time(export: Export) -> None:
    model = OnnxClassifier(export("bert", "int8")[0])
    assert np.abs(model.logits(QUESTIONS, 20) - model.logits(QUESTIONS, 1)).max() > 1e-4


@pytest.mark.long
@pytest.mark.parametrize("precision", ["fp32", "int8", "int8_static", "int4"])
@pytest.mark.parametrize("family", ["bert", "roberta"])
def test_attention_over_plain_positions_is_one_operation_of_each_layer(
    family: str, precision: Precision, export: Export
) -> None:
    folder, _ = export(family, precision)
    layers = read_config(folder)["num_hidden_layers"]
    found = [node.op_type for node in onnx.load(folder / "model.onnx").graph.node]
    assert layers == sum(found.count(name) for name in ("Attention", "QAttention", "MultiHeadAttention"))
    assert not {"Softmax", "Transpose", "Where"} & set(found), "what it is made of is there beside it"


@pytest.mark.long
@pytest.mark.parametrize("precision", ["fp32", "int4"])
@pytest.mark.parametrize("family", ["bert", "roberta"])
def test_whoever_pads_on_the_left_or_hides_a_token_is_answered_as_the_model_does(
    family: str, precision: Precision, export: Export, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Regression: of a mask only its sum was looked at, so the first tokens counted whichever were meant."""
    folder, _ = export(family, precision)
    monkeypatch.setattr(precisions, "fuse", lambda onnx, out, sizes, products_stay: shutil.copyfile(onnx, out))
    model, targets = a_classifier(family, tmp_path / "model"), np.arange(len(QUESTIONS)) % 2
    export_student(model, tmp_path / "plain", QUESTIONS, targets, TASK, precision)
    ids = np.random.default_rng(0).integers(5, 60, (3, 9))
    masks = np.array([[1] * 9, [0] * 4 + [1] * 5, [1, 1, 0, 0, 0, 1, 1, 1, 0]])
    said = [
        onnxruntime.InferenceSession(each / "model.onnx").run(None, {"input_ids": ids, "attention_mask": masks})[0]
        for each in (folder, tmp_path / "plain")
    ]
    np.testing.assert_allclose(said[0], said[1], atol=1e-5)


@pytest.mark.long
@pytest.mark.parametrize("family", FAMILIES)
def test_int8_answers_to_the_last_bit_as_it_does_without_larger_operations(
    family: str, export: Export, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """So that what was measured of a precision is what it is, and rounding is where it was before."""
    fused = OnnxClassifier(export(family, "int8")[0])
    monkeypatch.setattr(precisions, "fuse", lambda onnx, out, sizes, products_stay: shutil.copyfile(onnx, out))
    model, targets = a_classifier(family, tmp_path / "model"), np.arange(len(QUESTIONS)) % 2
    export_student(model, tmp_path / "plain", QUESTIONS, targets, TASK, "int8")
    np.testing.assert_array_equal(OnnxClassifier(tmp_path / "plain").logits(QUESTIONS), fused.logits(QUESTIONS))


@pytest.mark.long
@pytest.mark.parametrize("family", FAMILIES)
def test_in_int4_no_matrix_of_weights_is_left_in_float32(family: str, export: Export) -> None:
    graph = onnx.load(export(family, "int4")[0] / "model.onnx").graph
    floats = {tensor.name for tensor in graph.initializer if tensor.data_type == onnx.TensorProto.FLOAT}
    for node in graph.node:
        if node.op_type in ("MatMul", "Gemm"):
            assert floats.isdisjoint(node.input), f"{node.name} multiplies by a matrix in float32"
    assert {"MatMulNBits", "GatherBlockQuantized"} <= {node.op_type for node in graph.node}


@pytest.mark.long
def test_static_activations_have_no_sign_which_processors_multiply_in_float32(export: Export) -> None:
    """Regression: with a sign the demo's student took 7.8 ms for a call and not 1."""
    graph = onnx.load(export("bert", "int8_static")[0] / "model.onnx").graph
    kinds = {tensor.name: tensor.data_type for tensor in graph.initializer}
    of_activations = {kinds[node.input[2]] for node in graph.node if node.op_type == "QuantizeLinear"}
    assert of_activations == {onnx.TensorProto.UINT8}


@pytest.mark.long
@pytest.mark.parametrize("precision", ["int8", "int8_static", "int4"])
def test_the_same_weights_give_the_same_bytes(precision: Precision, export: Export, tmp_path: Path) -> None:
    model, targets = a_classifier("bert", tmp_path / "model"), np.arange(len(QUESTIONS)) % 2
    export_student(model, tmp_path / "again", QUESTIONS, targets, TASK, precision)
    assert (tmp_path / "again" / "model.onnx").read_bytes() == (
        export("bert", precision)[0] / "model.onnx"
    ).read_bytes()


def test_in_int4_a_look_up_and_a_product_are_those_of_the_rounded_weights(tmp_path: Path) -> None:
    """Each of 40 by 80 weights lies where ONNX Runtime looks for it: by its own product it is next to numpy's."""
    random = np.random.default_rng(0)
    table, matrix = (random.normal(size=shape).astype(np.float32) for shape in ((40, 80), (80, 24)))
    nodes = [
        onnx.helper.make_node("Gather", ["table", "input_ids"], ["rows"]),
        onnx.helper.make_node("MatMul", ["rows", "matrix"], ["logits"]),
    ]
    said = [
        onnx.helper.make_tensor_value_info(name, kind, shape)
        for name, kind, shape in (
            ("input_ids", onnx.TensorProto.INT64, [40]),
            ("logits", onnx.TensorProto.FLOAT, [40, 24]),
            ("rows", onnx.TensorProto.FLOAT, [40, 80]),
        )
    ]
    weights = [onnx.numpy_helper.from_array(each, name) for name, each in (("table", table), ("matrix", matrix))]
    graph = onnx.helper.make_graph(nodes, "two", said[:1], said[1:], weights)
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, tmp_path / "fp32.onnx")
    write_precision(
        "int4", tmp_path / "fp32.onnx", tmp_path / "int4.onnx", operations=("MatMul", "Gather"), sizes=None,
        tokenizer=tmp_path, texts=[],
    )  # fmt: skip
    session = onnxruntime.InferenceSession(tmp_path / "int4.onnx", providers=["CPUExecutionProvider"])
    logits, rows = session.run(["logits", "rows"], {"input_ids": np.arange(40)})

    def rounded(of_rows: np.ndarray) -> np.ndarray:
        codes, scales, zeros = block_codes(of_rows)
        back = (codes.astype(np.float32) - zeros[..., None]) * scales[..., None]
        return back.reshape(len(of_rows), -1)[:, : of_rows.shape[1]]

    np.testing.assert_allclose(rows, rounded(table), atol=1e-6)
    expected = rounded(table) @ rounded(matrix.T).T
    # Activations are rounded to int8 on the way; a weight in another's place would be off by as much as the answer is.
    assert np.abs(logits - expected).max() < 0.03 * np.abs(expected).max()


def test_a_block_of_weights_is_rounded_to_sixteen_steps() -> None:
    # By hand: from -3 to 12 there are 15 steps of 1, zero is the fourth; a row of 33 is two blocks.
    row = np.zeros(33, np.float32)
    row[:4] = [-3.0, 12.0, 5.4, 0.0]
    row[32] = 7.5
    codes, scales, zeros = block_codes(row[None])
    assert codes.shape == (1, 2, 32) and scales.tolist() == [[1.0, 0.5]] and zeros.tolist() == [[3, 0]]
    assert codes[0, 0, :4].tolist() == [0, 15, 8, 3] and codes[0, 1, 0] == 15
    back = (codes.astype(float) - zeros[..., None]) * scales[..., None]
    assert back[0, 0, :4].tolist() == [-3.0, 12.0, 5.0, 0.0] and back[0, 1, :2].tolist() == [7.5, 0.0]


def test_a_block_of_zeros_stays_zero() -> None:
    with np.errstate(all="raise"):  # a scale of zero would divide by it
        codes, scales, zeros = block_codes(np.zeros((2, 32), np.float32))
    assert ((codes - zeros[..., None]) * scales[..., None] == 0).all()


def test_each_weight_of_int4_is_within_half_a_step_of_its_own_block() -> None:
    rows = np.random.default_rng(0).normal(size=(20, 100)).astype(np.float32) * np.geomspace(0.01, 10, 20)[:, None]
    codes, scales, zeros = block_codes(rows.astype(np.float32))
    back = ((codes.astype(np.float32) - zeros[..., None]) * scales[..., None]).reshape(20, -1)[:, :100]
    # half a step for rounding the weight, half a step for rounding the zero point
    assert (np.abs(back - rows) <= np.repeat(scales, 32, axis=1)[:, :100] * 1.001).all()


@pytest.mark.long
def test_static_ranges_are_those_of_the_texts_alone_and_not_of_padding(
    export: Export, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    seen: list[Any] = []
    real = precisions._Fed.__iter__
    monkeypatch.setattr(precisions._Fed, "__iter__", lambda fed: (seen.append(text) or text for text in real(fed)))
    model = a_classifier("bert", tmp_path / "model")
    export_onnx(model, tmp_path / "fp32.onnx")
    operations = network_class(model).quantised
    write_precision(
        "int8_static", tmp_path / "fp32.onnx", tmp_path / "out.onnx", operations=operations, sizes=read_sizes(model),
        tokenizer=model, texts=QUESTIONS[:7],
    )  # fmt: skip
    assert len(seen) == 7
    assert all(text["attention_mask"].all() and text["input_ids"].shape[0] == 1 for text in seen)


def test_an_answer_that_is_no_number_is_refused() -> None:
    fine, broken = np.zeros((3, 2), np.float32), np.array([[0, 1], [np.nan, 0], [np.inf, 0]], np.float32)
    with pytest.raises(StillhouseError, match="2 of 3 texts are answered by logits that are not finite"):
        parity(fine, broken, TASK)
