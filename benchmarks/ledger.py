"""`make bench-ledger`: what one look at a gate costs in a short ledger and in a long one.

A ledger of 100 verdicts and one of 100,000 are asked in turn, within one run, for the newest verdict of a gate; the
figure is the ratio of the two medians. Exit code 1 if the long one costs over twice as much; the last line is JSON.

Belongs here: filling, asking, the limit.
Does not: whether the answers are right (tests/stillhouse/records/test_ledger.py).
"""

import json
import sqlite3
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import sqlalchemy as sa

from stillhouse.records.ledger import Ledger

SHORT, LONG = 100, 100_000
STAGES, GATES = 18, 5
LOOKS = 300
MOST_TIMES = 2.0


def main(long: int) -> int:
    """Fill both, ask both, and judge the ratio."""
    with tempfile.TemporaryDirectory() as folder:
        ledgers = {entries: filled(Path(folder) / f"{entries}.db", entries) for entries in (SHORT, long)}
        seconds: dict[int, list[float]] = {SHORT: [], long: []}
        for number in range(LOOKS):
            for entries, ledger in ledgers.items():
                seconds[entries].append(one_look(ledger, number))
    microseconds = {entries: median(times) * 1e6 for entries, times in seconds.items()}
    ratio = microseconds[long] / microseconds[SHORT]
    print(f"one look: {microseconds[SHORT]:.0f} us in {SHORT:,} entries, {microseconds[long]:.0f} us in {long:,}")
    print(
        json.dumps(
            {"ratio": round(ratio, 2), "limit": MOST_TIMES, **{f"us_{n}": round(us) for n, us in microseconds.items()}}
        )
    )
    return 0 if ratio <= MOST_TIMES else 1


def filled(path: Path, entries: int) -> Ledger:
    """A ledger of so many verdicts, spread over the gates of one recipe; committed once, since only asking is timed."""

    def relax(connection: sqlite3.Connection, _: object) -> None:
        connection.execute("PRAGMA synchronous=OFF")

    sa.event.listen(sa.Engine, "connect", relax)
    try:
        ledger = Ledger(f"sqlite:///{path}")
        for number in range(entries):
            body = {"asset": asset(number), "gate": gate(number), "digest": f"{number:064x}", "state": "passed"}
            ledger.append("verdict", "recipe", body)
    finally:
        sa.event.remove(sa.Engine, "connect", relax)
    return ledger


def one_look(ledger: Ledger, number: int) -> float:
    """Seconds for the newest verdict of one gate."""
    start = time.perf_counter()
    found = ledger.newest("recipe", "verdict", subject=asset(number), gate=gate(number))
    took = time.perf_counter() - start
    assert found is not None
    return took


def asset(number: int) -> str:
    """Address of one of the stages."""
    return f"recipe/stage{number % STAGES}"


def gate(number: int) -> str:
    """Name of one of the gates."""
    return f"gate{number % GATES}"


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if sys.argv[1:] else LONG))
