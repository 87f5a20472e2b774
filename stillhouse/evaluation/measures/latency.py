"""How much faster each model is than the teacher, on one machine, in one run.

Two clocks are read around each call: wall time, which is what a caller waits, and the CPU time of the thread that
answers, which does not grow while other processes have the processor. Wall time on a busy machine says more about the
other processes than about the models, so the bar is decided on CPU time. Of a teacher on a GPU only wall time means
something: the bar is then decided on that, and on no machine that was busy.

Belongs here: the interleaved measurement, its ratios with intervals, and the stamp of the machine.
Does not: loading models, setting threads. All work of a call must be done by the thread that makes it: with torch call
`torch.set_num_threads(1)` and give ONNX Runtime sessions `intra_op_num_threads = 1` before measuring, or the CPU time
of the other threads is not counted.
"""

import itertools
import os
import platform
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field

from stillhouse import progress
from stillhouse.arrays import FloatArray
from stillhouse.base import Record

Predict = Callable[[str], Any]

BLOCK = 20
"""Texts that one model answers before it is another one's turn."""
RESAMPLES = 1000
"""Bootstrap resamples behind the interval of a ratio."""
BUSY_ABOVE = 0.05
"""Share of waiting from which a machine counts as busy. The 95th percentile is what limits in milliseconds are about,
so waiting in one call of twenty is enough to decide it. On an idle machine the share was 0.3 %."""

LOAD_RAISES, LOAD_LOWERS = 1.2, 1.5
"""Factors by which a busy machine may raise or lower a ratio of CPU times, because interrupted calls find their caches
emptied and cores share memory. Measured beside other work, with up to 90 % of waiting: at most 1.15 up (a quantised
teacher) and 1.48 down (a student that takes 1 ms); see docs/statistics.md."""
SHARED_HOST = 1.15
"""Factor by which a virtual machine's neighbours may raise or lower a ratio of CPU times from one ten minutes to the
next: they share caches and memory with it, slow a small model and a large one unequally, and no clock inside shows it.
Of the same artifacts the ratio was 6.6 to 7.9 in sixteen measurements within eight minutes without any waiting, each
with an interval of 4 % to either side; see docs/statistics.md."""


@dataclass(frozen=True)
class Clocks:
    """What time is read from; replaceable for tests.

    Args:
        wall_ns: nanoseconds of wall time.
        cpu_ns: nanoseconds that the calling thread had a processor.
    """

    wall_ns: Callable[[], int] = time.perf_counter_ns
    cpu_ns: Callable[[], int] = time.thread_time_ns


class DeviceStamp(Record):
    """The machine a measurement was made on: seconds do not carry over to another, ratios mostly do."""

    cpu: str
    cores: int = Field(description="Cores this process may use.")
    threads: int | None = Field(description="Threads torch would use; null when torch is not loaded.")
    system: str
    python: str
    shared_host: bool | None = Field(
        default=None, description="Whether it is a virtual machine, whose neighbours nobody sees; null when not known."
    )


class CpuTime(Record):
    """CPU time of the thread that answers, of the calls whose wall time was measured."""

    teacher_ms: float | None = Field(description="Mean of a call; null where the teacher does not run here.")
    student_ms: float = Field(description="Mean of a call.")
    ratio: float | None = Field(
        description="Mean of the teacher divided by mean of the student; above 1 is faster. Null likewise."
    )
    ratio_low: float | None = Field(description="Lower limit of the 95 % bootstrap interval.")
    ratio_high: float | None = Field(description="Upper limit of the 95 % bootstrap interval.")
    waiting_share: float = Field(
        description="Share of the wall time of all calls of all models in which they waited for a processor."
    )


