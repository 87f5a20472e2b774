"""`make mutants`: the share of small faults in gates, statistics and ledger that their tests notice.

A mutant is a module with one change (operators.py). A process of its own imports it in place of the module and runs the
tests that are responsible for it; it is killed when one fails, or when they do not end. Exit code 1 under the bar; the
last line is JSON.

Two libraries do not fit: mutmut 3.8 leaves decorated functions alone, which every gate is; cosmic-ray 8.7 writes each
mutant into the checkout, starts Python anew for each, knows one command for all modules, and deletes no statement.

Belongs here: which modules are mutated, which tests answer for them, running those, the bar.
Does not: what a mutant is (operators.py).
"""

import argparse
import importlib
import json
import multiprocessing
import os
import signal
import sys
import tempfile
from collections import Counter
from collections.abc import Collection, Sequence
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from pathlib import Path
from types import CodeType

import pytest
from hypothesis import Phase, settings

from tests.mutants.operators import Mutant, mutants_of, sampled

ROOT = Path(__file__).parents[2]
OURS = ("stillhouse", "assets", "checks", "orchestration", "tests")
MUTATED = ("stillhouse/statistics/*.py", "checks/**/*.py", "stillhouse/records/ledger.py")

_PERSONAL = "test_labels_and_kept_columns_are_searched_and_named_by_column_and_count"
ANSWERS: dict[str, tuple[str, ...]] = {
    "checks/expectations/prompts.py": ("tests/checks/test_expectations.py",),
    "checks/expectations/suite.py": ("tests/checks/test_expectations.py",),
    "checks/expectations/teacher_signal.py": ("tests/checks/test_expectations.py",),
    "checks/contract.py": ("tests/checks/test_contract.py",),
    "checks/moved_bar.py": ("tests/checks/test_moved_bar.py", "tests/checks/test_contract.py"),
    "stillhouse/records/gate_status.py": ("tests/stillhouse/records/test_gate_status.py",),
    "checks/gatekeeper.py": ("tests/checks/test_gate_states.py",),
    "checks/golden_set_usage.py": ("tests/checks/test_evaluation.py", "tests/checks/test_cascade.py"),
    "checks/prompts/__init__.py": ("tests/checks/test_gate.py",),
    "checks/prompts/base_batch.py": ("tests/checks/prompts",),
    "checks/prompts/golden_rows.py": ("tests/checks/prompts/test_golden_rows.py", "tests/checks/test_golden_file.py"),
    "checks/prompts/labels.py": ("tests/checks/prompts/test_labels.py", "tests/checks/test_golden_file.py"),
    "checks/prompts/personal_data.py": (f"tests/checks/prompts/test_personal_data.py::{_PERSONAL}",),
    "checks/source.py": ("tests/checks/test_source.py", "tests/checks/test_golden_file.py"),
    "checks/stages.py": ("tests/checks/test_gate.py",),
}
"""Tests that answer for a module where it is not the one file of the same path, `tests/<folder>/test_<module>.py`.

The quick ones: most gates are also closed through Dagster (tests/faults), which takes too long to be asked of a mutant.
"""

GATES_PAGE = "tests/checks/test_gates_doc.py"
"""Answers for every module of gates: which of them are advice, and which nobody can waive."""

QUICK = "not postgres and not at_the_same_time"
"""Of those tests the ones that start no server and no further processes."""

WANTED, SEED = 330, 0
FEWEST, SHARE = 300, 0.9
"""The bar: so many mutants, and so large a part of them killed."""

NOT_ASKED = 99
"""How a process ends whose tests never imported the mutant."""

PATIENCE = 60.0
"""Seconds for the tests of one mutant; on the code as it is those of no module take a third of it."""


class Mutated(SourceFileLoader):
    """Imports one module as other code than its file holds."""

    def __init__(self, module: str, code: CodeType) -> None:
        super().__init__(module, code.co_filename)
        self.code = code
        self.was_imported = False

    def find_spec(self, name: str, path: Sequence[str] | None, target: object = None) -> ModuleSpec | None:
        """As a finder, in `sys.meta_path`."""
        spec = PathFinder.find_spec(name, path) if name == self.name else None
        if spec is not None:
            spec.loader = self
        return spec

    def get_code(self, fullname: str) -> CodeType:
        """The code that is run."""
        self.was_imported = True
        return self.code


