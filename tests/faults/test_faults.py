"""Without a fault every gate is open, and every gate was seen to close; the faults are planted by the files beside."""

from importlib import import_module

from checks.stages import GATES
from stillhouse.home import CHECKOUT
from stillhouse.stages.names import BATCHED
from tests import gates_page
from tests.faults import (
    cascade,
    contract_and_source,
    evaluation,
    live_report,
    prompts,
    release,
    shadow,
    students,
    teacher,
    traffic,
)
from tests.faults.bench import stages_of
from tests.faults.conftest import Finished, OpenBench

ROOMS = (contract_and_source, prompts, teacher, students, evaluation, cascade, release, traffic, live_report, shadow)
FAULTS = [fault for room in ROOMS for fault in room.FAULTS]


def test_without_a_fault_every_gate_is_open(finished: Finished, open_bench: OpenBench) -> None:
    with open_bench(True) as bench:
        told = bench.diagnose(finished.file).model_dump(mode="json")
        assert (told["stage"], told["state"]) == (None, "passed"), told
        for stage in stages_of(finished.file):
            states = bench.states(finished.file, stage, "base" if stage in BATCHED else None)
            assert len(states) >= 2
            assert {state.state for state in states} == {"passed"}


def test_every_gate_was_seen_to_close() -> None:
    closed = {gate for fault in FAULTS for gate in (fault.gate, *fault.also)}
    for stage, gates in GATES.items():
        assert set(gates.because()) - closed == set(), stage


def test_every_gate_is_asked_by_itself() -> None:
    """By a test that `make test` runs, where it plants one fault of each stage."""
    sources = [path.read_text("utf-8") for path in (CHECKOUT / "tests" / "checks").rglob("test_*.py")]
    asked = [source for source in sources if "\npytestmark = pytest.mark.slow" not in source]
    for stage, gates in GATES.items():
        assert [gate for gate in gates.because() if not any(gate in source for source in asked)] == [], stage


def test_the_page_has_no_other_faults() -> None:
    names = [fault.name for fault in FAULTS]
    assert len(set(names)) == len(names) >= 40
    if not gates_page.WRITING:
        assert set(gates_page.fault_rows()) == set(names)


def test_the_faults_of_every_room_are_planted() -> None:
    """By the test file of its name, which asks of all of them."""
    for room in ROOMS:
        planted = import_module(room.__name__.replace(".faults.", ".faults.test_"))
        assert planted.FAULTS is room.FAULTS
        assert planted.test_a_fault_closes_its_gate_and_is_diagnosed
        if any(fault.advice for fault in room.FAULTS):
            assert planted.test_advice_is_given_and_closes_nothing