class LatencyComparison(Record):
    """Teacher and student timed on the same texts, in turns, one text at a time.

    Whatever is of the teacher is null where it does not run here.
    """

    teacher_ms_p50: float | None
    teacher_ms_p95: float | None
    teacher_ms_p99: float | None
    teacher_calls_per_second: float | None = Field(description="Of a single stream: one over its mean latency.")
    student_ms_p50: float
    student_ms_p95: float
    student_ms_p99: float
    student_calls_per_second: float
    ratio: float | None = Field(
        description="Of wall time: median of the teacher divided by median of the student; above 1 is faster."
    )
    ratio_low: float | None = Field(description="Lower limit of the 95 % bootstrap interval.")
    ratio_high: float | None = Field(description="Upper limit of the 95 % bootstrap interval.")
    rounds: int
    texts: int
    device: DeviceStamp
    cpu: CpuTime | None = Field(
        default=None, description="Null in an evaluation made by 0.1.0, which measured wall time alone."
    )
    teacher_device: str | None = Field(
        default=None,
        exclude_if=lambda named: named is None,  # so that what was timed on one device is written as it was
        description="The GPU that the teacher answered on; left out where it had a thread of the same CPU.",
    )

    @property
    def devices(self) -> tuple[str, str] | None:
        """What the student was timed on, and what the teacher; None where that is one CPU."""
        return None if self.teacher_device is None else (f"one thread of {self.device.cpu}", self.teacher_device)

    @property
    def deciding_ratio(self) -> float | None:
        """How many times faster than the teacher: in CPU time, or in wall time where that is all that compares."""
        return self.ratio if self.cpu is None or self.teacher_device is not None else self.cpu.ratio

    @property
    def machine_was_busy(self) -> bool:
        """Whether other processes had the processor for so long that wall time proves nothing."""
        return self.cpu is not None and self.cpu.waiting_share > BUSY_ABOVE

    @property
    def ratio_bounds(self) -> tuple[float, float] | None:
        """Between what the deciding ratio is: its interval, wider for what moves it between measurements.

        The interval alone is of one moment. A busy machine and, unless the machine is known to be nobody else's, the
        neighbours on its host move the ratio further than that. None when CPU time was not measured, no teacher was, or
        all there is are wall times of a busy machine.
        """
        measured = self if self.teacher_device is not None else self.cpu
        if measured is None or measured.ratio_low is None or measured.ratio_high is None:
            return None
        raised, lowered = (1.0, 1.0) if self.device.shared_host is False else (SHARED_HOST, SHARED_HOST)
        if self.machine_was_busy:
            if self.teacher_device is not None:
                return None
            raised, lowered = max(raised, LOAD_RAISES), max(lowered, LOAD_LOWERS)
        return measured.ratio_low / raised, measured.ratio_high * lowered

    @property
    def caveat(self) -> str | None:
        """What is wrong with this measurement, in plain words; None when nothing is."""
        if self.cpu is None:
            return (
                "only wall time was measured (by Stillhouse 0.1.0), which changes with whatever else the machine does; "
                "run the recipe again to measure CPU time"
            )
        if self.machine_was_busy:
            return (
                "the machine was busy while speed was measured: the models waited "
                f"{100 * self.cpu.waiting_share:.0f}% of the time for a processor. "
                + ("CPU time decides; " if self.teacher_device is None else "")
                + "wall time proves nothing here"
            )
        return None


def device_stamp() -> DeviceStamp:
    """Name the processor, the cores this process may use and the threads torch would."""
    torch = sys.modules.get("torch")
    return DeviceStamp(
        cpu=_cpuinfo().get("model name") or platform.processor() or platform.machine(),
        cores=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        threads=int(torch.get_num_threads()) if torch is not None else None,
        system=f"{platform.system()} {platform.machine()}",
        python=platform.python_version(),
        shared_host=_is_virtual(_cpuinfo()),
    )


