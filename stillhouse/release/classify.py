"""Classify texts with the model beside this file: `python classify.py "a text" "another"`.

Needs `pip install onnxruntime tokenizers numpy`, and nothing else.
"""

import json
import sys
from pathlib import Path

import numpy as np
import onnxruntime
from tokenizers import Tokenizer

FOLDER = Path(__file__).parent
LABELS = json.loads((FOLDER / "labels.json").read_text("utf-8"))
TOKENIZER = Tokenizer.from_file(str(FOLDER / "tokenizer.json"))
SESSION = onnxruntime.InferenceSession(str(FOLDER / "model.onnx"), providers=["CPUExecutionProvider"])


def classify(text: str) -> tuple[str, float]:
    """The label of a text, and the calibrated probability that it is right."""
    ids = np.array([TOKENIZER.encode(text).ids], dtype=np.int64)
    (confidence,) = SESSION.run(["confidence"], {"input_ids": ids, "attention_mask": np.ones_like(ids)})[0]
    return LABELS[confidence.argmax()], float(confidence.max())


if __name__ == "__main__":
    for each in sys.argv[1:]:
        label, probability = classify(each)
        print(f"{label}\t{probability:.3f}\t{each}")
