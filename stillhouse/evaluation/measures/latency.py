"""How much faster the student is than the teacher, on one machine, in one run.

Belongs here: the interleaved measurement, its ratio with an interval, and the stamp of the machine.
Does not: loading models, setting threads. Both must run with one thread: with torch call
`torch.set_num_threads(1)` and give ONNX Runtime sessions `intra_op_num_threads = 1` before measuring, or the
numbers are of the scheduler.
"""

import os
import platform
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field

from stillhouse import progress

FloatArray = npt.NDArray[np.float64]

BLOCK = 20
"""Texts that one model answers before it is the other one's turn."""
RESAMPLES = 1000
"""Bootstrap resamples behind the interval of the ratio."""


class DeviceStamp(BaseModel):
    """The machine a measurement was made on: seconds do not carry over to another, ratios mostly do."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    cpu: str
    cores: int = Field(description="Cores this process may use.")
    threads: int | None = Field(description="Threads torch would use; null when torch is not loaded.")
    system: str
    python: str


class LatencyComparison(BaseModel):
    """Teacher and student timed on the same texts, alternately, one text at a time."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    teacher_ms_p50: float
    teacher_ms_p95: float
    teacher_ms_p99: float
    teacher_calls_per_second: float = Field(description="Of a single stream: one over its mean latency.")
    student_ms_p50: float
    student_ms_p95: float
    student_ms_p99: float
    student_calls_per_second: float
    ratio: float = Field(description="Median of the teacher divided by median of the student; above 1 is faster.")
    ratio_low: float = Field(description="Lower limit of the 95 % bootstrap interval.")
    ratio_high: float = Field(description="Upper limit of the 95 % bootstrap interval.")
    rounds: int
    texts: int
    device: DeviceStamp


def device_stamp() -> DeviceStamp:
    """Name the processor, the cores this process may use and the threads torch would."""
    torch = sys.modules.get("torch")
    return DeviceStamp(
        cpu=_cpu_model(),
        cores=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        threads=int(torch.get_num_threads()) if torch is not None else None,
        system=f"{platform.system()} {platform.machine()}",
        python=platform.python_version(),
    )


def interleaved_latency(
    teacher: Callable[[str], Any],
    student: Callable[[str], Any],
    texts: Sequence[str],
    *,
    rounds: int = 5,
    warmup: int = 3,
    seed: int = 0,
    clock: Callable[[], float] = time.perf_counter,
) -> LatencyComparison:
    """Time teacher and student on the same texts, taking turns, so that a noisy machine troubles both alike.

    Batch 1, in turns of 20 texts: a server runs one model, whose weights stay in its caches; turns of one text would
    make each model fetch its weights anew after the other one. Who goes first alternates from block to block and from
    round to round. One thread each is the caller's duty.

    Args:
        teacher: answers one text, from text to answer (tokenising included).
        student: answers one text, likewise.
        texts: what to answer, in the lengths production sees.
        rounds: times each text is answered by each; at least 5 for a useful interval.
        warmup: calls of each before the clock starts.
        seed: of the bootstrap.
        clock: seconds; replaceable for tests.

    Returns:
        Medians, 95th and 99th percentiles in milliseconds, calls per second of one stream, the ratio of medians, and
        its bootstrap interval over texts and over the rounds of each text.

    Raises:
        ValueError: if there is nothing to measure, or a model takes no measurable time.
    """
    if not texts or rounds < 1 or warmup < 0:
        raise ValueError(f"nothing to measure: {len(texts)} texts, {rounds} rounds, {warmup} warm-up calls")
    for call in range(warmup):
        teacher(texts[call % len(texts)])
        student(texts[call % len(texts)])
    teacher_ms, student_ms = np.zeros((len(texts), rounds)), np.zeros((len(texts), rounds))
    blocks = [range(start, min(start + BLOCK, len(texts))) for start in range(0, len(texts), BLOCK)]
    for turn in range(rounds):
        progress.step("latency, teacher against student", turn, rounds)
        for number, block in enumerate(blocks):
            pair = [(teacher, teacher_ms), (student, student_ms)]
            for model, milliseconds in pair if (number + turn) % 2 == 0 else reversed(pair):
                for index in block:
                    started = clock()
                    model(texts[index])
                    milliseconds[index, turn] = 1000 * (clock() - started)
    progress.step("latency, teacher against student", rounds, rounds)
    if not np.median(student_ms) > 0 or not np.median(teacher_ms) > 0:
        raise ValueError("the clock is too coarse: a model took no measurable time")
    low, high = _bootstrap_ratio(teacher_ms, student_ms, seed)
    return LatencyComparison(
        **_speed("teacher", teacher_ms),
        **_speed("student", student_ms),
        ratio=float(np.median(teacher_ms) / np.median(student_ms)),
        ratio_low=low,
        ratio_high=high,
        rounds=rounds,
        texts=len(texts),
        device=device_stamp(),
    )


def _speed(model: str, milliseconds: FloatArray) -> dict[str, float]:
    p50, p95, p99 = np.percentile(milliseconds, [50, 95, 99]).tolist()
    per_second = 1000 / float(milliseconds.mean())
    return {
        f"{model}_ms_p50": p50, f"{model}_ms_p95": p95, f"{model}_ms_p99": p99,
        f"{model}_calls_per_second": per_second,
    }  # fmt: skip


def _bootstrap_ratio(teacher_ms: FloatArray, student_ms: FloatArray, seed: int) -> tuple[float, float]:
    """Percentile interval: texts are drawn first (long ones are slow for both), then rounds within each."""
    generator = np.random.default_rng(seed)
    texts, rounds = teacher_ms.shape
    ratios = np.empty(RESAMPLES)
    for index in range(RESAMPLES):
        text = generator.integers(texts, size=(texts, 1))
        turn = generator.integers(rounds, size=(texts, rounds))
        ratios[index] = np.median(teacher_ms[text, turn]) / np.median(student_ms[text, turn])
    low, high = np.percentile(ratios, [2.5, 97.5])
    return float(low), float(high)


def _cpu_model() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()
