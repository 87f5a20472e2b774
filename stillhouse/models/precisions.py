"""From one float32 ONNX file to the numbers that a model ships in.

Belongs here: how each precision of a recipe is made.
Does not: writing the float32 file, parity, temperature (export.py); which precision holds the bar (evaluation/).

fp16 and bf16 are not here: on an x86 CPU, where students are served and timed, ONNX Runtime casts them to float32 and
back. They are for a GPU that serves.
"""

import logging
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from stillhouse.arrays import Float32Array, IntArray
from stillhouse.models.family import Sizes
from stillhouse.models.fusion import fuse
from stillhouse.models.tokenization import Reader
from stillhouse.recipe.fields import Precision

if TYPE_CHECKING:
    from onnx import NodeProto, TensorProto

_WITH_ATTENTION: tuple[Precision, ...] = ("fp32", "int8")
"""In which onnxruntime computes an attention's three products as one; in others their weights would stay in float32."""
_BLOCK = 32
"""Weights that share a scale in int4, as most published 4-bit models have it: smaller is finer and larger on disk."""
_CALIBRATED_ON = 512
"""Texts at most that ranges are measured on; more of them only find rarer extremes, which make every step wider."""
_INT8_ACTIVATIONS = 4
"""`accuracy_level` of MatMulNBits: activations in int8, each block of each row with a scale of its own. It halves the
time of a call, and a row's answer still depends on no other row."""


def write_precision(
    precision: Precision,
    onnx: Path,
    out: Path,
    *,
    operations: Sequence[str],
    sizes: Sizes | None,
    tokenizer: Path,
    texts: Sequence[str],
) -> None:
    """Write a float32 model in another precision.

    Weights in int8 use seven of the eight bits: processors without VNNI add pairs of products in 16 bits, which
    overflow otherwise, so a full-range model would answer differently from machine to machine
    (https://onnxruntime.ai/docs/performance/model-optimizations/quantization.html).

    Args:
        precision: fp32 leaves every weight as it is. int8 quantises weights per channel, embedding tables too, and
            activations as they come. int8_static does the same with ranges of activations that were measured on
            `texts`. int4 has weights in blocks of 32 with a scale each, and activations in int8 row by row.
        onnx: a float32 .onnx file.
        out: the .onnx file to write.
        operations: whose weights are quantised.
        sizes: of the encoder in it; None where there is none.
        tokenizer: folder of the tokenizer that the model reads with.
        texts: what ranges of activations are measured on; validation rows, not golden ones.
    """
    with tempfile.TemporaryDirectory() as scratch, _quietly():
        from onnxruntime.quantization.shape_inference import quant_pre_process

        prepared, fused = Path(scratch) / "prepared.onnx", Path(scratch) / "fused.onnx"
        quant_pre_process(onnx, prepared, skip_symbolic_shape=True)
        if sizes is not None:
            fuse(prepared, fused, sizes, products_stay=precision not in _WITH_ATTENTION)
        _WRITERS[precision](prepared if sizes is None else fused, out, operations, _Fed(tokenizer, texts))


class _Fed:
    """The texts as a model is fed them: one at a time, as it will be served, so that padding is in no range."""

    def __init__(self, tokenizer: Path, texts: Sequence[str]) -> None:
        self._folder, self._texts = tokenizer, texts[:_CALIBRATED_ON]

    def __iter__(self) -> Iterator[dict[str, IntArray]]:
        for ids in Reader(self._folder)(self._texts):
            yield {"input_ids": np.array([ids], np.int64), "attention_mask": np.ones((1, len(ids)), np.int64)}


def _fp32(onnx: Path, out: Path, operations: Sequence[str], fed: _Fed) -> None:
    shutil.copyfile(onnx, out)


def _int8(onnx: Path, out: Path, operations: Sequence[str], fed: _Fed) -> None:
    from onnx import TensorProto
    from onnxruntime.quantization import QuantType, quantize_dynamic

    quantize_dynamic(
        onnx,
        out,
        per_channel=True,
        reduce_range=True,
        weight_type=QuantType.QInt8,
        op_types_to_quantize=[*operations, "Attention"],
        # Behind an operation of onnxruntime's own no type is inferred.
        extra_options={"DefaultTensorType": TensorProto.FLOAT},
    )


def _int8_static(onnx: Path, out: Path, operations: Sequence[str], fed: _Fed) -> None:
    from onnx import TensorProto
    from onnxruntime.quantization import CalibrationDataReader, QuantType, quantize_static

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self._texts = iter(fed)

        def get_next(self) -> dict[str, IntArray] | None:
            return next(self._texts, None)

    quantize_static(
        onnx,
        out,
        Reader(),
        per_channel=True,
        reduce_range=True,
        # Without a sign: by a signed one the products of this format were computed eight times slower on this kind of
        # processor, in float32.
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
        op_types_to_quantize=list(operations),
        # Products of two activations stay as they are, as in int8: of attention nothing is saved on disk.
        extra_options={"MatMulConstBOnly": True, "DefaultTensorType": TensorProto.FLOAT},
    )


