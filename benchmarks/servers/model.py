"""The folder of `stillhouse export`, asked one text at a time: what every server here wraps.

Run as a script it is the floor that all are held against: a text on each line of standard input, its label on a line of
standard output. Asked in a loop of its own it would find its weights in the cache, which no server does that waits for
the next request.
"""

import json
import os
import sys
from pathlib import Path

import numpy as np
import onnxruntime
from tokenizers import Tokenizer


class Model:
    """One session with one thread."""

    def __init__(self) -> None:
        folder = Path(os.environ["MODEL"])
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self.labels = json.loads((folder / "labels.json").read_text("utf-8"))
        self.tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self.session = onnxruntime.InferenceSession(
            folder / "model.onnx", options, ["CPUExecutionProvider"], disabled_optimizers=["SkipLayerNormFusion"]
        )

    def __call__(self, text: str) -> tuple[str, float]:
        """Label and confidence."""
        ids = np.array([self.tokenizer.encode(text).ids], np.int64)
        confidence = self.session.run(["confidence"], {"input_ids": ids, "attention_mask": np.ones_like(ids)})[0][0]
        return self.labels[confidence.argmax()], float(confidence.max())


if __name__ == "__main__":
    model = Model()
    for line in sys.stdin:
        print(model(line)[0], flush=True)