def main(paths: Sequence[str], wanted: int, seed: int) -> int:
    """Draw mutants, run the tests on each, and judge the share that is killed.

    Args:
        paths: only modules whose path begins with one of these; all when empty.
        wanted: how many mutants.
        seed: of the draw.
    """
    modules = [path for path in modules_to_mutate() if not paths or path.startswith(tuple(paths))]
    every = [mutant for path in modules for mutant in mutants_of(ROOT, path)]
    mutants = sampled(every, wanted, seed)
    load_libraries()
    with tempfile.TemporaryDirectory() as scratch:
        require_that_tests_pass({mutant.path for mutant in mutants}, Path(scratch))
        survived = []
        for mutant in mutants:
            if not fail(answering(mutant.path), PATIENCE, Path(scratch), mutant):
                survived.append(mutant)
                print(f"survived  {mutant}", flush=True)
    drawn, left = Counter(mutant.path for mutant in mutants), Counter(mutant.path for mutant in survived)
    for path, number in drawn.items():
        print(f"{path:<50}{number - left[path]:>4} of {number:>3} killed")
    killed = len(mutants) - len(survived)
    print(f"{killed / len(mutants):.1%} of {len(mutants)} mutants killed, drawn from {len(every):,} by seed {seed}")
    print(json.dumps({"mutants": len(mutants), "killed": killed}))
    return 0 if len(mutants) >= FEWEST and killed >= SHARE * len(mutants) else 1


def modules_to_mutate() -> list[str]:
    """Files of the mutated modules, from the checkout's root."""
    return sorted(str(path.relative_to(ROOT)) for pattern in MUTATED for path in ROOT.glob(pattern))


def answering(path: str) -> list[str]:
    """The tests that are responsible for a module."""
    own = Path("tests", path).with_name(f"test_{Path(path).name}")
    return [*ANSWERS.get(path, [str(own)]), *([GATES_PAGE] if path.startswith("checks/") else [])]


def load_libraries() -> None:
    """Import what all tests import, once, and forget what is ours: every mutant imports that anew."""
    for name in ("tests.conftest", "great_expectations.expectations", "scipy.stats", "sklearn.calibration"):
        importlib.import_module(name)
    for name in [name for name in sys.modules if name.split(".")[0] in OURS and not name.startswith("tests.mutants")]:
        del sys.modules[name]
    # What a failing example shrinks to is of no interest here.
    settings.register_profile(
        "mutants", deadline=None, derandomize=True, database=None, phases=(Phase.explicit, Phase.generate)
    )


def require_that_tests_pass(paths: Collection[str], scratch: Path) -> None:
    """Run the tests of all modules on the code as it is: else every mutant would seem to be killed."""
    tests = sorted({test for path in paths for test in answering(path)})
    if fail(tests, 10 * PATIENCE, scratch):
        raise SystemExit(f"these tests fail on the code as it is, or take too long: {' '.join(tests)}")


def fail(tests: Sequence[str], limit: float, scratch: Path, mutant: Mutant | None = None) -> bool:
    """Whether tests fail in a process of their own, or take longer than the limit in seconds."""
    process = multiprocessing.get_context("fork").Process(target=run_tests, args=(tests, scratch, mutant))
    process.start()
    try:
        process.join(limit)
    finally:  # also when somebody interrupts the run
        if process.is_alive() and process.pid is not None:
            os.killpg(process.pid, signal.SIGKILL)
        process.join()
    if process.exitcode == NOT_ASKED:
        raise SystemExit(f"none of {' '.join(tests)} imports the module of {mutant}")
    return process.exitcode != 0


def run_tests(tests: Sequence[str], scratch: Path, mutant: Mutant | None) -> None:
    """Run tests up to the first that fails, with the mutant in place of its module; the exit code says how it ended."""
    os.setsid()
    silence = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silence, 1)
    os.dup2(silence, 2)
    # pytest would import every module that is called `*_test` itself, to rewrite its assertions.
    how = ["-x", "-n0", "-p", "no:cacheprovider", "--assert=plain", "--hypothesis-profile=mutants"]
    how += [f"--basetemp={scratch / 'tests'}", "-k", QUICK, *tests]
    if mutant is None:
        os._exit(int(pytest.main(how)))
    name = mutant.path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
    loader = Mutated(name, mutant.compiled(ROOT))
    sys.meta_path.insert(0, loader)
    ended = int(pytest.main(how))
    os._exit(ended if loader.was_imported else NOT_ASKED)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tests.mutants")
    parser.add_argument("paths", nargs="*", help="only modules whose path begins with one of these")
    parser.add_argument("--mutants", type=int, default=WANTED, help="how many")
    parser.add_argument("--seed", type=int, default=SEED, help="of the draw")
    given = parser.parse_args()
    sys.exit(main(given.paths, given.mutants, given.seed))
