"""Without a fault every gate is open, and every gate was seen to close on a fault that the files beside plant."""

import ast
from importlib import import_module
from pathlib import Path

from checks.stages import GATES
from stillhouse.home import CHECKOUT
from stillhouse.stages.names import BATCHED
from tests import gates_page
from tests.faults.bench import stages_of
from tests.faults.conftest import Finished, OpenBench
from tests.faults.gathered import all_faults

FAULTS = all_faults()


def test_without_a_fault_every_gate_is_open(finished: Finished, open_bench: OpenBench) -> None:
    with open_bench(True) as bench:
        said = bench.diagnose(finished.file).model_dump(mode="json")
        assert (said["stage"], said["state"]) == (None, "passed"), said
        for stage in stages_of(finished.file):
            states = bench.states(finished.file, stage, "base" if stage in BATCHED else None)
            assert states, stage
            assert {state.state for state in states} == {"passed"}
        (page,) = (bench.place.home.reports / "data_docs").glob("small-prompts*base*.html")
        assert "prompt_id" in page.read_text(), "Great Expectations' own page of what it was asked"


def test_every_gate_was_seen_to_close() -> None:
    closed = {gate for fault in FAULTS for gate in (fault.gate, *fault.also)}
    for stage, gates in GATES.items():
        assert set(gates.because()) - closed == set(), stage


def test_every_gate_is_asked_by_itself() -> None:
    """By a test that `make test` runs, where it plants one fault of each stage.

    A gate is asked where its function is used, which an import or a sentence does not do; one of a suite of Great
    Expectations has no function, and is expected by name in the tables of what has to close.
    """
    folder = CHECKOUT / "tests" / "checks"
    quick = {path.relative_to(folder).as_posix(): quick_code(path) for path in folder.rglob("test_*.py")}
    used = {each.id for node in quick.values() for each in node if isinstance(each, ast.Name)}
    used |= {each.attr for node in quick.values() for each in node if isinstance(each, ast.Attribute)}
    tables = [each for each in quick["test_expectations.py"] if isinstance(each, ast.Dict)]
    expected = {key.value for table in tables for key in table.keys if isinstance(key, ast.Constant)}
    for stage, gates in GATES.items():
        assert {gate.name for gate in gates.gates} - used == set(), stage
        assert set(gates.suite.because if gates.suite else ()) - expected == set(), stage


def quick_code(path: Path) -> list[ast.AST]:
    """Every node of a test file that is not part of a slow test."""
    source = path.read_text("utf-8")
    if "\npytestmark = pytest.mark.slow" in source:
        return []
    parts = [part for part in ast.parse(source).body if not is_slow(part)]
    return [node for part in parts for node in ast.walk(part)]


def is_slow(part: ast.stmt) -> bool:
    return isinstance(part, ast.FunctionDef) and "pytest.mark.slow" in map(ast.unparse, part.decorator_list)


def test_the_page_has_no_other_faults() -> None:
    names = [fault.name for fault in FAULTS]
    assert len(set(names)) == len(names) >= 40
    if not gates_page.WRITING:
        assert set(gates_page.fault_rows()) == set(names)


def test_every_fault_is_planted() -> None:
    """By a file here that names its stage, and asks of all of its faults."""
    folder = Path(__file__).parent
    modules = [import_module(f"tests.faults.{path.stem}") for path in sorted(folder.glob("test_*.py"))]
    files = [module for module in modules if module.__name__ != __name__]
    planted = [fault.name for module in files for fault in module.FAULTS]
    assert sorted(planted) == sorted(fault.name for fault in FAULTS)
    for module in files:
        assert module.test_a_fault_closes_its_gate_and_is_diagnosed
        if any(fault.advice for fault in module.FAULTS):
            assert module.test_advice_is_given_and_closes_nothing
