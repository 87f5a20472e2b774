"""What is asked of every fault of release.py."""

from tests.faults.asked import test_a_fault_closes_its_gate_and_is_diagnosed
from tests.faults.release import FAULTS

__all__ = ["FAULTS", "test_a_fault_closes_its_gate_and_is_diagnosed"]
