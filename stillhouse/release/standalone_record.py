"""What takes records out of texts, as files that run where Stillhouse is not installed.

Belongs here: the files beside the tokenizer of such a folder, and holding them against the release.
Does not: the folder (standalone.py), what an answer is (stillhouse/tasks/extraction.py).

The network points at words. Which words a text has, in which pieces of a tokenizer they begin, and which number or
date they are, is in files of Stillhouse that import nothing but Python: the folder has these very files.
"""

import json
import runpy
import shutil
from importlib.resources import files
from pathlib import Path

import numpy as np

from stillhouse.arrays import Float32Array
from stillhouse.errors import StillhouseError
from stillhouse.models.predictor import OnnxClassifier
from stillhouse.models.tokenization import MAX_CHARACTERS
from stillhouse.release.bundle import MODEL
from stillhouse.tasks.extraction import IMPOSSIBLE, LOWEST, Extraction
from stillhouse.tasks.records import spelled_out
from stillhouse.tasks.words import plainly_spelled

FIELDS = "record.json"
READERS = ("words.py", "numbers_in_texts.py", "dates_in_texts.py")
"""Files of stillhouse/tasks that the folder has, too."""
_LOADER = "classify_record.py.j2"
_CLOSE = 1e-3
"""Of a probability, and of two outputs that answer a field alike: one thread or several may add in another order."""
_READ = ("1.931,50", "1,931", "Nov. 30, 2026", "11/12/2026")
"""A number and a date of one reading, and of two."""


def write_for_records(folder: Path, bundle: Path, task: Extraction, loader: str) -> None:
    """Write all but the tokenizer, the card and the record: model.onnx, record.json, what reads a text, the loader.

    Args:
        folder: with the tokenizer.
        bundle: folder of the release.
        task: what an answer of it is.
        loader: name of the file that people run.
    """
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
    for name in READERS:
        (folder / name).write_text(files("stillhouse.tasks").joinpath(name).read_text("utf-8"), "utf-8")
    (folder / loader).write_text(files("stillhouse.release").joinpath(_LOADER).read_text("utf-8"), "utf-8")


def compare_records(folder: Path, bundle: Path, task: Extraction, loader: str) -> None:
    """Ask the folder as a stranger would, and the released model, the same texts: short ones, and more than they read.

    Raises:
        StillhouseError: if a record, or how probable it is, is another one.
    """
    released = OnnxClassifier(bundle / MODEL)
    ask = runpy.run_path(str(folder / loader))["answer"]
    for text in map(plainly_spelled, [*released.labels[:20], " ".join(released.labels)[:MAX_CHARACTERS], *_READ]):
        said, probability = ask(text)
        logits = released.logits([text])
        (answer,) = task.written(task.answers(logits))
        expected = float(task.confidence(logits, released.temperature)[0])
        same = _is_same(said, spelled_out(answer, text, task.spec), logits, task)
        if not same or not np.abs(probability - expected) <= _CLOSE:
            raise StillhouseError(
                f"its probability is {abs(probability - expected):.1e} away from that of the release"
                if same
                else "a record is not the one that the release gives",
                where=str(folder),
                expected=f"the same records, and probabilities within {_CLOSE:g}",
                do="Report this as a fault of Stillhouse, with the versions of onnxruntime, numpy and tokenizers.",
            )


def _is_same(said: str, expected: str, logits: Float32Array, task: Extraction) -> bool:
    """Whether two records are one, but for fields of which two answers are as probable: of these either may be said."""
    first, second = (json.loads(record, parse_int=str, parse_float=str) for record in (said, expected))
    if [*first] != [*second]:
        return False
    for field in task.fields:
        other, largest = np.sort(field.of(logits[0]))[-2:]
        are_equal = largest - other <= _CLOSE and other > LOWEST  # where all is impossible, nothing is the answer
        if first[field.name] != second[field.name] and not are_equal:
            return False
    return True
