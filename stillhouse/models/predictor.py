"""Asking a model: text in, logits out, in the order asked.

Belongs here: a predictor over a torch model folder and one over an exported ONNX folder, with the same face.
Does not: training, metrics, serving over a network. `OnnxClassifier` imports neither torch nor transformers.
"""

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from stillhouse.errors import StillhouseError
from stillhouse.models.tokenization import batches_by_length, encode, load_tokenizer, pad

FloatArray = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Answers:
    """What a model said to n texts.

    Attributes:
        logits: shape (n, classes).
        embeddings: shape (n, width), the pooled hidden state before the classifier.
        tokens: shape (n,), tokens read, special ones included.
        latency_ms: shape (n,), a text's share of the wall time of the batch it was in.
    """

    logits: FloatArray
    embeddings: FloatArray
    tokens: npt.NDArray[np.int32]
    latency_ms: FloatArray


class TorchClassifier:
    """A model folder, run by torch in float32.

    Args:
        folder: model.safetensors, tokenizer.json and config.json that belong together.
    """

    def __init__(self, folder: Path) -> None:
        from stillhouse.models import network

        self.folder = folder
        self.network = network.load(folder)
        self.labels = self.network.labels
        self._tokenizer = load_tokenizer(folder)

    def logits(self, texts: Sequence[str], batch_size: int = 64) -> FloatArray:
        """Logits of shape (n, classes), in the order of `texts`."""
        return self.answer(texts, batch_size).logits

    def embeddings_and_logits(self, texts: Sequence[str], batch_size: int = 64) -> tuple[FloatArray, FloatArray]:
        """Pooled hidden states (n, width) and logits (n, classes), in the order of `texts`."""
        answers = self.answer(texts, batch_size)
        return answers.embeddings, answers.logits

    def answer(self, texts: Sequence[str], batch_size: int = 64) -> Answers:
        """Everything the model says to `texts`, and what it took."""
        import torch

        ids = encode(self._tokenizer, texts)
        pad_id = int(self.network.config["pad_token_id"])
        answers = Answers(
            logits=np.empty((len(ids), len(self.labels)), np.float32),
            embeddings=np.empty((len(ids), self.network.width), np.float32),
            tokens=np.array([len(row) for row in ids], dtype=np.int32),
            latency_ms=np.empty(len(ids), np.float32),
        )
        with torch.inference_mode():
            for rows in batches_by_length(ids, batch_size):
                start = time.perf_counter()
                padded, mask = pad(ids, rows, pad_id)
                logits, pooled = self.network(torch.from_numpy(padded), torch.from_numpy(mask))
                answers.logits[rows], answers.embeddings[rows] = logits.numpy(), pooled.numpy()
                answers.latency_ms[rows] = (time.perf_counter() - start) * 1000 / len(rows)
        return answers


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
            disabled_optimizers=[
                "SkipLayerNormFusion"
            ],  # its fused kernel is slower here: an eighth of a short request
        )
        self._tokenizer = load_tokenizer(folder)
        config = json.loads((folder / "config.json").read_text("utf-8"))
        self._pad_id = int(config["pad_token_id"])
        self._temperature = config.get("temperature")
        self.labels = [config["id2label"][str(place)] for place in range(len(config["id2label"]))]

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

    def logits(self, texts: Sequence[str], batch_size: int = 1) -> FloatArray:
        """Logits of shape (n, classes), in the order of `texts`.

        One text at a time by default: int8 activations are scaled by the largest value of the whole batch, so in a
        larger batch an answer depends a little on its neighbours, and would not be the one that a request alone gets.
        """
        ids = encode(self._tokenizer, texts)
        logits = np.empty((len(ids), len(self.labels)), np.float32)
        for rows in batches_by_length(ids, batch_size):
            padded, mask = pad(ids, rows, self._pad_id)
            logits[rows] = self._session.run(["logits"], {"input_ids": padded, "attention_mask": mask})[0]
        return logits
