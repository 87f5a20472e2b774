"""Faults of a challenger: each closes its gate and stops no run, and without one every gate is open.

A shadow is no part of a round, so `diagnose`, which says why no round comes to its end, does not name it.
"""

from orchestration.rollout import replay_now
from stillhouse.recipe.reading import RecipeFile
from stillhouse.records.ledger import Entry
from stillhouse.stages.names import SHADOW
from tests.faults.asked import Record, in_the_page
from tests.faults.bench import NAME, Bench, Fault
from tests.faults.conftest import OpenBench
from tests.faults.gathered import faults_of
from tests.faults.shadow import beside, unchanged

FAULTS = faults_of(SHADOW)


def looked_at(bench: Bench, file: RecipeFile) -> dict[str, Entry]:
    """The verdicts of a replay, which comes to its end whatever its gates find."""
    assert replay_now(bench.place.instance, bench.place.builds, file)
    entries = bench.place.builds.ledger.entries(NAME, "verdict", subject=f"{NAME}/{SHADOW}")
    return {entry.body["gate"]: entry for entry in entries}


def test_without_a_fault_every_gate_is_open(open_bench: OpenBench) -> None:
    with open_bench(True) as bench:
        found = looked_at(bench, beside(unchanged)(bench))
        assert len(found) == 4
        assert {entry.body["state"] for entry in found.values()} == {"passed"}


def test_a_fault_closes_its_gate_and_is_diagnosed(fault: Fault, open_bench: OpenBench, record: Record) -> None:
    with open_bench(True) as bench:
        found = looked_at(bench, fault.plant(bench))
        closed = {gate: entry.body["state"] for gate, entry in found.items() if entry.body["state"] != "passed"}
        assert set(closed) == {fault.gate, *fault.also}
        sentence = found[str(fault.gate)].body["sentence"]
        assert closed[str(fault.gate)] == fault.state and fault.says in sentence
        in_the_page(fault, sentence, bench, record)
