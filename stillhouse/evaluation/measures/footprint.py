"""How much memory it takes to serve a model, measured in a process of its own.

Belongs here: the process that loads one model folder and answers texts, and what it took.
Does not: latency (latency.py), memory of training (models/memory.py).

What is counted is the resident memory at its peak less what the bare interpreter had: the runtime and its libraries,
weights, tokenizer, and what a call works with. Pages of a library that other processes share are counted, too.
"""

import json
import os
import resource
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from pydantic import Field

from stillhouse.base import Record
from stillhouse.errors import StillhouseError
from stillhouse.home import CHECKOUT
from stillhouse.wording import MEGABYTE

MODULE = "stillhouse.evaluation.measures.footprint"


class Footprint(Record):
    """Memory that serving takes, each model alone in a fresh process that answers one text at a time.

    Resident memory at its peak less that of the interpreter before the model's runtime was imported, in megabytes of
    1,000,000 bytes: runtime, weights, tokenizer and working memory.
    """

    teacher_mb: float | None = Field(
        description="The teacher, by torch in float32; null where it does not run here, or serves on a GPU."
    )
    student_mb: float | None = Field(description="Null for a model that is no folder to be served by itself.")
    texts: int = Field(description="Texts that each answered.")


def serving_memory_mb(folder: Path, texts: Sequence[str]) -> float:
    """Serve a model folder in a fresh process and measure the memory that this takes.

    Args:
        folder: an exported folder, which is served by onnxruntime, or a model folder, served by torch.
        texts: what is answered, one by one, with one thread.

    Returns:
        Megabytes of 1,000,000 bytes above the bare interpreter.

    Raises:
        StillhouseError: if the model cannot be served; with the last line of what it said.
    """
    root = str(CHECKOUT)
    path = os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH"))))
    served = subprocess.run(
        [sys.executable, "-m", MODULE, str(folder)],
        input=json.dumps(list(texts)),
        env={**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    if served.returncode:
        raise StillhouseError(
            f"the model process exited with code {served.returncode} and "
            f"{(served.stderr.strip().splitlines() or ['no output'])[-1]}",
            where=str(folder),
            expected="a model folder or an exported one",
            do=f"Try `{Path(sys.executable).name} -m {MODULE} {folder}` with a JSON list of texts on standard input.",
        )
    return float(json.loads(served.stdout)) / MEGABYTE


def _serve(folder: Path, texts: Sequence[str]) -> int:
    """Load and answer in this process; bytes at the peak less those before the runtime was imported."""
    before = _peak_bytes()
    if (folder / "model.onnx").is_file():
        from stillhouse.models.predictor import OnnxClassifier

        exported = OnnxClassifier(folder)
        for text in texts:
            exported.logits([text])
    else:
        from stillhouse.models.predictor import TorchClassifier

        model = TorchClassifier(folder)
        for text in texts:
            model.logits([text])
    return _peak_bytes() - before


def _peak_bytes() -> int:
    """The most resident memory this process had so far.

    On Linux from /proc: the peak that getrusage tells is inherited from the process that started this one.
    """
    status = Path("/proc/self/status")
    if status.is_file():
        (line,) = (line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # bytes, on macOS


if __name__ == "__main__":
    print(_serve(Path(sys.argv[1]), json.load(sys.stdin)))
