"""What speed and memory are measured with: this machine, unless whoever asks has another meter.

Belongs here: both measures in one object, which is handed to who judges (`stillhouse/stages/bench.py`).
Does not: measuring (latency.py, footprint.py).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from stillhouse.evaluation.measures.footprint import serving_memory_mb
from stillhouse.evaluation.measures.latency import LatencyComparison, Predict, latencies_beside_teacher

TIMED_TEXTS = 120


class Latencies(Protocol):
    """Times a teacher and models together, see `latencies_beside_teacher`."""

    def __call__(
        self,
        teacher: Predict | None,
        models: Mapping[str, Predict],
        texts: Sequence[str],
        *,
        rounds: int,
        teacher_device: str | None,
    ) -> dict[str, LatencyComparison]:
        """The comparison of each model, by name."""


@dataclass(frozen=True)
class Meter:
    """How fast models are, and how much memory it takes to serve them.

    Args:
        latencies: times a teacher and models.
        memory_mb: serves a model folder, see `serving_memory_mb`.
        timed_texts: how many texts models are timed on.
    """

    latencies: Latencies
    memory_mb: Callable[[Path, Sequence[str]], float]
    timed_texts: int = TIMED_TEXTS


THIS_MACHINE = Meter(latencies_beside_teacher, serving_memory_mb)
