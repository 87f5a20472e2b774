"""What is asked of every planted fault: it closes its gate, and `diagnose` says so.

Belongs here: the questions, which each test file here asks of the faults of some stages.
Does not: the faults (tests/checks), whether each gate has one (test_faults.py).
"""

import dagster as dg

from stillhouse.stages.names import BATCHED
from tests import gates_page
from tests.conftest import failures
from tests.faults.bench import Bench, Fault
from tests.faults.conftest import OpenBench
from tests.gates_page import FaultRow

Record = dict[str, FaultRow]


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

        said = bench.diagnose(file).model_dump(mode="json")
        state = fault.state if fault.gate else "failed" if fault.finished else "missing"
        assert (said["stage"], said["gate"], said["state"]) == (fault.stage, fault.gate, state)
        assert fault.says in said["what"]
        in_the_page(fault, said["what"], bench, record)

        if fault.refuses:
            (refusal,) = failures(bench.run(file, fault.refuses))
            assert "Refused to read" in refusal
            assert f":{fault.gate} is {fault.state}" in refusal


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
        assert written is not None, "not in docs/gates.md: write the page again with `make docs`"
        assert (written.stage, written.gate) == (row.stage, row.gate)
        assert fault.says in written.message