def _int4(onnx: Path, out: Path, operations: Sequence[str], fed: _Fed) -> None:
    """Replace products with weights by MatMulNBits and look-ups by GatherBlockQuantized.

    Not by onnxruntime.quantization.matmul_nbits_quantizer, which writes the same: it needs onnx_ir, which onnxruntime
    does not require, and turns the logging of the whole process on (1.32.0).
    https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md
    """
    import onnx as format
    from onnxruntime.quantization.onnx_model import ONNXModel

    model = ONNXModel(format.load(onnx))
    if "Gemm" in operations:
        model.replace_gemm_with_matmul()
    graph = model.model.graph
    weights = {tensor.name: tensor for tensor in graph.initializer}
    made: dict[str, Any] = {}
    nodes = [_in_int4(node, weights, made) if node.op_type in operations else node for node in graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
    used = {name for node in nodes for name in node.input}
    kept = [tensor for tensor in graph.initializer if tensor.name in used]
    del graph.initializer[:]
    graph.initializer.extend([*kept, *(format.numpy_helper.from_array(array, name) for name, array in made.items())])
    if all(each.domain != "com.microsoft" for each in model.model.opset_import):
        model.model.opset_import.append(format.helper.make_opsetid("com.microsoft", 1))
    format.save(model.model, out)


_WEIGHT_OF = {"MatMul": 1, "Gather": 0}
"""Which input of an operation is its weights."""


def _in_int4(node: "NodeProto", weights: dict[str, "TensorProto"], made: dict[str, Any]) -> "NodeProto":
    """The node that does the same with weights in int4; itself, where it has no matrix of weights."""
    from onnx import TensorProto, helper, numpy_helper

    tensor = weights.get(node.input[_WEIGHT_OF[node.op_type]]) if node.op_type in _WEIGHT_OF else None
    if tensor is None or len(tensor.dims) != 2 or tensor.data_type != TensorProto.FLOAT:
        return node
    if node.op_type == "Gather" and (
        tensor.dims[1] % 2 or any(each.name == "axis" and each.i for each in node.attribute)
    ):
        return node  # rows of odd length cannot be cut into bytes; along another axis no row is looked up
    matrix = numpy_helper.to_array(tensor)
    of_rows = matrix.T if node.op_type == "MatMul" else matrix
    codes, scales, zeros = block_codes(of_rows)
    names = [f"{tensor.name}_{node.op_type}_{part}" for part in ("int4", "scales", "zeros")]
    common: dict[str, Any] = {"name": node.name, "domain": "com.microsoft", "bits": 4, "block_size": _BLOCK}
    if node.op_type == "MatMul":
        made |= dict(zip(names, (_packed(codes), scales, _packed(zeros)), strict=True))
        k, n = matrix.shape
        return helper.make_node(
            "MatMulNBits",
            [node.input[0], *names],
            list(node.output),
            K=k,
            N=n,
            accuracy_level=_INT8_ACTIVATIONS,
            **common,
        )
    rows, width = matrix.shape
    table = _packed(codes.reshape(rows, -1)[:, :width])
    made |= dict(zip(names, (table, scales, _packed(zeros)), strict=True))
    return helper.make_node(
        "GatherBlockQuantized",
        [names[0], node.input[1], *names[1:]],
        list(node.output),
        gather_axis=0,
        quantize_axis=1,
        **common,
    )


def block_codes(
    rows: Float32Array,
) -> tuple[npt.NDArray[np.uint8], Float32Array, npt.NDArray[np.uint8]]:
    """Round rows of weights to four bits, in blocks of 32 along the row.

    The 16 steps of a block reach from its least to its greatest weight, and zero is one of them.

    Args:
        rows: shape (n, width).

    Returns:
        Codes from 0 to 15, shape (n, blocks, 32), the last block filled up; scales, shape (n, blocks); zero points from
        0 to 15, shape (n, blocks). A weight is about (code - zero point) * scale.
    """
    number, width = rows.shape
    blocks = -(-width // _BLOCK)
    cut = np.pad(rows, ((0, 0), (0, blocks * _BLOCK - width))).reshape(number, blocks, _BLOCK)
    least, most = np.minimum(cut.min(-1), 0), np.maximum(cut.max(-1), 0)
    scales = ((most - least) / 15).astype(np.float32)
    scales[scales == 0] = 1  # a block of zeros
    zeros = np.round(-least / scales).clip(0, 15)
    codes = np.round(cut / scales[..., None] + zeros[..., None]).clip(0, 15)
    return codes.astype(np.uint8), scales, zeros.astype(np.uint8)


def _packed(codes: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Two codes of four bits in a byte, along the last axis, the first in the lower bits."""
    even = np.pad(codes, [(0, 0)] * (codes.ndim - 1) + [(0, codes.shape[-1] % 2)])
    return np.bitwise_or(even[..., ::2], np.left_shift(even[..., 1::2], 4, dtype=np.uint8), dtype=np.uint8)


@contextmanager
def _quietly() -> Iterator[None]:
    """onnxruntime recommends, on the root logger, the step that was just done."""
    root = logging.getLogger()
    level = root.level
    root.setLevel(logging.ERROR)
    try:
        yield
    finally:
        root.setLevel(level)


_WRITERS: dict[Precision, Callable[[Path, Path, Sequence[str], _Fed], None]] = {
    "fp32": _fp32,
    "int8": _int8,
    "int8_static": _int8_static,
    "int4": _int4,
}
