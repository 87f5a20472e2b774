"""The faults that the tests of gates declare, each beside the tests of the gate that it closes.

Belongs here: finding them.
Does not: a fault, how it is planted (the other files here), what is asked of it (asked.py).
"""

from functools import cache
from importlib import import_module

from stillhouse.home import CHECKOUT
from stillhouse.stages.names import KINDS, kind_of
from tests.faults.bench import Fault


@cache
def all_faults() -> tuple[Fault, ...]:
    """What the test files of tests/checks list as FAULTS, in the order of the files."""
    paths = sorted((CHECKOUT / "tests" / "checks").rglob("test_*.py"))
    modules = [import_module(".".join(path.relative_to(CHECKOUT).with_suffix("").parts)) for path in paths]
    return tuple(fault for module in modules for fault in getattr(module, "FAULTS", ()))


def faults_of(first: str, before: str | None = None) -> list[Fault]:
    """Those that are found at a kind of stage, and at those after it in the order in which data flows.

    Args:
        first: the kind of stage.
        before: the one to stop at, which is not included; None goes to the last, so that no stage is left out.
    """
    kinds = list(KINDS)
    between = kinds[kinds.index(first) : None if before is None else kinds.index(before)]
    return [fault for fault in all_faults() if kind_of(fault.stage) in between]
