"""From a trained model folder to the artifact that ships: ONNX, in one precision.

Belongs here: export, how far the artifact's answers lie from the model's, and its own temperature.
Does not: how a precision is made (precisions.py), whether that is close enough (checks/), how fast it is
(evaluation/measures/latency.py).
"""

import json
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from stillhouse.arrays import Float32Array
from stillhouse.errors import StillhouseError
from stillhouse.models.precisions import write_precision
from stillhouse.models.predictor import OnnxClassifier, TorchClassifier
from stillhouse.models.temperature_scaling import temperature_of
from stillhouse.models.tokenization import Reader, pad
from stillhouse.recipe.fields import Precision
from stillhouse.tasks.task import Targets, Task

_OPSET = 17


@dataclass(frozen=True, slots=True)
class ExportParity:
    """How far two forms of one model are apart on the same texts.

    Attributes:
        max_abs_logit_diff: largest absolute difference of any logit.
        top1_agreement: share of texts with the same first class.
    """

    max_abs_logit_diff: float
    top1_agreement: float


@dataclass(frozen=True, slots=True)
class ExportReport:
    """What an export produced.

    Attributes:
        precision: in which it ships.
        fp32: parity of the float32 ONNX with torch; differences are rounding.
        shipped: parity of the ONNX that ships with torch.
        model_bytes: size on disk of the folder exported from.
        fp32_bytes: size of the float32 ONNX, which is not kept beside another.
        shipped_bytes: size of the ONNX that ships.
        bytes: size on disk of the exported folder.
        texts: number of texts that parity was measured on, and the temperature fitted on.
        temperature: what the shipped model's logits are divided by for its confidence; also in its config.json.
    """

    precision: Precision
    fp32: ExportParity
    shipped: ExportParity
    model_bytes: int
    fp32_bytes: int
    shipped_bytes: int
    bytes: int
    texts: int
    temperature: float


def export_onnx(model: Path, out: Path) -> None:
    """Write a model folder's network as float32 ONNX, for any batch size and length.

    With the TorchScript exporter: for this plain network it took 3 s where the dynamo one took 18, the int8 models were
    equally fast, and it needs no onnxscript.

    Args:
        model: a model folder.
        out: the .onnx file to write; inputs input_ids and attention_mask (int64), output logits.
    """
    import warnings

    import torch

    from stillhouse.models import network

    class FirstRow(torch.nn.Module):
        """What an embedding of a token's type gives where no token is of another type than the first."""

        def __init__(self, table: torch.nn.Embedding) -> None:
            super().__init__()
            self.row = torch.nn.Parameter(table.weight[0].detach().clone())

        def forward(self, token_type_ids: torch.Tensor) -> torch.Tensor:
            return self.row

    class LogitsOnly(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = network.load(model)
            of_two_types = network.SEPARATOR_ID in self.network.config
            for part in () if of_two_types else list(self.network.modules()):
                table = getattr(part, "token_type_embeddings", None)
                if isinstance(table, torch.nn.Embedding):
                    part.token_type_embeddings = FirstRow(table)

        def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
            logits: torch.Tensor = self.network(input_ids, attention_mask)[0]
            return logits

    padded, mask = pad(Reader(model)(["two texts", "of different lengths"]), np.arange(2))
    out.parent.mkdir(parents=True, exist_ok=True)
    axes = {0: "batch", 1: "tokens"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter announces its successor
        torch.onnx.export(
            LogitsOnly().eval(),
            (torch.from_numpy(padded), torch.from_numpy(mask)),
            str(out),
            dynamo=False,
            opset_version=_OPSET,
            input_names=["input_ids", "attention_mask"],
            output_names=["logits"],
            dynamic_axes={"input_ids": axes, "attention_mask": axes, "logits": {0: "batch"}},
        )


def parity(model_logits: Float32Array, exported_logits: Float32Array, task: Task) -> ExportParity:
    """Compare a model folder's answers with an exported folder's.

    Args:
        model_logits: shape (texts, classes); of validation rows, not golden ones.
        exported_logits: to the same texts, in the same shape.
        task: when two of them are the same answer.

    Raises:
        StillhouseError: if there are no texts, or an exported logit is not finite.
    """
    if not len(model_logits):
        raise StillhouseError(
            "no texts to compare on",
            where="export parity",
            expected="at least one",
            do="Pass the validation texts.",
        )
    broken = np.count_nonzero(~np.isfinite(exported_logits).all(axis=-1))
    if broken:
        raise StillhouseError(
            f"{broken:,} of {len(exported_logits):,} texts are answered by logits that are not finite",
            where="export parity",
            expected="finite numbers, as the trained model gives",
            do="Take that precision out of the student's `precisions`, or look at its training for divergence.",
        )
    return ExportParity(
        max_abs_logit_diff=float(np.abs(model_logits - exported_logits).max()),
        top1_agreement=float(task.agree(model_logits, exported_logits).mean()),
    )


def export_student(
    model: Path, out: Path, texts: Sequence[str], targets: Targets, task: Task, precision: Precision = "int8"
) -> ExportReport:
    """Export a model folder to the folder that ships; a teacher makes the quantised baseline the same way.

    The temperature is fitted on what the shipped model says, because that is what is served, and written into
    config.json as `temperature`.

    Args:
        model: a model folder.
        out: the folder to write: model.onnx, tokenizer.json, config.json and nothing else.
        texts: what parity is measured and the temperature fitted on, and ranges of activations where the precision
            needs them; validation rows, not golden ones.
        targets: shape (texts,), their known answers.
        task: what an answer is.
        precision: in which it ships.

    Raises:
        StillhouseError: if there are no texts, or an exported logit is not finite.
    """
    from stillhouse.models.network import StaticClassifier, network_class, read_sizes, writing_folder

    network = network_class(model)

    with tempfile.TemporaryDirectory() as scratch, writing_folder(out) as folder:
        fp32 = Path(scratch) / "fp32"
        export_onnx(model, fp32 / "model.onnx")
        for name in ("tokenizer.json", "config.json"):
            shutil.copyfile(model / name, fp32 / name)
            shutil.copyfile(model / name, folder / name)
        _minify(folder / "tokenizer.json")
        before = TorchClassifier(model).logits(texts)
        in_fp32 = parity(before, OnnxClassifier(fp32).logits(texts), task)
        write_precision(
            precision,
            fp32 / "model.onnx",
            folder / "model.onnx",
            operations=network.quantised,
            sizes=None if network is StaticClassifier else read_sizes(model),
            tokenizer=model,
            texts=texts,
        )
        served = OnnxClassifier(folder).logits(texts)
        shipped = parity(before, served, task)
        temperature = temperature_of(task, served, targets)
        _write_temperature(folder / "config.json", temperature)
        return ExportReport(
            precision=precision,
            fp32=in_fp32,
            shipped=shipped,
            model_bytes=_size(model),
            fp32_bytes=(fp32 / "model.onnx").stat().st_size,
            shipped_bytes=(folder / "model.onnx").stat().st_size,
            bytes=_size(folder),
            texts=len(texts),
            temperature=temperature,
        )


def _minify(path: Path) -> None:
    path.write_text(json.dumps(json.loads(path.read_text("utf-8")), ensure_ascii=False, separators=(",", ":")), "utf-8")


def _write_temperature(config: Path, temperature: float) -> None:
    known = json.loads(config.read_text("utf-8"))
    config.write_text(json.dumps({**known, "temperature": temperature}, indent=2, sort_keys=True) + "\n", "utf-8")


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