def latencies_beside_teacher(
    teacher: Predict | None,
    models: Mapping[str, Predict],
    texts: Sequence[str],
    *,
    rounds: int,
    teacher_device: str | None = None,
    seed: int = 0,
    clocks: Clocks = Clocks(),
) -> dict[str, LatencyComparison]:
    """Time the teacher and all models of a report together, so that there is one measurement of the teacher.

    Batch 1, in turns of 20 texts: a server runs one model, whose weights stay in its caches; turns of one text would
    make each model load its weights again after the one before. In each block of texts the models take their turns in
    an order of its own, drawn by the seed, so that no model always follows the same one and whatever troubles the
    machine for a while troubles all alike. Not timed are a whole first round, because runtimes prepare buffers for each
    length of text, and one call at the beginning of each turn, because the model before it had the caches.

    Args:
        teacher: answers one text, from text to answer (tokenising included); None where it does not run here.
        models: name and the same of each model.
        texts: what to answer, in the lengths production sees.
        rounds: times each text is answered by each.
        teacher_device: what its maker calls the GPU that the teacher answers on; None where it has the CPU of the
            others. The thread that waits for a GPU says nothing by its CPU time, so of such a teacher there is none.
        seed: of the order of turns and of the bootstrap.
        clocks: wall and CPU time.

    Returns:
        Of each model by name: wall time as medians, 95th and 99th percentiles in milliseconds and the ratio of medians;
        CPU time as means and their ratio. A mean, because a call that is interrupted finds its caches emptied: that
        costs every model about the same share of its CPU time, but only some of the calls of a quick one, so it would
        move a ratio of medians. Intervals are by bootstrap: of wall time over texts and the rounds of each, of CPU time
        over blocks, whose calls were made close together.

    Raises:
        ValueError: if there is nothing to measure, or a model takes no measurable time.
    """
    if not models or not texts or rounds < 1:
        raise ValueError(f"nothing to measure: {len(models)} models, {len(texts)} texts, {rounds} rounds")
    answering = [*([] if teacher is None else [teacher]), *models.values()]
    wall_ms, cpu_ms = _timed(answering, texts, rounds, np.random.default_rng(seed), clocks)
    if not (np.median(wall_ms, axis=(1, 2)) > 0).all() or not (cpu_ms.sum(axis=(1, 2)) > 0).all():
        raise ValueError("the clock is too coarse: a model took no measurable time")
    on_the_cpu = slice(0 if teacher_device is None else 1, None)
    waiting = max(0.0, 1 - float(cpu_ms[on_the_cpu].sum() / wall_ms[on_the_cpu].sum()))
    if teacher is None:
        return {name: _alone(wall_ms[index], cpu_ms[index], waiting) for index, name in enumerate(models)}
    return {
        name: _comparison(wall_ms[[0, index]], cpu_ms[[0, index]], waiting, seed, teacher_device)
        for index, name in enumerate(models, start=1)
    }


def _timed(
    answering: Sequence[Predict], texts: Sequence[str], rounds: int, generator: np.random.Generator, clocks: Clocks
) -> tuple[FloatArray, FloatArray]:
    """Milliseconds of wall and CPU time, each of shape (models, texts, rounds)."""
    for model in answering:
        for text in texts:
            model(text)
    wall_ms, cpu_ms = (np.zeros((len(answering), len(texts), rounds)) for _ in range(2))
    for turn in range(rounds):
        progress.step("latency, all models in turns", turn, rounds)
        for start in range(0, len(texts), BLOCK):
            for place in generator.permutation(len(answering)):
                model = answering[place]
                model(texts[start])
                for index in range(start, min(start + BLOCK, len(texts))):
                    # Wall time inside: reading the CPU clock is a system call and takes longer.
                    cpu, wall = clocks.cpu_ns(), clocks.wall_ns()
                    model(texts[index])
                    wall_ms[place, index, turn] = (clocks.wall_ns() - wall) / 1e6
                    cpu_ms[place, index, turn] = (clocks.cpu_ns() - cpu) / 1e6
    progress.step("latency, all models in turns", rounds, rounds)
    return wall_ms, cpu_ms


