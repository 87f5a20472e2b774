"""`make drills`: every experiment as a test, and which of them held.

Belongs here: running the tests that carry the mark `experiment`, and counting by experiment.
Does not: the experiments.
"""

import json
import sys
from collections import defaultdict

import pytest

from tests.drills.experiments import EXPERIMENTS


class Record:
    """Which experiment each test is of, and how it ended."""

    def __init__(self) -> None:
        self.tests: dict[str, set[str]] = defaultdict(set)
        self.passed: set[str] = set()
        self.broken: set[str] = set()

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Remember what each test is of."""
        for item in items:
            for mark in item.iter_markers("experiment"):
                for name in mark.args:
                    self.tests[name].add(item.nodeid)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """A test holds if it passed; one that was skipped, or failed at any phase, does not."""
        if report.when == "call" and report.passed:
            self.passed.add(report.nodeid)
        elif not report.passed:
            self.broken.add(report.nodeid)

    def held(self, experiment: str) -> bool:
        """Whether there is a test of it, and every one passed."""
        tests = self.tests[experiment]
        return bool(tests) and tests <= self.passed - self.broken


def main() -> int:
    """Run them all; the last line is JSON."""
    record = Record()
    pytest.main(["-m", "experiment", "-q", "-p", "no:xdist", *sys.argv[1:]], plugins=[record])
    unknown = sorted(set(record.tests) - set(EXPERIMENTS))
    held = [name for name in EXPERIMENTS if record.held(name)]
    for name, what in EXPERIMENTS.items():
        state = "held" if name in held else "broke" if record.tests[name] else "no test"
        print(f"{name:<5}{state:<9}{what}")
    for name in unknown:
        print(f"{name}: a test names it, and it is no experiment of the list")
    print(json.dumps({"experiments": len(EXPERIMENTS), "held": len(held), "broke": len(EXPERIMENTS) - len(held)}))
    return 0 if len(held) == len(EXPERIMENTS) and not unknown else 1


if __name__ == "__main__":
    sys.exit(main())
