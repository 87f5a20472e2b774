"""What takes records out of texts, as files that run where Stillhouse is not installed.

Belongs here: the files beside the tokenizer of such a folder, and holding them against the release.
Does not: the folder (standalone.py), what an answer is (stillhouse/tasks/extraction.py).

The network points at words. Which words a text has, and in which pieces of a tokenizer they begin, is one file of
Stillhouse that imports nothing but Python: the folder has that very file.
"""

import json
import runpy
import shutil
from importlib.resources import files
from pathlib import Path

import numpy as np

from stillhouse.errors import StillhouseError
from stillhouse.models.predictor import OnnxClassifier
from stillhouse.models.tokenization import MAX_CHARACTERS
from stillhouse.release.bundle import MODEL
from stillhouse.tasks.extraction import IMPOSSIBLE, Extraction
from stillhouse.tasks.records import spelled_out
from stillhouse.tasks.words import plainly_spelled

FIELDS, WORDS = "record.json", "words.py"
_LOADER = "classify_record.py.j2"
_CLOSE = 1e-3
"""Of a probability, and of two outputs that answer a field alike: one thread or several may add in another order."""


def write_for_records(folder: Path, bundle: Path, task: Extraction, loader: str) -> None:
    """Write all but the tokenizer, the card and the record: model.onnx, record.json, words.py and the loader.

    Args:
        folder: with the tokenizer.
        bundle: folder of the release.
        task: what an answer of it is.
        loader: name of the file that people run.

    Raises:
        StillhouseError: if a field is a number or a date: the folder has no file that reads them.
    """
    for field in task.fields:
        if field.spec.reads:
            raise StillhouseError(
                f"{field.name} is a {field.spec.kind}, and a folder that runs without Stillhouse reads none",
                where=str(folder),
                expected="fields whose values are words of the text, or choices",
                do="Serve it by `stillhouse serve`, or ask it in Python: `stillhouse.load(NAME).answer(TEXT)`.",
            )
    shutil.copyfile(bundle / MODEL / "model.onnx", folder / "model.onnx")
    config = json.loads((bundle / MODEL / "config.json").read_text("utf-8"))
    said = {
        "fields": [
            {"name": field.name, "outputs": field.size, **field.spec.model_dump(mode="json")} for field in task.fields
        ],
        "characters": MAX_CHARACTERS,
        "words": task.spec.words,
        "pieces": config["vocab_size"],
        "temperature": OnnxClassifier(bundle / MODEL).temperature,
        "impossible": IMPOSSIBLE,
    }
    (folder / FIELDS).write_text(json.dumps(said, ensure_ascii=False, indent=1) + "\n", "utf-8")
    for name, package, source in ((WORDS, "stillhouse.tasks", WORDS), (loader, "stillhouse.release", _LOADER)):
        (folder / name).write_text(files(package).joinpath(source).read_text("utf-8"), "utf-8")


def compare_records(folder: Path, bundle: Path, task: Extraction, loader: str) -> None:
    """Ask the folder as a stranger would, and the released model, the same texts: short ones, and more than they read.

    Raises:
        StillhouseError: if a record, or how probable it is, is another one.
    """
    released = OnnxClassifier(bundle / MODEL)
    ask = runpy.run_path(str(folder / loader))["record"]
    for text in map(plainly_spelled, [*released.labels[:20], " ".join(released.labels)[:MAX_CHARACTERS]]):
        said, probability = ask(text)
        logits = released.logits([text])
        (answer,) = task.written(task.answers(logits))
        expected = float(task.confidence(logits, released.temperature)[0])
        same = said == json.loads(spelled_out(answer, text, task.spec)) or bool(task.margin(logits)[0] <= _CLOSE)
        if not same or not np.abs(probability - expected) <= _CLOSE:
            raise StillhouseError(
                f"its probability is {abs(probability - expected):.1e} away from that of the release"
                if same
                else "a record is not the one that the release gives",
                where=str(folder),
                expected=f"the same records, and probabilities within {_CLOSE:g}",
                do="Report this as a fault of Stillhouse, with the versions of onnxruntime, numpy and tokenizers.",
            )
