"""Every planted fault closes its gate, and `diagnose` says so; without one every gate is open."""

import dagster as dg
import pytest

from assets.keys import BATCHED
from checks.stages import GATES
from tests import gates_page
from tests.conftest import failures
from tests.faults import contract_and_source, evaluation, prompts, release, students, teacher
from tests.faults.bench import Bench, Fault, stages_of
from tests.faults.conftest import Finished, OpenBench
from tests.gates_page import FaultRow

ROOMS = (contract_and_source, prompts, teacher, students, evaluation, release)
FAULTS = [fault for room in ROOMS for fault in room.FAULTS]
BLOCKING = [fault for fault in FAULTS if not fault.advice]
ADVICE = [fault for fault in FAULTS if fault.advice]
Record = dict[str, FaultRow]


@pytest.mark.parametrize("fault", BLOCKING, ids=lambda fault: fault.name)
def test_a_fault_closes_its_gate_and_is_diagnosed(fault: Fault, open_bench: OpenBench, record: Record) -> None:
    with open_bench(fault.finished) as bench:
        file = fault.plant(bench)
        if fault.look_only:
            bench.look(file, fault.stage)
        else:
            assert not bench.run(file, *fault.stages(), batch=fault.batch).success

        states = bench.states(file, fault.stage, fault.batch if fault.stage in BATCHED else None)
        spoken = {state.name for state in states if state.state in ("failed", "inconclusive")}
        own = {fault.gate} if fault.gate and fault.state in ("failed", "inconclusive") else set()
        assert spoken == own | set(fault.also)

        told = bench.diagnose(file)
        state = fault.state if fault.gate else "failed" if fault.finished else "missing"
        assert (told["stage"], told["gate"], told["state"]) == (fault.stage, fault.gate, state)
        assert fault.says in told["what"]
        in_the_page(fault, told["what"], bench, record)

        if fault.refuses:
            (refusal,) = failures(bench.run(file, fault.refuses))
            assert "Refused to read" in refusal
            assert f":{fault.gate} is {fault.state}" in refusal


@pytest.mark.parametrize("fault", ADVICE, ids=lambda fault: fault.name)
def test_advice_is_given_and_closes_nothing(fault: Fault, open_bench: OpenBench, record: Record) -> None:
    with open_bench(fault.finished) as bench:
        file = fault.plant(bench)
        result = bench.run(file, *fault.stages(), batch=fault.batch)
        assert result.success
        assert fault.gate is not None
        (said,) = (each for each in result.get_asset_check_evaluations() if each.check_name == fault.gate)
        assert (said.passed, said.severity) == (False, dg.AssetCheckSeverity.WARN)
        sentence = said.description or ""
        assert fault.says in sentence
        in_the_page(fault, sentence, bench, record)


def in_the_page(fault: Fault, message: str, bench: Bench, record: Record) -> None:
    """The page has this fault with this gate, and a message that says what this one says."""
    here = {f"{folder.resolve()}/": "" for folder in (bench.place.folder, bench.finished)}
    gate = f"`{fault.gate}`" if fault.gate else ""
    row = FaultRow(fault.name, fault.address(), gate, gates_page.cell(message, here))
    record[fault.name] = row
    if not gates_page.WRITING:
        written = gates_page.fault_rows().get(fault.name)
        assert written is not None, "not in docs/gates.md: write it anew, as the page itself says"
        assert (written.stage, written.gate) == (row.stage, row.gate)
        assert fault.says in written.message


def test_without_a_fault_every_gate_is_open(finished: Finished, open_bench: OpenBench) -> None:
    with open_bench(True) as bench:
        told = bench.diagnose(finished.file)
        assert (told["stage"], told["state"]) == (None, "passed"), told
        for stage in stages_of(finished.file):
            states = bench.states(finished.file, stage, "base" if stage in BATCHED else None)
            assert len(states) >= 2
            assert {state.state for state in states} == {"passed"}


def test_every_gate_was_seen_to_close() -> None:
    closed = {gate for fault in FAULTS for gate in (fault.gate, *fault.also)}
    for stage, gates in GATES.items():
        assert set(gates.because()) - closed == set(), stage


def test_the_page_has_no_other_faults() -> None:
    names = [fault.name for fault in FAULTS]
    assert len(set(names)) == len(names) >= 40
    if not gates_page.WRITING:
        assert set(gates_page.fault_rows()) == set(names)
