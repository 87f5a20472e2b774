"""What the traffic log costs the processor for each row: `python -m benchmarks.traffic`.

Belongs here: microseconds of processor time a row, of taking it, spooling it, sealing it, and redacting its text.
Does not: whether rows are lost (tests/stillhouse/serving/test_spool.py).

The last line is JSON. Processor time is counted, of all threads, so that a busy machine changes little.
"""

import json
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from stillhouse.live.segments import TrafficStore
from stillhouse.serving.requests import ServedRequest
from stillhouse.serving.spool import SpoolLimits, TrafficLog
from stillhouse.serving.writing import redacted

ROWS, TIMES = 50_000, 3
PLAIN = "What is the name of the river that runs through the capital of France ?"
WITH_NUMBER = "Please call me back on +49 30 901820 about order 4711-0815 from 2024-03-05 ."
NEVER = 3_600.0


def main() -> None:
    """Print the least of some measurements."""
    figures = {
        "take": _least(lambda: _taken(1)),
        "take_and_spool": _least(lambda: _taken(ROWS)),
        "take_spool_seal_and_move": _least(_whole),
        "redact_without_digits": _least(lambda: _redacted(PLAIN)),
        "redact_with_numbers": _least(lambda: _redacted(WITH_NUMBER)),
    }
    for name, figure in figures.items():
        print(f"{name:<26}{figure:8.2f} us")
    print(f"load {os.getloadavg()[0]:.1f}")
    print(json.dumps({name: round(figure, 2) for name, figure in figures.items()}))


def _least(measure: Callable[[], float]) -> float:
    return min(measure() for _ in range(TIMES))


def _rows() -> Sequence[ServedRequest]:
    at = time.time()
    return [
        ServedRequest(
            id=f"{place:028x}", at=at, recipe="bench", release="r" * 64, deployment=3, source="student",
            label=f"class {place % 50}", confidence=place % 1000 / 1000, degraded=False, status=200,
            latency_ms=place % 700 / 1000, characters=70, tokens=18, key=f"{place % 999:032x}", text=None,
        )
        for place in range(ROWS)
    ]  # fmt: skip


def _taken(written: int) -> float:
    """Microseconds a row, with the writer at work on all rows, or kept from it."""
    rows = _rows()
    with tempfile.TemporaryDirectory() as folder:
        waits = NEVER if written < ROWS else 0.01
        limits = SpoolLimits(capacity=4 * ROWS, write_seconds=waits, seal_seconds=NEVER, seal_rows=10 * ROWS)
        log = _log(folder, limits)
        began = time.process_time()
        for row in rows:
            log.put(row)
        while written == ROWS and log.stored < ROWS:
            time.sleep(0.01)
        spent = time.process_time() - began
        log.close()
    return spent / ROWS * 1e6


def _whole() -> float:
    rows = _rows()
    with tempfile.TemporaryDirectory() as folder:
        log = _log(folder, SpoolLimits(capacity=4 * ROWS, write_seconds=0.01, seal_seconds=NEVER, seal_rows=ROWS))
        began = time.process_time()
        for row in rows:
            log.put(row)
        log.close()
        spent = time.process_time() - began
    return spent / ROWS * 1e6


def _log(folder: str, limits: SpoolLimits) -> TrafficLog:
    place = Path(folder)
    return TrafficLog(
        place / "spool", "r1", TrafficStore(str(place / "store"), "bench"), keep_texts=True, limits=limits
    )


def _redacted(text: str) -> float:
    texts = [f"{text} {chr(97 + place % 26)}" for place in range(ROWS // 10)]
    began = time.process_time()
    redacted(texts)
    return (time.process_time() - began) / len(texts) * 1e6


if __name__ == "__main__":
    main()
