"""Asking a model: text in, logits out, in the order asked.

Belongs here: a predictor over a torch model folder and one over an exported ONNX folder, with the same face.
Does not: training, metrics, serving over a network. `OnnxClassifier` imports neither torch nor transformers.
"""

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from stillhouse.arrays import Float32Array, IntArray
from stillhouse.device import CPU, Device
from stillhouse.errors import StillhouseError
from stillhouse.models.tokenization import Reader, batches_by_length, pad
from stillhouse.recipe.record import RecordSpec
from stillhouse.tasks.extraction import Extraction

if TYPE_CHECKING:
    from stillhouse.models.batches import TokenTable


@dataclass(frozen=True, slots=True)
class Answers:
    """What a model said to n texts.

    Attributes:
        logits: shape (n, classes).
        embeddings: shape (n, width), the pooled hidden state before the classifier.
        tokens: shape (n,), tokens read, special ones included.
        latency_ms: shape (n,), a text's share of the wall time of the batch it was in.
        layers: shape (n, width) for each layer that was asked for, by its number: the mean of the tokens' states after
            it.
    """

    logits: Float32Array
    embeddings: Float32Array
    tokens: npt.NDArray[np.int32]
    latency_ms: Float32Array
    layers: Mapping[int, Float32Array] = field(default_factory=dict)


class TorchClassifier:
    """A model folder, run by torch in float32.

    Args:
        folder: model.safetensors, tokenizer.json and config.json that belong together.
        device: where it answers.
    """

    def __init__(self, folder: Path, device: Device = CPU) -> None:
        from stillhouse.models import network

        self.folder, self.device = folder, device
        self.network = network.load(folder).to(device.name)
        self.labels = self.network.labels
        self._read, self._records = Reader(folder), _records_of(self.network.config)

    def logits(self, texts: Sequence[str], batch_size: int | None = None) -> Float32Array:
        """Logits of shape (n, classes), in the order of `texts`."""
        return self.answer(texts, batch_size).logits

    def answer(self, texts: Sequence[str], batch_size: int | None = None, *, layers: Sequence[int] = ()) -> Answers:
        """Everything the model says to `texts`, and what it took.

        Args:
            texts: n of them.
            batch_size: texts of one forward pass; None leaves it to the device. Where they need more memory than the
                GPU has, they are asked in halves.
            layers: whose states are wanted, too.
        """
        import torch

        from stillhouse.models.batches import TokenTable

        ids = self._read(texts)
        longest = max(map(len, ids), default=0)
        table = TokenTable(ids, int(self.network.config["pad_token_id"]), longest, self.device)
        answers = Answers(
            logits=np.empty((len(ids), len(self.labels)), np.float32),
            embeddings=np.empty((len(ids), self.network.width), np.float32),
            tokens=table.lengths.astype(np.int32),
            latency_ms=np.empty(len(ids), np.float32),
            layers={number: np.empty((len(ids), self.network.width), np.float32) for number in layers},
        )
        with torch.inference_mode():
            for rows in batches_by_length(table.lengths, batch_size or self.device.texts_at_once):
                self._answer_batch(table, rows, answers)
        if self._records is not None:
            answers.logits[:] = self._records.once_each(answers.logits, texts)
        return answers

    def _answer_batch(self, table: "TokenTable", rows: IntArray, answers: Answers) -> None:
        import torch

        start = time.perf_counter()
        try:
            ids, mask = table.padded(torch.from_numpy(rows).to(self.device.name), table.width(rows))
            logits, pooled, after = self.network.with_layers(ids, mask, answers.layers)
            answers.logits[rows], answers.embeddings[rows] = logits.cpu().numpy(), pooled.cpu().numpy()
            for number, states in after.items():
                answers.layers[number][rows] = states.cpu().numpy()
        except torch.OutOfMemoryError:
            if len(rows) == 1:
                raise
            for half in np.array_split(rows, 2):
                self._answer_batch(table, half, answers)
        else:
            answers.latency_ms[rows] = (time.perf_counter() - start) * 1000 / len(rows)


class OnnxClassifier:
    """An exported folder, run by onnxruntime.

    Args:
        folder: model.onnx, tokenizer.json and config.json.
        threads: of one request; 1 is what a server with several workers wants, and what latency is measured with.
    """

    def __init__(self, folder: Path, *, threads: int = 1) -> None:
        import onnxruntime

        missing = [name for name in ("model.onnx", "config.json") if not (folder / name).is_file()]
        if missing:
            raise StillhouseError(
                f"missing {', '.join(missing)}",
                where=str(folder),
                expected="an exported folder",
                do="Export the student again.",
            )
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        self.folder = folder
        self._session = onnxruntime.InferenceSession(
            folder / "model.onnx",
            options,
            ["CPUExecutionProvider"],
            # Its fused kernel is slower here: an eighth of a short request.
            disabled_optimizers=["SkipLayerNormFusion"],
        )
        self._read = Reader(folder)
        config = json.loads((folder / "config.json").read_text("utf-8"))
        self._records = _records_of(config)
        self._pad_id = int(config["pad_token_id"])
        self._temperature = config.get("temperature")
        self.labels = [config["id2label"][str(index)] for index in range(len(config["id2label"]))]

    @property
    def temperature(self) -> float:
        """What its logits are divided by for its confidence, from config.json.

        Raises:
            StillhouseError: if it was never calibrated; 1 would be a claim that nobody has checked.
        """
        if self._temperature is None:
            raise StillhouseError(
                "there is no temperature",
                where=str(self.folder / "config.json"),
                expected="`temperature`, fitted on validation rows",
                do="Export the student again.",
            )
        return float(self._temperature)

    def logits(self, texts: Sequence[str], batch_size: int = 1) -> Float32Array:
        """Logits of shape (n, classes), in the order of `texts`.

        One text at a time by default: int8 activations are scaled by the largest value of the whole batch, so in a
        larger batch an answer depends a little on its neighbours, and would not be the one that a request alone gets.
        """
        ids = self._read(texts)
        logits = np.empty((len(ids), len(self.labels)), np.float32)
        for rows in batches_by_length(np.array([len(row) for row in ids], np.int64), batch_size):
            padded, mask = pad(ids, rows, self._pad_id)
            logits[rows] = self._session.run(["logits"], {"input_ids": padded, "attention_mask": mask})[0]
        return logits if self._records is None else self._records.once_each(logits, texts)


def _records_of(config: Mapping[str, Any]) -> Extraction | None:
    """The task of a folder whose network points at words, in which a value may stand at several places."""
    return Extraction(RecordSpec.model_validate(config["record"])) if "record" in config else None
