"""Stillhouse at the job: ask the teacher once, keep what it said, train the student on that.

`python -m benchmarks.peers.stillhouse_loop JOB`; the last line is the outcome.
"""

import hashlib
import time
from pathlib import Path

import numpy as np
import polars as pl
import torch  # noqa: F401 - imported before the clock starts, as what the other loops import is
import transformers.modeling_utils  # noqa: F401

from benchmarks.peers.material import LEARNING_RATE, MAX_TOKENS, OUTPUTS, Job, Outcome, asked, explained
from stillhouse.device import device_of
from stillhouse.models.predictor import TorchClassifier
from stillhouse.models.training import train
from stillhouse.models.training_examples import TrainingExamples
from stillhouse.models.weights import fingerprint_of
from stillhouse.recipe.training import TrainingConfig
from stillhouse.records.ledger import Ledger
from stillhouse.tasks.single_label import UNKNOWN, SingleLabel
from stillhouse.teachers.classifier import take_classifier
from stillhouse.teachers.signal import SignalStore
from stillhouse.teachers.teacher import NetworkTeacher

NAMES = tuple(f"LABEL_{place}" for place in range(OUTPUTS))


def do(job: Job) -> Outcome:
    """Capture and train."""
    out, device = Path(job.out), device_of(job.device)
    start = time.perf_counter()
    _take(job, "student")
    captured = None
    if job.cached:
        targets = job.targets[: job.rows]
    else:
        captured = time.perf_counter()
        _take(job, "teacher")
        targets = capture(out, job.texts, job.device)
        captured = time.perf_counter() - captured
    how = TrainingConfig(
        epochs=job.epochs, batch_size=job.batch_size, learning_rate=LEARNING_RATE, loss="logit_mse",
        freeze_embeddings=False, max_tokens=MAX_TOKENS,
    )  # fmt: skip
    examples = TrainingExamples(job.texts, np.full(job.rows, UNKNOWN), SingleLabel(NAMES), targets)
    report = train(out / "student", out / "trained", examples, how, device=device)
    seconds = time.perf_counter() - start
    if job.cached:
        _take(job, "teacher")
    said = (TorchClassifier(out / name, device).logits(job.held_out) for name in ("trained", "teacher"))
    return Outcome(seconds, report.examples_per_second, explained(*said), captured and job.rows / captured)


def _take(job: Job, name: str) -> None:
    """Bring a classifier of transformers into a folder of ours."""
    take_classifier(Path(job.folder) / name, NAMES, Path(job.out) / name, rename={}, max_tokens=MAX_TOKENS)


def capture(out: Path, texts: list[str], setting: str) -> np.ndarray:
    """What the teacher says, by way of the store that keeps it."""
    device = device_of(setting)
    ids = [hashlib.sha256(f"{place} {text}".encode()).hexdigest() for place, text in enumerate(texts)]
    prompts = pl.DataFrame({"prompt_id": ids, "text": texts})
    store = SignalStore(out / "signal", Ledger(f"sqlite:///{out}/ledger.db"), shard_rows=8 * device.texts_at_once)
    fingerprint = fingerprint_of(out / "teacher")
    store.capture(prompts, NetworkTeacher(out / "teacher", fingerprint, device))
    said = prompts.join(store.read(ids, fingerprint), on="prompt_id", maintain_order="left")
    return np.array(said["logits"].to_list(), np.float32)


if __name__ == "__main__":
    do(asked()).show()
