"""What is asked of every fault of contract_and_source.py."""

from tests.faults.asked import test_a_fault_closes_its_gate_and_is_diagnosed
from tests.faults.contract_and_source import FAULTS

__all__ = ["FAULTS", "test_a_fault_closes_its_gate_and_is_diagnosed"]