def _comparison(
    wall_ms: FloatArray, cpu_ms: FloatArray, waiting: float, seed: int, teacher_device: str | None
) -> LatencyComparison:
    """Of the teacher's times and one model's, each of shape (2, texts, rounds)."""
    texts, rounds = wall_ms.shape[1:]
    low, high = _bootstrap_of_medians(wall_ms[0], wall_ms[1], seed)
    teacher_median, student_median = np.median(wall_ms, axis=(1, 2)).tolist()
    return LatencyComparison(
        **_speed("teacher", wall_ms[0]),
        **_speed("student", wall_ms[1]),
        ratio=teacher_median / student_median,
        ratio_low=low,
        ratio_high=high,
        rounds=rounds,
        texts=texts,
        device=device_stamp(),
        cpu=_cpu_time_alone(cpu_ms[1], waiting) if teacher_device else _cpu_times(cpu_ms, waiting, seed),
        teacher_device=teacher_device,
    )


def _cpu_times(cpu_ms: FloatArray, waiting: float, seed: int) -> CpuTime:
    low, high = _bootstrap_of_means(cpu_ms, seed)
    teacher_mean, student_mean = cpu_ms.mean(axis=(1, 2)).tolist()
    return CpuTime(
        teacher_ms=teacher_mean,
        student_ms=student_mean,
        ratio=teacher_mean / student_mean,
        ratio_low=low,
        ratio_high=high,
        waiting_share=waiting,
    )


def _cpu_time_alone(cpu_ms: FloatArray, waiting: float) -> CpuTime:
    """Of one model, where no teacher's CPU time compares with it."""
    around = dict.fromkeys(("teacher_ms", "ratio", "ratio_low", "ratio_high"))
    return CpuTime(student_ms=float(cpu_ms.mean()), waiting_share=waiting, **around)


def _alone(wall_ms: FloatArray, cpu_ms: FloatArray, waiting: float) -> LatencyComparison:
    """Of one model's times, shape (texts, rounds), where there is no teacher to compare it with."""
    texts, rounds = wall_ms.shape
    around: dict[str, Any] = dict.fromkeys(("ratio", "ratio_low", "ratio_high"))
    return LatencyComparison(
        **dict.fromkeys(f"teacher_{part}" for part in _SPEEDS),
        **_speed("student", wall_ms),
        **around,
        rounds=rounds,
        texts=texts,
        device=device_stamp(),
        cpu=_cpu_time_alone(cpu_ms, waiting),
    )


_SPEEDS = ("ms_p50", "ms_p95", "ms_p99", "calls_per_second")


def _speed(model: str, milliseconds: FloatArray) -> dict[str, Any]:
    p50, p95, p99 = np.percentile(milliseconds, [50, 95, 99]).tolist()
    per_second = 1000 / float(milliseconds.mean())
    return {f"{model}_{part}": value for part, value in zip(_SPEEDS, (p50, p95, p99, per_second), strict=True)}


def _bootstrap_of_medians(teacher_ms: FloatArray, student_ms: FloatArray, seed: int) -> tuple[float, float]:
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


def _bootstrap_of_means(cpu_ms: FloatArray, seed: int) -> tuple[float, float]:
    """Percentile interval over blocks of each round: calls made close together are slowed by the same things."""
    starts = np.arange(0, cpu_ms.shape[1], BLOCK)
    blocks = np.add.reduceat(cpu_ms, starts, axis=1).reshape(2, -1)
    drawn = np.random.default_rng(seed).integers(blocks.shape[1], size=(RESAMPLES, blocks.shape[1]))
    teacher, student = blocks[:, drawn].sum(axis=2)
    low, high = np.percentile(teacher / student, [2.5, 97.5])
    return float(low), float(high)


def _cpuinfo() -> dict[str, str]:
    """What Linux says of its first processor; empty on another system."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text(encoding="utf-8").splitlines() if cpuinfo.exists() else []
    first = itertools.takewhile(str.strip, lines)
    return {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in first)}


def _is_virtual(cpuinfo: Mapping[str, str]) -> bool | None:
    """By the flag that every hypervisor of x86 sets; None where there are no such flags (another system, ARM)."""
    return "hypervisor" in cpuinfo["flags"].split() if "flags" in cpuinfo else None
